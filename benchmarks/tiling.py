r"""What tiles cost: seams, PSNR, rate; and the memory and time of a picture that needs them.

    PYTHONPATH=tests python benchmarks/tiling.py PICTURE... [--tile SIDE]...
    PYTHONPATH=tests python benchmarks/tiling.py --large 7680x4320 --model q5.bundle \
        [--engine openvino]

The first form compares tiled with untiled coding of pictures that fit in memory both ways. The
error beside seams is that of the 8 pixels along each, relative to the rest of the picture, and
that relative to the same pixels without tiles. The second form codes a picture of that size, made
of the first one given or of the built-in one, each step in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cca_runtime
import numpy as np
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Pixels, read_picture
from numpy.typing import NDArray
from PIL import Image
from references.padding import Padding
from references.tiling import Grid

BAND = 4  # pixels on either side of a seam
EXAMPLE = Path(__file__).parent.parent / "examples" / "flower.jpg"


def squared_error(original: Pixels, restored: Pixels) -> NDArray[np.float64]:
    difference = original.astype(np.float64) - restored
    return np.mean(difference * difference, axis=2)


def seams(info: cca_runtime.StreamInfo) -> tuple[list[int], list[int]]:
    """Columns and rows of the picture itself at which windows meet."""
    grid, padding = Grid.of(info), Padding(*info.padding)
    windows = [grid.windows.box(number) for number in range(grid.windows.count)]
    columns = sorted({window.left - padding.left for window in windows if window.left > 0})
    rows = sorted({window.top - padding.top for window in windows if window.top > 0})
    return columns, rows


def along_seams(info: cca_runtime.StreamInfo) -> NDArray[np.bool_]:
    mask = np.zeros((info.height, info.width), bool)
    columns, rows = seams(info)
    for column in columns:
        mask[:, max(0, column - BAND) : column + BAND] = True
    for row in rows:
        mask[max(0, row - BAND) : row + BAND] = True
    return mask


def relative(error: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    return float(error[mask].mean() / error[~mask].mean())


def worst_seam(
    info: cca_runtime.StreamInfo, tiled: NDArray[np.float64], untiled: NDArray[np.float64]
) -> tuple[float, int, int]:
    """The largest error of a stretch of 64 pixels along a seam beside that without tiles."""
    columns, rows = seams(info)
    found = []
    for column in columns:
        band = slice(max(0, column - BAND), column + BAND)
        for y in range(0, info.height - 64, 64):
            ratio = tiled[y : y + 64, band].mean() / untiled[y : y + 64, band].mean()
            found.append((float(ratio), column, y + 32))
    for row in rows:
        band = slice(max(0, row - BAND), row + BAND)
        for x in range(0, info.width - 64, 64):
            ratio = tiled[band, x : x + 64].mean() / untiled[band, x : x + 64].mean()
            found.append((float(ratio), x + 32, row))
    return max(found)


def show(path: Path, pictures: list[Pixels], x: int, y: int) -> None:
    """The same 128 x 128 pixels of several pictures side by side, four times as large."""
    height, width = pictures[0].shape[:2]
    left, top = np.clip(x - 64, 0, width - 128), np.clip(y - 64, 0, height - 128)
    parts = [picture[top : top + 128, left : left + 128] for picture in pictures]
    side_by_side = Image.fromarray(np.concatenate(parts, axis=1))
    side_by_side.resize((512 * len(parts), 512), Image.Resampling.NEAREST).save(path)


def compare(options: argparse.Namespace) -> None:
    whole = cca_runtime.load(options.model, options.engine, tile=None)
    tiled = {
        side: cca_runtime.load(options.model, options.engine, tile=side) for side in options.tile
    }
    print(
        "| picture | tile | windows | rate | PSNR | beside seams | without tiles | excess | worst |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for path in options.pictures:
        picture = read_picture(path.read_bytes()).pixels
        one = whole.encode_picture(picture, reconstruct=True)
        assert one.reconstruction is not None
        error = squared_error(picture, one.reconstruction)
        size = f"{one.info.width}x{one.info.height}"
        for side, codec in tiled.items():
            many = codec.encode_picture(picture, reconstruct=True)
            if many.info.tiling is None:
                continue
            assert many.reconstruction is not None
            tiled_error = squared_error(picture, many.reconstruction)
            mask = along_seams(many.info)
            beside, before = relative(tiled_error, mask), relative(error, mask)
            worst, x, y = worst_seam(many.info, tiled_error, error)
            rate = 100 * (len(many.data) / len(one.data) - 1)
            gain = psnr(picture, many.reconstruction) - psnr(picture, one.reconstruction)
            width, height, *_ = many.info.tiling
            print(
                f"| {path.stem}, {size} | {side} ({len(many.info.tile_sizes)}) | {width}x{height} "
                f"| {rate:+.2f} % | {gain:+.3f} dB | {beside:.3f} | {before:.3f} "
                f"| {100 * (beside / before - 1):+.1f} % | {100 * (worst - 1):+.0f} % |",
                flush=True,
            )
            if options.worst:
                name = f"{path.stem}-{side}.png"
                show(options.worst / name, [picture, one.reconstruction, many.reconstruction], x, y)


def large_picture(path: Path, width: int, height: int) -> Pixels:
    """Mirrored copies of a picture, side by side, without a seam."""
    part = read_picture(path.read_bytes()).pixels
    rows, columns = -(-height // part.shape[0]), -(-width // part.shape[1])
    turned = [
        np.concatenate(
            [part[:: 1 - 2 * (row % 2), :: 1 - 2 * (column % 2)] for column in range(columns)],
            axis=1,
        )
        for row in range(rows)
    ]
    return np.ascontiguousarray(np.concatenate(turned)[:height, :width])


def step(options: argparse.Namespace) -> None:
    """One step of a large picture, in a process of its own."""
    codec = cca_runtime.load(options.model, options.engine, tile=(options.tile or ["auto"])[0])
    stream = Path(options.directory) / "large.cca"
    start = time.perf_counter()
    if options.step == "encode":
        width, height = map(int, options.large.split("x"))
        picture = large_picture((options.pictures or [EXAMPLE])[0], width, height)
        start = time.perf_counter()
        encoded = codec.encode_picture(picture)
        seconds = time.perf_counter() - start
        stream.write_bytes(encoded.data)
        facts = {"bytes": len(encoded.data), "tiling": encoded.info.tiling}
    else:
        region = (3500, 2000, 640, 480) if options.step == "region" else None
        decoded = codec.decode_stream(stream.read_bytes(), region=region)
        seconds = time.perf_counter() - start
        facts = {"shape": decoded.picture.pixels.shape}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        json.dumps(
            {"step": options.step, "GiB": round(peak, 2), "seconds": round(seconds, 1), **facts}
        )
    )


def measure_large() -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name in ("encode", "decode", "region"):
            command = [sys.executable, __file__, *sys.argv[1:], "--step", name]
            subprocess.run([*command, "--directory", directory], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--tile", type=int, action="append", help="default: 1024 and 4096")
    parser.add_argument("--model")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--worst", type=Path, help="a directory for pictures of the worst seams")
    parser.add_argument("--large", metavar="WIDTHxHEIGHT")
    parser.add_argument("--step", choices=["encode", "decode", "region"], help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options)
    elif options.large:
        measure_large()
    else:
        options.tile = options.tile or [1024, 4096]
        compare(options)


if __name__ == "__main__":
    main()
