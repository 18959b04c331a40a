"""CCA codec runtime: photographs to small `.cca` streams and back.

    >>> import cca_runtime
    >>> codec = cca_runtime.load()
    >>> data = codec.encode(picture)      # numpy uint8 HxWx3, or a PIL image
    >>> restored = codec.decode(data)     # numpy uint8 HxWx3

Names are resolved on first use, so that `import cca_runtime` costs next to
nothing and a command-line tool can print its help at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cca_core import StreamInfo
    from cca_runtime.codec import Codec, load
    from cca_runtime.errors import BadInputError, CcaError, FailureError, StreamError
    from cca_runtime.pictures import Picture
    from cca_runtime.session import Decoded, Encoded

__all__ = [
    "BadInputError",
    "CcaError",
    "Codec",
    "Decoded",
    "Encoded",
    "FailureError",
    "Picture",
    "StreamError",
    "StreamInfo",
    "__version__",
    "load",
]

_HOMES = {
    "BadInputError": "cca_runtime.errors",
    "CcaError": "cca_runtime.errors",
    "Codec": "cca_runtime.codec",
    "Decoded": "cca_runtime.session",
    "Encoded": "cca_runtime.session",
    "FailureError": "cca_runtime.errors",
    "Picture": "cca_runtime.pictures",
    "StreamError": "cca_runtime.errors",
    "StreamInfo": "cca_core",
    "load": "cca_runtime.codec",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cca-codec")
    if name not in _HOMES:
        raise AttributeError(f"module 'cca_runtime' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
