"""One pass through the network as in training: noise for the rates, rounding for what follows.

Mixed quantisation (Minnen & Singh 2020, section 3.1): rates are those of latents
with uniform noise, transforms and contexts see rounded latents, and gradients
pass the rounding unchanged. Each picture may have a quantisation step of its own:
latents are then rounded to multiples of it, counted from their means.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from cca_export.families.cca.network import CcaNetwork
from torch import Tensor

from training.processes import Share
from training.rates import factorised_bits, gaussian_bits


@dataclass(frozen=True)
class Pass:
    """What one pass gives.

    Attributes:
        image: Restored images, float32 [N, 3, H, W], unclamped.
        bits: Bits of all latents and hyper-latents of each picture, [N].
        group_bits: Bits of each channel group, each [N].
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
        steps: Quantisation steps [N, 1, 1, 1].
    """

    means: Tensor
    scales: Tensor
    noisy: list[Tensor]
    decoded: list[Tensor]
    steps: Tensor


def training_pass(
    network: CcaNetwork,
    images: Tensor,
    noise: torch.Generator,
    steps: Tensor | None = None,
    share: Share | None = None,
) -> Pass:
    """Run pictures through transforms and prior.

    Args:
        network: On the device of `images`.
        images: float32 [N, 3, H, W] in [0, 1], sides multiples of 64.
        noise: Where the noise comes from.
        steps: Quantisation step of each picture, float32 [N]; 1 without them.
        share: What `images` are of a batch; noise is drawn for all of it. Without, they are all.
    """
    share = share or Share(0, 1, len(images))
    step = torch.ones(len(images), 1, 1, 1) if steps is None else steps.reshape(-1, 1, 1, 1)
    step = step.to(images.device)
    y = network.g_a(images)
    z = network.h_a(y)
    prior = network.z_entropy_bottleneck
    medians = prior.medians
    z_bits = _of_pictures(factorised_bits(prior, _noisy(z, noise, share)))
    z_hat = _rounded(z - medians) + medians
    means, scales = network.h_mean_s(z_hat), network.h_scale_s(z_hat)

    sizes = list(network.architecture.group_sizes)
    noisy = list(torch.split(_noisy(y, noise, share, step), sizes, 1))
    decoded: list[Tensor] = []
    group_bits: list[Tensor] = []
    for group, latents in enumerate(torch.split(y, sizes, 1)):
        support = network.mean_NAF_transforms[group](torch.cat((means, *decoded), 1))
        mean = network.mean_cc_transforms[group](support)
        scale_support = network.scale_NAF_transforms[group](torch.cat((scales, *decoded), 1))
        scale = network.scale_cc_transforms[group](scale_support)
        residual = (noisy[group] - mean) / step
        group_bits.append(_of_pictures(gaussian_bits(residual, scale / step)))
        quantised = step * _rounded((latents - mean) / step) + mean
        correction = network.lrp_transforms[group](torch.cat((support, quantised), 1))
        decoded.append(quantised + step * 0.5 * torch.tanh(correction))
    image = network.g_s(torch.cat(decoded, 1))
    bits = z_bits + torch.stack(group_bits).sum(0)
    return Pass(image, bits, group_bits, Context(means, scales, noisy, decoded, step))


def _of_pictures(values: Tensor) -> Tensor:
    """Sums over everything but the first axis."""
    return values.flatten(1).sum(1)


def _noisy(x: Tensor, noise: torch.Generator, share: Share, width: Tensor | float = 1.0) -> Tensor:
    # On the generator's own device, so that every device draws the same noise.
    shape = (share.pictures, *x.shape[1:])
    uniform = share.of(torch.rand(shape, generator=noise, device=noise.device))
    return x + width * (uniform - 0.5).to(x.device)


def _rounded(x: Tensor) -> Tensor:
    return x + (torch.round(x) - x).detach()
