"""Networks small enough to export in seconds, with random weights."""

from __future__ import annotations

from collections.abc import Mapping

from cca_export.families.cca.architecture import (
    Architecture,
    GroupShape,
    NafStackShape,
    TransformShape,
)
from cca_export.families.cca.network import CcaNetwork


def tiny_architecture(group_sizes: tuple[int, ...]) -> Architecture:
    """Odd widths, all different, so that nothing fits by accident; one block of each kind."""
    groups = tuple(
        GroupShape(
            channels=size,
            mean_naf=NafStackShape(width=5, blocks=1 if i == 0 else 0),
            scale_naf=NafStackShape(width=3, blocks=0),
            mean_head=(6, 5),
            scale_head=(7, 3),
            lrp_head=(4, 9),
        )
        for i, size in enumerate(group_sizes)
    )
    return Architecture(
        latent_channels=sum(group_sizes),
        hyper_channels=5,
        analysis=TransformShape((3, 5, 7), naf_blocks=(0, 0, 1), bottleneck_blocks=(0, 1, 0)),
        synthesis=TransformShape((6, 5, 3), naf_blocks=(1, 0, 0), bottleneck_blocks=(0, 0, 1)),
        hyper_analysis=(4, 6),
        hyper_means=(7, 3),
        hyper_scales=(5, 8),
        factorised_filters=(3, 2),
        groups=groups,
    )


WIDE_STREAMS = {"g_a.down.0": 1e6, "g_a.down.3": 1e-6, "g_s.up.0": 1e6, "g_s.up.3": 1e-6}
"""For `scale_layers`: what is in the transforms overflows float16, what they give does not."""


def scale_layers(network: CcaNetwork, names: Mapping[str, float]) -> None:
    """Multiply the parameters of layers, by their names."""
    for name, scale in names.items():
        for parameter in network.get_submodule(name).parameters():
            parameter.mul_(scale)
