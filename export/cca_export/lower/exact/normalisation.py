"""The inverse deviations that an exact normalisation looks up, and the proof of its mean."""

from __future__ import annotations

import functools

import torch

from cca_export.lower.exact.layers import (
    EXACT_INTEGER,
    NORMALISED,
    RESIDUAL,
    ExactLayerNorm,
    square_shift,
    squares_of_entries,
)

_EPSILON = 1e-6
_LARGEST_MANTISSA = 2047
"""11 bits, which float16 stores: times a deviation of 12 bits far below 2^24."""

_MOST_FRACTION_BITS = 20


def fill_inverse_deviations(layer: ExactLayerNorm, residual: int, output: int) -> None:
    """Tabulate 1 / sqrt(variance + 1e-6), scaled from the residual's exponent to the output's."""
    channels = layer.channels
    variance = squares_of_entries().double() * 2.0 ** square_shift(channels) / channels
    factor = torch.rsqrt(variance + _EPSILON * 2.0 ** (-2 * residual)) * 2.0**-output
    bits = torch.floor(torch.log2(_LARGEST_MANTISSA / factor)).clamp(max=_MOST_FRACTION_BITS)
    step = torch.exp2(-bits)
    mantissa = torch.round(factor / step).clamp(max=_LARGEST_MANTISSA)
    layer.inverse_deviation.values = (mantissa * step).float()[:, None]
    layer.may_overflow = _largest_output(layer) > NORMALISED.high


def _largest_output(layer: ExactLayerNorm) -> int:
    """Bound on a normalised magnitude: a deviation d alone makes S at least Round(d^2 2^-k)."""
    deviation = torch.arange(RESIDUAL.high + 1, dtype=torch.float64)
    squares = torch.round(deviation * deviation * layer.square_factor).float()
    entry = layer.entry(squares[:, None, None, None]).flatten()
    return int(torch.round(deviation * layer.inverse_deviation(entry)).max())


@functools.cache
def mean_is_exact(channels: int) -> bool:
    """Whether the float32 mean of every possible sum, fused or not, is the exact one."""
    layer = ExactLayerNorm(channels)
    largest = channels * RESIDUAL.high
    if largest >= EXACT_INTEGER:
        return False
    total = torch.arange(-largest, largest + 1)
    computed = torch.floor(total.float() * layer.reciprocal + layer.half_up)
    extra = 0 if channels % 2 else 1
    exact = torch.div(2 * total + channels + extra, 2 * channels, rounding_mode="floor")
    fused = torch.floor((total.double() * layer.reciprocal + layer.half_up).float())
    return torch.equal(computed.long(), exact) and torch.equal(fused.long(), exact)
