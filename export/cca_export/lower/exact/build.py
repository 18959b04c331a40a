"""Build the exact prior from a float network and what calibration observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from cca_export.families.cca.network import NafBlock, NafStack
from cca_export.lower.exact.calibration import Observations
from cca_export.lower.exact.convert import (
    WEIGHT_LIMIT,
    IntegerConvolution,
    Scaled,
    UnprovableLayerError,
    best_exponents,
    covering_exponents,
    fill,
    quantise,
)
from cca_export.lower.exact.gelu import REQUIRED_MARGIN, gelu_constants
from cca_export.lower.exact.latents import largest_latent, widest_step
from cca_export.lower.exact.layers import (
    ATTENTION,
    AVERAGE,
    EXACT_INTEGER,
    GELU_INPUT,
    GELU_OUTPUT,
    INNER,
    NORMALISED,
    RESIDUAL,
    SUPPORT,
    ExactConvolution,
    ExactGate,
    ExactGelu,
    ExactLayerNorm,
    ExactRescale,
)
from cca_export.lower.exact.modules import ExactHead, ExactNafBlock, ExactNafStack
from cca_export.lower.exact.normalisation import fill_inverse_deviations, mean_is_exact

NORMALISED_EXPONENT = -7
"""Normalised activations are multiples of 2^-7, up to 8 standard deviations."""


@dataclass(frozen=True)
class LayerProof:
    """What was proved of one layer.

    Attributes:
        layer: Its name in the network.
        kind: `convolution`, `gelu`, `normalisation` or `latents`: y_hat of a group.
        fan_in: Terms of a sum.
        weight_bits: Bits of the largest integer weight, sign included.
        bound: Largest magnitude of any partial sum; below 2^24.
        margin: Smallest distance to a rounding boundary in error bounds, where an engine
            evaluates a function.
        narrowed: Output channels whose weights had to give up precision for the bound.
        step: Of latents, the code of the quantisation step with this bound; others' are lower.
    """

    layer: str
    kind: str
    fan_in: int = 0
    weight_bits: int = 0
    bound: int = 0
    margin: float | None = None
    narrowed: int = 0
    step: int | None = None


@dataclass
class Builder:
    """Fills exact modules from float ones; remembers the proof of every layer."""

    observations: Observations
    proofs: list[LayerProof] = field(default_factory=list)

    def stack(self, name: str, source: NafStack, target: ExactNafStack, inputs: Scaled) -> Scaled:
        """A NAF stack. Returns what is known of its output, the support."""
        seen = self.observations
        stream = [seen.output(f"{name}.in_conv"), seen.input(f"{name}.out_conv")]
        stream += [seen.input(f"{name}.blocks.{i}.norm2") for i in range(len(source.blocks))]
        # One exponent for the whole residual stream: additions must need no rescaling.
        loudest = torch.cat([samples.reshape(1, -1) for samples in stream], 1)
        exponent = int(covering_exponents(loudest, RESIDUAL))
        width = source.in_conv.out_channels
        residual = torch.full((width,), exponent)
        self.convolution(f"{name}.in_conv", source.in_conv, target.in_conv, inputs, residual)
        for i, (block, exact) in enumerate(zip(source.blocks, target.blocks, strict=True)):
            self._block(f"{name}.blocks.{i}", block, exact, exponent)  # type: ignore[arg-type]
        gathered = best_exponents(seen.input(f"{name}.out_conv"), INNER)
        self.rescale(target.rescale, residual, gathered)
        support = best_exponents(seen.output(f"{name}.out_conv"), SUPPORT)
        narrow = Scaled.of(gathered, INNER)
        support = self.convolution(
            f"{name}.out_conv", source.out_conv, target.out_conv, narrow, support, flexible=True
        )
        return Scaled.of(support, SUPPORT)

    def head(
        self,
        name: str,
        source: nn.Sequential,
        target: ExactHead,
        inputs: Scaled,
        output: Tensor,
        *,
        flexible: bool = False,
    ) -> Tensor:
        """A head or hyper-synthesis. Returns its output's exponents, `output` or above."""
        for convolution, gelu in ((0, 1), (2, 3)):
            layer, activation = f"{name}.{convolution}", f"{name}.{gelu}"
            before = covering_exponents(self.observations.output(layer), GELU_INPUT)
            before = self.convolution(
                layer,
                cast(nn.Conv2d, source[convolution]),
                cast(ExactConvolution, target[convolution]),
                inputs,
                before,
                flexible=True,
            )
            inputs = self._gelu(activation, cast(ExactGelu, target[gelu]), before)
        return self.convolution(
            f"{name}.4",
            cast(nn.Conv2d, source[4]),
            cast(ExactConvolution, target[4]),
            inputs,
            output,
            flexible=flexible,
        )

    def convolution(
        self,
        name: str,
        source: nn.Conv2d | nn.ConvTranspose2d,
        target: ExactConvolution,
        inputs: Scaled,
        output: Tensor,
        *,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        gain: Tensor | None = None,
        flexible: bool = False,
    ) -> Tensor:
        """A convolution, with other real weights than `source` has if given.

        A residual gain [1, O, 1, 1] is folded into weights and bias.

        A flexible output takes a larger exponent where weights would need a shift
        below 1. Returns the output's exponents.
        """
        weight = source.weight.detach() if weight is None else weight
        bias = _bias(source) if bias is None else bias
        if gain is not None:
            factors = gain.detach().reshape(-1)
            weight, bias = weight * factors[:, None, None, None], bias * factors
        integers = quantise(source, weight, bias, inputs, output)
        if flexible and bool((integers.shift < 1).any()):
            output = output + (1 - integers.shift).clamp(min=0)
            integers = quantise(source, weight, bias, inputs, output)
        fill(target, integers)
        self._prove(name, source, integers)
        return output

    def latents(self, name: str) -> None:
        """What a latent residual prediction completes, y_hat, at any quantisation step."""
        step = widest_step()
        bound = largest_latent(step)
        if bound >= EXACT_INTEGER:
            raise UnprovableLayerError(
                f"layer {name}: latents reach {bound:,} at step {step}, the limit is "
                f"{EXACT_INTEGER:,}"
            )
        self.proofs.append(LayerProof(name, "latents", bound=bound, step=step))

    def rescale(self, target: ExactRescale, before: Tensor, after: Tensor) -> None:
        """Powers of two from one tensor's exponents to another's."""
        target.factor = torch.exp2((before - after).float())[:, None, None]

    def _block(self, name: str, source: NafBlock, target: ExactNafBlock, residual: int) -> None:
        seen = self.observations
        stream = torch.full((source.conv1.out_channels,), residual)
        expand, depthwise = cast(nn.Conv2d, source.dwconv[0]), cast(nn.Conv2d, source.dwconv[1])
        inner = self._after_norm(
            f"{name}.dwconv.0",
            source.norm1,
            expand,
            target.norm1,
            cast(ExactConvolution, target.dwconv[0]),
            residual,
        )
        outer = best_exponents(seen.output(f"{name}.dwconv.1"), INNER)
        outer = self.convolution(
            f"{name}.dwconv.1",
            depthwise,
            cast(ExactConvolution, target.dwconv[1]),
            inner,
            outer,
            flexible=True,
        )
        gated = self._gate(f"{name}.gate", target.gate, outer)
        attended = self._attention(name, source, target, gated)
        self.convolution(
            f"{name}.conv1",
            source.conv1,
            target.conv1,
            attended,
            stream,
            gain=source.beta,
        )
        expand, reduce = cast(nn.Conv2d, source.FFN[0]), cast(nn.Conv2d, source.FFN[2])
        inner = self._after_norm(
            f"{name}.FFN.0",
            source.norm2,
            expand,
            target.norm2,
            cast(ExactConvolution, target.FFN[0]),
            residual,
        )
        gated = self._gate(f"{name}.FFN.1", cast(ExactGate, target.FFN[1]), inner.exponent)
        self.convolution(
            f"{name}.FFN.2",
            reduce,
            cast(ExactConvolution, target.FFN[2]),
            Scaled.of(gated, INNER),
            stream,
            gain=source.gamma,
        )

    def _after_norm(
        self,
        name: str,
        norm: nn.Module,
        source: nn.Conv2d,
        norm_target: ExactLayerNorm,
        target: ExactConvolution,
        residual: int,
    ) -> Scaled:
        """A normalisation and the 1x1 convolution that absorbs its affine part."""
        gain, shift = cast(Tensor, norm.weight).detach(), cast(Tensor, norm.bias).detach()
        channels = norm_target.channels
        norm_name = f"{name.rsplit('.', 2)[0]}.{'norm1' if 'dwconv' in name else 'norm2'}"
        if not mean_is_exact(channels):
            raise UnprovableLayerError(
                f"layer {norm_name}: the mean of {channels} channels cannot be exact in float32"
            )
        fill_inverse_deviations(norm_target, residual, NORMALISED_EXPONENT)
        self.proofs.append(LayerProof(norm_name, "normalisation", fan_in=channels))
        weight = source.weight.detach()
        bias = weight[:, :, 0, 0] @ shift + _bias(source)
        inputs = Scaled.of(torch.full((len(gain),), NORMALISED_EXPONENT), NORMALISED)
        output = best_exponents(self.observations.output(name), INNER)
        output = self.convolution(
            name,
            source,
            target,
            inputs,
            output,
            weight=weight * gain[:, None, None],
            bias=bias,
            flexible=True,
        )
        return Scaled.of(output, INNER)

    def _gate(self, name: str, target: ExactGate, before: Tensor) -> Tensor:
        after = best_exponents(self.observations.output(name), INNER)
        first, second = before.chunk(2)
        self.rescale(target.rescale, first + second, after)
        return after

    def _attention(
        self, name: str, source: NafBlock, target: ExactNafBlock, gated: Tensor
    ) -> Scaled:
        convolution = cast(nn.Conv2d, source.sca[1])
        layer = f"{name}.sca.1"
        seen = self.observations
        # An average and an attention are one value a picture: few were seen, so room is left.
        average = covering_exponents(2 * seen.input(layer), AVERAGE)
        target.sca.average_factor = torch.exp2((gated - average).float())[:, None, None]
        attention = covering_exponents(2 * seen.output(layer), ATTENTION)
        attention = self.convolution(
            layer,
            convolution,
            target.sca.convolution,
            Scaled.of(average, AVERAGE),
            attention,
            flexible=True,
        )
        after = best_exponents(self.observations.input(f"{name}.conv1"), INNER)
        target.sca.factor = torch.exp2((gated + attention - after).float())[:, None, None]
        return Scaled.of(after, INNER)

    def _gelu(self, name: str, target: ExactGelu, before: Tensor) -> Scaled:
        after = best_exponents(self.observations.output(name), GELU_OUTPUT)
        after = torch.maximum(after, before)
        constants = [gelu_constants(int(i), int(o)) for i, o in zip(before, after, strict=True)]
        worst = min(constant.margin for constant in constants)
        if worst < REQUIRED_MARGIN:
            raise UnprovableLayerError(
                f"layer {name}: a GELU value is {worst:.1f} error bounds from a rounding "
                f"boundary, {REQUIRED_MARGIN:.0f} are required"
            )
        for part in ("erf_factor", "factor", "constant"):
            values = torch.tensor([getattr(constant, part) for constant in constants])
            setattr(target, part, values[:, None, None])
        self.proofs.append(LayerProof(name, "gelu", margin=worst))
        return Scaled.of(after, GELU_OUTPUT)

    def _prove(
        self,
        name: str,
        source: nn.Conv2d | nn.ConvTranspose2d,
        integers: IntegerConvolution,
    ) -> None:
        largest = int(integers.weight.abs().max())
        axes = (0, 2, 3) if isinstance(source, nn.ConvTranspose2d) else (1, 2, 3)
        per_channel = integers.weight.abs().amax(axes)
        self.proofs.append(
            LayerProof(
                name,
                "convolution",
                fan_in=integers.weight.numel() // source.out_channels,
                weight_bits=largest.bit_length() + 1,
                bound=int(integers.bound.max()),
                narrowed=int((per_channel * 4 <= WEIGHT_LIMIT).sum()),
            )
        )


def _bias(source: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    return torch.zeros(source.out_channels) if source.bias is None else source.bias.detach()
