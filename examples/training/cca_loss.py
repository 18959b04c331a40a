"""The causal context adjustment loss (Han et al. 2024, section 3): groups worth knowing early.

Besides the codec's prior, an auxiliary one predicts each channel group without the
group just before it; the first two groups have the hyperprior alone, as in the published
code. The loss rewards the bits that the codec's prior saves over it, so that the
transform puts what helps to predict the rest into early groups. The auxiliary prior
itself learns to predict as well as it can, otherwise the saving would be one over a
straw man.
"""

from __future__ import annotations

import torch
from cca_export.families.cca.architecture import Architecture
from cca_export.families.cca.network import NafStack
from torch import Tensor, nn

from training.forward import Context, Pass
from training.rates import gaussian_bits


class AdjustedContext(nn.Module):
    """Predicts every group, each from the hyperprior and the groups up to the last but one.

    Its networks have the widths of the codec's own. Only training needs it; no checkpoint holds it.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        known = [0, *architecture.group_starts]
        channels = [architecture.latent_channels + start for start in known]
        groups = list(zip(architecture.groups, channels, strict=False))
        self.means = nn.ModuleList(
            _predictor(NafStack(c, g.mean_naf), c, g.mean_head, g.channels) for g, c in groups
        )
        self.scales = nn.ModuleList(
            _predictor(NafStack(c, g.scale_naf), c, g.scale_head, g.channels) for g, c in groups
        )

    def forward(self, context: Context) -> Tensor:
        """Bits of each group and picture, float32 [G, N]."""
        bits = []
        predictors = zip(self.means, self.scales, strict=True)
        for group, (predict_means, predict_scales) in enumerate(predictors):
            known = context.decoded[: max(0, group - 1)]
            means = predict_means(torch.cat((context.means, *known), 1))
            scales = predict_scales(torch.cat((context.scales, *known), 1))
            residual = (context.noisy[group] - means) / context.steps
            of_group = gaussian_bits(residual, scales / context.steps)
            bits.append(of_group.flatten(1).sum(1))
        return torch.stack(bits)


def saved_bits(done: Pass, adjusted: AdjustedContext) -> Tensor:
    """Bits of each group and picture that its context saves, [G, N]; the larger, the better.

    Maximising them makes `adjusted` predict worse: negate the gradients of its
    parameters before its optimiser's step.
    """
    without: Tensor = adjusted(done.context)
    return without - torch.stack(done.group_bits)


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
