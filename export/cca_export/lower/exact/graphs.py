"""The exact prior, cut into the graphs of `cca_export.graphs` with one more input.

`averages` [4] holds the numbers that stand for a division by the number of
latents (docs/spec/exact.md, "Averages"). Means and y_hat are real values, multiples
of 2^-6 and 2^-7; latent means and scales and supports are plain integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cca_export.families.cca.cut import codec_graphs, known_latents
from cca_export.families.cca.network import CcaNetwork, NafStack
from cca_export.graphs import CodecGraph, TensorSpec, symbols_of
from cca_export.lower.exact.build import Builder, LayerProof
from cca_export.lower.exact.calibration import Observations
from cca_export.lower.exact.convert import Scaled, best_exponents
from cca_export.lower.exact.layers import (
    CONTEXT,
    SUPPORT,
    AverageFactors,
    ExactAttention,
    ExactRescale,
)
from cca_export.lower.exact.modules import (
    LRP_BITS,
    MEAN_BITS,
    MEANS,
    SCALE_BITS,
    SCALES,
    ExactHead,
    ExactLrp,
    ExactNafStack,
)
from cca_export.steps import smallest_scale
from cca_export.tables import scale_thresholds

AVERAGES = TensorSpec("averages", "float32", (4,))


class ExactHyperLatents(nn.Module):
    """Hyper-latent symbols to integers within 127: Clip(symbol 2^-e + median)."""

    factor: Tensor
    median: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(channels, 1, 1))
        self.register_buffer("median", torch.zeros(channels, 1, 1))

    def forward(self, z_symbols: Tensor) -> Tensor:
        """int32 [N, Z, h, w] to integers in float32."""
        return (z_symbols.to(torch.float32) * self.factor + self.median).clamp(*SUPPORT)


class ExactScaleIndex(nn.Module):
    """Where a scale in multiples of 2^-9 lies among the thresholds, looked up.

    It is the number of thresholds (`scale_thresholds`), rounded to multiples of 2^-9,
    that are less than the scale.
    """

    indexes: Tensor

    def __init__(self, smallest_scale: int) -> None:
        super().__init__()
        thresholds = torch.round(scale_thresholds(smallest_scale) * 2**SCALE_BITS)
        scales = torch.arange(SCALES.low, SCALES.high + 1)
        indexes = torch.searchsorted(thresholds, scales.float(), side="left")
        self.register_buffer("indexes", indexes.to(torch.float32)[:, None])

    def forward(self, scales: Tensor) -> Tensor:
        """Integers within `SCALES`, any shape, to uint8 of the same shape."""
        return F.embedding(scales.to(torch.int32), self.indexes).squeeze(-1).to(torch.uint8)


class ExactGroup(nn.Module):
    """Entropy parameters of one channel group."""

    def __init__(self, network: CcaNetwork, group: int) -> None:
        super().__init__()
        self.mean_naf = ExactNafStack(cast(NafStack, network.mean_NAF_transforms[group]))
        self.mean_head = ExactHead(_sequential(network.mean_cc_transforms[group]), MEANS)
        self.scale_naf = ExactNafStack(cast(NafStack, network.scale_NAF_transforms[group]))
        self.scale_head = ExactHead(_sequential(network.scale_cc_transforms[group]), SCALES)
        self.index = ExactScaleIndex(smallest_scale(network.finest_step))

    def forward(
        self, mean_context: Tensor, scale_context: Tensor, averages: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Contexts of integers to means (real), table indexes and mean support (integers)."""
        factors = None if averages is None else AverageFactors.unpack(averages)
        support = self.mean_naf(mean_context, factors)
        means = self.mean_head(support) * 2.0**-MEAN_BITS
        scales = self.scale_head(self.scale_naf(scale_context, factors))
        return means, self.index(scales), support


class ExactFirstPrior(nn.Module):
    """Hyper-synthesis and the entropy parameters of group 0."""

    def __init__(self, network: CcaNetwork) -> None:
        super().__init__()
        architecture = network.architecture
        self.hyper_latents = ExactHyperLatents(architecture.hyper_channels)
        self.h_mean_s = ExactHead(network.h_mean_s, CONTEXT)
        self.h_scale_s = ExactHead(network.h_scale_s, CONTEXT)
        self.group = ExactGroup(network, 0)

    def forward(self, z_symbols: Tensor, averages: Tensor | None = None) -> tuple[Tensor, ...]:
        """int32 [N, Z, h/4, w/4] to latent means and scales, then group 0's parameters."""
        z_hat = self.hyper_latents(z_symbols)
        latent_means, latent_scales = self.h_mean_s(z_hat), self.h_scale_s(z_hat)
        return latent_means, latent_scales, *self.group(latent_means, latent_scales, averages)


class ExactNextPrior(nn.Module):
    """y_hat of the group before `group`, and the entropy parameters of `group`."""

    def __init__(self, network: CcaNetwork, group: int) -> None:
        super().__init__()
        architecture = network.architecture
        last = group == len(architecture.groups)
        lrp = _sequential(network.lrp_transforms[group - 1])
        self.lrp = ExactLrp(lrp, architecture.group_sizes[group - 1])
        self.context = None if last else ExactRescale(architecture.group_starts[group], CONTEXT)
        self.group = None if last else ExactGroup(network, group)

    def forward(
        self,
        previous_means: Tensor,
        previous_support: Tensor,
        symbols: Tensor,
        step: Tensor,
        previous_y_hat: Tensor | None = None,
        latent_means: Tensor | None = None,
        latent_scales: Tensor | None = None,
        averages: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Inputs and outputs as `codec_graphs` lists them for this group, and `averages`."""
        quantised = symbols_of(symbols) * step + previous_means
        y_hat = self.lrp(previous_support, quantised, step)
        group_y_hat = y_hat.transpose(0, 1)
        if self.group is None or self.context is None or latent_means is None:
            return (group_y_hat,)
        context = self.context(torch.cat(known_latents(y_hat, previous_y_hat), 1))
        mean_context = torch.cat((latent_means, context), 1)
        scale_context = torch.cat((cast(Tensor, latent_scales), context), 1)
        return (group_y_hat, *self.group(mean_context, scale_context, averages))


class ExactPrior:
    """All prior graphs of a network as exact modules, filled and proved."""

    def __init__(self, network: CcaNetwork, observations: Observations) -> None:
        self._network = network
        self._seen = observations
        builder = Builder(observations)
        groups = len(network.architecture.groups)
        first = ExactFirstPrior(network)
        nexts = [ExactNextPrior(network, i + 1) for i in range(groups)]
        latents = self._fill_hyper(builder, first)
        supports = []
        for i, exact in enumerate([first.group, *(graph.group for graph in nexts)]):
            if exact is not None:
                supports.append(self._fill_group(builder, i, exact, latents))
        self._fill_lrp(builder, nexts, supports)
        self.modules: list[nn.Module] = [first, *nexts]
        self.proofs: list[LayerProof] = builder.proofs

    def _fill_hyper(self, builder: Builder, first: ExactFirstPrior) -> tuple[Scaled, Scaled]:
        network = self._network
        # Hyper-latents are symbols + median; room for half as much again as was seen.
        exponent = best_exponents(1.5 * self._seen.input("h_mean_s.0"), SUPPORT).clamp(max=0)
        medians = network.z_entropy_bottleneck.medians.detach().flatten()
        first.hyper_latents.factor = torch.exp2(-exponent.float())[:, None, None]
        first.hyper_latents.median = torch.round(medians * torch.exp2(-exponent.float()))[
            :, None, None
        ]
        inputs = Scaled.of(exponent, SUPPORT)
        known = []
        for name, target in (("h_mean_s", first.h_mean_s), ("h_scale_s", first.h_scale_s)):
            output = best_exponents(self._seen.output(f"{name}.4"), CONTEXT)
            source = _sequential(getattr(network, name))
            output = builder.head(name, source, target, inputs, output, flexible=True)
            known.append(Scaled.of(output, CONTEXT))
        return known[0], known[1]

    def _fill_group(
        self, builder: Builder, group: int, target: ExactGroup, latents: tuple[Scaled, Scaled]
    ) -> Scaled:
        network, size = self._network, self._network.architecture.group_sizes[group]
        context = self._context(group)
        supports = []
        for kind, latent, naf, head, bits in (
            ("mean", latents[0], target.mean_naf, target.mean_head, MEAN_BITS),
            ("scale", latents[1], target.scale_naf, target.scale_head, SCALE_BITS),
        ):
            name = f"{kind}_NAF_transforms.{group}"
            source = cast(NafStack, network.get_submodule(name))
            inputs = Scaled.cat(latent, context) if group else latent
            support = builder.stack(name, source, naf, inputs)
            name = f"{kind}_cc_transforms.{group}"
            output = torch.full((size,), -bits)
            builder.head(name, _sequential(network.get_submodule(name)), head, support, output)
            supports.append(support)
        return supports[0]

    def _context(self, group: int) -> Scaled:
        """What is known of y_hat's first channels as group `group` reads them."""
        if group == 0:
            return Scaled.of(torch.zeros(0, dtype=torch.int64), CONTEXT)
        samples = self._seen.input(f"mean_NAF_transforms.{group}.in_conv")
        return Scaled.of(
            best_exponents(samples[self._network.architecture.latent_channels :], CONTEXT), CONTEXT
        )

    def _fill_lrp(
        self, builder: Builder, nexts: list[ExactNextPrior], supports: list[Scaled]
    ) -> None:
        for group, (graph, support) in enumerate(zip(nexts, supports, strict=True)):
            name = f"lrp_transforms.{group}"
            channels = len(support.exponent)
            samples = self._seen.input(f"{name}.0")[channels:]
            exponent = best_exponents(samples, SUPPORT)
            graph.lrp.rescale.factor = torch.exp2(-exponent.float())[:, None, None]
            inputs = Scaled.cat(support, Scaled.of(exponent, SUPPORT))
            builder.head(
                name,
                _sequential(self._network.get_submodule(name)),
                graph.lrp.head,
                inputs,
                torch.full((len(exponent),), -LRP_BITS),
            )
            builder.latents(name)
            if graph.context is not None:
                factors = torch.exp2(-self._context(group + 1).exponent.float())
                graph.context.factor = factors[:, None, None]


def exact_graphs(network: CcaNetwork, prior: ExactPrior) -> Iterator[CodecGraph]:
    """The graphs of `codec_graphs` with the float prior replaced by the exact one."""
    modules = iter(prior.modules)
    for graph in codec_graphs(network):
        if not graph.name.startswith("prior_"):
            yield graph
            continue
        module = next(modules)
        # An input that nothing reads would be missing from the graph on some engines.
        averaging = any(isinstance(layer, ExactAttention) for layer in module.modules())
        inputs = (*graph.inputs, AVERAGES) if averaging else graph.inputs
        yield CodecGraph(graph.name, module, inputs, graph.outputs, exact=True)


def _sequential(module: nn.Module) -> nn.Sequential:
    return cast(nn.Sequential, module)
