"""The parser of `cca-run`, and the arguments that its commands share."""

from __future__ import annotations

import argparse
import math
import re
import string
from collections.abc import Mapping
from fractions import Fraction

from cca_console.arguments import Parser, file_name, whole_number

from cca_runtime.cli.verbs import Verb

_MOST_THREADS = 1024
_MOST_PIXELS = 1 << 33
MOST_RUNS = 1_000_000
_LONGEST_SIDE = 65_535
_SECTIONS = ("icc", "exif", "xmp")
_SIZE_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "kib": 1 << 10, "mib": 1 << 20}
_NUMBER = re.compile(r"(?=\.?[0-9])[0-9]{0,20}(\.[0-9]{0,20})?")
_PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

_EPILOG = """\
exit codes: 0 all done, 1 something failed or could not be printed, 2 wrong
usage or bad input. With several files the rest goes on after an error, and the
code is 1. SIGINT, SIGTERM and SIGHUP end a run at once; no file is left half."""


def build_parser(verbs: Mapping[str, Verb]) -> Parser:
    """The parser for `cca-run` and its commands; `options.run` is the chosen one's."""
    parser = Parser(
        prog="cca-run",
        description="Learned image compression with CCA models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, verb in verbs.items():
        command = commands.add_parser(
            name,
            help=verb.SUMMARY,
            description=verb.DESCRIPTION,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_arguments(command)
        command.set_defaults(run=verb.run)
    return parser


def add_coding(parser: Parser) -> None:
    """What `encode` and `decode` share."""
    parser.add_argument(
        "-o",
        "--output",
        type=file_name,
        metavar="OUT|DIR",
        help="output file, directory, or - for stdout; a directory for several inputs",
    )
    add_model(parser)
    parser.add_argument(
        "--max-pixels",
        type=whole_number(1, _MOST_PIXELS),
        metavar="N",
        help="refuse larger pictures, padding included (default: 268435456)",
    )
    parser.add_argument(
        "--workers",
        type=threads,
        metavar="N",
        help="files to work on at once; each takes memory for itself (default: 2)",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    existing.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out inputs whose output exists and is whole, to go on with an interrupted run",
    )
    verbosity = parser.add_mutually_exclusive_group()
    verbosity.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    verbosity.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("--json", action="store_true", help="report one JSON object a line")


def add_model(parser: Parser) -> None:
    """Which model runs on what."""
    parser.add_argument(
        "--model", type=file_name, metavar="BUNDLE", help="model bundle, or name of a shipped model"
    )
    parser.add_argument(
        "--engine",
        default="onnxruntime",
        metavar="NAME|auto",
        help="what runs the graphs: onnxruntime (default), openvino, tensorrt, tensorrt-rtx, cuda; "
        "auto: the fastest that works here",
    )
    parser.add_argument(
        "--precision",
        type=precision,
        metavar="fp32|bf16|fp16",
        help="what the engine computes in where results need not be exact (default: its own; "
        "openvino has fp32 and, if the processor does, bf16)",
    )
    parser.add_argument(
        "--threads",
        type=threads,
        metavar="N",
        help="threads that an engine on the CPU runs on (default: one a core that it may use)",
    )
    parser.add_argument(
        "--trust-plans",
        action="store_true",
        help="use the TensorRT plans inside the bundle, which are code "
        "(default: only those that were built on this machine)",
    )


def number(text: str) -> float:
    """A decimal number, without sign or exponent."""
    if not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number such as 0.5")
    return float(text)


def add_quality(parser: argparse._ActionsContainer) -> None:
    """At which quality pictures are encoded."""
    parser.add_argument(
        "--quality",
        type=number,
        metavar="Q",
        help="0 to 100; higher is better and larger (default: 50, where the model was trained)",
    )


threads = whole_number(1, _MOST_THREADS)
side = whole_number(1, _LONGEST_SIDE)
offset = whole_number(0, _LONGEST_SIDE)


def thread_counts(text: str) -> list[int]:
    """Numbers with commas between them."""
    return [threads(part) for part in text.split(",")]


def precision(text: str) -> str:
    """A precision as engines call it."""
    if text not in _PRECISIONS:
        raise argparse.ArgumentTypeError(f"must be {' or '.join(_PRECISIONS)}")
    return _PRECISIONS[text]


def tile(text: str) -> int | str | None:
    """The side of a tile, `auto` or, for `none`, None."""
    return None if text == "none" else text if text == "auto" else side(text)


def file_size(text: str) -> int:
    """Bytes, or a number with a unit: 20000, 20KB, 1.5MiB."""
    digits = text.rstrip(string.ascii_letters)
    unit = _SIZE_UNITS.get(text[len(digits) :].lower())
    number = digits.removesuffix(" ")
    size = math.floor(Fraction(number) * unit) if unit and _NUMBER.fullmatch(number) else 0
    if size < 1:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size: give bytes, or a number with KB, MB, KiB or MiB behind it"
        )
    return size


def sections(text: str) -> frozenset[str]:
    """Kinds of metadata with commas between them, or `all`."""
    names = set(text.split(","))
    if not names <= {*_SECTIONS, "all"}:
        raise argparse.ArgumentTypeError(f"must be all or a list of {', '.join(_SECTIONS)}")
    return frozenset(_SECTIONS if "all" in names else names)


def region(text: str) -> tuple[int, int, int, int]:
    """X,Y,W,H."""
    parts = text.split(",")
    if len(parts) != 4:
        raise argparse.ArgumentTypeError("must be four numbers, X,Y,W,H")
    return offset(parts[0]), offset(parts[1]), side(parts[2]), side(parts[3])


def size(text: str) -> tuple[int, int]:
    """WxH."""
    parts = text.split("x")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError("must be two numbers, WxH")
    return side(parts[0]), side(parts[1])
