"""Reading int16 arrays from an npz file of a bundle, which may claim anything."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAGIC = b"\x93NUMPY\x01\x00"
_PREFIX_BYTES = 10
_MAX_HEADER_BYTES = 1 << 10


class ArraysError(Exception):
    """The file does not hold the arrays asked for. One line."""


def read_arrays(
    data: bytes, shapes: Mapping[str, tuple[int, ...]], wanted: Iterable[str]
) -> dict[str, NDArray[np.int16]]:
    """Read some of the arrays of an npz file. None costs more memory than its shape says.

    Args:
        data: An npz file with entries that are stored or deflated.
        shapes: All arrays that are in it, and their shapes.
        wanted: The ones to read, each C-ordered.

    Raises:
        ArraysError: The file is damaged, holds other arrays than those, or one of the wanted
            ones twice or in another shape or type.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in shapes):
                raise ValueError("its arrays are not those of the conformance cases")
            return {name: _read_array(archive, name, shapes[name]) for name in wanted}
    except MemoryError:
        raise
    except Exception as error:
        # zipfile lets through whatever it stumbles upon: struct.error, OSError, zlib.error, ...
        text = str(error) or type(error).__name__
        raise ArraysError(" ".join(text.split())) from error


def _read_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[np.int16]:
    entry = archive.getinfo(f"{name}.npy")
    most = 2 * math.prod(shape) + _PREFIX_BYTES + _MAX_HEADER_BYTES
    if entry.file_size > most:
        raise ValueError(f"{name} unpacks to {entry.file_size} bytes, the limit is {most}")
    if entry.compress_type not in _METHODS:
        raise ValueError(f"{name} is neither stored nor deflated")
    return _parse_npy(archive.read(entry), name, shape)


def _parse_npy(raw: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.int16]:
    if not raw.startswith(_MAGIC):
        raise ValueError(f"{name} is not in npy format 1.0")
    end = _PREFIX_BYTES + int.from_bytes(raw[8:_PREFIX_BYTES], "little")
    # What NumPy writes. It would evaluate the text as Python; here it is compared.
    sides = ", ".join(map(str, shape))
    expected = rf"{{'descr': '<i2', 'fortran_order': False, 'shape': \({sides}\), }} *\n"
    if not re.fullmatch(expected.encode(), raw[_PREFIX_BYTES:end]):
        raise ValueError(f"{name} is not a C-ordered int16 array of shape {list(shape)}")
    values = np.frombuffer(raw, dtype="<i2", offset=end)
    if values.size != math.prod(shape):
        raise ValueError(f"{name} has {values.size} values for shape {list(shape)}")
    return values.reshape(shape)
