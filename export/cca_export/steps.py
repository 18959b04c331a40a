"""Quantisation steps: a symbol stands for a distance of D from the mean, not always of 1.

A stream says D as a code k, in eighths of a place of the scale table (docs/spec/format.md,
"Quantisation step"). Coding with step D is coding with scales divided by D, and these are
log-spaced: so k moves the index of each table, and graphs give indexes for D = 1 alone.
"""

from __future__ import annotations

import math

import cca_core
import numpy as np
from numpy.typing import NDArray

from cca_export.tables import PLACES_PER_LOG, SCALES

STEP_BITS = 7
"""Steps are multiples of 2^-7."""

CODES = range(-128, 128)
"""Of all steps; 0 stands for D = 1."""

MOST_SMALL_SCALES = 128
"""Largest `smallest_scale`."""

_CODES_PER_PLACE = 8


def numerator(step: int) -> int:
    """D of a code, in units of 2^-7."""
    return round(cca_core.quantisation_step(step) * (1 << STEP_BITS))


def trained_codes(finest: float) -> tuple[int, ...]:
    """Codes of steps that stand for what a network was trained for.

    Args:
        finest: The smallest step in training, up to 1. As steps below 1 are for high rates, there
            were others above 1 for low ones.
    """
    code = min(CODES[-1], round(-_CODES_PER_PLACE * PLACES_PER_LOG * math.log(finest)))
    return (0, -code, code) if code else (0,)


def smallest_scale(finest: float) -> int:
    """How many half places below the smallest of the scale table a network's scales reach."""
    return min(MOST_SMALL_SCALES, math.ceil(-2 * PLACES_PER_LOG * math.log(finest)))


def table_indexes(indexes: NDArray[np.uint8], step: int, smallest: int) -> NDArray[np.uint8]:
    """The table of each symbol (`cca_core.choose_tables`), 0 to 63, for `smallest_scale`."""
    chosen = cca_core.choose_tables(
        indexes.ravel(), step=step, smallest_scale=smallest, tables=SCALES
    )
    return chosen.reshape(indexes.shape)
