"""What the inputs of a command stand for: files, standard input, and all files of folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cca_console.text import reason

from cca_runtime.cli.places import is_file, is_folder
from cca_runtime.errors import BadInputError, CcaError

STANDARD = "-"

_STANDARD_INPUT = {STANDARD, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}


@dataclass(frozen=True)
class Input:
    """One file to work on.

    Attributes:
        name: Its path, or `-` for standard input.
        below: Its path below an output directory, but for the extension.
        from_folder: Whether it was found in a folder, rather than named.
        error: Why there is nothing to work on.
    """

    name: str
    below: Path
    from_folder: bool = False
    error: CcaError | None = None


@dataclass(frozen=True)
class Kind:
    """The files that a command reads.

    Attributes:
        extensions: Of those that it takes from folders, in lower case, with the dot.
        plural: What they are called.
        made: Extensions of what it writes: no wonder if that lies in its folders too.
    """

    extensions: Collection[str]
    plural: str
    made: Collection[str]


@dataclass
class Inputs:
    """Everything that the names on a command line stand for.

    Attributes:
        found: What there is to work on, folders' files sorted by path.
        left_out: Names of files in folders that are not of the kind.
    """

    found: list[Input] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def expand_inputs(names: Sequence[str], kind: Kind) -> Inputs:
    """Put the files of a folder in its place, those of its folders included.

    Names that begin with a dot are passed over, such as what an interrupted run left behind.
    Links to files are followed, links to folders are not. What is no file (a pipe, a device)
    counts when it is named, and not in a folder. A folder that cannot be read, or holds
    nothing, is an input with an error.

    Args:
        names: What the command was given; a file counts whatever its extension.
        kind: Of files that count in folders.
    """
    inputs = Inputs()
    for name in names:
        if name in _STANDARD_INPUT:
            inputs.found.append(Input(STANDARD, Path("stdin")))
        elif is_folder(name):
            _add_folder(inputs, name, kind)
        else:
            inputs.found.append(Input(name, Path(Path(name).name)))
    return inputs


def _add_folder(inputs: Inputs, folder: str, kind: Kind) -> None:
    errors: list[OSError] = []
    paths = sorted(_visible_files(Path(folder), errors))
    found = []
    for path in paths:
        extension = path.suffix.lower()
        if extension in kind.extensions and is_file(path):
            found.append(Input(str(path), path.relative_to(folder), from_folder=True))
        elif extension not in kind.made:
            inputs.left_out.append(str(path))
    inputs.found += found
    for error in errors:
        name = os.fsdecode(error.filename)
        refused = BadInputError(f"cannot be read: {reason(error)}")
        inputs.found.append(Input(name, Path(), from_folder=True, error=refused))
    if not found and not errors:
        hollow = BadInputError(f"a directory without {kind.plural}")
        inputs.found.append(Input(folder, Path(), from_folder=True, error=hollow))


def _visible_files(folder: Path, errors: list[OSError]) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(root, name).is_symlink()]
        yield from (Path(root, name) for name in files + links if not name.startswith("."))
