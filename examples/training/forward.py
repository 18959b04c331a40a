"""One pass through the network as in training: noise for the rates, rounding for what follows.

Mixed quantisation (Minnen & Singh 2020, section 3.1): rates are those of latents
with uniform noise, transforms and contexts see rounded latents, and gradients
pass the rounding unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from cca_export.network import CcaNetwork
from torch import Tensor

from training.rates import factorised_bits, gaussian_bits


@dataclass(frozen=True)
class Pass:
    """What one pass gives.

    Attributes:
        image: Restored images, float32 [N, 3, H, W], unclamped.
        bits: Bits of all latents and hyper-latents of the batch, a scalar.
        group_bits: Bits of each channel group, scalars.
        context: What an auxiliary entropy model may see (`training.cca_loss`).
    """

    image: Tensor
    bits: Tensor
    group_bits: list[Tensor]
    context: Context


@dataclass(frozen=True)
class Context:
    """Hyperprior and latents of a pass.

    Attributes:
        means: Hyperprior of the means [N, M, h, w].
        scales: Hyperprior of the scales [N, M, h, w].
        noisy: Latents with noise, by group.
        decoded: Latents as the decoder knows them, by group.
    """

    means: Tensor
    scales: Tensor
    noisy: list[Tensor]
    decoded: list[Tensor]


def training_pass(network: CcaNetwork, images: Tensor, noise: torch.Generator) -> Pass:
    """Run `images` [N, 3, H, W], sides multiples of 64, through transforms and prior."""
    y = network.g_a(images)
    z = network.h_a(y)
    prior = network.z_entropy_bottleneck
    medians = prior.medians
    z_bits = factorised_bits(prior, _noisy(z, noise)).sum()
    z_hat = _rounded(z - medians) + medians
    means, scales = network.h_mean_s(z_hat), network.h_scale_s(z_hat)

    sizes = list(network.architecture.group_sizes)
    noisy = list(torch.split(_noisy(y, noise), sizes, 1))
    decoded: list[Tensor] = []
    group_bits: list[Tensor] = []
    for group, latents in enumerate(torch.split(y, sizes, 1)):
        support = network.mean_NAF_transforms[group](torch.cat((means, *decoded), 1))
        mean = network.mean_cc_transforms[group](support)
        scale_support = network.scale_NAF_transforms[group](torch.cat((scales, *decoded), 1))
        scale = network.scale_cc_transforms[group](scale_support)
        group_bits.append(gaussian_bits(noisy[group] - mean, scale).sum())
        quantised = _rounded(latents - mean) + mean
        residual = network.lrp_transforms[group](torch.cat((support, quantised), 1))
        decoded.append(quantised + 0.5 * torch.tanh(residual))
    image = network.g_s(torch.cat(decoded, 1))
    bits = z_bits + torch.stack(group_bits).sum()
    return Pass(image, bits, group_bits, Context(means, scales, noisy, decoded))


def _noisy(x: Tensor, noise: torch.Generator) -> Tensor:
    # On the generator's own device, so that every device draws the same noise.
    uniform = torch.rand(x.shape, generator=noise, device=noise.device)
    return x + (uniform - 0.5).to(x.device)


def _rounded(x: Tensor) -> Tensor:
    return x + (torch.round(x) - x).detach()
