"""`cca-run decode`: what it is called with."""

from __future__ import annotations

import argparse

from cca_console.arguments import Parser, file_name, whole_number
from cca_console.console import Console

from cca_runtime.cli.arguments import add_coding, region

PLACE = 2
_MOST_GROUPS = 65_536

SUMMARY = ".cca files to pictures"
DESCRIPTION = """\
Decode .cca files to pictures.

Writes PNG, JPEG, WebP (lossless) or PPM, by the extension of OUT; '-' is
standard input or output. Without -o, PICTURE.cca becomes PICTURE.png beside it.
A directory stands for all .cca files in and below it; below -o DIR they lie as
they did."""


def add_arguments(parser: Parser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=file_name,
        metavar="IN",
        help=".cca file, directory of them, or - for stdin",
    )
    add_coding(parser)
    parser.add_argument(
        "--region",
        type=region,
        metavar="X,Y,W,H",
        help="decode only W x H pixels, from column X and row Y on; of a picture in tiles, this "
        "takes only as long as the tiles there",
    )
    parser.add_argument(
        "--groups",
        type=whole_number(0, _MOST_GROUPS),
        metavar="K",
        help="decode the first K channel groups alone, and predict the rest: 0 leaves the "
        "hyper-latents (info says how many there are)",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="also decode a file that was cut behind its header, as far as its groups are whole",
    )
    parser.add_argument(
        "--format",
        choices=["png", "jpg", "webp", "ppm"],
        default="png",
        help="format where OUT names none (default: png)",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="also write a picture that is not what was encoded, since an engine computes "
        "something else, with a note (default: that is an error)",
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command, which brings numpy and an engine along. Returns the exit code."""
    from cca_runtime.cli.decode import run as run_decode

    return run_decode(options, console)
