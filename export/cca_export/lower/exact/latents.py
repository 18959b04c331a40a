"""The proof that y_hat is exact whatever the quantisation step (docs/spec/exact.md, "Steps")."""

from __future__ import annotations

import functools

import cca_core

from cca_export.lower.exact.modules import LRP_BITS, MEAN_BITS, MEANS
from cca_export.steps import CODES, STEP_BITS, numerator

_LARGEST_PREDICTION = 1 << (LRP_BITS - 1)
"""0.5 tanh is within 0.5."""


def largest_latent(step: int) -> int:
    """Bound on the magnitude of symbol D + mean + prediction, and on that of any part of the sum.

    Args:
        step: Code of the step D.

    Returns:
        In units of 2^-7.
    """
    size = numerator(step)
    product = size * max(map(abs, cca_core.symbol_range(step)))
    means = max(map(abs, MEANS)) << (STEP_BITS - MEAN_BITS)
    prediction = (_LARGEST_PREDICTION * size + (1 << (STEP_BITS - 1))) >> STEP_BITS
    return product + means + prediction


@functools.cache
def widest_step() -> int:
    """The code of the step with the largest bound."""
    return max(CODES, key=largest_latent)
