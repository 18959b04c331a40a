"""A network whose ordinary codec is another network's at a coarser or finer quantisation step.

Coding latents y in steps of D is coding y / D in steps of 1. So the layers that give
latents, means or scales are divided by D, those that take latents are multiplied by it,
and LRP, whose result is in steps, stays. The copy is a checkpoint like any other.
"""

from __future__ import annotations

import copy

import torch
from cca_export.families.cca.network import CcaNetwork
from torch import nn


def at_step(network: CcaNetwork, step: float) -> CcaNetwork:
    """A copy of `network` that codes with the quantisation step `step` where it codes with 1."""
    scaled = copy.deepcopy(network)
    scaled.finest_step = min(1.0, network.finest_step / step)
    with torch.no_grad():
        heads = (*scaled.mean_cc_transforms, *scaled.scale_cc_transforms)
        for layer in (scaled.g_a.down[-1], *(head.get_submodule("4") for head in heads)):
            for parameter in layer.parameters():
                parameter.div_(step)
        for layer, first in _latent_inputs(scaled):
            # The first axis of a transposed convolution is its input.
            axis = 0 if isinstance(layer, nn.ConvTranspose2d) else 1
            weight = layer.get_parameter("weight")
            weight.narrow(axis, first, weight.shape[axis] - first).mul_(step)
    return scaled


def _latent_inputs(network: CcaNetwork) -> list[tuple[nn.Module, int]]:
    """Layers that take latents, and the first channel that is one: hyperpriors come before."""
    hyperpriors = network.architecture.latent_channels
    starts = network.architecture.group_starts
    layers: list[tuple[nn.Module, int]] = [
        (network.g_s.up[0], 0),
        (network.h_a.get_submodule("0"), 0),
    ]
    for stacks in (network.mean_NAF_transforms, network.scale_NAF_transforms):
        layers += [(stack.get_submodule("in_conv"), hyperpriors) for stack in stacks]
    layers += [
        (lrp.get_submodule("0"), hyperpriors + start)
        for lrp, start in zip(network.lrp_transforms, starts, strict=False)
    ]
    return layers
