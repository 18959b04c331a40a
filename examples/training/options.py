"""The command line of `training.train`, every value checked before anything starts."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch


def parse_options(description: str) -> argparse.Namespace:
    """Read `sys.argv`; wrong usage ends the process with code 2 and one line that names it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder")
    _add_start(parser)
    parser.add_argument(
        "--pictures",
        nargs="+",
        default=[],
        metavar="DIR[=WEIGHT]",
        help="folders of more pictures; WEIGHT of each picture (default: 1)",
    )
    parser.add_argument("--steps", type=whole(0), default=13_000, help="(default: 13000)")
    parser.add_argument(
        "--lambda",
        dest="trade_off",
        type=positive,
        default=0.013,
        help="weight of 255^2 * mean squared error against bits per pixel (default: 0.013)",
    )
    parser.add_argument(
        "--step-range",
        nargs=2,
        type=positive,
        default=(1.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="of random quantisation steps (default: 1 1)",
    )
    parser.add_argument("--learning-rate", type=positive, default=8e-4, help="peak (default: 8e-4)")
    parser.add_argument("--seed", type=whole(0), default=1, help="of all randomness (default: 1)")
    parser.add_argument(
        "--cca", type=not_negative, default=0.0, help="weight of its loss (default: 0)"
    )
    parser.add_argument("--device", type=_device, default="cpu", help="PyTorch's (default: cpu)")
    parser.add_argument("--threads", type=whole(1), default=1, help="of PyTorch (default: 1)")
    parser.add_argument(
        "--workers", type=whole(0), default=0, help="that prepare pictures (default: 0)"
    )
    options = parser.parse_args()
    if options.step_range[0] > options.step_range[1]:
        parser.error("--step-range: LOW is above HIGH")
    if options.init is not None and options.architecture is not None:
        parser.error("--init keeps the checkpoint's architecture: --graft takes another")
    return options


def _add_start(parser: argparse.ArgumentParser) -> None:
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--init", type=Path, metavar="CHECKPOINT", help="go on from it, with its architecture"
    )
    start.add_argument(
        "--graft", type=Path, metavar="CHECKPOINT", help="narrower one that a fresh one begins as"
    )
    parser.add_argument(
        "--architecture",
        metavar="small|published|FILE",
        help="of a fresh one (default: small); FILE is JSON, as in a bundle's manifest",
    )


def whole(smallest: int) -> Callable[[str], int]:
    """A type of argparse: integers from `smallest` on."""

    def convert(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text} is less than {smallest}")
        return value

    convert.__name__ = "integer"
    return convert


def positive(text: str) -> float:
    """A type of argparse: finite numbers above 0."""
    value = not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def not_negative(text: str) -> float:
    """A type of argparse: finite numbers from 0 on."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def _device(text: str) -> str:
    try:
        torch.zeros(1, device=text)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise argparse.ArgumentTypeError(f"{text} does not work here") from error
    return text
