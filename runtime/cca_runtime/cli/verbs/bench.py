"""`cca-run bench`: what it is called with."""

from __future__ import annotations

import argparse

from cca_console.arguments import Parser, file_name, whole_number
from cca_console.console import Console

from cca_runtime.cli.arguments import MOST_RUNS, add_model, add_quality, size

PLACE = 5
SUMMARY = "time a model on an engine"
DESCRIPTION = """\
Time a model on an engine, stage by stage, on one picture.

`driver` is what is left of the time: neither engine, coder nor files. MB are
of pixels, 3 bytes each."""


def add_arguments(parser: Parser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "picture",
        nargs="?",
        type=file_name,
        metavar="IN",
        help="picture file (default: one that is generated)",
    )
    add_model(parser)
    parser.add_argument(
        "--size", type=size, metavar="WxH", help="of the generated picture (default: 768x512)"
    )
    add_quality(parser)
    parser.add_argument(
        "--repeat",
        type=whole_number(1, MOST_RUNS),
        default=10,
        metavar="N",
        help="runs that count (default: 10)",
    )
    parser.add_argument("--json", action="store_true", help="report one JSON object")


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command, which brings numpy and an engine along. Returns the exit code."""
    from cca_runtime.cli.bench import run as run_bench

    return run_bench(options, console)
