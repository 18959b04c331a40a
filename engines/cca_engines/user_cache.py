"""The user's cache directory: what may be lost, and is merely computed again.

Some of it is code, and all of it is believed, so it has to be the user's own: files and directories
that somebody else owns, or may write, are passed over, and so is what is no file at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_NAME = "cca-codec"
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_directory() -> Path | None:
    """Where this package may cache, by the XDG base directory specification.

    It need not exist. None if this user has no home.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named / _NAME
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ".cache" / _NAME if home.is_absolute() else None


TEMPORARY = ".new-"
"""How names of files begin that are not whole yet."""


def open_file(path: Path, *, follow: bool = True) -> int:
    """A descriptor of a file, for reading; opening what is none does not wait for anybody.

    Args:
        path: The file.
        follow: Whether it may be a link to one.

    Raises:
        OSError: There is none, or it is a pipe, a device or the like.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(0, "is no file")


def is_private(directory: Path) -> bool:
    """Whether a directory of the cache, and all of the cache above it, is this user's alone."""
    return all(stat.S_ISDIR(status.st_mode) and _is_own(status) for status in _statuses(directory))


def is_private_file(path: Path) -> bool:
    """Whether what lies in a private directory is a file that nobody else may write."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and _is_own(status)


def read_private(path: Path, most: int) -> bytes | None:
    """A file of the cache, of at most so many bytes; None where there is none to be believed."""
    with contextlib.suppress(OSError):
        if is_private(path.parent):
            with os.fdopen(open_file(path, follow=False), "rb") as stream:
                if _is_own(os.fstat(stream.fileno())):
                    content = stream.read(most + 1)
                    return content if len(content) <= most else None
    return None


def write_private(path: Path, *parts: bytes) -> None:
    """Write a file of the cache, as `write_whole` does, for this user alone.

    Raises:
        OSError: It cannot be written, or others could write it too.
    """
    make_private(path.parent)
    write_whole(path, *parts)


def make_private(directory: Path) -> None:
    """Make a directory of the cache for this user alone.

    Raises:
        OSError: It cannot be made, or one is there that is not.
    """
    for each in reversed([directory, *directory.parents]):
        with contextlib.suppress(FileExistsError):
            each.mkdir(0o700)
    if not is_private(directory):
        raise PermissionError(1, "is not this user's alone", str(directory))


def write_whole(path: Path, *parts: bytes) -> None:
    """Write a file, and its directory; other processes see the whole file or none.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            for part in parts:
                stream.write(part)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _statuses(directory: Path) -> Iterator[os.stat_result]:
    """Of a directory, and of those above it that are the cache's; none of what is not there."""
    within = [directory, *(each for each in directory.parents if _NAME in each.parts)]
    for each in within:
        try:
            yield each.lstat()
        except OSError:
            return


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS
