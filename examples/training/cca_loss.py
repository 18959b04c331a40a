"""The causal context adjustment loss (Han et al. 2024, section 3): groups worth knowing early.

Besides the codec's prior, an auxiliary one predicts each channel group without the
group just before it. The loss rewards the bits that knowing that group saves, so
that the transform puts what helps to predict the rest into early groups. The
auxiliary prior itself learns to predict as well as it can, otherwise the saving
would be one over a straw man.
"""

from __future__ import annotations

import torch
from cca_export.architecture import Architecture
from cca_export.network import NafStack
from torch import Tensor, nn

from training.forward import Context, Pass
from training.rates import gaussian_bits


class AdjustedContext(nn.Module):
    """Predicts groups 1 to G - 1, each from the hyperprior and the groups up to the last but one.

    Its networks have the widths of the codec's own. Only training needs it; no checkpoint holds it.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        channels = [architecture.latent_channels + s for s in architecture.group_starts]
        groups = list(enumerate(architecture.groups))[1:]
        self.means = nn.ModuleList(
            _predictor(
                NafStack(channels[i - 1], g.mean_naf), channels[i - 1], g.mean_head, g.channels
            )
            for i, g in groups
        )
        self.scales = nn.ModuleList(
            _predictor(
                NafStack(channels[i - 1], g.scale_naf), channels[i - 1], g.scale_head, g.channels
            )
            for i, g in groups
        )

    def forward(self, context: Context) -> Tensor:
        """Bits of groups 1 to G - 1 together, a scalar."""
        bits = []
        for group, (predict_means, predict_scales) in enumerate(
            zip(self.means, self.scales, strict=True), start=1
        ):
            known = context.decoded[: group - 1]
            means = predict_means(torch.cat((context.means, *known), 1))
            scales = predict_scales(torch.cat((context.scales, *known), 1))
            bits.append(gaussian_bits(context.noisy[group] - means, scales).sum())
        return torch.stack(bits).sum()


def saved_bits(done: Pass, adjusted: AdjustedContext) -> Tensor:
    """Bits that the context just before each group saves; the larger, the better.

    Maximising it makes `adjusted` predict worse: negate the gradients of its
    parameters before its optimiser's step.
    """
    without: Tensor = adjusted(done.context)
    return without - torch.stack(done.group_bits[1:]).sum()


def _predictor(
    gather: NafStack, channels: int, hidden: tuple[int, int], outputs: int
) -> nn.Sequential:
    return nn.Sequential(
        gather,
        nn.Conv2d(channels, hidden[0], 3, padding=1),
        nn.GELU(),
        nn.Conv2d(hidden[0], hidden[1], 3, padding=1),
        nn.GELU(),
        nn.Conv2d(hidden[1], outputs, 3, padding=1),
    )
