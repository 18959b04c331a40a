"""The CCA network in plain PyTorch, parameter names as in published checkpoints.

Han et al., *Causal Context Adjustment Loss for Learned Image Compression*
(NeurIPS 2024), section 4 and figure 3. Only what a codec computes is here: no
training losses, no entropy coding. All tensors are float32, NCHW.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cca_export.families.cca.architecture import (
    STAGES,
    Architecture,
    GroupShape,
    NafStackShape,
    TransformShape,
)

_IMAGE_CHANNELS = 3
LAYER_NORM_EPSILON = 1e-6


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def _transposed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, output_padding=stride - 1
    )


class ChannelLayerNorm(nn.Module):
    """Layer normalisation over the channels of each position (NAFNet, section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` [N, C, H, W] with the biased variance of its C channels."""
        # The standard operator, which float16 graphs keep: TensorRT has a kernel for it.
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.weight.shape, self.weight, self.bias, LAYER_NORM_EPSILON)
        return x.permute(0, 3, 1, 2)


class SimpleGate(nn.Module):
    """Product of the two halves of the channels (NAFNet, section 3.3)."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 2C, H, W] to [N, C, H, W]."""
        first, second = x.chunk(2, dim=1)
        return first * second


class GlobalAverage(nn.Module):
    """Mean over the picture, one value a channel."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, 1, 1]."""
        # Adaptive pooling computes the same but exports as strided indexing.
        return x.mean((2, 3), keepdim=True)


class NafBlock(nn.Module):
    """Nonlinear-activation-free block (Chen et al., *Simple Baselines for Image Restoration*).

    A gated depthwise convolution with simplified channel attention (SCA, a global
    average over the picture), then a gated feed-forward part, each on a residual
    branch with a learned gain.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm(width)
        self.dwconv = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
        )
        self.gate = SimpleGate()
        self.sca = nn.Sequential(GlobalAverage(), nn.Conv2d(width, width, 1))
        self.conv1 = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.norm2 = ChannelLayerNorm(width)
        self.FFN = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), SimpleGate(), nn.Conv2d(width, width, 1)
        )
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] to the same shape."""
        gated: Tensor = self.gate(self.dwconv(self.norm1(x)))
        x = x + self.conv1(gated * self.sca(gated)) * self.beta
        fed_forward: Tensor = self.FFN(self.norm2(x))
        return x + fed_forward * self.gamma


class BottleneckBlock(nn.Module):
    """Residual bottleneck of 1x1, 3x3 and 1x1 convolutions at half the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _convolution(width, width // 2, 1)
        self.conv2 = _convolution(width // 2, width // 2, 3)
        self.conv3 = _convolution(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] to the same shape."""
        residual: Tensor = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return x + residual


class AnalysisTransform(nn.Module):
    """g_a: strided 5x5 convolutions, each stage followed by bottlenecks, then NAF blocks."""

    def __init__(self, shape: TransformShape, latent_channels: int) -> None:
        super().__init__()
        channels = (_IMAGE_CHANNELS, *shape.widths, latent_channels)
        self.down = nn.ModuleList(
            _convolution(channels[i], channels[i + 1], 5, 2) for i in range(STAGES + 1)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(BottleneckBlock(width) for _ in range(bottlenecks)),
                *(NafBlock(width) for _ in range(nafs)),
            )
            for width, bottlenecks, nafs in zip(
                shape.widths, shape.bottleneck_blocks, shape.naf_blocks, strict=True
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Image [N, 3, H, W] in [0, 1] to latents [N, M, H/16, W/16]."""
        for down, blocks in zip(self.down, self.blocks, strict=False):
            x = blocks(down(x))
        latents: Tensor = self.down[STAGES](x)
        return latents


class SynthesisTransform(nn.Module):
    """g_s: transposed 5x5 convolutions, each stage followed by NAF blocks, then bottlenecks."""

    def __init__(self, shape: TransformShape, latent_channels: int) -> None:
        super().__init__()
        channels = (latent_channels, *shape.widths, _IMAGE_CHANNELS)
        self.up = nn.ModuleList(
            _transposed(channels[i], channels[i + 1], 5, 2) for i in range(STAGES + 1)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(NafBlock(width) for _ in range(nafs)),
                *(BottleneckBlock(width) for _ in range(bottlenecks)),
            )
            for width, bottlenecks, nafs in zip(
                shape.widths, shape.bottleneck_blocks, shape.naf_blocks, strict=True
            )
        )

    def forward(self, y_hat: Tensor) -> Tensor:
        """Latents [N, M, h, w] to an image [N, 3, 16h, 16w], nominally in [0, 1]."""
        for up, blocks in zip(self.up, self.blocks, strict=False):
            y_hat = blocks(up(y_hat))
        image: Tensor = self.up[STAGES](y_hat)
        return image


class NafStack(nn.Module):
    """NAF blocks between 1x1 convolutions with one long residual: gathers a group's context."""

    def __init__(self, channels: int, shape: NafStackShape) -> None:
        super().__init__()
        self.in_conv = nn.Conv2d(channels, shape.width, 1)
        self.blocks = nn.ModuleList(NafBlock(shape.width) for _ in range(shape.blocks))
        self.out_conv = nn.Conv2d(shape.width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to the same shape."""
        identity = self.in_conv(x)
        x = identity
        for block in self.blocks:
            x = block(x)
        gathered: Tensor = self.out_conv(x + identity)
        return gathered


class FactorisedPrior(nn.Module):
    """Parameters of the factorised prior on the hyper-latents (Balle et al. 2018, appendix 6.1).

    The cumulative of each channel is a small monotone network: `matrices`, `biases`
    and `factors` are its layers, `quantiles` [Z, 1, 3] its lower tail, median and
    upper tail. `cca_export.tables` evaluates it.
    """

    def __init__(self, channels: int, filters: Sequence[int]) -> None:
        super().__init__()
        widths = (1, *filters, 1)
        layers = range(len(widths) - 1)
        self.matrices = nn.ParameterList(
            torch.zeros(channels, widths[i + 1], widths[i]) for i in layers
        )
        self.biases = nn.ParameterList(torch.zeros(channels, widths[i + 1], 1) for i in layers)
        self.factors = nn.ParameterList(torch.zeros(channels, width, 1) for width in filters)
        self.quantiles = nn.Parameter(torch.zeros(channels, 1, 3))

    @property
    def medians(self) -> Tensor:
        """Median of each channel, [Z, 1, 1]: what hyper-latents are rounded against."""
        return self.quantiles[:, :, 1:2].detach()


def _hyper_analysis(latents: int, hidden: tuple[int, int], hyper: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(latents, hidden[0], 3),
        nn.GELU(),
        _convolution(hidden[0], hidden[1], 5, 2),
        nn.GELU(),
        _convolution(hidden[1], hyper, 5, 2),
    )


def _hyper_synthesis(hyper: int, hidden: tuple[int, int], latents: int) -> nn.Sequential:
    return nn.Sequential(
        _transposed(hyper, hidden[0], 5, 2),
        nn.GELU(),
        _transposed(hidden[0], hidden[1], 5, 2),
        nn.GELU(),
        _transposed(hidden[1], latents, 3),
    )


def _head(inputs: int, hidden: tuple[int, int], outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, hidden[0], 3),
        nn.GELU(),
        _convolution(hidden[0], hidden[1], 3),
        nn.GELU(),
        _convolution(hidden[1], outputs, 3),
    )


class CcaNetwork(nn.Module):
    """The whole network; names of layers are the checkpoint's.

    Attributes:
        architecture: Its sizes.
        finest_step: The smallest quantisation step that it was trained for, above 0 and up to 1:
            its scales mean something down to 0.11 times it.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.finest_step = 1.0
        latents, hyper = architecture.latent_channels, architecture.hyper_channels
        self.g_a = AnalysisTransform(architecture.analysis, latents)
        self.g_s = SynthesisTransform(architecture.synthesis, latents)
        # Mean and scale hyperprior: Minnen et al. 2018, section 2.
        self.h_a = _hyper_analysis(latents, architecture.hyper_analysis, hyper)
        self.h_mean_s = _hyper_synthesis(hyper, architecture.hyper_means, latents)
        self.h_scale_s = _hyper_synthesis(hyper, architecture.hyper_scales, latents)
        self.z_entropy_bottleneck = FactorisedPrior(hyper, architecture.factorised_filters)
        # Channel groups and latent residual prediction: Minnen & Singh 2020, section 2.
        groups = list(zip(architecture.groups, architecture.group_starts, strict=False))

        def naf(shape: NafStackShape, start: int) -> NafStack:
            return NafStack(latents + start, shape)

        def lrp(group: GroupShape, start: int) -> nn.Sequential:
            return _head(latents + start + group.channels, group.lrp_head, group.channels)

        self.mean_NAF_transforms = nn.ModuleList(naf(g.mean_naf, start) for g, start in groups)
        self.scale_NAF_transforms = nn.ModuleList(naf(g.scale_naf, start) for g, start in groups)
        self.mean_cc_transforms = nn.ModuleList(
            _head(latents + start, g.mean_head, g.channels) for g, start in groups
        )
        self.scale_cc_transforms = nn.ModuleList(
            _head(latents + start, g.scale_head, g.channels) for g, start in groups
        )
        self.lrp_transforms = nn.ModuleList(lrp(g, start) for g, start in groups)
