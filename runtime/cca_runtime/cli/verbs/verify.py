"""`cca-run verify`: what it is called with."""

from __future__ import annotations

import argparse

from cca_console.arguments import Parser, file_name
from cca_console.console import Console

from cca_runtime.cli.arguments import thread_counts

PLACE = 4
SUMMARY = "compare engines with a model's vectors"
DESCRIPTION = """\
Compare what engines compute with a model's conformance vectors, value for value.

Runs every vector on each engine at each of its optimisation levels and thread
counts. Where nothing differs, every one of them decodes the others' files."""


def add_arguments(parser: Parser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "bundle",
        nargs="?",
        type=file_name,
        metavar="BUNDLE",
        help="model bundle, or name of a shipped model (default: the default model)",
    )
    parser.add_argument(
        "--engine",
        default="all",
        metavar="NAME|all",
        help="the engine to compare (default: all that are installed)",
    )
    parser.add_argument(
        "--threads",
        type=thread_counts,
        default=[1, 2],
        metavar="N,...",
        help="thread counts to run each engine on (default: 1,2)",
    )
    parser.add_argument("--json", action="store_true", help="report one JSON object")


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command, which brings numpy and an engine along. Returns the exit code."""
    from cca_runtime.cli.verify import run as run_verify

    return run_verify(options, console)
