"""A network whose convolutions are float16, and where it had to give way to wide ranges.

Between convolutions tensors are float16 as well, the residual streams included: that is
what a GPU's memory has to carry. Each is stored as it is where its largest magnitude on the
calibration pictures leaves room, otherwise by a power of two, so that pictures with
`HEADROOM` times these magnitudes do not overflow either (docs/guide/precision.md).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn

from cca_export.families.cca.network import (
    BottleneckBlock,
    CcaNetwork,
    ChannelLayerNorm,
    NafBlock,
    NafStack,
    SimpleGate,
)
from cca_export.lower.fp16.layers import (
    FloatConvolution,
    Fp16Attention,
    Fp16Gelu,
    Fp16Norm,
    Fp16Residual,
    ToFloat,
    ToFp16,
    WideGate,
    fold_gains,
    scaled_convolution,
)
from cca_export.lower.fp16.ranges import Ranges, larger

HEADROOM = 8
"""How far beyond the calibration pictures' a magnitude may go before it overflows."""

_LARGEST = 65504 / HEADROOM
_SMALLEST = 2.0**-6
"""Smaller tensors are stored by a larger factor: float16 has 10 bits down to 2^-14 only."""

_WEIGHT_ERROR = 2.0**-10
"""Root mean square error of float16 weights, relative; of ordinary ones it is below 2^-12."""

_LEVELS = 255.0


class RangeError(ValueError):
    """The network itself overflows. One line."""


@dataclass(frozen=True)
class Fp16Places:
    """What a conversion decided, by the names of layers in the network.

    Attributes:
        convolutions: How many convolutions were converted.
        scaled: The factors that tensors are stored by, other than 1, by where they come from.
        kept: Convolutions that stayed float32.
    """

    convolutions: int
    scaled: Mapping[str, float]
    kept: Sequence[str]


def fp16_network(
    network: CcaNetwork, ranges: Ranges, *, prior: bool
) -> tuple[CcaNetwork, Fp16Places]:
    """Convert the transforms, and the float prior if asked for.

    Args:
        network: Stays as it is.
        ranges: Observed of this network. Without any (`Ranges()`) all is stored as it is.
        prior: Whether to convert the prior as well.

    Returns:
        A network with the same attributes, which takes and gives float32, and what was decided.

    Raises:
        RangeError: A magnitude is infinite or not a number in float32 already.
    """
    fp16 = copy.deepcopy(network).eval()
    for module in fp16.modules():
        if isinstance(module, NafBlock):
            fold_gains(module)
    converter = _Converter(ranges)
    converter.transforms(fp16)
    if prior:
        converter.prior(fp16)
    return fp16.requires_grad_(False), converter.places()


def factor(largest: float) -> float:
    """The power of two to store a tensor by: 1 where its `largest` magnitude suits float16."""
    if largest > _LARGEST:
        return 2.0 ** math.floor(math.log2(_LARGEST / largest))
    if 0 < largest < _SMALLEST:
        return 2.0 ** math.floor(-math.log2(largest))
    return 1.0


class _Converter:
    """Replaces the modules of a network in place."""

    def __init__(self, ranges: Ranges) -> None:
        self._seen = ranges
        self._convolutions = 0
        self._scaled: dict[str, float] = {}
        self._kept: list[str] = []

    def places(self) -> Fp16Places:
        return Fp16Places(self._convolutions, self._scaled, self._kept)

    def transforms(self, network: CcaNetwork) -> None:
        # Pixels are integers again, which float16 holds, where their division by 255 is undone.
        self._transform("g_a", "down", network.g_a, _LEVELS)
        latents = self._factor("g_s, input", self._seen.input("g_s.up.0"))
        self._transform("g_s", "up", network.g_s, latents)
        network.h_a = self._head("h_a", network.h_a)

    def prior(self, network: CcaNetwork) -> None:
        network.h_mean_s = self._head("h_mean_s", network.h_mean_s)
        network.h_scale_s = self._head("h_scale_s", network.h_scale_s)
        for kind in ("mean_NAF_transforms", "scale_NAF_transforms"):
            for i, stack in enumerate(getattr(network, kind)):
                self._stack(f"{kind}.{i}", stack)
        for kind in ("mean_cc_transforms", "scale_cc_transforms", "lrp_transforms"):
            heads = getattr(network, kind)
            for i, head in enumerate(heads):
                heads[i] = self._head(f"{kind}.{i}", head)

    def _transform(self, name: str, kind: str, module: nn.Module, source: float) -> None:
        layers = cast(nn.ModuleList, getattr(module, kind))
        stages = cast(nn.ModuleList, module.blocks)
        for i, stage in enumerate(stages):
            layer, following = f"{name}.{kind}.{i}", f"{name}.{kind}.{i + 1}"
            blocks = {f"{name}.blocks.{i}.{j}": block for j, block in enumerate(_list(stage))}
            largest = self._stream(layer, blocks, following)
            places = (f"{place}, stream" for place in (layer, *blocks))
            streams = [self._factor(*each) for each in zip(places, largest, strict=True)]
            converted = self._convolution(layer, layers[i], source, streams[0])
            layers[i] = converted if i else nn.Sequential(ToFp16(source), converted)
            stages[i] = nn.Sequential(*self._blocks(blocks, streams))
            source = streams[-1]
        last = f"{name}.{kind}.{len(stages)}"
        target = self._factor(last, self._seen.output(last))
        converted = self._convolution(last, layers[len(stages)], source, target)
        layers[len(stages)] = nn.Sequential(converted, ToFloat(target))

    def _stack(self, name: str, stack: NafStack) -> None:
        blocks = {f"{name}.blocks.{j}": block for j, block in enumerate(stack.blocks)}
        first, last = f"{name}.in_conv", f"{name}.out_conv"
        source = self._factor(f"{name}, input", self._seen.input(first))
        # Its end is added to its beginning.
        stream = self._factor(f"{first}, stream", self._stream(first, blocks, last)[-1])
        target = self._factor(last, self._seen.output(last))
        into = self._convolution(first, stack.in_conv, source, stream)
        out = self._convolution(last, stack.out_conv, stream, target)
        _replace(stack, "in_conv", nn.Sequential(ToFp16(source), into))
        _replace(stack, "blocks", nn.ModuleList(self._blocks(blocks, [stream] * (len(blocks) + 1))))
        _replace(stack, "out_conv", nn.Sequential(out, ToFloat(target)))

    def _head(self, name: str, head: nn.Module) -> nn.Sequential:
        source = self._factor(f"{name}, input", self._seen.input(f"{name}.0"))
        layers: list[nn.Module] = [ToFp16(source)]
        for i, layer in enumerate(_list(head)):
            target = self._factor(f"{name}.{i}", self._seen.output(f"{name}.{i}"))
            if isinstance(layer, nn.GELU):
                layers.append(Fp16Gelu(source, target))
            else:
                layers.append(self._convolution(f"{name}.{i}", layer, source, target))
            source = target
        return nn.Sequential(*layers, ToFloat(source))

    def _stream(self, first: str, blocks: Mapping[str, nn.Module], following: str) -> list[float]:
        """Largest magnitudes of a residual stream so far: of a layer's output, of each block's.

        They ascend, so that what a block reads fits where what it gives does.
        """
        readers = [
            [f"{name}.{layer}" for layer in _readers(block)] for name, block in blocks.items()
        ]
        inputs = [[self._seen.input(layer) for layer in layers] for layers in readers]
        # What a block reads first is what the one before it gave; the rest is on its own way.
        heads = [*(values[0] for values in inputs), self._seen.input(following)]
        inside = [max(values) for values in inputs]
        largest = [max(self._seen.output(first), heads[0])]
        largest += [max(pair) for pair in zip(inside, heads[1:], strict=True)]
        return list(accumulate(largest, larger))

    def _blocks(
        self, blocks: Mapping[str, nn.Module], streams: Sequence[float]
    ) -> Iterator[nn.Module]:
        for (name, block), source, target in zip(
            blocks.items(), streams[:-1], streams[1:], strict=True
        ):
            if isinstance(block, NafBlock):
                yield self._naf(name, block, source, target)
            else:
                yield self._bottleneck(name, cast(BottleneckBlock, block), source, target)

    def _bottleneck(
        self, name: str, block: BottleneckBlock, source: float, target: float
    ) -> nn.Module:
        layers: list[nn.Module] = []
        read = source
        for layer in ("conv1", "conv2"):
            given = self._factor(f"{name}.{layer}", self._seen.output(f"{name}.{layer}"))
            convolution = getattr(block, layer)
            layers += [self._convolution(f"{name}.{layer}", convolution, read, given), nn.ReLU()]
            read = given
        layers.append(self._convolution(f"{name}.conv3", block.conv3, read, target))
        return Fp16Residual(nn.Sequential(*layers), target / source)

    def _naf(self, name: str, block: NafBlock, source: float, target: float) -> nn.Module:
        first = self._gated(name, ("norm1", "dwconv.0", "dwconv.1", "gate"), block, source)
        attended = self._factor(f"{name}.sca", self._seen.input(f"{name}.conv1"))
        attention = Fp16Attention(block.sca, first.factor, attended)
        branch = self._convolution(f"{name}.conv1", block.conv1, attended, target)
        second = self._gated(name, ("norm2", "FFN.0", "FFN.1"), block, target)
        forward = self._convolution(f"{name}.FFN.2", block.FFN[2], second.factor, target)
        return nn.Sequential(
            Fp16Residual(nn.Sequential(*first.layers, attention, branch), target / source),
            Fp16Residual(nn.Sequential(*second.layers, forward), 1),
        )

    def _gated(self, name: str, layers: Sequence[str], block: NafBlock, stream: float) -> _Gated:
        """A normalisation, convolutions and a gate."""
        norm, *convolutions, gate = layers
        source = self._factor(f"{name}.{norm}", self._seen.output(f"{name}.{norm}"))
        modules: list[nn.Module] = [
            Fp16Norm(cast(ChannelLayerNorm, block.get_submodule(norm)), stream, source)
        ]
        for layer in convolutions:
            target = self._factor(f"{name}.{layer}", self._seen.output(f"{name}.{layer}"))
            convolution = block.get_submodule(layer)
            modules.append(self._convolution(f"{name}.{layer}", convolution, source, target))
            source = target
        target = self._factor(f"{name}.{gate}", self._seen.output(f"{name}.{gate}"))
        modules.append(SimpleGate() if target == source == 1 else WideGate(source, target))
        return _Gated(modules, target)

    def _factor(self, place: str, largest: float) -> float:
        if not math.isfinite(largest):
            raise RangeError(f"'{place}' overflows in float32 already: the weights are unusable")
        found = factor(largest)
        if found != 1:
            self._scaled[place] = found
        return found

    def _convolution(
        self, name: str, convolution: nn.Module, source: float, target: float
    ) -> nn.Module:
        """Between tensors that are stored by the factors `source` and `target`."""
        self._convolutions += 1
        converted = scaled_convolution(convolution, target / source, target)
        weight, fp16_weight = converted.weight, converted.weight.to(torch.float16)
        error = (fp16_weight.double() - weight.double()).norm()
        fp16_bias = cast(Tensor, converted.bias).to(torch.float16)
        if error <= _WEIGHT_ERROR * weight.double().norm() and fp16_bias.isfinite().all():
            return converted.to(torch.float16)
        self._kept.append(name)
        return FloatConvolution(converted)


@dataclass(frozen=True)
class _Gated:
    layers: list[nn.Module]
    factor: float


def _list(module: nn.Module) -> list[nn.Module]:
    return list(cast(nn.Sequential, module))


def _readers(block: nn.Module) -> tuple[str, ...]:
    """The layers of a block that read the residual stream, in order."""
    return ("norm1", "norm2") if isinstance(block, NafBlock) else ("conv1",)


def _replace(parent: nn.Module, name: str, module: nn.Module) -> None:
    """Assign a module where another type is declared: it takes and gives the same tensors."""
    setattr(parent, name, module)
