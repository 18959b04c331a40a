"""The network's float graphs in the operators that engines run fastest; the same function.

Training and checkpoints have the published form. What is exported differs in four ways:

- Scales and shifts of normalisations, and gains of residual branches, are in the
  convolutions next to them.
- The halves of a gate are convolutions of their own: nothing has to be split.
- Means over channels are 1x1 convolutions. Engines keep tensors in layouts made for
  convolutions, which a normalisation over the last axis leaves and enters again.
- A transposed convolution is a convolution at its input's size, whose channels become
  pixels (Shi et al. 2016, section 3.2): 36 taps instead of 25, on the faster kernel.

What each is worth: `benchmarks/results/folding.md`.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cca_export.families.cca.network import LAYER_NORM_EPSILON, ChannelLayerNorm, NafBlock
from cca_export.graphs import CodecGraph

_SCALE = 2
# Of a 5x5 kernel with stride 2 and padding 2, these rows (columns) meet the output's even and
# odd rows, for the input's rows -1, 0 and 1 around them.
_KERNEL = 5
_ROWS_OF_PHASES = ((4, 2, 0), (None, 3, 1))


def folded(graph: CodecGraph) -> CodecGraph:
    """A float graph as it is exported; exact graphs are returned as they are."""
    if graph.exact:
        return graph
    module = copy.deepcopy(graph.module).requires_grad_(False)
    _fold_inside(module)
    return replace(graph, module=module)


def _fold_inside(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, NafBlock):
            module.register_module(name, FoldedNafBlock(child))
        elif isinstance(child, nn.ConvTranspose2d) and child.stride == (_SCALE, _SCALE):
            module.register_module(name, SubPixelConvolution(child))
        else:
            _fold_inside(child)


class SubPixelConvolution(nn.Module):
    """A transposed 5x5 convolution of stride 2 as a 3x3 convolution and a pixel shuffle."""

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        inputs, outputs, *kernel = transposed.weight.shape
        if kernel != [_KERNEL, _KERNEL] or transposed.output_padding != (1, 1):
            raise ValueError(f"a transposed convolution of kernel {kernel} cannot be folded")
        weight = transposed.weight.new_zeros(outputs, _SCALE, _SCALE, inputs, 3, 3)
        for row_phase, rows in enumerate(_ROWS_OF_PHASES):
            for column_phase, columns in enumerate(_ROWS_OF_PHASES):
                for i, row in enumerate(rows):
                    for j, column in enumerate(columns):
                        if row is not None and column is not None:
                            tap = transposed.weight[:, :, row, column].T
                            weight[:, row_phase, column_phase, :, i, j] = tap
        bias = cast(Tensor, transposed.bias).repeat_interleave(_SCALE**2)
        self.convolution = _convolution(weight.reshape(-1, inputs, 3, 3), bias, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to [N, K, 2h, 2w]."""
        return F.pixel_shuffle(self.convolution(x), _SCALE)


class Normalisation(nn.Module):
    """Layer normalisation over channels, without scale and shift."""

    averages: Tensor

    def __init__(self, channels: int, dtype: torch.dtype) -> None:
        super().__init__()
        averages = torch.full((1, channels, 1, 1), 1 / channels, dtype=dtype)
        self.register_buffer("averages", averages)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        deviation = x - F.conv2d(x, self.averages)
        variance = F.conv2d(deviation * deviation, self.averages)
        return deviation * torch.rsqrt(variance + LAYER_NORM_EPSILON)


class GatedBranch(nn.Module):
    """A normalisation, convolutions, and the product of the two halves of their channels."""

    def __init__(
        self, norm: ChannelLayerNorm, pointwise: nn.Conv2d, depthwise: nn.Conv2d | None = None
    ) -> None:
        super().__init__()
        self.norm = Normalisation(pointwise.in_channels, pointwise.weight.dtype)
        matrix = pointwise.weight.flatten(1)
        weight = (matrix * norm.weight)[:, :, None, None]
        bias = cast(Tensor, pointwise.bias) + matrix @ norm.bias
        first, second = (
            [_convolution(*half)] for half in zip(weight.chunk(2), bias.chunk(2), strict=True)
        )
        if depthwise is not None:
            weights, biases = depthwise.weight.chunk(2), cast(Tensor, depthwise.bias).chunk(2)
            for half, w, b in zip((first, second), weights, biases, strict=True):
                half.append(_convolution(w, b, padding=1, groups=len(w)))
        self.first, self.second = nn.Sequential(*first), nn.Sequential(*second)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        x = self.norm(x)
        product: Tensor = self.first(x) * self.second(x)
        return product


class FoldedNafBlock(nn.Module):
    """A NAF block without constants of its own."""

    def __init__(self, block: NafBlock) -> None:
        super().__init__()
        pointwise, depthwise = cast(list[nn.Conv2d], list(block.dwconv))
        self.attended = GatedBranch(block.norm1, pointwise, depthwise)
        self.attention = block.sca
        self.first_residual = _scaled(block.conv1, block.beta)
        self.fed_forward = GatedBranch(block.norm2, cast(nn.Conv2d, block.FFN[0]))
        self.second_residual = _scaled(cast(nn.Conv2d, block.FFN[2]), block.gamma)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        gated = self.attended(x)
        x = x + self.first_residual(gated * self.attention(gated))
        residual: Tensor = self.second_residual(self.fed_forward(x))
        return x + residual


def _scaled(convolution: nn.Conv2d, gain: Tensor) -> nn.Conv2d:
    """A 1x1 convolution whose outputs, [N, C, H, W], are multiplied by a gain [1, C, 1, 1]."""
    gain = gain.flatten()
    bias = cast(Tensor, convolution.bias)
    return _convolution(convolution.weight * gain[:, None, None, None], bias * gain)


def _convolution(weight: Tensor, bias: Tensor, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    outputs, inputs, kernel, _ = weight.shape
    made = nn.Conv2d(inputs * groups, outputs, kernel, padding=padding, groups=groups)
    made.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    made.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return made
