"""Files of a bundle, which is outside input: none may be another kind of file, or lie elsewhere."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cca_runtime.errors import BadInputError


@dataclass(frozen=True)
class BundleFile:
    """A file that the manifest describes.

    Attributes:
        bundle: The bundle's directory.
        name: Where the file lies inside it, with `/` between the parts.
        sha256: Of its content, in hexadecimal.
        size: Its bytes.
    """

    bundle: Path
    name: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.bundle / self.name

    def read(self) -> bytes:
        """The file's content.

        Raises:
            BadInputError: It is missing, unreadable, or not what the manifest describes.
        """
        data = read_file(self.bundle, self.name, self.size)
        if len(data) != self.size or hashlib.sha256(data).hexdigest() != self.sha256:
            raise broken(self.path, "not the file its manifest describes; export it again")
        return data


def broken(path: Path, problem: object) -> BadInputError:
    """The error that a file of a bundle is not as it should be."""
    return BadInputError(f"broken bundle: {path}: {problem}")


def read_file(bundle: Path, name: str, most: int) -> bytes:
    """The content of a file in the directory `bundle`, or `most` + 1 bytes of a larger one.

    Raises:
        BadInputError: It is no regular file inside the bundle, or cannot be read.
    """
    path = bundle / name
    if not path.resolve().is_relative_to(bundle.resolve()):
        raise broken(path, "a link that leads out of the bundle: copy the file in its place")
    try:
        # Opening a pipe would wait for somebody to write into it.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise broken(path, "no ordinary file")
            with os.fdopen(handle, "rb", closefd=False) as stream:
                return stream.read(most + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise broken(path, f"cannot be read: {error.strerror}") from error
