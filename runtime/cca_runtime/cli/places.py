"""What lies at a name. No where the system does not take the name: `Path` raises there."""

from __future__ import annotations

import os


def exists(name: str | os.PathLike[str]) -> bool:
    """Whether a name, links followed, leads to anything."""
    return os.path.exists(name)


def is_file(name: str | os.PathLike[str]) -> bool:
    """Whether it leads to a file: no folder, pipe, device or socket."""
    return os.path.isfile(name)


def is_folder(name: str | os.PathLike[str]) -> bool:
    """Whether it leads to a folder."""
    return os.path.isdir(name)


def is_same_file(name: str, other: str) -> bool:
    """Whether two names lead to one file that exists."""
    return exists(name) and exists(other) and os.path.samefile(name, other)
