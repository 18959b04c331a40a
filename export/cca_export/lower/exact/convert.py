"""From float weights and calibrated ranges to integers: exponents, weights, biases, shifts.

A real tensor is its integers times 2^e, with e for each channel or, on residual
streams, one for all. Exponents come from the calibration pictures; weights and
shifts follow from them, as large as the bounds allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cca_export.lower.exact.layers import EXACT_INTEGER, ExactConvolution, Range

WEIGHT_LIMIT = 1023
"""Largest magnitude of an integer weight: TF32 operands hold it. Bounds often allow less."""

_MARGIN = 1.1
"""Room above the largest calibrated value."""

_CANDIDATES = 3
_QUIET = 2.0**-10
"""Channels that are nearly silent on the calibration pictures are given this share of the
loudest one's range: they may speak up on others."""


class UnprovableLayerError(ValueError):
    """A layer's sums cannot be kept below 2^24. One line, names the layer."""


@dataclass(frozen=True)
class Scaled:
    """What is known of a tensor of integers: real = integer 2^exponent, for each channel.

    Attributes:
        exponent: int64 [C].
        low: int64 [C], smallest integer.
        high: int64 [C], largest integer.
    """

    exponent: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, exponent: Tensor, limits: Range) -> Scaled:
        """The same limits for every channel."""
        ones = torch.ones_like(exponent)
        return cls(exponent, limits.low * ones, limits.high * ones)

    @classmethod
    def cat(cls, *parts: Scaled) -> Scaled:
        """Channels one after the other."""
        return cls(
            torch.cat([part.exponent for part in parts]),
            torch.cat([part.low for part in parts]),
            torch.cat([part.high for part in parts]),
        )


@dataclass(frozen=True)
class IntegerConvolution:
    """Integers of one convolution: y = (weight * x + bias) 2^-shift.

    Attributes:
        weight: int64, shaped as the float weights.
        bias: int64 [O].
        shift: int64 [O].
        bound: int64 [O], below 2^24: no partial sum in any order, in units of 2^-shift
            (or of 1 where shift is negative), is larger.
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor
    bound: Tensor


def power_above(values: Tensor) -> Tensor:
    """Smallest integer e with 2^e >= value, for positive values."""
    return torch.ceil(torch.log2(values.double())).long()


def covering_exponents(samples: Tensor, limits: Range) -> Tensor:
    """Smallest exponents that represent all of `samples` [C, n] with some margin; int64 [C]."""
    above = samples.amax(1).clamp(min=0) / limits.high
    below = (-samples.amin(1)).clamp(min=0) / max(1, -limits.low)
    largest = torch.maximum(above, below)
    floor = max(float(largest.max()) * _QUIET, 2.0**-30)
    return power_above(largest.clamp(min=floor) * _MARGIN)


def best_exponents(samples: Tensor, limits: Range) -> Tensor:
    """Exponents with the least squared error on `samples` [C, n], near the covering ones."""
    covering = covering_exponents(samples, limits)
    errors = []
    for less in range(_CANDIDATES):
        step = torch.exp2((covering - less).double())[:, None]
        rounded = torch.round(samples / step).clamp(*limits) * step
        errors.append(((rounded - samples) ** 2).sum(1))
    return covering - torch.stack(errors).argmin(0)


def quantise(
    layer: nn.Conv2d | nn.ConvTranspose2d,
    weight: Tensor,
    bias: Tensor,
    inputs: Scaled,
    output_exponent: Tensor,
) -> IntegerConvolution:
    """Integers for a convolution whose input and output exponents are given.

    Args:
        layer: Says how weights are applied; its own values are not used.
        weight: Real weights, with neighbouring gains folded in.
        bias: Real biases [O], likewise.
        inputs: The input's exponents and limits.
        output_exponent: int64 [O].

    Returns:
        Weights with the largest shift of each output channel for which weights stay
        within the limit and sums below 2^24.
    """
    columns = _by_output(layer, weight.double())
    exponent = _input_of_columns(layer, inputs.exponent)
    low, high = (_input_of_columns(layer, limit) for limit in (inputs.low, inputs.high))
    scaled = columns * torch.exp2((exponent - output_exponent[:, None, None]).double())
    real_bias = bias.double() * torch.exp2(-output_exponent.double())
    largest = scaled.abs().amax((1, 2)).clamp(min=2.0**-60)
    shift = torch.floor(torch.log2(WEIGHT_LIMIT / largest)).long().clamp(-24, 24) + 1
    while True:
        gain = torch.exp2(shift.double())
        integers = torch.round(scaled * gain[:, None, None])
        integer_bias = torch.round(real_bias * gain)
        bound = _bound(integers, integer_bias, shift, low, high)
        failing = (bound >= EXACT_INTEGER) | (integers.abs().amax((1, 2)) > WEIGHT_LIMIT)
        if not failing.any():
            break
        shift = shift - failing.long()
    return IntegerConvolution(
        _from_columns(layer, integers).long(), integer_bias.long(), shift, bound.long()
    )


def fill(module: ExactConvolution, integers: IntegerConvolution) -> None:
    """Fold shifts and rounding into the buffers of an exact convolution."""
    scale = torch.exp2(-integers.shift.double())
    columns = integers.weight.double()
    by_output = (1, -1, 1, 1) if module.transposed else (-1, 1, 1, 1)
    module.weight = (columns * scale.reshape(by_output)).float()
    # With no fraction there is nothing to round.
    half = torch.where(integers.shift >= 1, 0.5, 0.0)
    module.bias = (integers.bias * scale + half).float()


def _bound(columns: Tensor, bias: Tensor, shift: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Largest magnitude of any partial sum, for each output channel; phases are columns' axis 1.

    Terms may be added in any order, so only their signs limit a partial sum: it lies
    between the sum of all negative and the sum of all positive terms.
    """
    zero = torch.zeros_like(columns)
    positive = torch.maximum(torch.maximum(columns * high, columns * low), zero).sum(2)
    negative = torch.maximum(torch.maximum(-columns * high, -columns * low), zero).sum(2)
    half = torch.where(shift >= 1, torch.exp2((shift - 1).double()), 0.0)
    return torch.maximum(positive, negative).amax(1) + (bias + half).abs()


def _by_output(layer: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor) -> Tensor:
    """Weights as [O, phases, terms]: all that can meet in one output value.

    A transposed convolution of stride s applies to each output position only the
    taps of one of s x s phases.
    """
    if isinstance(layer, nn.Conv2d):
        return weight.reshape(len(weight), 1, -1)
    inputs, outputs, height, width = weight.shape
    stride = layer.stride[0]
    rows, columns = -(-height // stride) * stride, -(-width // stride) * stride
    padded = weight.new_zeros(inputs, outputs, rows, columns)
    padded[:, :, :height, :width] = weight
    split = padded.reshape(inputs, outputs, rows // stride, stride, columns // stride, stride)
    return split.permute(1, 3, 5, 0, 2, 4).reshape(outputs, stride * stride, -1)


def _from_columns(layer: nn.Conv2d | nn.ConvTranspose2d, columns: Tensor) -> Tensor:
    """Undo `_by_output`."""
    if isinstance(layer, nn.Conv2d):
        return columns.reshape(layer.weight.shape)
    inputs, outputs, height, width = layer.weight.shape
    stride = layer.stride[0]
    rows, across = -(-height // stride), -(-width // stride)
    split = columns.reshape(outputs, stride, stride, inputs, rows, across)
    whole = split.permute(3, 0, 4, 1, 5, 2).reshape(inputs, outputs, rows * stride, across * stride)
    return whole[:, :, :height, :width]


def _input_of_columns(layer: nn.Conv2d | nn.ConvTranspose2d, values: Tensor) -> Tensor:
    """A value for each input channel, spread over the terms of `_by_output`: [1 or O, 1, terms]."""
    if isinstance(layer, nn.Conv2d):
        taps = layer.weight.shape[2] * layer.weight.shape[3]
        if layer.groups > 1:  # depthwise: output channel o reads input channel o alone
            return values[:, None, None].expand(-1, 1, taps)
        return values.repeat_interleave(taps)[None, None]
    stride = layer.stride[0]
    rows = -(-layer.weight.shape[2] // stride)
    across = -(-layer.weight.shape[3] // stride)
    return values.repeat_interleave(rows * across)[None, None]
