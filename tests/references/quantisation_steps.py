"""Quantisation steps by their codes, written from docs/spec/format.md, "Quantisation step"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def numerator(code: int) -> int:
    """The step in units of 2^-7."""
    return round(128 * (256 / 0.11) ** (code / 504))


def step_input(code: int) -> NDArray[np.float32]:
    """What graphs read as `step`."""
    return np.array([numerator(code) / 128], np.float32)


def symbol_range(code: int) -> tuple[int, int]:
    """The smallest and the largest symbol."""
    largest = 12_500_000 // numerator(code)
    return max(-largest, -(2**15)), min(largest, 2**15 - 1)


def table_indexes(
    indexes: NDArray[Any], smallest_scale: int | None, code: int
) -> NDArray[np.uint8]:
    """The table, 0 to 63, of what graphs give as `indexes`: half places of the scale table.

    Without `smallest_scale`, in bundles of version 4, `indexes` are the tables.
    """
    if smallest_scale is None:
        assert code == 0
        return indexes.astype(np.uint8)
    half_places = indexes.astype(int) - smallest_scale - np.floor(code / 4 + 0.5)
    tables: NDArray[np.uint8] = np.floor((half_places + 1) / 2).clip(0, 63).astype(np.uint8)
    return tables
