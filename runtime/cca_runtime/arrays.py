"""Reading integer arrays from an npz file of a bundle, which may claim anything."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What zipfile and NumPy raise for a damaged, encrypted or exotically packed archive.
_DAMAGE = (
    KeyError,
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArraysError(Exception):
    """The file does not hold the arrays asked for. One line."""


def read_arrays(data: bytes, limits: Mapping[str, int], dtype: str) -> dict[str, NDArray[Any]]:
    """Read the named arrays, none of them larger than its limit.

    Args:
        data: An npz file.
        limits: The arrays wanted, and the bytes that each may unpack to with its
            header; other arrays are ignored.
        dtype: What each must be, for instance `<i4`; C-ordered.

    Raises:
        ArraysError: The file is damaged, or an array is missing, too large or of another type.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: _read_array(archive, name, dtype, most) for name, most in limits.items()}
    except _DAMAGE as error:
        raise ArraysError(" ".join(str(error).split())) from error


def _read_array(archive: zipfile.ZipFile, name: str, dtype: str, most: int) -> NDArray[Any]:
    size = archive.getinfo(f"{name}.npy").file_size
    if size > most:
        raise ValueError(f"{name} unpacks to {size} bytes, the limit is {most}")
    # From a buffer of known length, a shape that claims more than is there
    # cannot be allocated: read_array would believe the header.
    return _parse_npy(archive.read(f"{name}.npy"), name, dtype)


def _parse_npy(raw: bytes, name: str, dtype: str) -> NDArray[Any]:
    stream = io.BytesIO(raw)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not in npy format 1.0")
    shape, fortran, found = np.lib.format.read_array_header_1_0(stream)
    if found != np.dtype(dtype) or fortran:
        raise ValueError(f"{name} is not a C-ordered {np.dtype(dtype).name} array")
    values = np.frombuffer(raw, dtype=dtype, offset=stream.tell())
    if values.size != int(np.prod(shape, dtype=object)):
        raise ValueError(f"{name} has {values.size} values for shape {shape}")
    return values.reshape(shape)
