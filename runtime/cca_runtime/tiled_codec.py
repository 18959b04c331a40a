"""Pictures in tiles: encoded and decoded part by part, with as much memory as the parts take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cca_core import write_stream
from cca_runtime.blending import Canvas
from cca_runtime.bundle import Bundle
from cca_runtime.errors import StreamError
from cca_runtime.mirroring import mirroring_of
from cca_runtime.padding import Padding, choose_padding, pad_part
from cca_runtime.part_coder import LATENT_SCALE, PartCoder
from cca_runtime.pictures import Picture, Pixels
from cca_runtime.pipeline import run_in_order
from cca_runtime.session import Decoded, Encoded, Stream
from cca_runtime.session_pool import SessionPool
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.tiling import FADE, MARGIN, Box, Grid, Tiling, region_box

_HYPER_SCALE = 64
_Latents = NDArray[np.float32]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class TiledCodec:
    """Codes one picture at a time, several of its tiles or windows at once.

    Any number of threads may use it.
    """

    def __init__(self, bundle: Bundle, sessions: SessionPool, workers: int) -> None:
        self._bundle = bundle
        self._sessions = sessions
        self._workers = workers

    def encode(self, picture: Picture, tiling: Tiling, *, reconstruct: bool) -> Encoded:
        """Encode a picture.

        Args:
            picture: Of any size.
            tiling: From `choose_tiling` for its padded size.
            reconstruct: Also run the synthesis.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine or the model failed.
        """
        padding = choose_padding(*picture.pixels.shape[:2])
        height, width = picture.pixels.shape[:2]
        left, top, right, bottom = padding
        grid = Grid(left + width + right, top + height + bottom, tiling)
        watch = Stopwatch()
        payloads: list[bytes] = []
        latents: list[_Latents] = []
        tiles = map(grid.tiles.box, range(grid.tiles.count))

        def encode_tile(
            tile: Box, parts: PartCoder, watch: Stopwatch
        ) -> tuple[bytes, _Latents | None]:
            y, z_symbols = self._analyse(picture.pixels, padding, grid, tile, parts, watch)
            mirroring = mirroring_of(tile, grid.picture)
            (payload,), y_hat = parts.write(y, z_symbols, watch, mirroring)
            return payload, mirroring.inner(parts.to_host(y_hat), 4) if reconstruct else None

        for payload, y_hat in self._run(encode_tile, tiles, watch):
            payloads.append(payload)
            if y_hat is not None:
                latents.append(y_hat)
        with self._sessions.take() as session:
            info = session.describe(picture, padding, tiling, [len(p) for p in payloads])
        pixels = None
        if reconstruct:
            box = region_box((0, 0, width, height), padding)
            pixels = self._synthesise(
                grid, box, lambda numbers: [latents[n] for n in numbers], watch
            )
        data = write_stream(info, b"".join(payloads))
        return Encoded(data, info, pixels, picture.notes, watch.seconds)

    def decode(self, stream: Stream, region: tuple[int, int, int, int]) -> Decoded:
        """Decode a part of a picture.

        Args:
            stream: Of a tiled picture.
            region: x, y, width and height, inside the picture.

        Returns:
            The region, exactly as the whole picture has it.

        Raises:
            StreamError: The payload of a tile that is needed is damaged; the message names it.
            BadInputError: It is not this model's on this engine, or the bundle is broken.
            FailureError: The engine failed.
        """
        info, watch = stream.info, Stopwatch()
        grid = Grid.of(info)
        box = region_box(region, Padding(*info.padding))
        starts = [0, *accumulate(info.tile_sizes)]

        def payload(number: int) -> bytes:
            return stream.payload[starts[number] : starts[number + 1]]

        def decode_tile(number: int, parts: PartCoder, watch: Stopwatch) -> _Latents:
            tile = grid.tiles.box(number)
            mirroring = mirroring_of(tile, grid.picture)
            with _name_tile(grid, number):
                y_hat = parts.read([payload(number)], _latent_size(tile), watch, mirroring)
            return mirroring.inner(parts.to_host(y_hat), 4)

        with self._sessions.take() as session:
            session.check_stream(info)
            # First of all: payloads too small for their tiles cost no memory and no graph runs.
            for number in _tiles_for(grid, box):
                with _name_tile(grid, number):
                    size = _latent_size(grid.tiles.box(number))
                    session.parts.check_room(payload(number), size, watch)

        def decode_tiles(numbers: Sequence[int]) -> Iterable[_Latents]:
            return self._run(decode_tile, numbers, watch)

        pixels = self._synthesise(grid, box, decode_tiles, watch)
        picture = Picture(pixels, info.icc, info.exif, info.xmp)
        return Decoded(picture, watch.seconds)

    def _analyse(
        self,
        pixels: Pixels,
        padding: Padding,
        grid: Grid,
        tile: Box,
        parts: PartCoder,
        watch: Stopwatch,
    ) -> tuple[_Latents, NDArray[np.int32]]:
        """Latents and hyper-latent symbols of a tile, window by window."""
        height, width = _latent_size(tile)
        y = np.empty((1, self._bundle.latent_channels, height, width), np.float32)
        z_symbols = np.empty((1, self._bundle.hyper_channels, height // 4, width // 4), np.int32)
        for row in grid.windows.rows_in(tile):
            for window in map(grid.windows.box, row):
                seen = grid.around(window, MARGIN)
                with watch.stage("analysis"):
                    image = pad_part(pixels, padding, seen)
                found, z_found = parts.analyse([image], watch)
                _copy(found, seen, y, tile, window, LATENT_SCALE)
                _copy(z_found, seen, z_symbols, tile, window, _HYPER_SCALE)
        return y, z_symbols

    def _synthesise(
        self,
        grid: Grid,
        box: Box,
        decode_tiles: Callable[[Sequence[int]], Iterable[_Latents]],
        watch: Stopwatch,
    ) -> Pixels:
        """The pixels of a box, from top to bottom, with the tiles that this takes."""
        canvas = Canvas(grid, box)
        known: dict[int, _Latents] = {}

        def synthesise(window: Box, parts: PartCoder, watch: Stopwatch) -> tuple[Box, Pixels]:
            seen = grid.around(window, MARGIN)
            height, width = _latent_size(seen)
            y_hat = np.empty((self._bundle.latent_channels, 1, height, width), np.float32)
            for number in grid.tiles_in(seen):
                tile = grid.tiles.box(number)
                _copy(known[number], tile, y_hat, seen, tile.common(seen), LATENT_SCALE)
            (image,) = parts.synthesise(parts.to_device(y_hat), watch)
            kept = grid.around(window, FADE)
            rows = slice(kept.top - seen.top, kept.bottom - seen.top)
            columns = slice(kept.left - seen.left, kept.right - seen.left)
            return window, np.ascontiguousarray(image[rows, columns])

        for row in grid.windows_for(box):
            needed = sorted({n for w in row for n in grid.tiles_in(grid.around(w, MARGIN))})
            for number in [n for n in known if n not in needed]:
                del known[number]
            missing = [n for n in needed if n not in known]
            known.update(zip(missing, decode_tiles(missing), strict=True))
            canvas.add_row(self._run(synthesise, row, watch))
        return canvas.pixels

    def _run(
        self,
        work: Callable[[_Item, PartCoder, Stopwatch], _Result],
        items: Iterable[_Item],
        watch: Stopwatch,
    ) -> Iterator[_Result]:
        """Results of `work` in order, each with a session to itself for the time it takes."""

        def run(item: _Item) -> tuple[_Result, Stopwatch]:
            own = Stopwatch()
            with self._sessions.take() as session:
                return work(item, session.parts, own), own

        for result, own in run_in_order(run, items, self._workers):
            watch.add(own)
            yield result


def _tiles_for(grid: Grid, box: Box) -> set[int]:
    windows = (window for row in grid.windows_for(box) for window in row)
    return {number for w in windows for number in grid.tiles_in(grid.around(w, MARGIN))}


def _latent_size(box: Box) -> tuple[int, int]:
    """Rows and columns of a box's latents."""
    return box.height // LATENT_SCALE, box.width // LATENT_SCALE


def _copy(
    source: NDArray[np.generic],
    source_box: Box,
    target: NDArray[np.generic],
    target_box: Box,
    part: Box,
    scale: int,
) -> None:
    """Copy a part of the picture from one array to another, [..., h, w] both."""
    target[..., *_place(part, target_box, scale)] = source[..., *_place(part, source_box, scale)]


def _place(part: Box, box: Box, scale: int) -> tuple[slice, slice]:
    left, top = part.left - box.left, part.top - box.top
    return (
        slice(top // scale, (top + part.height) // scale),
        slice(left // scale, (left + part.width) // scale),
    )


@contextmanager
def _name_tile(grid: Grid, number: int) -> Iterator[None]:
    try:
        yield
    except StreamError as error:
        raise StreamError(f"{grid.name_tile(number)}: {error}") from error
