"""A note on this machine that an engine computes a model exactly.

It is a small file in the user's cache directory. Where none can be written, the
check is merely repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from cca_console.ending import uninterrupted
from cca_engines import Engine, fingerprint

from cca_runtime.bundle import Bundle


class VerifiedMark:
    """Whether one engine, as it is set up and built, has passed one bundle's fast cases."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        vectors = json.dumps(bundle.manifest["conformance"], sort_keys=True)
        # All that the result depends on. The file's name is short and could collide.
        self._text = (
            "cca-verified-1\n"
            f"model {bundle.model_id.hex()}\n"
            f"vectors {hashlib.sha256(vectors.encode()).hexdigest()}\n"
            f"engine {engine.description}\n"
        )
        directory = _cache_directory()
        name = f"{bundle.model_id.hex()}-{fingerprint(engine).hex()}"
        self._path = directory / "cca-codec" / "verified" / name if directory else None

    def is_set(self) -> bool:
        """Whether the check has been passed before."""
        if self._path is None:
            return False
        expected = self._text.encode()
        try:
            with self._path.open("rb") as stream:
                return stream.read(len(expected) + 1) == expected
        except OSError:
            return False

    def set(self) -> None:
        """Note that the check was passed, if there is a place to note it."""
        if self._path is None:
            return
        with contextlib.suppress(OSError), uninterrupted():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(self._path, self._text.encode())


def _cache_directory() -> Path | None:
    """The user's cache directory by the XDG base directory specification, if there is one."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # this user has no home
        return None


def _write_whole(path: Path, data: bytes) -> None:
    """Another process sees the whole file or none."""
    handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
