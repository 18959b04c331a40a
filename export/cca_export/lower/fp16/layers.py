"""Layers between float16 tensors; what needs range or precision is float32 inside.

A tensor may be stored multiplied by a factor, a power of two, so that its values fit
float16. Factors are known when the network is converted: where a convolution reads or
writes such a tensor they are in its weights, elsewhere they are constants of the layer.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cca_export.families.cca.network import ChannelLayerNorm, NafBlock

Convolution = nn.Conv2d | nn.ConvTranspose2d


def scaled(x: Tensor, factor: float) -> Tensor:
    """`x` times a constant; no operation where that is 1."""
    return x if factor == 1 else x * factor


class ToFp16(nn.Module):
    """float32 to float16, stored by a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return scaled(x, self.factor).to(torch.float16)


class ToFloat(nn.Module):
    """float16, stored by a factor, to the values it stands for, float32."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return scaled(x.to(torch.float32), 1 / self.factor)


class FloatConvolution(nn.Module):
    """A convolution in float32 between float16 tensors: its weights do not fit float16."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """float16 to float16, [N, C, H, W]."""
        y: Tensor = self.convolution(x.to(torch.float32))
        return y.to(torch.float16)


class Fp16Norm(nn.Module):
    """Layer normalisation with float32 statistics of a float16 tensor."""

    def __init__(self, norm: ChannelLayerNorm, source: float, target: float) -> None:
        super().__init__()
        self.source = source
        self.norm = copy.deepcopy(norm)
        with torch.no_grad():
            self.norm.weight.mul_(target)
            self.norm.bias.mul_(target)

    def forward(self, x: Tensor) -> Tensor:
        """float16 to float16, [N, C, H, W]."""
        y: Tensor = self.norm(scaled(x.to(torch.float32), 1 / self.source))
        return y.to(torch.float16)


class WideGate(nn.Module):
    """A gate whose products, or whose factors, do not fit float16 as they are."""

    def __init__(self, source: float, target: float) -> None:
        super().__init__()
        self.factor = target / source**2

    def forward(self, x: Tensor) -> Tensor:
        """float16 [N, 2C, H, W] to float16 [N, C, H, W]."""
        first, second = x.to(torch.float32).chunk(2, dim=1)
        return scaled(first * second, self.factor).to(torch.float16)


class Fp16Gelu(nn.Module):
    """GELU in float32 between float16 tensors."""

    def __init__(self, source: float, target: float) -> None:
        super().__init__()
        self.source, self.target = source, target

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        y = F.gelu(scaled(x.to(torch.float32), 1 / self.source))
        return scaled(y, self.target).to(torch.float16)


class Fp16Attention(nn.Module):
    """Simplified channel attention: averages over the picture and their weights in float32."""

    weights: nn.Module

    def __init__(self, sca: nn.Sequential, source: float, target: float) -> None:
        super().__init__()
        self.average, weights = copy.deepcopy(sca)
        self.weights = scaled_convolution(weights, target / source**2, target / source)

    def forward(self, gated: Tensor) -> Tensor:
        """float16 [N, C, H, W] times its attention, the same shape."""
        gated = gated.to(torch.float32)
        attended: Tensor = gated * self.weights(self.average(gated))
        return attended.to(torch.float16)


class Fp16Residual(nn.Module):
    """A branch on a float16 residual stream, whose factor may get smaller on the way."""

    def __init__(self, branch: nn.Module, ratio: float) -> None:
        super().__init__()
        self.branch, self.ratio = branch, ratio

    def forward(self, x: Tensor) -> Tensor:
        """float16 [N, C, H, W] to the same shape."""
        y: Tensor = scaled(x, self.ratio) + self.branch(x)
        return y


def scaled_convolution(convolution: nn.Module, weight: float, bias: float) -> Convolution:
    """A copy in float32 with its weights and biases multiplied."""
    result = copy.deepcopy(cast(Convolution, convolution)).requires_grad_(False)
    result.weight.mul_(weight)
    cast(Tensor, result.bias).mul_(bias)
    return result


def fold_gains(block: NafBlock) -> None:
    """Move the learned gains of the two residual branches into the convolutions before them."""
    last = cast(nn.Conv2d, block.FFN[2])
    with torch.no_grad():
        for convolution, gain in ((block.conv1, block.beta), (last, block.gamma)):
            convolution.weight.mul_(gain.reshape(-1, 1, 1, 1))
            cast(Tensor, convolution.bias).mul_(gain.flatten())
            gain.fill_(1)
