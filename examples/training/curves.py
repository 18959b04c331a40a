"""Rate-distortion curves of Pillow's codecs, and how far from them another codec's points are."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cca_runtime.metrics import psnr
from PIL import Image

from training.data import Pixels

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


@dataclass(frozen=True)
class Rival:
    """A codec of Pillow's, with its settings beside the quality, and the qualities to try."""

    format: str
    settings: Mapping[str, Any]
    qualities: Sequence[int]


RIVALS: Mapping[str, Sequence[Rival]] = {
    "JPEG": [
        Rival("JPEG", {"subsampling": subsampling, "optimize": True}, range(2, 97, 2))
        for subsampling in ("4:2:0", "4:4:4")
    ],
    "WebP": [Rival("WEBP", {"method": 6}, range(1, 97, 5))],
    "AVIF": [
        Rival("AVIF", {"subsampling": subsampling, "speed": 4}, range(5, 91, 5))
        for subsampling in ("4:2:0", "4:4:4")
    ],
}
"""The better of several variants is taken at each PSNR."""


def curve_of(pixels: Pixels, rival: Rival) -> Curve:
    """Sizes in bytes over PSNR."""
    points = []
    for quality in rival.qualities:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, rival.format, quality=quality, **rival.settings)
        restored = np.asarray(Image.open(out).convert("RGB"))
        points.append(Point(len(out.getvalue()), psnr(pixels, restored)))
    return Curve(points)


def excess(own: float, others: Sequence[Curve], decibels: float) -> float:
    """Logarithm of a size over that of the smallest of the other curves at the same PSNR.

    Not a number where no other curve reaches.
    """
    smallest = min(curve.logarithm(decibels) for curve in others)
    return own - smallest if math.isfinite(smallest) else math.nan


def rate_difference(
    points: Sequence[Point],
    others: Sequence[Curve],
    between: Sequence[float] = (0, math.inf),
) -> float:
    """Mean excess over the PSNR that both sides span (Bjontegaard 2001), as a share.

    Args:
        points: One's own; with a single one, the excess is taken at that point.
        others: Of their sizes the smallest counts.
        between: Smallest and largest own size in bytes that count.

    Returns:
        Not a number where the two sides share no PSNR.
    """
    own = Curve(points)
    sizes = [
        (own.logarithm(decibels), decibels)
        for decibels in np.linspace(*own.span, _INTEGRATION_POINTS if len(points) > 1 else 1)
    ]
    low, high = between
    differences = [excess(s, others, d) for s, d in sizes if low <= math.exp(s) <= high]
    shared = [difference for difference in differences if math.isfinite(difference)]
    return math.expm1(np.mean(shared)) if shared else math.nan
