"""Compare checkpoints with JPEG on the photographs that were held out of training.

    python -m training.evaluate RUN/model.pth [MORE.pth ...] [--pictures FILE ...]

Sizes are ideal code lengths of the real symbols, PSNR is of 8-bit pictures. JPEG
is Pillow's with optimised tables, 4:2:0 or 4:4:4, whichever is smaller at the
same PSNR. With several checkpoints, of several rates, the last column of the
summary is the Bjontegaard rate difference over the range of PSNR that they span.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cca_export.checkpoint import CheckpointError, load_network
from PIL import Image

from training.code_length import FloatCodec
from training.data import HELD_OUT, MissingPictureError, Pixels

_JPEG_QUALITIES = range(2, 97, 2)
_INTEGRATION_POINTS = 200


@dataclass(frozen=True)
class Point:
    """One size in bytes and its PSNR in decibels."""

    size: float
    decibels: float


class Curve:
    """Sizes over PSNR, straight lines between points in logarithms of the size."""

    def __init__(self, points: Sequence[Point]) -> None:
        ordered = sorted(points, key=lambda point: point.decibels)
        self._decibels = np.array([point.decibels for point in ordered])
        self._logarithms = np.log([point.size for point in ordered])

    @property
    def points(self) -> list[Point]:
        """By ascending PSNR."""
        sizes = np.exp(self._logarithms)
        return [Point(*pair) for pair in zip(sizes.tolist(), self._decibels.tolist(), strict=True)]

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest PSNR."""
        return float(self._decibels[0]), float(self._decibels[-1])

    def logarithm(self, decibels: float) -> float:
        """Natural logarithm of the size at a PSNR; infinite where the curve does not reach."""
        low, high = self.span
        if not low <= decibels <= high:
            return math.inf
        return float(np.interp(decibels, self._decibels, self._logarithms))


def psnr(original: Pixels, restored: Pixels) -> float:
    """Peak signal-to-noise ratio over all samples, in decibels."""
    error = np.mean((original.astype(np.float64) - restored) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def jpeg_curve(pixels: Pixels, subsampling: str) -> Curve:
    """Pillow's JPEG with optimised tables, at qualities from 2 to 96."""
    points = []
    for quality in _JPEG_QUALITIES:
        out = io.BytesIO()
        Image.fromarray(pixels).save(
            out, "JPEG", quality=quality, subsampling=subsampling, optimize=True
        )
        restored = np.asarray(Image.open(out).convert("RGB"))
        points.append(Point(len(out.getvalue()), psnr(pixels, restored)))
    return Curve(points)


def excess(own: float, others: Sequence[Curve], decibels: float) -> float:
    """Logarithm of a size over that of the smallest of the other curves at the same PSNR.

    Not a number where no other curve reaches.
    """
    smallest = min(curve.logarithm(decibels) for curve in others)
    return own - smallest if math.isfinite(smallest) else math.nan


def rate_difference(points: Sequence[Point], others: Sequence[Curve]) -> float:
    """Mean excess over the PSNR that `points` span (Bjontegaard 2001), as a share.

    With one point, the excess at that point.
    """
    own = Curve(points)
    decibels = np.linspace(*own.span, _INTEGRATION_POINTS if len(points) > 1 else 1)
    return math.expm1(np.mean([excess(own.logarithm(d), others, d) for d in decibels]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--pictures", nargs="+", type=Path, metavar="FILE", help="others to use")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        codecs = {path: FloatCodec(load_network(path)) for path in options.checkpoints}
        if options.pictures:
            pictures = {p.stem: np.asarray(Image.open(p).convert("RGB")) for p in options.pictures}
        else:
            pictures = {source.name: source.load() for source in HELD_OUT}
    except (CheckpointError, MissingPictureError, OSError) as error:
        sys.exit(str(error))
    differences = []
    print(f"{'picture':16}{'checkpoint':24}{'bpp':>8}{'PSNR':>11}{'against JPEG':>15}")
    for name, pixels in pictures.items():
        others = [jpeg_curve(pixels, subsampling) for subsampling in ("4:2:0", "4:4:4")]
        points = []
        for path, codec in codecs.items():
            coded = codec.code(pixels)
            point = Point(coded.bits / 8, psnr(pixels, coded.pixels))
            points.append(point)
            bpp = coded.bits / (pixels.shape[0] * pixels.shape[1])
            share = rate_difference([point], others)
            label = f"{path.parent.name}/{path.name}"[-23:]
            print(f"{name:16}{label:24}{bpp:8.3f}{point.decibels:8.2f} dB{share:+15.1%}")
        differences.append(rate_difference(points, others))
        if len(points) > 1:
            print(f"{name:16}{'all, BD-rate':43}{differences[-1]:+15.1%}")
    print(f"{'mean':16}{'':43}{np.mean(differences):+15.1%}")


if __name__ == "__main__":
    main()
