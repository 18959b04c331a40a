"""Start a network from the weights of another one that is narrower or has fewer blocks.

Where the donor's channel groups are the first of the network's own, the network starts
as the donor's function: what the donor lacks gets fresh weights but reaches nothing
that the donor had, because the weights that would carry it there start at zero. Their
gradients do not, so it is put to use after the first step.

Two things are not kept: the bits that new latents take, and, nearly, a layer
normalisation over more channels, whose statistics include the new ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from cca_export.families.cca.network import BottleneckBlock, CcaNetwork, ChannelLayerNorm, NafBlock
from torch import Tensor, nn

_NEW_LATENTS = 0.1
_NEW_SCALES = 0.12

Segments = Mapping[str, int]
"""Channels of a layer's input or output by what they hold, in order."""


class GraftError(ValueError):
    """The donor does not fit into the network. One line."""


def graft(network: CcaNetwork, donor: CcaNetwork) -> None:
    """Give `network` the weights of `donor`, in place.

    Of a donor whose groups are not, one by one, at most as large as the network's, only
    the transforms g_a and g_s are taken; all of the prior keeps its fresh start.

    Raises:
        GraftError: A layer of the donor is wider than the network's.
    """
    nested = _nested(network, donor)
    axes = {**_axes(network, nested), **_axes(donor, nested)}
    parts = [(network, donor)] if nested else [(network.g_a, donor.g_a), (network.g_s, donor.g_s)]
    with torch.no_grad():
        for own, given in parts:
            _graft(own, given, axes)
        _quieten_new_latents(network, donor)


def _nested(network: CcaNetwork, donor: CcaNetwork) -> bool:
    own, given = network.architecture.group_sizes, donor.architecture.group_sizes
    return len(given) <= len(own) and all(g <= o for g, o in zip(given, own, strict=False))


@dataclass(frozen=True)
class _Axes:
    outputs: Segments
    inputs: Segments


def _quieten_new_latents(network: CcaNetwork, donor: CcaNetwork) -> None:
    """Make them cost few bits: fresh ones are loud, to wake a hyperprior that is awake here."""
    latents = donor.architecture.latent_channels
    network.g_a.down[-1].get_parameter("weight")[latents:] *= _NEW_LATENTS
    for head in network.scale_cc_transforms[len(donor.architecture.groups) :]:
        head.get_submodule("4").get_parameter("bias").fill_(_NEW_SCALES)


def _axes(network: CcaNetwork, nested: bool) -> dict[nn.Module, _Axes]:
    """Segments of every convolution: gates have two halves, contexts several groups."""
    outputs: dict[nn.Module, Segments] = {}
    inputs: dict[nn.Module, Segments] = {}
    for block in network.modules():
        if isinstance(block, NafBlock):
            width = len(block.norm1.weight)
            for layer in (*block.dwconv, block.FFN[0]):
                outputs[layer] = {"first": width, "second": width}
    sizes = network.architecture.group_sizes
    latents = {f"y{g}": s for g, s in enumerate(sizes)} if nested else {"y": sum(sizes)}
    for layer in (network.g_a.down[-1], network.h_mean_s[-1], network.h_scale_s[-1]):
        outputs[layer] = latents
    for layer in (network.g_s.up[0], network.h_a[0]):
        inputs[layer] = latents
    for group, size in enumerate(sizes):
        context = {**latents, **{f"known{g}": s for g, s in enumerate(sizes[:group])}}
        for stack in (network.mean_NAF_transforms[group], network.scale_NAF_transforms[group]):
            inputs[stack.get_submodule("in_conv")] = context
            outputs[stack.get_submodule("out_conv")] = context
        for heads in (network.mean_cc_transforms, network.scale_cc_transforms):
            inputs[heads[group].get_submodule("0")] = context
        inputs[network.lrp_transforms[group].get_submodule("0")] = {**context, "own": size}
    return {
        layer: _Axes(
            outputs.get(layer, {"": layer.out_channels}),
            inputs.get(layer, {"": layer.in_channels // layer.groups}),
        )
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    }


def _graft(own: nn.Module, donor: nn.Module, axes: Mapping[nn.Module, _Axes]) -> None:
    if isinstance(own, nn.Conv2d | nn.ConvTranspose2d):
        _graft_convolution(own, donor, axes[own], axes[donor])
        return
    for name, parameter in own.named_parameters(recurse=False):
        given = donor.get_parameter(name)
        if any(g > o for g, o in zip(given.shape, parameter.shape, strict=True)):
            raise GraftError(
                f"the donor has {list(given.shape)} where the network has {list(parameter.shape)} "
                "channels: give it at least as many"
            )
        parameter[tuple(slice(size) for size in given.shape)] = given
    if isinstance(own, ChannelLayerNorm):
        # Silent channels would lower the variance by this ratio.
        kept = len(donor.get_parameter("weight"))
        own.weight[:kept] *= math.sqrt(kept / len(own.weight))
    for child, given_child in _paired_children(own, donor):
        if given_child is not None:
            _graft(child, given_child, axes)
        else:
            _silence(child)


def _paired_children(
    own: nn.Module, donor: nn.Module
) -> Iterator[tuple[nn.Module, nn.Module | None]]:
    """The n-th child of each type with the donor's n-th: blocks are added after its own."""
    for kind in dict.fromkeys(type(child) for child in own.children()):
        children = [child for child in own.children() if type(child) is kind]
        given = [child for child in donor.children() if type(child) is kind]
        if len(given) > len(children):
            raise GraftError(
                f"the donor has {len(given)} layers of type {kind.__name__} where the network "
                f"has {len(children)}: give it at least as many"
            )
        yield from itertools.zip_longest(children, given)


def _silence(block: nn.Module) -> None:
    """Make a new block the identity; a new channel group stays as it is."""
    if isinstance(block, NafBlock):
        block.beta.zero_()
        block.gamma.zero_()
    elif isinstance(block, BottleneckBlock):
        for parameter in block.conv3.parameters():
            parameter.zero_()


def _graft_convolution(own: nn.Module, donor: nn.Module, axes: _Axes, given: _Axes) -> None:
    rows, columns = _places(given.outputs, axes.outputs), _places(given.inputs, axes.inputs)
    transposed = isinstance(own, nn.ConvTranspose2d)
    weight, donated = own.get_parameter("weight"), donor.get_parameter("weight")
    if transposed:
        weight, donated = weight.transpose(0, 1), donated.transpose(0, 1)
    weight[rows] = 0
    weight[rows[:, None], columns] = donated
    own.get_parameter("bias")[rows] = donor.get_parameter("bias")


def _places(given: Segments, own: Segments) -> Tensor:
    """Where the donor's channels are among the network's own, int64."""
    starts = dict(zip(own, itertools.accumulate(own.values(), initial=0), strict=False))
    for name, size in given.items():
        if size > own[name]:
            raise GraftError(
                f"the donor has {size} channels where the network has {own[name]}: "
                "give it at least as many"
            )
    return torch.cat([torch.arange(size) + starts[name] for name, size in given.items()])
