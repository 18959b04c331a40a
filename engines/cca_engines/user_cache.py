"""The user's cache directory: what may be lost, and is merely computed again."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def cache_directory() -> Path | None:
    """Where this package may cache, by the XDG base directory specification.

    It need not exist. None if this user has no home.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named / "cca-codec"
    try:
        return Path.home() / ".cache" / "cca-codec"
    except RuntimeError:
        return None


TEMPORARY = ".new-"
"""How names of files begin that are not whole yet."""


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
