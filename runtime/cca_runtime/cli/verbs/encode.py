"""`cca-run encode`: what it is called with."""

from __future__ import annotations

import argparse

from cca_console.arguments import Parser, file_name
from cca_console.console import Console

from cca_runtime.cli.arguments import add_coding, tile

PLACE = 1
SUMMARY = "pictures to .cca files"
DESCRIPTION = """\
Encode pictures to .cca files.

Reads what Pillow reads (PNG, JPEG, WebP, TIFF, ...); '-' is standard input or
output. Without -o, PICTURE.png becomes PICTURE.cca beside it; only extensions
of pictures are replaced. A directory stands for all pictures in and below it;
below -o DIR they lie as they did. Two that would become one file are both
refused."""


def add_arguments(parser: Parser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=file_name,
        metavar="IN",
        help="picture file, directory of them, or - for stdin",
    )
    add_coding(parser)
    parser.add_argument(
        "--background", metavar="COLOUR", help="lay COLOUR (a name or #rrggbb) under transparency"
    )
    parser.add_argument(
        "--strip", action="store_true", help="leave out EXIF and XMP (the ICC profile stays)"
    )
    parser.add_argument(
        "--tile",
        type=tile,
        default="auto",
        metavar="SIDE|auto|none",
        help="encode in tiles of up to SIDE pixels, a multiple of 64 "
        "(default: auto, tiles of up to 3,072 for pictures of more than 2^21 pixels)",
    )
    parser.add_argument(
        "--psnr", action="store_true", help="also decode, and report the PSNR in decibels"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command, which brings numpy and an engine along. Returns the exit code."""
    from cca_runtime.cli.encode import run as run_encode

    return run_encode(options, console)
