"""How much memory pictures take, and who may take it.

It decides how many parts of a picture are worked on at once, or whether one can be coded at all.
How a picture is divided does not depend on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from cca_core import FADE, LATENT_STRIDE

from cca_runtime.bundle import Bundle
from cca_runtime.division import Division, Size
from cca_runtime.errors import BadInputError
from cca_runtime.free_memory import free_memory

_TRANSFORM_BYTES = 7
"""What a transform takes at its peak for each pixel and each channel of its first stage, as it was
measured of the smallest model on both engines for CPUs (OpenVINO takes most)."""

_PRIOR_BYTES = 1.05
"""What the prior takes for each pixel and each latent channel, likewise."""

_PIXEL_BYTES = 12
"""What else a pixel takes: as it is padded, given to the engine, taken from it and cropped."""

_TRIALS = 1.2
"""What engines take with several trials, in what they take for one: they do not give all back
between the runs of different graphs. Measured as the others."""

_TILE = 3072
"""The tiles that are advised to those who encode large pictures in one piece."""


class Work(NamedTuple):
    """What is to be done with pictures that go through the engine together.

    Attributes:
        doing: In words.
        width: Of each picture, or of the region of one.
        height: Likewise.
        pictures: How many there are.
        transforms: How many of the two are run; engines keep the memory of the first.
        gives_pixels: Whether pixels of this size are made.
        has_trials: Whether several steps are tried: latents of all tiles stay for the next, and
            pixels of the best.
        otherwise: What else to do where there is too little memory for it in one piece.
    """

    doing: str
    width: int
    height: int
    pictures: int
    transforms: int
    gives_pixels: bool
    has_trials: bool
    otherwise: str

    @classmethod
    def encoding(
        cls, width: int, height: int, pictures: int, *, reconstruct: bool, has_trials: bool
    ) -> Work:
        """Encoding pictures, and decoding them as well with `reconstruct`."""
        otherwise = f"encode it in tiles (tile={_TILE}, --tile {_TILE}), which take less"
        transforms = 2 if reconstruct else 1
        gives = (reconstruct, has_trials)
        return cls("encoding", width, height, pictures, transforms, *gives, otherwise)

    @classmethod
    def decoding(cls, width: int, height: int, pictures: int, *, region: bool) -> Work:
        """Decoding pictures, or a region of one."""
        doing = "decoding a region" if region else "decoding"
        otherwise = "it takes a machine with more"
        return cls(doing, width, height, pictures, 1, True, False, otherwise)

    def what(self, division: Division) -> str:
        """It takes so much memory, in an error."""
        piece = " in one piece" if division.whole else ""
        return f"{self.doing} this picture of {self.width}x{self.height}{piece}"

    def advice(self, division: Division) -> str:
        """What to do instead."""
        if division.whole:
            return self.otherwise
        return "use smaller tiles (--tile), smaller regions (--region), or a machine with more"


def needs_of(bundle: Bundle, work: Work, division: Division, workers: int) -> list[int]:
    """The memory, in bytes, that work comes to take on a CPU, with that many workers and fewer.

    Args:
        bundle: The model.
        work: What is to be done.
        division: Of each picture.
        workers: Parts of the picture that are worked on at once, at most.
    """
    if division.whole:
        pixels = work.pictures * division.pixels
        return [_engine_bytes(bundle, work, pixels, pixels)]
    kept = 0
    if work.gives_pixels:
        strips = 4 * 3 * work.width * (division.window.height + 2 * FADE)
        kept = 3 * work.width * work.height + strips
        # A row of windows may need tiles of two rows, and those at its ends reach beyond it.
        width, height = work.width + 2 * division.tile.width, 2 * division.tile.height
        rows = division.picture if work.doing == "encoding" else Size(width, height)
        kept += _latent_bytes(bundle, rows.within(division.picture))
    if work.has_trials:
        kept += _latent_bytes(bundle, division.picture)
        kept += 3 * work.width * work.height if work.gives_pixels else 0
    window, tile = division.window.around(), division.tile.around()
    each = _engine_bytes(bundle, work, window, tile) + _latent_bytes(bundle, division.tile)
    return [kept + count * each for count in range(workers, 0, -1)]


def _engine_bytes(bundle: Bundle, work: Work, window: int, tile: int) -> int:
    """Of transforms on so many pixels, and of the prior, for one worker."""
    stage = _PIXEL_BYTES + work.transforms * _TRANSFORM_BYTES * bundle.widest_stage
    needed = window * stage + tile * _PRIOR_BYTES * bundle.latent_channels
    return int(needed * (_TRIALS if work.has_trials else 1.0))


def _latent_bytes(bundle: Bundle, part: Size) -> int:
    rows, columns = part.height // LATENT_STRIDE, part.width // LATENT_STRIDE
    return 4 * bundle.latent_channels * rows * columns


class MemoryLedger:
    """Grants memory to what is under way, so that all of it together finds room.

    Engines keep memory for the next picture. So what was granted before counts as theirs, and
    not as taken.
    """

    def __init__(self) -> None:
        self._queue = threading.Lock()
        self._changed = threading.Condition()
        self._granted = 0
        self._kept = 0

    @contextmanager
    def grant(self, needs: Sequence[int], what: str, advice: str) -> Iterator[int]:
        """Wait until there is room, which is while others are under way.

        Args:
            needs: Bytes that the work takes in one way or another, the best one first.
            what: It takes it, for the error.
            advice: What to do where there is not enough.

        Returns:
            Which of `needs` there was room for, by its index.

        Raises:
            BadInputError: There is no room, and nothing to wait for.
        """
        # One at a time, so that a large picture is not overtaken for ever by small ones.
        with self._queue, self._changed:
            while (choice := self._choose(needs)) is None:
                if not self._granted:
                    raise BadInputError(
                        f"{what} takes about {_megabytes(min(needs))} of memory, and "
                        f"{_megabytes(free_memory())} are free: {advice}"
                    )
                self._changed.wait()
            self._granted += needs[choice]
        try:
            yield choice
            with self._changed:
                self._kept = max(self._kept, self._granted)
        finally:
            with self._changed:
                self._granted -= needs[choice]
                self._changed.notify_all()

    def _choose(self, needs: Sequence[int]) -> int | None:
        room = free_memory() + self._kept - self._granted
        return next((choice for choice, need in enumerate(needs) if need <= room), None)


def _megabytes(size: int) -> str:
    return f"{-(-size // 10**6):,} MB"
