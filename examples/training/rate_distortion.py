"""Models beside JPEG, WebP and AVIF on the photographs held out of training: table and plot.

    python -m training.rate_distortion [BUNDLE ...] [--plot FILE.png]

Real files: exact mode, container and all, pixels without metadata. The last columns
are the rate against another codec's at the same PSNR; with several bundles the
Bjontegaard difference over the PSNR that they span follows. JPEG is Pillow's with optimised
tables, 4:2:0 or 4:4:4, whichever is smaller at that PSNR.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cca_runtime
import numpy as np
from cca_runtime.metrics import psnr

from training.curves import RIVALS, Curve, Point, curve_of, excess, rate_difference
from training.data import HELD_OUT
from training.pictures import PictureError, Pixels


def own_point(pixels: Pixels, codec: cca_runtime.Codec) -> Point:
    """A whole stream's size, and the PSNR of what it decodes to."""
    stream = codec.encode(pixels)
    return Point(len(stream), psnr(pixels, codec.decode(stream)))


@dataclass(frozen=True)
class Comparison:
    """One picture: what each bundle makes of it, and the others' curves by name."""

    name: str
    pixels: Pixels
    own: Mapping[str, Point]
    others: Mapping[str, Sequence[Curve]]

    def bpp(self, size: float) -> float:
        """Bits per pixel of so many bytes."""
        return 8 * size / (self.pixels.shape[0] * self.pixels.shape[1])

    def difference(self, codec: str, point: Point) -> float:
        """Share of the rate against another codec's at the same PSNR."""
        return math.expm1(excess(math.log(point.size), self.others[codec], point.decibels))


def print_table(comparisons: Sequence[Comparison]) -> None:
    print("| picture | model | bytes | bpp | PSNR |" + "".join(f" {r} |" for r in RIVALS))
    print("|---|---|--:|--:|--:|" + "--:|" * len(RIVALS))
    for each in comparisons:
        for model, point in each.own.items():
            shares = "".join(f" {100 * each.difference(r, point):+.1f} % |" for r in RIVALS)
            print(
                f"| {each.name} | {model} | {point.size:,} | {each.bpp(point.size):.3f} "
                f"| {point.decibels:.2f} dB |{shares}"
            )
    means = "".join(f" {100 * mean_difference(comparisons, r):+.1f} % |" for r in RIVALS)
    print(f"| mean | | | | |{means}")


def mean_difference(comparisons: Sequence[Comparison], rival: str) -> float:
    """Of the pictures' rate differences, over the PSNR that the models span."""
    return float(
        np.mean([rate_difference(list(c.own.values()), c.others[rival]) for c in comparisons])
    )


def plot(comparisons: Sequence[Comparison], file: Path) -> None:
    """Draw PSNR over bits per pixel, one panel a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(comparisons), 3.8), layout="constrained")
    panels = figure.subplots(1, len(comparisons), squeeze=False)[0]
    for panel, each in zip(panels, comparisons, strict=True):
        for rival, curves in each.others.items():
            for number, one in enumerate(curves):
                style = {"linestyle": ":" if number else "-", "color": _COLOURS[rival]}
                label = None if number else rival
                sizes = [each.bpp(point.size) for point in one.points]
                panel.plot(sizes, [p.decibels for p in one.points], label=label, **style)
        points = sorted(each.own.values(), key=lambda point: point.size)
        panel.plot(
            [each.bpp(p.size) for p in points],
            [p.decibels for p in points],
            "o-",
            color=_COLOURS["CCA"],
            label="CCA",
        )
        largest = 2.2 * max(each.bpp(point.size) for point in points)
        visible = [
            point.decibels
            for curves in each.others.values()
            for one in curves
            for point in one.points
            if each.bpp(point.size) <= largest
        ]
        panel.set(xlim=(0, largest), ylim=(min(visible), max(visible)), title=each.name)
        panel.set_xlabel("bits per pixel")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("PSNR, dB")
    panels[0].legend(loc="lower right")
    figure.savefig(file, dpi=110)


_COLOURS = {"JPEG": "#9aa0a6", "WebP": "#e37400", "AVIF": "#188038", "CCA": "#1a73e8"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="(default: the shipped model)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture to draw the curves to")
    options = parser.parse_args()
    try:
        codecs = [cca_runtime.load(bundle) for bundle in options.bundles or [None]]
        comparisons = [
            Comparison(
                source.name,
                pixels,
                {codec.bundle.name: own_point(pixels, codec) for codec in codecs},
                {
                    name: [curve_of(pixels, each) for each in rivals]
                    for name, rivals in RIVALS.items()
                },
            )
            for source, pixels in ((source, source.load()) for source in HELD_OUT)
        ]
    except (cca_runtime.CcaError, PictureError) as error:
        sys.exit(str(error))
    print_table(comparisons)
    if options.plot is not None:
        plot(comparisons, options.plot)


if __name__ == "__main__":
    main()
