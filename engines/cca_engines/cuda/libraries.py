"""The versions of CUDA's libraries that another library is going to use."""

from __future__ import annotations

import ctypes


def library_version(name: str, function: str) -> int:
    """What a shared library says of its version.

    Args:
        name: Its file, such as `libcudnn.so.9`, found as any library is; one that this
            process has loaded already is that one.
        function: Takes nothing and returns a `size_t`.

    Raises:
        OSError: There is no such library, or one that it needs is missing.
    """
    version = ctypes.CDLL(name)[function]
    version.argtypes, version.restype = [], ctypes.c_size_t
    return int(version())
