"""Where inputs come from and outputs go, with nothing half-written and nothing overwritten."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from cca_runtime.cli.inputs import STANDARD, Input
from cca_runtime.errors import BadInputError, FailureError

_MASK_TURN = threading.Lock()


def read_input(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        BadInputError: The file is missing or cannot be read.
    """
    try:
        if name == STANDARD:
            return sys.stdin.buffer.read()
        return Path(name).read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot be read: {error.strerror}") from error


def plan_outputs(
    inputs: Sequence[Input], output: str | None, extension: str, *, may_exist: bool
) -> list[str]:
    """Name one output for each input, before any work is done.

    Args:
        inputs: Files, those of folders among them.
        output: What `-o` said: a file, a directory, `-`, or None for beside the input.
        extension: What outputs are called where `output` does not name a file.
        may_exist: Whether outputs may be there already.

    Returns:
        Output names, `-` for standard output.

    Raises:
        BadInputError: `output` does not fit the inputs, two inputs would share an
            output, or an output exists.
        FailureError: The directory of the one output there is does not exist.
    """
    if [source.name for source in inputs].count(STANDARD) > 1:
        raise BadInputError("standard input ('-') can be read once only")
    targets = _name_outputs(inputs, output, extension)
    owners: dict[str, str] = {}
    for source, target in zip(inputs, targets, strict=True):
        if target == STANDARD:
            _check_not_terminal()
            continue
        if target in owners:
            raise BadInputError(
                f"'{owners[target]}' and '{source.name}' would both be written to '{target}': "
                "rename one, or write them to different directories"
            )
        owners[target] = source.name
        path = Path(target)
        if path.is_dir():
            raise BadInputError(f"output '{target}' is a directory")
        if path.is_file() and not may_exist:
            raise BadInputError(
                f"output '{target}' exists: add --overwrite to replace it, "
                "or --skip-existing to leave it"
            )
    return targets


def _name_outputs(inputs: Sequence[Input], output: str | None, extension: str) -> list[str]:
    named = len(inputs) == 1 and not inputs[0].from_folder
    if output == STANDARD:
        if not named:
            raise BadInputError("several files cannot go to standard output: give a directory")
        return [STANDARD]
    if output is None:
        return [
            STANDARD if source.name == STANDARD else str(Path(source.name).with_suffix(extension))
            for source in inputs
        ]
    directory = Path(output)
    if named and not directory.is_dir() and not output.endswith(os.sep):
        if not directory.parent.is_dir():
            raise FailureError(
                f"output '{output}' cannot be written: no directory '{directory.parent}'"
            )
        return [output]
    if directory.exists() and not directory.is_dir():
        raise BadInputError(f"'{output}' is not a directory: several inputs need one")
    return [str(directory / source.below.with_suffix(extension)) for source in inputs]


def _check_not_terminal() -> None:
    if sys.stdout.isatty():
        raise BadInputError("will not write binary data to a terminal: redirect it, or use -o FILE")


def write_output(name: str, data: bytes) -> None:
    """Write a whole file or nothing: to a temporary file beside it, then rename.

    Raises:
        FailureError: The output cannot be written; what was there before still is.
    """
    try:
        if name == STANDARD:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif Path(name).exists() and not Path(name).is_file():
            # A device or a pipe: renaming over it would replace it.
            Path(name).write_bytes(data)
        else:
            # A link stays a link: what it points to is replaced.
            _replace_file(Path(name).resolve(), data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FailureError(f"output '{name}' cannot be written: {error.strerror}") from error


def _replace_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), _default_mode())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _default_mode() -> int:
    """Permissions of a file that open() would create; mkstemp's are for its owner alone."""
    with _MASK_TURN:  # the mask can only be read by setting it
        mask = os.umask(0)
        os.umask(mask)
    return 0o666 & ~mask
