"""The small CCA network, and weights from which its training is stable."""

from __future__ import annotations

import math

import torch
from cca_export.architecture import Architecture, GroupShape, NafStackShape, TransformShape
from cca_export.network import (
    AnalysisTransform,
    CcaNetwork,
    FactorisedPrior,
    NafBlock,
    SynthesisTransform,
)
from torch import nn

# 96 latent channels, half the length of these, cannot hold what 0.5 bits per pixel pay for: the
# best linear 16x16 transform with as many coefficients ends at 24 dB on china and 33 dB on flower.
# The groups keep the published proportions, 2^1.7 : 3^1.7 and so on.
_GROUPS = (9, 29, 58, 96)
_HIDDEN = (32, 32)
_PRIOR_NAF = NafStackShape(width=40, blocks=1)

SMALL = Architecture(
    latent_channels=sum(_GROUPS),
    hyper_channels=48,
    analysis=TransformShape((32, 48, 64), naf_blocks=(1, 1, 1), bottleneck_blocks=(3, 3, 3)),
    synthesis=TransformShape((64, 48, 32), naf_blocks=(1, 1, 1), bottleneck_blocks=(3, 3, 3)),
    hyper_analysis=(48, 48),
    hyper_means=(48, 48),
    hyper_scales=(48, 48),
    factorised_filters=(3, 3, 3, 3),
    groups=tuple(
        GroupShape(channels, _PRIOR_NAF, _PRIOR_NAF, _HIDDEN, _HIDDEN, _HIDDEN)
        for channels in _GROUPS
    ),
)
"""3.1 million parameters."""


def graft(network: CcaNetwork, donor: CcaNetwork) -> None:
    """Give `network` the transforms g_a and g_s of a donor with equal or narrower layers.

    Channels that the donor lacks, and all of the prior, keep their fresh start.
    """
    weights = network.state_dict()
    with torch.no_grad():
        for name, given in donor.state_dict().items():
            if name.startswith(("g_a.", "g_s.")):
                weights[name][tuple(slice(size) for size in given.shape)] = given


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
