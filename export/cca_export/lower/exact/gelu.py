"""The constants of an exact GELU, and the proof that no engine's erf can change its result.

With integers p at exponent e_p and q at e_q,

    q = Floor(v)      v = b p (1 + erf(a p)) + c      b = 2^(e_p - e_q - 1)
                                                      a = float32(2^e_p / sqrt 2)

and c a little above 1/2. All 4095 values of p are evaluated in float64; c is chosen so
that every v keeps its distance from integers, measured in bounds on the float32 error.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from cca_export.lower.exact.layers import GELU_INPUT, GELU_OUTPUT

ERF_ERROR = 2.0**-22
"""Bound on the error of any engine's float32 erf; published ones stay below 2^-23."""

REQUIRED_MARGIN = 4.0
"""Least distance to a rounding boundary, in error bounds."""

_AMPLE_MARGIN = 8.0
_HALF_ULP = 2.0**-24
_CANDIDATES = 64


@dataclass(frozen=True)
class GeluConstants:
    """Constants for one pair of exponents, exact in float32.

    Attributes:
        erf_factor: a.
        factor: b.
        constant: c.
        margin: Smallest distance of any v to a rounding boundary, in error bounds.
    """

    erf_factor: float
    factor: float
    constant: float
    margin: float


@functools.cache
def gelu_constants(input_exponent: int, output_exponent: int) -> GeluConstants:
    """The constants for a pair of exponents: the least shift of 1/2 with an ample margin."""
    a = float(torch.tensor(2.0**input_exponent / math.sqrt(2)))
    b = 2.0 ** (input_exponent - output_exponent - 1)
    p = torch.arange(GELU_INPUT.low, GELU_INPUT.high + 1, dtype=torch.float64)
    exact = b * p * (1 + torch.erf(a * p))
    # erf itself, its argument's rounding (x erf'(x) < 0.5) and the sum with 1; then the
    # product and the sum with c.
    error = (b * p).abs() * (ERF_ERROR + 2 * _HALF_ULP) + (exact.abs() + 1) * 2 * _HALF_ULP
    # What saturates cannot go wrong.
    relevant = (exact > GELU_OUTPUT.low - 1) & (exact < GELU_OUTPUT.high + 1)
    # The flat right part of a GELU is a grid of step 2b that c = 1/2 would put on boundaries.
    offsets = torch.arange(1, _CANDIDATES, dtype=torch.float64) / _CANDIDATES * min(0.5, 2 * b)
    values = exact[relevant] + 0.5 + offsets[:, None]
    margins = ((values - torch.round(values)).abs() / error[relevant]).amin(1)
    ample = torch.nonzero(margins >= _AMPLE_MARGIN)
    choice = int(ample[0]) if len(ample) else int(margins.argmax())
    return GeluConstants(a, b, 0.5 + float(offsets[choice]), float(margins[choice]))
