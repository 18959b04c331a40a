"""`cca-run encode`: what it is called with."""

from __future__ import annotations

import argparse

from cca_console.arguments import Parser, file_name
from cca_console.console import Console

from cca_runtime.cli.arguments import (
    add_coding,
    add_quality,
    file_size,
    number,
    sections,
    tile,
)

PLACE = 1
SUMMARY = "pictures to .cca files"
DESCRIPTION = """\
Encode pictures to .cca files.

Reads what Pillow reads (PNG, JPEG, WebP, TIFF, ...); '-' is standard input or
output. Without -o, PICTURE.png becomes PICTURE.cca beside it; only extensions
of pictures are replaced. A directory stands for all pictures in and below it;
below -o DIR they lie as they did. Two that would become one file are both
refused.

One model has any quality. A target is met within 1 % of the size, or 0.05 dB;
where it cannot be met, the error says what can. Each picture gets a quality of
its own then."""


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
    rate = parser.add_mutually_exclusive_group()
    add_quality(rate)
    rate.add_argument(
        "--target-bpp",
        type=number,
        metavar="B",
        help="bits of the file for each pixel, metadata left out",
    )
    rate.add_argument(
        "--target-size",
        type=file_size,
        metavar="SIZE",
        help="size of the file, metadata included: 20000, 20KB (1,000 bytes each), 1.5MiB (2^20)",
    )
    rate.add_argument(
        "--target-psnr",
        type=number,
        metavar="DB",
        help="PSNR of the decoded picture in decibels",
    )
    parser.add_argument(
        "--strip",
        type=sections,
        default=frozenset(),
        metavar="icc|exif|xmp|all",
        help="leave out metadata; several with commas between them (without its ICC profile, a "
        "picture is taken for sRGB)",
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
