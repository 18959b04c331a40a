"""What the inputs of a command stand for: files, standard input, and all files of folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cca_runtime.errors import BadInputError

STANDARD = "-"


@dataclass(frozen=True)
class Input:
    """One file to work on.

    Attributes:
        name: Its path, or `-` for standard input.
        below: Its path below an output directory, but for the extension.
        from_folder: Whether it was found in a folder, rather than named.
    """

    name: str
    below: Path
    from_folder: bool = False


def expand_inputs(names: Sequence[str], extensions: Collection[str], what: str) -> list[Input]:
    """Put the files of a folder in its place, sorted by path, those of its folders included.

    Names that begin with a dot are passed over, such as what an interrupted run left behind.
    Links to files are followed, links to folders are not.

    Args:
        names: What the command was given.
        extensions: Of the files that count, in lower case, with the dot; a file that is named
            counts whatever its extension.
        what: These files in words, for errors.

    Raises:
        BadInputError: A folder holds no such file, or cannot be read.
    """
    return [found for name in names for found in _expand(name, extensions, what)]


def _expand(name: str, extensions: Collection[str], what: str) -> Iterator[Input]:
    if name == STANDARD:
        yield Input(name, Path("stdin"))
        return
    if not Path(name).is_dir():
        yield Input(name, Path(Path(name).name))
        return
    found = sorted(
        path
        for path in _visible_files(Path(name))
        if path.suffix.lower() in extensions and path.is_file()
    )
    if not found:
        raise BadInputError(f"'{name}' is a directory without {what}")
    for path in found:
        yield Input(str(path), path.relative_to(name), from_folder=True)


def _visible_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root, name) for name in files if not name.startswith("."))


def _refuse(error: OSError) -> NoReturn:
    raise BadInputError(f"'{error.filename}' cannot be read: {error.strerror}") from error
