"""Rate and PSNR over the range of qualities, targets asked and reached, and previews.

    python benchmarks/quality.py [PICTURE ...] [--model BUNDLE] > benchmarks/results/quality.md
    python benchmarks/quality.py KODAK/*.png --means > benchmarks/results/quality_kodak.md
    python benchmarks/quality.py examples/chelsea.png --preview-series docs/images/previews.png

Bytes are those of real streams, without metadata; of previews, those of payloads. PSNR is of what
they decode to. Milliseconds are medians, with graphs loaded.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cca_runtime
from cca_engines.processor import processor_name, usable_cores
from cca_runtime.codec import Codec
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Pixels, read_picture
from cca_runtime.results import Encoded
from preview_series import Preview, draw_series

EXAMPLES = [
    Path(__file__).parent.parent / "examples" / name for name in ("chelsea.png", "flower.jpg")
]
QUALITIES = range(0, 101, 10)
SIZES = (0.5, 0.8, 1.25, 2.0)
"""Targets, in sizes of the picture at the model's trained point."""

DECIBELS = (-2.0, -0.5, 1.0)
"""Targets, beside the PSNR at that point."""


@dataclass(frozen=True)
class Point:
    """One picture at one quality."""

    quality: float
    step: float
    size: int
    bpp: float
    psnr: float


def encode(codec: Codec, pixels: Pixels, **rate: Any) -> tuple[Point, Encoded]:
    """Encode a picture, and measure it."""
    encoded = codec.encode_picture(pixels, reconstruct=True, **rate)
    assert encoded.reconstruction is not None
    size = len(encoded.data)
    bpp = 8 * size / (pixels.shape[0] * pixels.shape[1])
    decibels = psnr(pixels, encoded.reconstruction)
    return Point(encoded.quality, encoded.step, size, bpp, decibels), encoded


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """The median time of a call."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


def print_qualities(
    codec: Codec, pictures: Sequence[tuple[str, Pixels]], *, means_only: bool
) -> None:
    print("## Rate and PSNR\n")
    print("| picture | quality | step | bytes | bpp | PSNR, dB |")
    print("|---|--:|--:|--:|--:|--:|")
    columns: dict[int, list[Point]] = {quality: [] for quality in QUALITIES}
    for name, pixels in pictures:
        for quality, column in columns.items():
            point, _ = encode(codec, pixels, quality=quality)
            column.append(point)
            if not means_only:
                print(
                    f"| {name} | {quality} | {point.step:.3f} | {point.size:,} | {point.bpp:.3f} "
                    f"| {point.psnr:.2f} |",
                    flush=True,
                )
    for quality, column in columns.items():
        bpp = statistics.fmean(point.bpp for point in column)
        decibels = statistics.fmean(point.psnr for point in column)
        print(f"| mean | {quality} | {column[0].step:.3f} | | {bpp:.3f} | {decibels:.2f} |")


def targets(plain: Point) -> Iterator[tuple[str, float]]:
    """What is asked for: names of arguments, and values."""
    yield from (("target_size", round(size * plain.size)) for size in SIZES)
    yield from (("target_bpp", size * plain.bpp) for size in SIZES[:2])
    yield from (("target_psnr", plain.psnr + more) for more in DECIBELS)


@dataclass(frozen=True)
class Reached:
    """What came of a target."""

    unit: str
    asked: float
    reached: float
    quality: float
    trials: int
    milliseconds: float
    plain: float

    @property
    def off(self) -> float:
        """From what was asked: a share, or decibels."""
        difference = self.reached - self.asked
        return difference if self.unit == "psnr" else difference / self.asked

    def show_off(self, off: float) -> str:
        """A distance in the target's unit."""
        return f"{off:+.3f} dB" if self.unit == "psnr" else f"{off:+.2%}"


def print_targets(
    codec: Codec, pictures: Sequence[tuple[str, Pixels]], rounds: int, *, means_only: bool
) -> None:
    print("\n## Targets\n")
    print("Time is that of encoding alone, and beside it how often a plain encode fits in it.\n")
    if not means_only:
        print("| picture | target | asked | reached | off | quality | trials | ms | plain |")
        print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    met: dict[str, list[Reached]] = {}
    missed = 0
    for name, pixels in pictures:
        plain, _ = encode(codec, pixels)
        base = milliseconds(lambda pixels=pixels: codec.encode(pixels), rounds)  # type: ignore[misc]
        for kind, asked in targets(plain):
            try:
                reached = aim(codec, pixels, kind, asked, base, rounds)
            except cca_runtime.BadInputError as error:
                missed += 1
                print(f"| {name} | {kind} | {asked:.2f} | {error} | | | | | |", flush=True)
                continue
            met.setdefault(reached.unit, []).append(reached)
            if not means_only:
                print_target(name, reached)
    if means_only:
        print_means(met, missed)


def aim(codec: Codec, pixels: Pixels, kind: str, asked: float, base: float, rounds: int) -> Reached:
    """Encode a picture for a target, `base` being the milliseconds of a plain encode.

    Raises:
        BadInputError: It cannot be met.
    """
    unit = kind.removeprefix("target_")
    point, encoded = encode(codec, pixels, **{kind: asked})
    reached = {"size": point.size, "bpp": point.bpp, "psnr": point.psnr}[unit]
    took = milliseconds(lambda: codec.encode_picture(pixels, **{kind: asked}), rounds)  # type: ignore[arg-type]
    return Reached(unit, asked, reached, point.quality, encoded.trials, took, took / base)


def print_target(name: str, found: Reached) -> None:
    digits = {"size": ",.0f", "bpp": ".3f", "psnr": ".2f"}[found.unit]
    print(
        f"| {name} | {found.unit} | {found.asked:{digits}} | {found.reached:{digits}} "
        f"| {found.show_off(found.off)} | {found.quality:.1f} | {found.trials} "
        f"| {found.milliseconds:.0f} | {found.plain:.2f} |",
        flush=True,
    )


def print_means(met: Mapping[str, Sequence[Reached]], missed: int) -> None:
    print("| target | met | farthest off | mean distance | trials, mean | most | plain, median |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for unit, found in met.items():
        farthest = max((each.off for each in found), key=abs)
        distance = statistics.fmean(abs(each.off) for each in found)
        trials = [each.trials for each in found]
        print(
            f"| {unit} | {len(found)} | {found[0].show_off(farthest)} "
            f"| {found[0].show_off(distance)} | {statistics.fmean(trials):.1f} | {max(trials)} "
            f"| {statistics.median(each.plain for each in found):.2f} |"
        )
    print(f"\nTargets that could not be met: {missed}.")


def previews_of(codec: Codec, pixels: Pixels) -> list[Preview]:
    """What each number of groups shows of a picture."""
    encoded = codec.encode_picture(pixels)
    total = sum(encoded.group_bytes)
    previews = []
    for groups in range(len(encoded.group_bytes)):
        size = sum(encoded.group_bytes[: groups + 1])
        shown = codec.decode(encoded.data, groups=groups)
        previews.append(Preview(groups, size, size / total, psnr(pixels, shown), shown))
    return previews


def print_previews(
    codec: Codec, pictures: Sequence[tuple[str, Pixels]], *, means_only: bool
) -> None:
    print("\n## Previews\n")
    print("| picture | groups | bytes | share | PSNR, dB |")
    print("|---|---|--:|--:|--:|")
    columns: dict[str, list[Preview]] = {}
    for name, pixels in pictures:
        for each in previews_of(codec, pixels):
            columns.setdefault(each.title, []).append(each)
            if not means_only:
                print(
                    f"| {name} | {each.title} | {each.size:,} | {each.share:.1%} "
                    f"| {each.psnr:.2f} |",
                    flush=True,
                )
    for title, column in columns.items():
        size = statistics.fmean(each.size for each in column)
        share = statistics.fmean(each.share for each in column)
        decibels = statistics.fmean(each.psnr for each in column)
        print(f"| mean | {title} | {size:,.0f} | {share:.1%} | {decibels:.2f} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("pictures", nargs="*", type=Path, help="default: the examples")
    parser.add_argument("--model", help="bundle (default: the shipped one)")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--means", action="store_true", help="of all pictures, not each")
    parser.add_argument(
        "--preview-series", type=Path, metavar="FILE", help="draw the first picture's previews"
    )
    options = parser.parse_args()
    codec = cca_runtime.load(options.model, options.engine)
    paths = options.pictures or EXAMPLES
    pictures = [(path.name, read_picture(path.read_bytes()).pixels) for path in paths]
    if options.preview_series is not None:
        draw_series(previews_of(codec, pictures[0][1])).save(options.preview_series)
        return
    print(f"# Model {codec.bundle.name} at any quality\n")
    print(f"{len(pictures)} pictures, {codec.engine.name}, Python {platform.python_version()}, ")
    print(f"{processor_name()}, ", end="")
    print(f"{usable_cores()} cores. Times are medians of {options.rounds} runs.\n")
    print_qualities(codec, pictures, means_only=options.means)
    print_targets(codec, pictures, options.rounds, means_only=options.means)
    print_previews(codec, pictures, means_only=options.means)


if __name__ == "__main__":
    main()
