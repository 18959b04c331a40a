"""Cut the network into the graphs that the codec runs, one module and one signature each.

`analysis` runs once in the encoder and `synthesis` once in the decoder. Between
them, `prior_0` .. `prior_G` alternate with the entropy coder, one channel group
at a time, in both: latent residual prediction of a group rides with the entropy
parameters of the next, so a group costs one engine call and only table indexes
and symbols cross to the host.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import STEP, CodecGraph, TensorSpec, symbols_of
from cca_export.steps import smallest_scale
from cca_export.tables import LARGEST_SCALE, PLACES_PER_LOG, scale_thresholds

_LEVELS = 255.0

_HALF_PLACES_PER_LOG = 2 * PLACES_PER_LOG


class Analysis(nn.Module):
    """Picture to latents and hyper-latent symbols."""

    medians: Tensor

    def __init__(self, network: CcaNetwork) -> None:
        super().__init__()
        self.g_a = network.g_a
        self.h_a = network.h_a
        self.register_buffer("medians", network.z_entropy_bottleneck.medians)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """uint8 [N, H, W, 3] to y [N, M, H/16, W/16] and int32 [N, Z, H/64, W/64]."""
        # Accelerators take uint8 only into a cast, so the cast comes before anything else.
        y = self.g_a(image.to(torch.float32).permute(0, 3, 1, 2) / _LEVELS)
        return y, torch.round(self.h_a(y) - self.medians).to(torch.int32)


class ScaleIndex(nn.Module):
    """Where each predicted scale lies among the thresholds, exactly.

    index = number of thresholds that are strictly less than the scale; not a number
    counts as infinite. At step 1 the coder makes of it CompressAI's table index, for
    every float32 value.

    Thresholds are log-spaced, so a logarithm tells the index to well within half a
    place; rounding it gives the threshold next to the scale, one comparison with that
    threshold decides. An inexact logarithm cannot change the result.
    """

    thresholds: Tensor

    def __init__(self, smallest_scale: int) -> None:
        super().__init__()
        thresholds = scale_thresholds(smallest_scale)
        self.register_buffer("thresholds", thresholds[:, None].clone())
        self.smallest = float(thresholds[0])
        self.log_smallest = math.log(self.smallest)
        self.last_threshold = len(thresholds) - 1

    def forward(self, scales: Tensor) -> Tensor:
        """float32 of any shape to uint8 of the same shape, 0 to the number of thresholds."""
        # Comparisons are false for NaN, so these selections leave none, unlike Clip.
        bounded = torch.where(scales < 2 * LARGEST_SCALE, scales, 2 * LARGEST_SCALE)
        bounded = torch.where(bounded > self.smallest, bounded, self.smallest)
        places = (torch.log(bounded) - self.log_smallest) * _HALF_PLACES_PER_LOG
        nearest = torch.round(places).clamp(0, self.last_threshold)
        threshold = F.embedding(nearest.to(torch.int32), self.thresholds).squeeze(-1)
        return (nearest + (threshold < bounded).to(torch.float32)).to(torch.uint8)


class GroupParameters(nn.Module):
    """Entropy parameters of one channel group from the hyperprior and the groups before it."""

    def __init__(self, network: CcaNetwork, group: int) -> None:
        super().__init__()
        self.mean_naf = network.mean_NAF_transforms[group]
        self.mean_head = network.mean_cc_transforms[group]
        self.scale_naf = network.scale_NAF_transforms[group]
        self.scale_head = network.scale_cc_transforms[group]
        self.index = ScaleIndex(smallest_scale(network.finest_step))

    def forward(self, mean_context: Tensor, scale_context: Tensor) -> tuple[Tensor, ...]:
        """Hyperprior with the y_hat so far appended, to means, table indexes and mean support."""
        support = self.mean_naf(mean_context)
        scales = self.scale_head(self.scale_naf(scale_context))
        return self.mean_head(support), self.index(scales), support


class FirstPrior(nn.Module):
    """Hyper-synthesis and the entropy parameters of group 0."""

    medians: Tensor

    def __init__(self, network: CcaNetwork) -> None:
        super().__init__()
        self.h_mean_s = network.h_mean_s
        self.h_scale_s = network.h_scale_s
        self.group = GroupParameters(network, 0)
        self.register_buffer("medians", network.z_entropy_bottleneck.medians)

    def forward(self, z_symbols: Tensor) -> tuple[Tensor, ...]:
        """int32 [N, Z, h/4, w/4] to latent means and scales, then group 0's parameters."""
        z_hat = z_symbols.to(torch.float32) + self.medians
        latent_means = self.h_mean_s(z_hat)
        latent_scales = self.h_scale_s(z_hat)
        return (latent_means, latent_scales, *self.group(latent_means, latent_scales))


class NextPrior(nn.Module):
    """y_hat of the group before `group`, and the entropy parameters of `group`.

    After the last group there are no parameters to predict, only y_hat to complete.
    The channels of y_hat come first, then the pictures of the batch: so the groups of
    one y_hat lie one after the other in memory, and each graph writes its own.
    """

    def __init__(self, network: CcaNetwork, group: int) -> None:
        super().__init__()
        self.lrp = network.lrp_transforms[group - 1]
        last = group == len(network.architecture.groups)
        self.group = None if last else GroupParameters(network, group)

    def forward(
        self,
        previous_means: Tensor,
        previous_support: Tensor,
        symbols: Tensor,
        step: Tensor,
        previous_y_hat: Tensor | None = None,
        latent_means: Tensor | None = None,
        latent_scales: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Inputs and outputs as `codec_graphs` lists them for this group.

        A group's y_hat is step symbols + means + 0.5 step tanh(LRP) (Minnen & Singh 2020,
        section 2.2): LRP predicts the error of rounding, which grows with the step.
        """
        quantised = symbols_of(symbols) * step + previous_means
        residual = self.lrp(torch.cat((previous_support, quantised), 1))
        y_hat = quantised + torch.tanh(residual) * (0.5 * step)
        group_y_hat = y_hat.transpose(0, 1)
        if self.group is None or latent_means is None or latent_scales is None:
            return (group_y_hat,)
        known = known_latents(y_hat, previous_y_hat)
        mean_context = torch.cat((latent_means, *known), 1)
        scale_context = torch.cat((latent_scales, *known), 1)
        return (group_y_hat, *self.group(mean_context, scale_context))


def known_latents(y_hat: Tensor, previous_y_hat: Tensor | None) -> tuple[Tensor, ...]:
    """y_hat of all groups so far in pieces, each [N, channels, h, w].

    Args:
        y_hat: The last group's, [N, s, h, w].
        previous_y_hat: All groups' before it, [channels, N, h, w], if there are any.
    """
    return (y_hat,) if previous_y_hat is None else (previous_y_hat.transpose(0, 1), y_hat)


class Synthesis(nn.Module):
    """Latents to picture."""

    def __init__(self, network: CcaNetwork) -> None:
        super().__init__()
        self.g_s = network.g_s

    def forward(self, y_hat: Tensor) -> tuple[Tensor, ...]:
        """[M, N, h, w] to uint8 [N, 16h, 16w, 3]."""
        image = torch.round(self.g_s(y_hat.transpose(0, 1)).clamp(0, 1) * _LEVELS)
        # As on the way in: the cast to uint8 has to be the very last operation.
        return (image.permute(0, 2, 3, 1).to(torch.uint8),)


def codec_graphs(network: CcaNetwork) -> Iterator[CodecGraph]:
    """Cut `network` into its graphs, in the order in which encoding and then decoding runs them."""
    architecture = network.architecture
    latent_channels = architecture.latent_channels
    starts = architecture.group_starts

    def latents(name: str, channels: int, dtype: str = "float32") -> TensorSpec:
        return TensorSpec(name, dtype, ("batch", channels, "latent_height", "latent_width"))

    def channels_first(name: str, channels: int) -> TensorSpec:
        return TensorSpec(name, "float32", (channels, "batch", "latent_height", "latent_width"))

    def symbols(channels: int) -> TensorSpec:
        shape = ("batch", channels, "latent_height", "latent_width", 2)
        return TensorSpec("symbols", "uint8", shape)

    def parameters(group: int) -> tuple[TensorSpec, ...]:
        return (
            latents("means", architecture.group_sizes[group]),
            latents("indexes", architecture.group_sizes[group], "uint8"),
            latents("support", latent_channels + starts[group]),
        )

    image = TensorSpec("image", "uint8", ("batch", "height", "width", 3))
    hyper = ("batch", architecture.hyper_channels, "hyper_height", "hyper_width")
    z_symbols = TensorSpec("z_symbols", "int32", hyper)
    y = latents("y", latent_channels)
    hyperprior = (
        latents("latent_means", latent_channels),
        latents("latent_scales", latent_channels),
    )
    yield CodecGraph("analysis", Analysis(network), (image,), (y, z_symbols))
    yield CodecGraph("prior_0", FirstPrior(network), (z_symbols,), (*hyperprior, *parameters(0)))
    for group in range(1, len(starts)):
        last = group == len(starts) - 1
        previous = group - 1
        inputs = (
            latents("previous_means", architecture.group_sizes[previous]),
            latents("previous_support", latent_channels + starts[previous]),
            symbols(architecture.group_sizes[previous]),
            STEP,
            # The last graph predicts nothing, so it needs no other group's y_hat.
            *(
                (channels_first("previous_y_hat", starts[previous]),)
                if previous and not last
                else ()
            ),
            *(() if last else hyperprior),
        )
        y_hat = channels_first("y_hat", architecture.group_sizes[previous])
        outputs = (y_hat, *(() if last else parameters(group)))
        yield CodecGraph(f"prior_{group}", NextPrior(network, group), inputs, outputs)
    y_hat = channels_first("y_hat", latent_channels)
    yield CodecGraph("synthesis", Synthesis(network), (y_hat,), (image,))
