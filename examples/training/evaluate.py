"""Compare checkpoints with JPEG, WebP and AVIF on photographs that were held out of training.

    python -m training.evaluate RUN/model.pth [MORE.pth ...] [--pictures FILE|DIR ...] [--at D ...]

Sizes are ideal code lengths of the real symbols, PSNR is of 8-bit pictures. The
others are Pillow's, as `training.curves` sets them; of several variants the smallest at the
same PSNR counts. `--at` lists quantisation steps: their points are a checkpoint's curve,
and the last lines are its Bjontegaard rate differences, over the PSNR that it has
between the two rates of `--between`. With one step, all checkpoints together are one curve.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cca_export.checkpoint import CheckpointError, load_network
from cca_export.tables import TableError
from cca_runtime.metrics import psnr
from PIL import Image

from training.code_length import FloatCodec
from training.curves import RIVALS, Curve, Point, curve_of, rate_difference
from training.data import HELD_OUT
from training.options import not_negative, positive, whole
from training.pictures import Folder, PictureError, Pixels
from training.quantisation import at_step


@dataclass(frozen=True)
class Candidate:
    """A checkpoint at one quantisation step, and the name of the curve that it is a point of."""

    curve: str
    label: str
    codec: FloatCodec


def main() -> None:
    options = _arguments()
    torch.set_num_threads(options.threads)
    try:
        candidates = _candidates(options.checkpoints, options.at)
        pictures = _pictures(options.pictures)
    except (CheckpointError, PictureError, TableError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    curves = list(dict.fromkeys(candidate.curve for candidate in candidates))
    print(f"{'picture':16}{'checkpoint':32}{'bpp':>8}{'PSNR':>11}" + _row(RIVALS))
    rows: dict[str, list[list[float]]] = {candidate.label: [] for candidate in candidates}
    differences: dict[str, list[list[float]]] = {curve: [] for curve in curves}
    for name, pixels in pictures.items():
        area = pixels.shape[0] * pixels.shape[1]
        others = {rival: [curve_of(pixels, v) for v in RIVALS[rival]] for rival in RIVALS}
        points: dict[str, list[Point]] = {curve: [] for curve in curves}
        for candidate in candidates:
            coded = candidate.codec.code(pixels)
            point = Point(coded.bits / 8, psnr(pixels, coded.pixels))
            points[candidate.curve].append(point)
            row = [coded.bits / area, point.decibels, *_differences([point], others)]
            rows[candidate.label].append(row)
            _print(name, candidate.label, row)
        for curve in curves:
            between = [bpp * area / 8 for bpp in options.between]
            differences[curve].append(_differences(points[curve], others, between))
    for label, of_pictures in rows.items():
        _print("mean", label, _mean(of_pictures))
    for curve in curves:
        shares = [f"{share:+.1%}" for share in _mean(differences[curve])]
        print(f"{'BD-rate':16}{curve:51}" + _row(shares))


def _candidates(checkpoints: Sequence[Path], steps: Sequence[float]) -> list[Candidate]:
    found = []
    for path in checkpoints:
        network = load_network(path)
        name = f"{path.parent.name}/{path.name}"[-23:]
        for step in steps:
            label = f"{name} at {step:g}" if len(steps) > 1 else name
            curve = name if len(steps) > 1 else "all"
            found.append(Candidate(curve, label, FloatCodec(at_step(network, step))))
    return found


def _pictures(paths: Sequence[Path]) -> dict[str, Pixels]:
    """Of files, of folders, or without either the held-out ones; by name.

    Raises:
        PictureError: One cannot be read.
    """
    if not paths:
        return {source.name: source.load() for source in HELD_OUT}
    files = [f for path in paths for f in (Folder(path).files() if path.is_dir() else [path])]
    pictures = {}
    for file in files:
        try:
            with Image.open(file) as picture:
                pictures[file.stem] = np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise PictureError(f"{file} cannot be read as a picture") from error
    return pictures


def _differences(
    points: Sequence[Point],
    others: Mapping[str, Sequence[Curve]],
    between: Sequence[float] = (0, math.inf),
) -> list[float]:
    return [rate_difference(points, curves, between) for curves in others.values()]


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """Of each column, over the pictures that have a number there."""
    means: list[float] = np.ma.masked_invalid(rows).mean(0).filled(math.nan).tolist()
    return means


def _print(picture: str, label: str, row: Sequence[float]) -> None:
    bpp, decibels, *shares = row
    cells = _row([f"{share:+.1%}" for share in shares])
    print(f"{picture:16}{label:32}{bpp:8.3f}{decibels:8.2f} dB{cells}", flush=True)


def _row(cells: Sequence[str] | Mapping[str, object]) -> str:
    return "".join(f"{cell:>10}" for cell in cells)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument(
        "--pictures", nargs="+", default=[], type=Path, metavar="FILE|DIR", help="others to use"
    )
    parser.add_argument(
        "--at", nargs="+", type=positive, default=[1.0], metavar="D", help="steps (default: 1)"
    )
    parser.add_argument(
        "--between",
        nargs=2,
        type=not_negative,
        default=(0.15, 1.0),
        metavar="BPP",
        help="of the curves (default: 0.15 1)",
    )
    parser.add_argument("--threads", type=whole(1), default=2, help="of PyTorch (default: 2)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
