"""The default model beside JPEG, WebP and AVIF, at the size that its streams have.

    python benchmarks/versus_codecs.py > benchmarks/results/versus_codecs.md

Each of the others is given the highest quality at which its file is no larger. Pixels alone, no
metadata. Pictures that the shipped model was trained on are marked, and left out of the mean.
Milliseconds are of processor time, of all threads together, from an array to a file's
bytes in memory and back, with graphs loaded.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, TypeVar

import cca_runtime
import numpy as np
import PIL
from cca_engines.processor import processor_name
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Pixels
from exact import example_set
from ms_ssim import ms_ssim
from PIL import Image, features

_Result = TypeVar("_Result")

TRAINING = ("golden/coffee", "golden/astronaut")
"""Of these pictures, the shipped model's."""


@dataclass(frozen=True)
class Rival:
    """A codec of Pillow's.

    Attributes:
        format: Pillow's name of it.
        settings: Beside its quality.
        best: The highest quality there is; the lowest is 0.
    """

    format: str
    settings: Mapping[str, Any]
    best: int


RIVALS = {
    "JPEG 4:2:0": Rival("JPEG", {"subsampling": 2, "optimize": True, "progressive": True}, 95),
    "JPEG 4:4:4": Rival("JPEG", {"subsampling": 0, "optimize": True, "progressive": True}, 95),
    "WebP": Rival("WEBP", {"method": 6}, 100),
    "AVIF": Rival("AVIF", {"speed": 4}, 100),
}


@dataclass(frozen=True)
class Figures:
    """What one codec makes of one picture: bits a pixel, decibels, MS-SSIM, processor seconds."""

    bpp: float
    psnr: float
    ms_ssim: float
    encode: float
    decode: float


def measure(
    pixels: Pixels,
    encode: Callable[[Pixels], bytes],
    decode: Callable[[bytes], Pixels],
    rounds: int,
) -> tuple[Figures, int]:
    """The figures, and the size in bytes."""
    data, _ = timed(lambda: encode(pixels))
    restored, _ = timed(lambda: decode(data))
    seconds = [
        (timed(lambda: encode(pixels))[1], timed(lambda: decode(data))[1]) for _ in range(rounds)
    ]
    bpp = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
    medians = (statistics.median(times) for times in zip(*seconds, strict=True))
    return Figures(bpp, psnr(pixels, restored), ms_ssim(pixels, restored), *medians), len(data)


def timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def rival_encode(pixels: Pixels, rival: Rival, quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format=rival.format, quality=quality, **rival.settings)
    return out.getvalue()


def rival_decode(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def fitting_quality(pixels: Pixels, rival: Rival, size: int) -> int:
    """The highest quality whose file has `size` bytes at most; 0 where none has."""
    low, high = 0, rival.best + 1
    while high - low > 1:
        middle = (low + high) // 2
        if len(rival_encode(pixels, rival, middle)) <= size:
            low = middle
        else:
            high = middle
    return low


def print_rows(picture: str, rows: Mapping[str, Figures]) -> None:
    for codec, row in rows.items():
        print(
            f"| {picture} | {codec} | {row.bpp:.3f} | {row.psnr:.2f} | {row.ms_ssim:.4f} "
            f"| {1e3 * row.encode:.1f} | {1e3 * row.decode:.1f} |",
            flush=True,
        )


def mean(rows: Sequence[Figures]) -> Figures:
    return Figures(*(statistics.fmean(column) for column in zip(*map(astuple, rows), strict=True)))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", help="bundle (default: the shipped one)")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    codec = cca_runtime.load(options.model, options.engine)
    own = f"CCA {codec.bundle.name}"
    print(f"# Model {codec.bundle.name} beside other codecs, at no more bytes\n")
    versions = [f"{name} {features.version(name)}" for name in ("libjpeg_turbo", "webp", "avif")]
    print(f"{codec.engine.name}, Pillow {PIL.__version__} ({', '.join(versions)}), ", end="")
    print(f"Python {platform.python_version()}, {processor_name()}. JPEG is optimised ", end="")
    print("and progressive, WebP's method is 6, AVIF's speed 4. ", end="")
    print(f"Medians of {options.rounds} runs.\n")
    print("| picture | codec | bpp | PSNR, dB | MS-SSIM | encode, CPU ms | decode, CPU ms |")
    print("|---|---|--:|--:|--:|--:|--:|")
    columns: dict[str, list[Figures]] = {name: [] for name in (own, *RIVALS)}
    for name, pixels in example_set():
        figures, size = measure(pixels, codec.encode, codec.decode, options.rounds)
        rows = {own: figures}
        for rival_name, rival in RIVALS.items():
            quality = fitting_quality(pixels, rival, size)
            encode = lambda p, rival=rival, quality=quality: rival_encode(p, rival, quality)  # noqa: E731
            rows[rival_name], _ = measure(pixels, encode, rival_decode, options.rounds)
        trained = options.model is None and name in TRAINING
        print_rows(f"{name} (trained on)" if trained else name, rows)
        for codec_name, row in rows.items():
            if not trained:
                columns[codec_name].append(row)
    print_rows("mean", {name: mean(rows) for name, rows in columns.items()})


if __name__ == "__main__":
    main()
