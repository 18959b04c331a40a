"""The command `cca-export`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

_OK, _FAILED, _BAD_INPUT, _INTERRUPTED = 0, 1, 2, 130

_LIBRARIES = ("torch", "onnx", "onnxscript")
_LONGEST_NAME = 100


class _Parser(argparse.ArgumentParser):
    """Reports usage errors in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cca-export`.

    Args:
        arguments: The command line after the program's name; `sys.argv` by default.

    Returns:
        0 on success, 1 on failure, 2 for bad usage or unusable input.

    Raises:
        SystemExit: With 0 after `--help` and 2 on bad usage.
    """
    options = _parser().parse_args(arguments)
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(
            _FAILED, f"needs {', '.join(missing)}: install with pip install 'cca-codec[export]'"
        )
    return _export(options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cca-export",
        description="Export a trained CCA checkpoint to a model bundle that cca-run reads.",
    )
    parser.add_argument("--ckpt", type=Path, required=True, help="checkpoint file (.pth)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle to write")
    parser.add_argument("--name", help="name of the model (default: the checkpoint's file name)")
    parser.add_argument(
        "--entropy",
        choices=["exact", "native"],
        default="exact",
        help="exact: streams decode anywhere (default); native: a float prior, whose streams "
        "decode only on the engine that made them",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        nargs="+",
        metavar="PICTURE|DIR",
        help="pictures that tell an exact prior its ranges (default: three built-in photographs)",
    )
    parser.add_argument(
        "--check",
        type=Path,
        nargs="+",
        metavar="PICTURE",
        help="compare every graph with the network on the first, and measure the cost of "
        "exactness on all (default: a built-in photograph)",
    )
    parser.add_argument(
        "--proof", action="store_true", help="also print what was proved of every layer"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    return parser


def _export(options: argparse.Namespace) -> int:
    # Only now: torch takes seconds to import, and usage errors should not.
    from cca_export.bundle_writer import BundleError, TargetError
    from cca_export.check import CALIBRATION, CHECK_PICTURE, PictureError, list_pictures
    from cca_export.checkpoint import CheckpointError
    from cca_export.exact.export import proof_table
    from cca_export.exporter import ExportSettings, export_bundle
    from cca_export.report import describe

    name = options.name if options.name is not None else options.ckpt.stem
    if not (name.isprintable() and 0 < len(name.strip()) <= _LONGEST_NAME):
        return _fail(_BAD_INPUT, f"--name must be 1 to {_LONGEST_NAME} printable characters")
    try:
        settings = ExportSettings(
            name=name,
            entropy=options.entropy,
            calibration=list_pictures(options.calibration) if options.calibration else CALIBRATION,
            check=options.check or (CHECK_PICTURE,),
            overwrite=options.overwrite,
        )
        progress = _silent if options.quiet else _show_progress
        report = export_bundle(options.ckpt, options.output, settings, progress)
    except (CheckpointError, PictureError, TargetError) as error:
        return _fail(_BAD_INPUT, str(error))
    except BundleError as error:
        return _fail(_FAILED, str(error))
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, "interrupted: nothing was written")
    except Exception as error:  # torch's exporter and the engines raise what they like
        return _fail(_FAILED, f"export failed, nothing was written: {_first_line(error)}")
    if not options.quiet:
        sys.stdout.write(describe(report) + "\n")
    if options.proof:
        sys.stdout.write("\n" + proof_table(report.proofs) + "\n")
    return _OK


def _fail(code: int, message: str) -> int:
    sys.stderr.write(f"cca-export: error: {message}\n")
    return code


def _show_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _silent(_: str) -> None:
    pass


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
