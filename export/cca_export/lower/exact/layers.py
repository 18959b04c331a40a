"""Layers whose float32 outputs are integers that no engine can compute differently.

Every tensor between layers holds integers in float32. A sum stays below 2^24 in
units of its last place whatever the order of its terms, so blocking, fused
multiply-adds and thread counts cannot change it; rescaling is by powers of two
and rounded at once. docs/spec/exact.md specifies the arithmetic, layer by layer;
`cca_export.lower.exact.convert` proves the bounds for the integers of a given model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXACT_INTEGER = 1 << 24
"""Float32 represents every integer up to here."""


class Range(NamedTuple):
    """Smallest and largest value of a tensor's elements."""

    low: int
    high: int


def within(limit: int) -> Range:
    """The range of magnitudes up to `limit`."""
    return Range(-limit, limit)


# What a convolution reads has at most 11 bits and a sign, which TF32 operands hold.
# The wider the sum that follows, the fewer bits leave room for fine weights: 3x3
# kernels read 8 bits, 1x1 kernels 10 and 11.
SUPPORT = within(127)
"""Hyper-latents, supports, and a group's latents: read by 3x3 and 5x5 kernels."""

CONTEXT = within(511)
"""Latent means and scales, and the y_hat so far: read by the 1x1 convolution of a stack."""

INNER = within(1023)
"""Everything that is read inside a NAF stack."""

NORMALISED = within(1023)
RESIDUAL = within(4095)
"""Residual streams, and deviations from their mean."""

GELU_INPUT = within(2047)
GELU_OUTPUT = Range(-31, 224)
"""A GELU falls to -0.17 and no further, so 8 bits are best spent above zero."""

AVERAGE = within(2047)
ATTENTION = within(2047)


class ExactConvolution(nn.Module):
    """Floor(Clip(convolution)), the rounding and rescaling folded into weights and bias.

    With integer weights w, bias b and a shift k for each output channel, the
    buffers are weight = w 2^-k and bias = b 2^-k + 1/2 (without the half where
    k < 1), so that Floor rounds (w * x + b) 2^-k to the nearest integer.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, like: nn.Conv2d | nn.ConvTranspose2d, output: Range | None) -> None:
        super().__init__()
        self.transposed = isinstance(like, nn.ConvTranspose2d)
        self.stride, self.groups = like.stride[0], like.groups
        self.padding = int(like.padding[0])
        self.output = output
        self.register_buffer("weight", torch.zeros_like(like.weight))
        self.register_buffer("bias", torch.zeros(like.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Integers [N, I, H, W] to integers [N, O, H', W'], within `output` if it is not None."""
        if self.transposed:
            y = F.conv_transpose2d(
                x, self.weight, self.bias, self.stride, self.padding, self.stride - 1
            )
        else:
            y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        # Clipping to integers commutes with Floor, and engines merge it into the convolution.
        return torch.floor(y if self.output is None else y.clamp(*self.output))


class ExactRescale(nn.Module):
    """Clip(Round(x factor)) with a power of two for each channel; ties go to the even integer."""

    factor: Tensor

    def __init__(self, channels: int, output: Range) -> None:
        super().__init__()
        self.output = output
        self.register_buffer("factor", torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Integers [N, C, H, W] to integers within `output`."""
        return torch.round(x * self.factor).clamp(*self.output)


class ExactGate(nn.Module):
    """Product of the two halves of the channels, rescaled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rescale = ExactRescale(channels, INNER)

    def forward(self, x: Tensor) -> Tensor:
        """Integers [N, 2C, H, W] to integers [N, C, H, W] within `INNER`."""
        first, second = x.chunk(2, dim=1)
        rescaled: Tensor = self.rescale(first * second)
        return rescaled


class ExactGelu(nn.Module):
    """Floor(b x (1 + erf(a x)) + c), clipped, with constants for each channel.

    The one function that an engine evaluates itself. Its input is one of 4095
    integers; `cca_export.lower.exact.gelu` evaluates all of them and chooses c so that no
    value is nearer to a rounding boundary than several times any library's error.
    """

    erf_factor: Tensor
    factor: Tensor
    constant: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("erf_factor", "factor", "constant"):
            self.register_buffer(name, torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Integers within 2047 to integers from -31 to 224."""
        y = (x * self.factor) * (torch.erf(x * self.erf_factor) + 1.0) + self.constant
        return torch.floor(y).clamp(*GELU_OUTPUT)


class ExactTable(nn.Module):
    """A function of one integer, looked up: whatever it is, every engine has the same."""

    values: Tensor

    def __init__(self, low: int, entries: int) -> None:
        super().__init__()
        self.low = low
        self.register_buffer("values", torch.zeros(entries, 1))

    def forward(self, x: Tensor, values: Tensor | None = None) -> Tensor:
        """Integers from `low` to `low + entries - 1`, any shape, to the table's values.

        `values`, [entries, 1], stand in place of its own if a graph computes others from them.
        """
        index = (x if self.low == 0 else x - self.low).to(torch.int32)
        return F.embedding(index, self.values if values is None else values).squeeze(-1)


SEGMENT = 3840
_SEGMENT_STEPS = (1, 16, 256, 4096)
SQUARES_ENTRIES = SEGMENT * len(_SEGMENT_STEPS) + 1


class ExactLayerNorm(nn.Module):
    """Normalisation over channels, without its affine part, which the next layer absorbs.

        mean = Floor(sum(x) / C + 1/2 + o)      d = Clip(x - mean, +-4095)
        S = sum of Round(d^2 2^-k)                   n = Clip(Round(d T[S]), +-1023)

    S below 2^24 is looked up with a step that grows by 16 from segment to segment:
    1, then 16, 256, 4096, each for 3840 entries. T has entries r 2^-s with
    integers r < 2048 and s <= 20, so that the product is exact. o is 1/(2C) for
    even C and 0 for odd C: no sum is then nearer than 1/(2C) to a rounding boundary.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        # Whether the last clip can ever take hold: not if the table says otherwise.
        self.may_overflow = True
        self.square_factor = 2.0 ** -square_shift(channels)
        # As float32 rounds it: any engine divides by the same number.
        self.reciprocal = float(torch.tensor(1.0 / channels))
        self.half_up = float(torch.tensor(0.5 + (0 if channels % 2 else 0.5 / channels)))
        self.inverse_deviation = ExactTable(0, SQUARES_ENTRIES)
        starts = [SEGMENT * sum(_SEGMENT_STEPS[:i]) for i in range(len(_SEGMENT_STEPS))]
        factors = [1.0 / step for step in _SEGMENT_STEPS]
        offsets = [-start / step for start, step in zip(starts, _SEGMENT_STEPS, strict=True)]
        self.register_buffer("segment_factor", torch.tensor(factors)[:, None, None])
        self.register_buffer("segment_offset", torch.tensor(offsets)[:, None, None])

    segment_factor: Tensor
    segment_offset: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Integers [N, C, H, W] within `RESIDUAL` to integers within `NORMALISED`."""
        total = x.sum(1, keepdim=True)
        mean = torch.floor(total * self.reciprocal + self.half_up)
        deviation = (x - mean).clamp(*RESIDUAL)
        squares = torch.round(deviation * deviation * self.square_factor).sum(1, keepdim=True)
        normalised = torch.round(deviation * self.inverse_deviation(self.entry(squares)))
        if self.may_overflow:
            normalised = normalised.clamp(*NORMALISED)
        return normalised

    def entry(self, squares: Tensor) -> Tensor:
        """Where the table has sums S, [N, 1, H, W]: integers of the same shape."""
        segments = torch.floor(squares * self.segment_factor + self.segment_offset)
        return segments.clamp(0, SEGMENT).sum(1, keepdim=True)


def square_shift(channels: int) -> int:
    """K such that the sum of squares of `channels` largest deviations, times 2^-k, is below 2^24.

    One bit is left for the rounding of every square, which may add up to C/2.
    """
    largest = channels * (RESIDUAL.high**2)
    return max(0, math.ceil(math.log2(largest / (SEGMENT * sum(_SEGMENT_STEPS) - channels))))


def squares_of_entries() -> Tensor:
    """Middle of the values of S that share each entry of the inverse deviations' table."""
    starts = []
    first = 0.0
    for step in _SEGMENT_STEPS:
        starts.append(first + step * torch.arange(SEGMENT) + (step - 1) / 2)
        first += SEGMENT * step
    return torch.cat([*starts, torch.tensor([first])])


class AverageFactors(NamedTuple):
    """What stands for a division by the number of latents: scalars 2^-r, 2^-k and R 2^-t."""

    row: Tensor
    coarse: Tensor
    reciprocal: Tensor

    @classmethod
    def unpack(cls, averages: Tensor) -> AverageFactors:
        """From a graph's input: float32 [4], 2^-r, 2^-k, R, 2^-t."""
        row, coarse, reciprocal, fine = averages.unbind()
        return cls(row, coarse, reciprocal * fine)


class ExactAttention(nn.Module):
    """Simplified channel attention (NAFNet, section 3.3): scale channels by their averages.

    The mean over the picture is a sum times numbers that depend on the picture's size
    alone and come from outside, because a graph must not divide: factors are
    (2^-r, 2^-k, R, 2^-t) of docs/spec/exact.md, "Averages".

        rows = Round(sum over W 2^-r)            total = Round(sum of rows 2^-k)
        average = Clip(Round(total R 2^-t f))    y = Clip(Round(x attention(average) g))

    with powers of two f and g for each channel.
    """

    average_factor: Tensor
    factor: Tensor

    def __init__(self, like: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = ExactConvolution(like, ATTENTION)
        self.register_buffer("average_factor", torch.ones(like.in_channels, 1, 1))
        self.register_buffer("factor", torch.ones(like.out_channels, 1, 1))

    def forward(self, x: Tensor, factors: AverageFactors | None) -> Tensor:
        """Integers [N, C, H, W] to integers, all within `INNER`."""
        if factors is None:
            raise ValueError("a network with attention needs the averages' factors")
        # In two steps, so that no sum reaches 2^24 however large the picture is.
        rows = torch.round(x.sum(3, keepdim=True) * factors.row)
        total = torch.round(rows.sum(2, keepdim=True) * factors.coarse)
        average = torch.round(total * (factors.reciprocal * self.average_factor)).clamp(*AVERAGE)
        attention = self.convolution(average) * self.factor
        return torch.round(x * attention).clamp(*INNER)
