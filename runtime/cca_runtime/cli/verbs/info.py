"""`cca-run info`: what it is called with."""

from __future__ import annotations

import argparse

from cca_console.arguments import Parser, file_name
from cca_console.console import Console

from cca_runtime.cli.arguments import add_model

PLACE = 3
SUMMARY = "describe files and bundles"
DESCRIPTION = """\
Describe .cca files and model bundles. Nothing is decoded without --groups."""


def add_arguments(parser: Parser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=file_name,
        metavar="FILE|BUNDLE",
        help=".cca file, bundle, or model name",
    )
    add_model(parser)
    parser.add_argument(
        "--groups",
        action="store_true",
        help="also decode the files, and give the bytes of the hyper-latents and of each group",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command, which brings numpy and an engine along. Returns the exit code."""
    from cca_runtime.cli.info import run as run_info

    return run_info(options, console)
