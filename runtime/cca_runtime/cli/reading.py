"""Reading inputs: files, pipes and standard input, up to what a picture may take."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from cca_console.text import reason
from cca_core import DEFAULT_MAX_PIXELS

from cca_runtime.cli.inputs import STANDARD
from cca_runtime.errors import BadInputError
from cca_runtime.sources import most_file_bytes

_CHUNK = 1 << 20


def read_input(name: str, max_pixels: int | None = None) -> bytes:
    """The bytes of a file, a pipe or a device, or of standard input for `-`.

    Args:
        name: As the command was given it.
        max_pixels: Most pixels of a picture, which bounds how long a file may be: devices
            such as /dev/zero have no end. The default limit if None.

    Raises:
        BadInputError: It is missing, cannot be read, or is too long.
    """
    limit = most_file_bytes(max_pixels or DEFAULT_MAX_PIXELS)
    try:
        if name == STANDARD:
            if sys.stdin is None:
                raise BadInputError("standard input is closed")
            return _read_all(sys.stdin.buffer, limit)
        with Path(name).open("rb") as stream:
            return _read_all(stream, limit)
    except OSError as error:
        raise BadInputError(f"cannot be read: {reason(error)}") from error


def _read_all(stream: BinaryIO, limit: int) -> bytes:
    size = _size_of(stream)
    _check(size, limit)
    parts: list[bytes] = []
    read = 0
    while part := stream.read(max(_CHUNK, size + 1 - read)):  # a file in one piece
        parts.append(part)
        read += len(part)
        _check(read, limit)
    return b"".join(parts)


def _size_of(stream: BinaryIO) -> int:
    """Bytes of a file; 0 for what has no size beforehand."""
    try:
        return os.fstat(stream.fileno()).st_size
    except OSError:  # a stream in memory
        return 0


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise BadInputError(
            f"longer than {limit:,} bytes, the most that a picture of --max-pixels can take"
        )
