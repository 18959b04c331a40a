"""What outputs are called, before any work is done: one each, and nothing overwritten."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cca_runtime.cli.inputs import STANDARD, Input
from cca_runtime.cli.places import exists, is_file, is_folder, is_same_file
from cca_runtime.errors import BadInputError, CcaError, FailureError

_STANDARD_OUTPUT = {STANDARD, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")


@dataclass(frozen=True)
class Job:
    """One file to read, and the one to make of it; `-` for a standard stream.

    Attributes:
        source: The input's name.
        target: The output's.
        error: Why it is not to be done.
        replaces: Whether the output may take a file's place.
    """

    source: str
    target: str
    error: CcaError | None = None
    replaces: bool = False


@dataclass(frozen=True)
class Naming:
    """How outputs are named after their inputs.

    Attributes:
        replaced: Extensions that are left out, in lower case, with the dot; behind others
            (`v1.2`) the output's is added.
        extension: The output's, with the dot.
    """

    replaced: Collection[str]
    extension: str

    def of(self, path: Path) -> Path:
        """The output's name: `a.png` becomes `a.cca`, and `v1.2` becomes `v1.2.cca`."""
        if path.suffix.lower() in self.replaced:
            return path.with_suffix(self.extension)
        return path.with_name(path.name + self.extension)


def plan_outputs(
    inputs: Sequence[Input], output: str | None, naming: Naming, *, may_exist: bool
) -> list[Job]:
    """Name one output for each input.

    Inputs that would share an output have errors, each of them, and so have those whose
    output exists; the others are to be done.

    Args:
        inputs: Files, those of folders among them.
        output: What `-o` said: a file, a directory, `-`, or None for beside the input.
        naming: What outputs are called where `output` does not name a file.
        may_exist: Whether outputs may be there already.

    Raises:
        BadInputError: `output` does not fit the inputs.
        FailureError: The directory of the one output there is does not exist.
    """
    if [source.name for source in inputs].count(STANDARD) > 1:
        raise BadInputError("standard input ('-') can be read once only")
    targets = _name_outputs(inputs, output, naming)
    if STANDARD in targets and sys.stdout is not None and sys.stdout.isatty():
        raise BadInputError("will not write binary data to a terminal: redirect it, or use -o FILE")
    owners: dict[str, list[str]] = defaultdict(list)
    places = [_place(target) for target in targets]
    for source, place in zip(inputs, places, strict=True):
        if source.error is None:
            owners[place].append(source.name)
    return [
        Job(source.name, target, source.error or _refusal(source, target, owners[place], may_exist))
        for source, target, place in zip(inputs, targets, places, strict=True)
    ]


def writes_through(target: str) -> bool:
    """Whether an output is written to as it is, and not replaced: a pipe, a device, a stream."""
    if target == STANDARD or target.startswith(_DESCRIPTORS):
        return True
    return exists(target) and not is_file(target)


def _name_outputs(inputs: Sequence[Input], output: str | None, naming: Naming) -> list[str]:
    named = len(inputs) == 1 and not inputs[0].from_folder
    if output in _STANDARD_OUTPUT:
        if not named:
            raise BadInputError("several files cannot go to standard output: give a directory")
        return [STANDARD]
    if output is None:
        return [
            STANDARD if source.name == STANDARD else str(naming.of(Path(source.name)))
            for source in inputs
        ]
    folder = is_folder(output)
    if named and not folder and not output.endswith(os.sep):
        parent = Path(output).parent
        if not is_folder(parent):
            raise FailureError(f"output '{output}' cannot be written: no directory '{parent}'")
        return [output]
    if not folder and os.path.lexists(output.rstrip(os.sep)):
        raise BadInputError(f"'{output}' is not a directory: several inputs need one")
    # A folder with an error has no output: nothing is below it.
    return [
        str(Path(output) / naming.of(source.below)) if source.below.name else output
        for source in inputs
    ]


def _place(target: str) -> str:
    """The same for two names of one file."""
    return target if target == STANDARD else os.path.realpath(target)


def _refusal(source: Input, target: str, owners: Sequence[str], may_exist: bool) -> CcaError | None:
    others = sorted(set(owners) - {source.name})
    if others:
        return BadInputError(
            f"this and '{others[0]}' would both be written to '{target}': "
            "rename one, or write them to different directories"
        )
    if len(owners) > 1:
        return BadInputError(f"given more than once, to be written to '{target}'")
    if target == STANDARD or target.startswith(_DESCRIPTORS):
        return None
    if is_folder(target):
        return BadInputError(f"output '{target}' is a directory")
    if not is_file(target):
        return None
    if source.name != STANDARD and is_same_file(source.name, target):
        return BadInputError(f"output '{target}' is the input itself: choose another with -o")
    if may_exist:
        return None
    return BadInputError(
        f"output '{target}' exists: add --overwrite to replace it, or --skip-existing to leave it"
    )
