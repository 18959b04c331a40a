"""Weights from which training a CCA network is stable."""

from __future__ import annotations

import math

import torch
from cca_export.families.cca.architecture import Architecture
from cca_export.families.cca.network import (
    AnalysisTransform,
    CcaNetwork,
    FactorisedPrior,
    NafBlock,
    SynthesisTransform,
)
from torch import nn


def untrained(architecture: Architecture, seed: int) -> CcaNetwork:
    """A network to train from nothing, float32 on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CcaNetwork(architecture)
        with torch.no_grad():
            _spread_factorised_prior(network.z_entropy_bottleneck)
            _wake_transforms(network)
            _calm_prior(network)
    return network


def _spread_factorised_prior(prior: FactorisedPrior) -> None:
    """Cumulatives that rise from -10 to 10, as CompressAI starts them."""
    widths = [1, *(factor.shape[1] for factor in prior.factors), 1]
    scale = 10 ** (1 / len(prior.matrices))
    for matrix, outputs in zip(prior.matrices, widths[1:], strict=True):
        nn.init.constant_(matrix, math.log(math.expm1(1 / (scale * outputs))))
    for bias in prior.biases:
        nn.init.uniform_(bias, -0.5, 0.5)
    prior.quantiles.copy_(torch.tensor([-10.0, 0.0, 10.0]).expand_as(prior.quantiles))


def _wake_transforms(network: CcaNetwork) -> None:
    # With default weights all latents round to zero and the hyperprior never learns anything.
    _last(network.g_a.down).weight.mul_(10)
    _last(network.h_a).weight.mul_(10)
    # Published networks start these gains at zero: blocks that do nothing, and learn late.
    for transform in (network.g_a, network.g_s):
        _open_naf_blocks(transform)


def _open_naf_blocks(transform: AnalysisTransform | SynthesisTransform) -> None:
    for module in transform.modules():
        if isinstance(module, NafBlock):
            module.beta.fill_(0.1)
            module.gamma.fill_(0.1)


def _calm_prior(network: CcaNetwork) -> None:
    for head in network.lrp_transforms:
        for parameter in _last(head).parameters():
            parameter.mul_(0.05)  # tanh saturates for good otherwise
    for head in network.scale_cc_transforms:
        nn.init.ones_(_last(head).get_parameter("bias"))


def _last(layers: nn.Module) -> nn.Conv2d:
    last = list(layers.children())[-1]
    assert isinstance(last, nn.Conv2d)
    return last
