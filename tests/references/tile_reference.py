"""Slow decoding of streams, in tiles or not, written from docs/spec/format.md, "Tiles".

Container and coder are those of `format_reference`; the graphs are the model's business.
"""

from __future__ import annotations

import numpy as np
from cca_engines import Tensor
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from numpy.typing import NDArray
from table_files import read_table_file

from references import format_reference
from references.format_reference import Stream, Tile, mirrored
from references.prior_loop import RunGraph, run_prior

Bounds = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the padded picture."""


def decode(codec: Codec, data: bytes, groups: int | None = None) -> NDArray[np.uint8]:
    """The picture, uint8 [H, W, 3]; symbols behind the first channel groups are taken for 0."""
    stream = format_reference.parse(data)
    left, top, right, bottom = stream.padding
    width, height = stream.width + left + right, stream.height + top + bottom
    run = GraphRunner(codec.bundle, codec.engine).run
    sets = read_table_file((codec.bundle.path / "tables.bin").read_bytes())
    tables = [[format_reference.Table(cdf, first) for first, cdf in rows] for rows in sets]
    y_hat = np.empty((codec.bundle.latent_channels, 1, height // 16, width // 16), np.float32)
    for tile in stream.tiles or [Tile(0, 0, width, height, stream.sections["payload"])]:
        rows = slice(tile.top // 16, (tile.top + tile.height) // 16)
        columns = slice(tile.left // 16, (tile.left + tile.width) // 16)
        y_hat[..., rows, columns] = decode_tile(
            codec, run, tables, tile, width, height, stream.step, groups
        )
    windows = {}
    for window in window_bounds(data, stream, width, height):
        x0, y0, x1, y1 = around(window, 64, width, height)
        seen = np.ascontiguousarray(y_hat[..., y0 // 16 : y1 // 16, x0 // 16 : x1 // 16])
        output = run("synthesis", {"y_hat": codec.engine.to_device(seen)})["image"]
        image = codec.engine.to_host(output)[0]
        a0, b0, a1, b1 = around(window, 16, width, height)
        windows[window] = image[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0]
    picture = blend(windows, width, height)
    return picture[top : top + stream.height, left : left + stream.width]


def window_bounds(data: bytes, stream: Stream, width: int, height: int) -> list[Bounds]:
    if not stream.tiles:
        return [(0, 0, width, height)]
    position = 31 if stream.fingerprint else 23
    across, down = 64 * data[position], 64 * data[position + 1]
    return [
        (left, top, min(left + across, width), min(top + down, height))
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]


def around(bounds: Bounds, pixels: int, width: int, height: int) -> Bounds:
    left, top, right, bottom = bounds
    return (
        max(0, left - pixels),
        max(0, top - pixels),
        min(width, right + pixels),
        min(height, bottom + pixels),
    )


def decode_tile(
    codec: Codec,
    run: RunGraph,
    tables: list[list[format_reference.Table]],
    tile: Tile,
    width: int,
    height: int,
    step: int,
    groups: int | None = None,
) -> NDArray[np.float32]:
    """y_hat, float32 [M, 1, h/16, w/16], of a tile without what surrounds it."""
    bundle, engine = codec.bundle, codec.engine
    used = len(bundle.group_sizes) if groups is None else groups
    gaussian, hyper = tables
    decoder = format_reference.Decoder(tile.payload)
    before = (int(tile.top > 0), int(tile.left > 0))

    def extended(symbols: list[int], channels: int, scale: int) -> NDArray[np.int32]:
        shape = (channels, scale * tile.height // 64, scale * tile.width // 64)
        planes = np.array(symbols).reshape(shape).tolist()
        rows = [mirrored(plane, width, height, tile, scale) for plane in planes]
        return np.array([rows], np.int32)

    def core(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        top, left = 4 * before[0], 4 * before[1]
        return values[..., top : top + tile.height // 16, left : left + tile.width // 16]

    def code_group(
        group: int,
        indexes: NDArray[np.uint8],
        means: Tensor,  # noqa: ARG001 - a decoder does not need them
    ) -> NDArray[np.int32]:
        own = core(indexes).ravel().tolist()
        symbols = decoder.group(gaussian, own) if group < used else [0] * len(own)
        return extended(symbols, bundle.group_sizes[group], 4)

    positions = (tile.height // 64) * (tile.width // 64)
    channels = [c for c in range(bundle.hyper_channels) for _ in range(positions)]
    z_symbols = extended(decoder.group(hyper, channels), bundle.hyper_channels, 1)
    y_hat = run_prior(run, engine, bundle, z_symbols, code_group, step)
    if used == len(bundle.group_sizes):
        decoder.finish()
    top, left = 4 * before[0], 4 * before[1]
    rows = slice(top, top + tile.height // 16)
    return engine.to_host(y_hat)[..., rows, left : left + tile.width // 16]


def blend(windows: dict[Bounds, NDArray[np.uint8]], width: int, height: int) -> NDArray[np.uint8]:
    """The padded picture, of windows with up to 16 pixels around each."""
    total = np.zeros((height, width, 3), np.int64)
    weights = np.zeros((height, width, 1), np.int64)
    for window, pixels in windows.items():
        left, top, right, bottom = around(window, 16, width, height)
        down = weights_along(window[1], window[3], height)
        across = weights_along(window[0], window[2], width)
        both = down[:, None, None] * across[None, :, None]
        total[top:bottom, left:right] += both * pixels
        weights[top:bottom, left:right] += both
    assert (weights == 4096).all()
    return ((total + 2048) // 4096).astype(np.uint8)


def weights_along(first: int, last: int, side: int) -> NDArray[np.int64]:
    """Of a window from `first` to `last`, for each pixel that it and up to 16 around it have."""
    weights = []
    for place in range(max(0, first - 16), min(side, last + 16)):
        weight = 64
        if first > 0 and place < first + 16:
            weight = 2 * (place - first) + 33
        if last < side and place >= last - 16:
            weight = 64 - (2 * (place - last) + 33)
        weights.append(weight)
    return np.array(weights)
