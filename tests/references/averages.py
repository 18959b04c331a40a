"""What exact graphs are told instead of dividing by the number of latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LARGEST = 1023
"""Limit of the activations that are averaged."""

_ROW_SUM_BITS, _TOTAL_BITS = 23, 14
_LEAST_RECIPROCAL = 513


def average_factors(height: int, width: int) -> NDArray[np.float32]:
    """The input `averages` of exact prior graphs (docs/spec/exact.md, "Averages").

    A sum of `height` times `width` activations is scaled by 2^-r and 2^-k on the way,
    so that it stays exact in float32, and then multiplied by R 2^-t, which is as near
    to 2^(r + k) / (height width) as R from 513 to 1025 allows. Found in integers, so
    that every machine finds the same.

    Args:
        height: Rows of latents, at least 1.
        width: Columns of latents, at least 1.

    Returns:
        float32 [4]: 2^-r, 2^-k, R, 2^-t.
    """
    latents = height * width
    largest = _LARGEST * latents
    row = max(0, largest.bit_length() - _ROW_SUM_BITS)
    coarse = max(0, (largest >> row).bit_length() - _TOTAL_BITS)
    fine = 0
    while (reciprocal := _divide_rounding(1 << (row + coarse + fine), latents)) < _LEAST_RECIPROCAL:
        fine += 1
    return np.array([2.0**-row, 2.0**-coarse, reciprocal, 2.0**-fine], dtype=np.float32)


def _divide_rounding(numerator: int, denominator: int) -> int:
    """The nearest integer to a quotient of positive integers; halves go up."""
    return (2 * numerator + denominator) // (2 * denominator)
