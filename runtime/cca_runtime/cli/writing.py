"""Writing outputs: whole files or nothing, on the disk before they have their name."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import threading
from pathlib import Path

from cca_console.ending import finished, unfinished, uninterrupted
from cca_console.text import reason

from cca_runtime.cli.outputs import writes_through
from cca_runtime.errors import FailureError

_PREFIX = ".cca-"
"""Of temporary names: hidden, so that no folder's pictures are read from them, and short, since a
file's own name may be as long as there can be."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}
_PERMISSIONS = 0o777

_MASK_TURN = threading.Lock()


def write_output(name: str, data: bytes, *, replace: bool) -> None:
    """Write a whole file or nothing: to a temporary file beside it, then rename.

    A link stays a link: what it leads to is written, be it there or not. A pipe or device is
    written to.

    Args:
        name: Of the file.
        data: All of it.
        replace: Whether it may take a file's place, whose permissions and owner it then
            has, as far as this user may give them.

    Raises:
        FailureError: The output cannot be written; what was there before still is.
    """
    try:
        if writes_through(name):
            Path(name).write_bytes(data)
            return
        place = Path(os.path.realpath(name))
        if place.is_symlink():
            raise FailureError(f"output '{name}' is a link that leads to itself")
        _write_file(place, data, replace=replace)
    except OSError as error:
        raise FailureError(f"output '{name}' cannot be written: {reason(error)}") from error


def _write_file(place: Path, data: bytes, *, replace: bool) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with uninterrupted():
        handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=place.parent)
        temporary = Path(name)
        unfinished(temporary)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            _set_rights(stream.fileno(), place)
            _sync(stream.fileno())
        with uninterrupted():
            if replace:
                temporary.replace(place)
            else:
                _rename_if_free(temporary, place)
            finished(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        finished(temporary)
        raise
    _sync_folder(place.parent)


def _set_rights(descriptor: int, place: Path) -> None:
    """Give a new file the rights of the one it replaces, or else of any new file.

    Neither is worth a failure: some file systems have no rights to give.
    """
    try:
        old = place.stat()
    except OSError:
        mode = _default_mode()
    else:
        mode = stat.S_IMODE(old.st_mode) & _PERMISSIONS
        for owner in (old.st_uid, -1):  # a group may be given by its members
            with contextlib.suppress(OSError):
                os.fchown(descriptor, owner, old.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)


def _default_mode() -> int:
    """Permissions of a file that open() would create; mkstemp's are for its owner alone."""
    with _MASK_TURN:  # the mask can only be read by setting it
        mask = os.umask(0)
        os.umask(mask)
    return 0o666 & ~mask


def _rename_if_free(temporary: Path, place: Path) -> None:
    """Rename a file, but not over one that has appeared since names were chosen."""
    try:
        place.hardlink_to(temporary)  # fails where there is a file; a rename would replace it
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        temporary.replace(place)
    else:
        temporary.unlink()


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:  # some file systems have none
            raise


def _sync_folder(folder: Path) -> None:
    """Put a new name on the disk as well. The file is whole with or without it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
