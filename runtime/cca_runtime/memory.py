"""How much memory pictures take, and who may take it.

Two questions, which have nothing to do with each other: how a picture is divided follows from the
memory that the machine has in all, and does not change from run to run; whether it can be coded
now, from what is free.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError
from cca_runtime.free_memory import free_memory

_TRANSFORM_BYTES = 10
"""What a transform takes for each pixel and each channel of its first stage, with some room:
measured at its peak, 5.3 on OpenVINO and on ONNX Runtime."""

_PRIOR_BYTES = 1.25
"""What the prior takes for each pixel and each latent channel: measured, 1.05 on both."""

_TRANSFORM_PEAK = 7
_PRIOR_PEAK = 1.05
"""The same two as they were measured, of the smallest model on both (OpenVINO's transforms take
most): what there is not more of is refused."""

_PIXEL_BYTES = 12
"""What else a pixel takes: as it is padded, given to the engine, taken from it and cropped."""

_SHARE = 2
"""All pictures under way take one such part of the memory there is at most."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""What containers are held to, of versions 2 and 1."""


def most_at_once(bundle: Bundle, window_pixels: int, tile_pixels: int) -> int:
    """How many threads memory has room for.

    Args:
        bundle: The model.
        window_pixels: What each thread runs transforms on, margins and padding included.
        tile_pixels: What each runs the prior on, likewise.
    """
    need: float = window_pixels * _TRANSFORM_BYTES * bundle.widest_stage
    need += tile_pixels * _PRIOR_BYTES * bundle.latent_channels
    return int(total_memory() / _SHARE / need)


def coding_bytes(
    bundle: Bundle, window_pixels: int, tile_pixels: int, *, transforms: int = 1
) -> int:
    """The memory, in bytes, that a thread comes to take on a CPU.

    Args:
        bundle: The model.
        window_pixels: As for `most_at_once`.
        tile_pixels: As for `most_at_once`.
        transforms: How many of the two it runs; engines keep the memory of the first.
    """
    stage = _PIXEL_BYTES + transforms * _TRANSFORM_PEAK * bundle.widest_stage
    return int(window_pixels * stage + tile_pixels * _PRIOR_PEAK * bundle.latent_channels)


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


def total_memory() -> int:
    """Bytes of memory that this process may come to use, or 2^63 if there is no telling."""
    sizes = [_physical_memory()]
    for path in _CGROUP_LIMITS:
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(sizes)


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 1 << 63
