"""A note on this machine that an engine computes a model exactly.

It is a small file in the user's cache directory. Where none can be written, the
check is merely repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json

from cca_engines import Engine, fingerprint
from cca_engines.user_cache import cache_directory, read_private, write_private

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
        directory = cache_directory()
        name = f"{bundle.model_id.hex()}-{fingerprint(engine).hex()}"
        self._path = directory / "verified" / name if directory else None

    def is_set(self) -> bool:
        """Whether the check has been passed before."""
        if self._path is None:
            return False
        expected = self._text.encode()
        return read_private(self._path, len(expected)) == expected

    def set(self) -> None:
        """Note that the check was passed, if there is a place to note it."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            write_private(self._path, self._text.encode())
