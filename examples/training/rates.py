"""Ideal code lengths that a gradient can follow: Gaussian latents, factorised hyper-latents."""

from __future__ import annotations

import math
from typing import Any

import torch
from cca_export.families.cca.network import FactorisedPrior
from cca_export.tables import SMALLEST_SCALE, TAIL_MASS, cumulative_logits
from torch import Tensor

_SMALLEST_LIKELIHOOD = 1e-5
_LOG_TWO = math.log(2)


class _ScaleBound(torch.autograd.Function):
    """max(scale, SMALLEST_SCALE), below the bound passing only gradients that raise the scale.

    A plain maximum has no gradient there, so a scale that once fell below never returns; no bound
    on gradients lets it drift ever further down.
    """

    @staticmethod
    def forward(ctx: Any, scales: Tensor) -> Tensor:
        ctx.save_for_backward(scales)
        return scales.clamp_min(SMALLEST_SCALE)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (scales,) = ctx.saved_tensors
        passed: Tensor = gradient * ((scales >= SMALLEST_SCALE) | (gradient < 0))
        return passed


def gaussian_bits(residual: Tensor, scales: Tensor) -> Tensor:
    """Bits of latents under Gaussians integrated over unit intervals (Balle et al. 2018).

    Args:
        residual: Latents, noisy or rounded, less their means; any shape.
        scales: Standard deviations, unbounded as the network gives them; the same shape.

    Returns:
        float32 of the same shape.
    """
    bounded: Tensor = _ScaleBound.apply(scales)  # type: ignore[no-untyped-call]
    distance = residual.abs()
    # Both edges on the lower tail, where erfc keeps its relative precision.
    upper = torch.erfc((distance - 0.5) / (bounded * math.sqrt(2)))
    lower = torch.erfc((distance + 0.5) / (bounded * math.sqrt(2)))
    likelihood = 0.5 * (upper - lower)
    # Far out the integral underflows and its gradient vanishes; the density's does not.
    density = 0.5 * (distance / bounded) ** 2 + torch.log(bounded * math.sqrt(2 * math.pi))
    safe = -torch.log(likelihood.clamp_min(_SMALLEST_LIKELIHOOD))
    return torch.where(likelihood > _SMALLEST_LIKELIHOOD, safe, density) / _LOG_TWO


def factorised_bits(prior: FactorisedPrior, z: Tensor) -> Tensor:
    """Bits of hyper-latents [N, Z, h, w] under their factorised prior (Balle et al. 2018, 6.1).

    float32 of the same shape.
    """
    values = z.transpose(0, 1).flatten(1).unsqueeze(1)
    lower = cumulative_logits(prior, values - 0.5)
    upper = cumulative_logits(prior, values + 0.5)
    # On the side of the smaller sigmoid, so that two values near 1 are never subtracted.
    sign = -torch.sign(lower + upper).detach()
    likelihood = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()
    bits = -torch.log(likelihood.clamp_min(1e-9)) / _LOG_TWO
    return bits.reshape(z.transpose(0, 1).shape).transpose(0, 1)


def quantile_loss(prior: FactorisedPrior) -> Tensor:
    """How far the quantiles are from the tails and the median; gradients reach only them."""
    tail = math.log(2 / TAIL_MASS - 1)
    target = torch.tensor([-tail, 0.0, tail], device=prior.quantiles.device)
    return (cumulative_logits(prior, prior.quantiles) - target).abs().sum()
