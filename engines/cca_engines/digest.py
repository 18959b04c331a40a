"""One hash for the exact outputs of a graph, the same whatever computed them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from cca_engines.engine import Array

_STEPS = 128
"""Values of exact graphs are multiples of 1/128 (docs/spec/exact.md)."""


class InexactError(ValueError):
    """An output holds a value that no exact graph has. One line."""


def digest(outputs: Mapping[str, Array]) -> str:
    """SHA-256 of named arrays whose values are multiples of 1/128 (docs/spec/bundle.md).

    It covers, for each array in order, its name in ASCII, a zero byte, its shape
    as little-endian int64, and 128 times its values as little-endian int32 in C
    order. Dtype and the sign of zero are not part of it.

    Args:
        outputs: Arrays of any real dtype, in the order of the graph's outputs.

    Returns:
        64 hexadecimal digits.

    Raises:
        InexactError: A value is not finite, no multiple of 1/128, or not within int32
            times 1/128.
    """
    state = hashlib.sha256()
    for name, array in outputs.items():
        state.update(name.encode("ascii") + b"\0")
        state.update(np.array(array.shape, dtype="<i8").tobytes())
        state.update(_steps(name, array).tobytes())
    return state.hexdigest()


def _steps(name: str, array: Array) -> Array:
    """128 times the values, as little-endian int32."""
    if array.dtype.kind not in "biuf":
        raise InexactError(f"'{name}' holds no numbers but {array.dtype}")
    # A product with a power of two is exact in any floating-point format, and float64 holds
    # all integers that matter.
    scaled = array.astype(np.float64) * _STEPS
    limits = np.iinfo(np.int32)
    exact = (np.rint(scaled) == scaled) & (scaled >= limits.min) & (scaled <= limits.max)
    if not exact.all():
        value = array[~exact].flat[0]
        raise InexactError(f"'{name}' holds {value}, which is no multiple of 1/{_STEPS} in range")
    return scaled.astype("<i4")
