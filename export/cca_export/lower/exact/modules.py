"""The prior's networks from exact layers, shaped like their float counterparts.

Attribute names follow `cca_export.families.cca.network`, so that a layer of the exact prior,
of the float prior and of the checkpoint has one name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cca_export.families.cca.network import NafBlock, NafStack
from cca_export.lower.exact.layers import (
    GELU_INPUT,
    INNER,
    RESIDUAL,
    SUPPORT,
    AverageFactors,
    ExactAttention,
    ExactConvolution,
    ExactGate,
    ExactGelu,
    ExactLayerNorm,
    ExactRescale,
    ExactTable,
    Range,
)

MEAN_BITS = 6
"""Means are multiples of 2^-6."""

MEANS = Range(-(1 << 21), 1 << 21)

SCALE_BITS = 9
"""Scales are multiples of 2^-9, up to the largest of the table, 256."""

SCALES = Range(0, 1 << 17)

LRP_BITS = 7
"""Latent residual predictions, and y_hat with them, are multiples of 2^-7."""

LRP_INPUT = Range(-511, 511)
"""Arguments of the tanh, multiples of 2^-7 as well."""


class ExactNafBlock(nn.Module):
    """A NAF block on a residual stream of integers within `RESIDUAL`."""

    def __init__(self, like: NafBlock) -> None:
        super().__init__()
        width = like.conv1.out_channels
        self.norm1 = ExactLayerNorm(width)
        self.dwconv = nn.Sequential(
            *(ExactConvolution(convolution, INNER) for convolution in like.dwconv)  # type: ignore[arg-type]
        )
        self.gate = ExactGate(width)
        self.sca = ExactAttention(like.sca[1])  # type: ignore[arg-type]
        self.conv1 = ExactConvolution(like.conv1, None)
        self.norm2 = ExactLayerNorm(width)
        expand, _, reduce = like.FFN
        self.FFN = nn.Sequential(
            ExactConvolution(expand, INNER),  # type: ignore[arg-type]
            ExactGate(width),
            ExactConvolution(reduce, None),  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor, averages: AverageFactors | None) -> Tensor:
        """Residual stream [N, width, H, W] to the same."""
        gated = self.gate(self.dwconv(self.norm1(x)))
        x = (x + self.conv1(self.sca(gated, averages))).clamp(*RESIDUAL)
        out: Tensor = (x + self.FFN(self.norm2(x))).clamp(*RESIDUAL)
        return out


class ExactNafStack(nn.Module):
    """NAF blocks between 1x1 convolutions; from `CONTEXT` to `SUPPORT`."""

    def __init__(self, like: NafStack) -> None:
        super().__init__()
        self.in_conv = ExactConvolution(like.in_conv, RESIDUAL)
        self.blocks = nn.ModuleList(ExactNafBlock(block) for block in like.blocks)  # type: ignore[arg-type]
        self.rescale = ExactRescale(like.in_conv.out_channels, INNER)
        self.out_conv = ExactConvolution(like.out_conv, SUPPORT)

    def forward(self, x: Tensor, averages: AverageFactors | None) -> Tensor:
        """Context [N, channels, h, w] to support of the same shape."""
        identity = self.in_conv(x)
        x = identity
        for block in self.blocks:
            x = block(x, averages)
        support: Tensor = self.out_conv(self.rescale(x + identity))
        return support


class ExactHead(nn.Sequential):
    """Three convolutions with GELUs between them: a head, or a hyper-synthesis."""

    def __init__(self, like: nn.Sequential, output: Range) -> None:
        first, _, second, _, last = like
        super().__init__(
            ExactConvolution(first, GELU_INPUT),  # type: ignore[arg-type]
            ExactGelu(first.out_channels),  # type: ignore[arg-type]
            ExactConvolution(second, GELU_INPUT),  # type: ignore[arg-type]
            ExactGelu(second.out_channels),  # type: ignore[arg-type]
            ExactConvolution(last, output),  # type: ignore[arg-type]
        )


class ExactLrp(nn.Module):
    """Latent residual prediction: 0.5 tanh of a head, times the step, in multiples of 2^-7."""

    def __init__(self, like: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.rescale = ExactRescale(channels, SUPPORT)
        self.head = ExactHead(like, LRP_INPUT)
        self.tanh = ExactTable(LRP_INPUT.low, LRP_INPUT.high - LRP_INPUT.low + 1)
        arguments = torch.arange(LRP_INPUT.low, LRP_INPUT.high + 1, dtype=torch.float64)
        halves = 0.5 * torch.tanh(arguments * 2.0**-LRP_BITS)
        self.tanh.values = torch.round(halves * 2**LRP_BITS).to(torch.float32)[:, None]

    def forward(self, support: Tensor, quantised: Tensor, step: Tensor) -> Tensor:
        """Mean support (integers) and step symbols + means (real) to y_hat of the group (real)."""
        argument = self.head(torch.cat((support, self.rescale(quantised)), 1))
        # The table has fewer entries than there are latents: so the step costs next to nothing.
        predictions = torch.floor(self.tanh.values * step + 0.5) * 2.0**-LRP_BITS
        y_hat: Tensor = quantised + self.tanh(argument, predictions)
        return y_hat
