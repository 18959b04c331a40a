"""The arguments of `cca-run`. Imports nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import argparse

_MOST_THREADS = 1024
_PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

_ENCODE = """\
Encode pictures to .cca files.

Reads what Pillow reads (PNG, JPEG, WebP, TIFF, ...); '-' is standard input or
output. Without -o, PICTURE.png becomes PICTURE.cca beside it. A directory
stands for all pictures in and below it; below -o DIR they lie as they did."""

_DECODE = """\
Decode .cca files to pictures.

Writes PNG, JPEG, WebP (lossless) or PPM, by the extension of OUT; '-' is
standard input or output. Without -o, PICTURE.cca becomes PICTURE.png beside it.
A directory stands for all .cca files in and below it; below -o DIR they lie as
they did."""

_INFO = """\
Describe .cca files and model bundles, without decoding anything."""

_VERIFY = """\
Compare what engines compute with a model's conformance vectors, value for value.

Runs every vector on each engine at each of its optimisation levels and thread
counts. Where nothing differs, every one of them decodes the others' files."""

_BENCH = """\
Time a model on an engine, stage by stage, on one picture.

`driver` is what is left of the time: neither engine, coder nor files. MB are
of pixels, 3 bytes each."""

_EPILOG = """\
exit codes: 0 all done, 1 something failed, 2 wrong usage or bad input.
With several files the rest goes on after an error, and the code is 1."""


def build_parser() -> argparse.ArgumentParser:
    """The parser for `cca-run` and its commands."""
    parser = argparse.ArgumentParser(
        prog="cca-run",
        description="Learned image compression with CCA models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_encode(commands)
    _add_decode(commands)
    _add_info(commands)
    _add_verify(commands)
    _add_bench(commands)
    return parser


def _add_encode(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "encode", "pictures to .cca files", _ENCODE)
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="picture file, directory of them, or - for stdin"
    )
    _add_coding(parser)
    parser.add_argument(
        "--background", metavar="COLOUR", help="lay COLOUR (a name or #rrggbb) under transparency"
    )
    parser.add_argument(
        "--strip", action="store_true", help="leave out EXIF and XMP (the ICC profile stays)"
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="SIDE|auto|none",
        help="encode in tiles of up to SIDE pixels, a multiple of 64 "
        "(default: auto, tiles for pictures that take too much memory in one piece)",
    )
    parser.add_argument(
        "--psnr", action="store_true", help="also decode, and report the PSNR in decibels"
    )


def _add_decode(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "decode", ".cca files to pictures", _DECODE)
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help=".cca file, directory of them, or - for stdin"
    )
    _add_coding(parser)
    parser.add_argument(
        "--region",
        type=_region,
        metavar="X,Y,W,H",
        help="decode only W x H pixels, from column X and row Y on; of a picture in tiles, this "
        "takes only as long as the tiles there",
    )
    parser.add_argument(
        "--format",
        choices=["png", "jpg", "webp", "ppm"],
        default="png",
        help="format where OUT names none (default: png)",
    )


def _add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "info", "describe files and bundles", _INFO)
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE|BUNDLE", help=".cca file, bundle, or model name"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "verify", "compare engines with a model's vectors", _VERIFY)
    parser.add_argument(
        "bundle",
        nargs="?",
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
        type=_thread_counts,
        default=[1, 2],
        metavar="N,...",
        help="thread counts to run each engine on (default: 1,2)",
    )
    parser.add_argument("--json", action="store_true", help="report one JSON object")


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "bench", "time a model on an engine", _BENCH)
    parser.add_argument(
        "picture", nargs="?", metavar="IN", help="picture file (default: one that is generated)"
    )
    _add_model(parser)
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="of the generated picture (default: 768x512)"
    )
    parser.add_argument(
        "--repeat", type=_positive, default=10, metavar="N", help="runs that count (default: 10)"
    )
    parser.add_argument("--json", action="store_true", help="report one JSON object")


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_coding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT|DIR",
        help="output file, directory, or - for stdout; a directory for several inputs",
    )
    _add_model(parser)
    parser.add_argument(
        "--max-pixels",
        type=_positive,
        metavar="N",
        help="refuse larger pictures, padding included (default: 268435456)",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="files to work on at once; each takes memory for itself (default: 2)",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    existing.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out inputs whose output exists, to go on with an interrupted run",
    )
    verbosity = parser.add_mutually_exclusive_group()
    verbosity.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    verbosity.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("--json", action="store_true", help="report one JSON object a line")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="BUNDLE", help="model bundle, or name of a shipped model"
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
        type=_precision,
        metavar="fp32|bf16|fp16",
        help="what the engine computes in where results need not be exact (default: its own; "
        "openvino has fp32 and, if the processor does, bf16)",
    )
    parser.add_argument(
        "--threads",
        type=_threads,
        metavar="N",
        help="threads that an engine on the CPU runs on (default: one a core that it may use)",
    )
    parser.add_argument(
        "--trust-plans",
        action="store_true",
        help="use the TensorRT plans inside the bundle, which are code "
        "(default: only those that were built on this machine)",
    )


def _threads(text: str) -> int:
    count = _positive(text)
    if count > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"must be at most {_MOST_THREADS}")
    return count


def _thread_counts(text: str) -> list[int]:
    return [_threads(part) for part in text.split(",")]


def _precision(text: str) -> str:
    if text not in _PRECISIONS:
        raise argparse.ArgumentTypeError(f"must be {' or '.join(_PRECISIONS)}")
    return _PRECISIONS[text]


def _tile(text: str) -> int | str | None:
    return None if text == "none" else text if text == "auto" else _positive(text)


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("must be four numbers, X,Y,W,H") from None
    return x, y, width, height


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return _positive(width), _positive(height)
