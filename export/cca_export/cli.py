"""The command `cca-export`."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cca_console.arguments import Parser, file_name, whole_number
from cca_console.command import run_command
from cca_console.console import Console
from cca_console.text import reason

if TYPE_CHECKING:  # it imports numpy, which takes longer than all of --help
    from cca_engines import Precision

_OK, _FAILED, _BAD_INPUT = 0, 1, 2

_LIBRARIES = ("torch", "onnx", "onnxscript")
_LONGEST_NAME = 100
_PRECISIONS: dict[str, Precision] = {"fp32": "float32", "fp16": "float16"}

_ENGINES = ("tensorrt", "tensorrt-rtx")
_SHAPES = "768x512,1920x1088,1088x1920"
_side = whole_number(1, 65_535)
_MIB = 1 << 20
_MOST_MIB = 1 << 20
_WITH_CHECKPOINT = (
    "output",
    "name",
    "entropy",
    "precision",
    "finest-step",
    "calibration",
    "check",
    "proof",
    "overwrite",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cca-export`. SIGINT, SIGTERM and SIGHUP end the process, with nothing half-written.

    Args:
        arguments: The command line after the program's name; `sys.argv` by default.

    Returns:
        0 on success, 1 on failure, 2 for bad usage or unusable input.

    Raises:
        SystemExit: With 0 after `--help` and 2 on bad usage.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_usage(parser, options)
    console = Console("cca-export")
    work = _export if options.engine is None else _with_plans
    return run_command(console, functools.partial(work, options, console))


def _parser() -> Parser:
    parser = Parser(
        prog="cca-export",
        description="Export a trained CCA checkpoint to a model bundle that cca-run reads.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--ckpt", type=_path, help="checkpoint file (.pth)")
    source.add_argument("--bundle", type=_path, help="bundle that is there, to add plans to")
    parser.add_argument("-o", "--output", type=_path, help="bundle to write from --ckpt")
    parser.add_argument("--name", help="name of the model (default: the checkpoint's file name)")
    parser.add_argument(
        "--entropy",
        choices=["exact", "native"],
        default="exact",
        help="exact: streams decode anywhere (default); native: a float prior, whose streams "
        "decode only on the engine that made them",
    )
    parser.add_argument(
        "--precision",
        choices=_PRECISIONS,
        default="fp32",
        help="fp16: add float16 variants of the graphs that need not be exact, which engines on "
        "GPUs take (default: fp32)",
    )
    parser.add_argument(
        "--finest-step",
        type=_finest_step,
        metavar="D",
        help="smallest quantisation step that the network was trained for, above 0 and up to 1 "
        "(default: what the checkpoint says, else 1)",
    )
    parser.add_argument(
        "--calibration",
        type=_path,
        nargs="+",
        metavar="PICTURE|DIR",
        help="pictures that tell an exact prior and float16 graphs their ranges (default: three "
        "built-in photographs)",
    )
    parser.add_argument(
        "--check",
        type=_path,
        nargs="+",
        metavar="PICTURE",
        help="compare every graph with the network on the first, and measure the cost of "
        "exactness on all (default: a built-in photograph)",
    )
    parser.add_argument(
        "--proof", action="store_true", help="also print what was proved of every layer"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    parser.add_argument(
        "--engine",
        choices=_ENGINES,
        help="also compile every graph to a plan; tensorrt: for the GPU of this machine, "
        "tensorrt-rtx: for all NVIDIA GPUs since Ampere, without needing one",
    )
    parser.add_argument(
        "--shapes",
        type=_sizes,
        metavar="WIDTHxHEIGHT,...",
        help="picture sizes for plans: the typical one, then others up to the largest "
        f"(default: {_SHAPES})",
    )
    parser.add_argument(
        "--plan-memory",
        type=whole_number(1, _MOST_MIB),
        metavar="MIB",
        help="most GPU memory that a layer of a plan may use beside its tensors",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    return parser


def _path(text: str) -> Path:
    return Path(file_name(text))


def _finest_step(text: str) -> float:
    try:
        step = float(text)
    except ValueError:
        step = math.nan
    if not 0 < step <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0 and up to 1")
    return step


def _sizes(text: str) -> list[tuple[int, int]]:
    """Widths and heights in pixels, of `768x512,1920x1088`."""
    sizes = []
    for size in text.split(","):
        width, _, height = size.partition("x")
        try:
            sizes.append((_side(width), _side(height)))
        except argparse.ArgumentTypeError:
            raise argparse.ArgumentTypeError(
                f"'{size}' is not WIDTHxHEIGHT in pixels: give sizes such as {_SHAPES}"
            ) from None
    return sizes


def _check_usage(parser: Parser, options: argparse.Namespace) -> None:
    """Refuse options that do not go together, as argparse refuses others."""
    if options.engine is None and (options.shapes or options.plan_memory):
        parser.error("--shapes and --plan-memory are for plans: add --engine")
    if options.bundle is None:
        if options.output is None:
            parser.error("the following arguments are required: -o/--output")
        return
    if options.engine is None:
        parser.error("--bundle adds plans: add --engine")
    for name in _WITH_CHECKPOINT:
        key = name.replace("-", "_")
        if getattr(options, key) != parser.get_default(key):
            parser.error(f"--{name} goes with --ckpt, not with --bundle")


def _with_plans(options: argparse.Namespace, console: Console) -> int:
    """Export if there is no bundle yet, then build its plans."""
    # Only now: these import numpy.
    from cca_engines import EngineError

    from cca_export.manifest import ManifestError
    from cca_export.plans import DIRECTORY, PlanBuilder, describe_plans

    bundle = options.bundle or options.output
    exported = ""
    try:
        memory = options.plan_memory and options.plan_memory * _MIB
        # Before the export, which takes minutes: it says what is missing.
        builder = PlanBuilder(options.engine, options.shapes or _sizes(_SHAPES), memory)
        if options.bundle is None:
            code = _export(options, console)
            if code != _OK:
                return code
            exported = f"{bundle} is exported, but not its plans: "
        reports = builder.build(bundle, _progress(options, console))
    except ManifestError as error:
        return _fail(console, _BAD_INPUT, str(error))
    except EngineError as error:
        return _fail(console, _FAILED, f"{exported}{error}")
    except OSError as error:
        return _fail(
            console, _FAILED, f"{exported}{bundle / DIRECTORY} cannot be written: {reason(error)}"
        )
    if not options.quiet:
        _print(console, describe_plans(bundle, reports))
    return _OK


def _export(options: argparse.Namespace, console: Console) -> int:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(
            console,
            _FAILED,
            f"needs {', '.join(missing)}: install with pip install 'cca-codec[export]'",
        )
    # Only now: torch takes seconds to import, and usage errors should not.
    from cca_export.bundle_writer import BundleError, TargetError
    from cca_export.check import CALIBRATION, CHECK_PICTURE, PictureError, list_pictures
    from cca_export.checkpoint import CheckpointError
    from cca_export.exporter import ExportSettings, export_bundle
    from cca_export.lower.exact.export import proof_table
    from cca_export.report import describe

    name = options.name if options.name is not None else options.ckpt.stem
    if not (name.isprintable() and 0 < len(name.strip()) <= _LONGEST_NAME):
        return _fail(
            console, _BAD_INPUT, f"--name must be 1 to {_LONGEST_NAME} printable characters"
        )
    try:
        settings = ExportSettings(
            name=name,
            entropy=options.entropy,
            calibration=list_pictures(options.calibration) if options.calibration else CALIBRATION,
            check=options.check or (CHECK_PICTURE,),
            overwrite=options.overwrite,
            precision=_PRECISIONS[options.precision],
            finest_step=options.finest_step,
        )
        progress = _progress(options, console)
        report = export_bundle(options.ckpt, options.output, settings, progress)
    except (CheckpointError, PictureError, TargetError) as error:
        return _fail(console, _BAD_INPUT, str(error))
    except BundleError as error:
        return _fail(console, _FAILED, str(error))
    except MemoryError:
        raise
    except Exception as error:  # torch's exporter and the engines raise what they like
        console.explain(error)
        return _fail(console, _FAILED, f"export failed, nothing was written: {_first_line(error)}")
    if not options.quiet:
        _print(console, describe(report))
    if options.proof:
        _print(console, "\n" + proof_table(report.proofs))
    return _OK


def _fail(console: Console, code: int, message: str) -> int:
    console.error(message)
    return code


def _print(console: Console, text: str) -> None:
    for line in text.split("\n"):
        console.report(line)


def _progress(options: argparse.Namespace, console: Console) -> Callable[[str], None]:
    return _silent if options.quiet else console.remark


def _silent(_: str) -> None:
    pass


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
