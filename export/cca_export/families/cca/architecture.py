"""The shape of a CCA network: every number that may differ between checkpoints.

Kernel sizes, strides and the order of layers are the same in every published
model and live in `cca_export.families.cca.network`; everything counted in channels or blocks
is here and is inferred from a checkpoint (`cca_export.families.cca.inference`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

STAGES = 3
"""Stages of a transform: H/2, H/4 and H/8; a fourth strided layer reaches the latents."""

MAX_CHANNELS = 4096
MAX_BLOCKS = 64
MAX_GROUPS = 64


@dataclass(frozen=True)
class TransformShape:
    """Analysis or synthesis transform, one entry per stage in the order they are computed."""

    widths: tuple[int, ...]
    naf_blocks: tuple[int, ...]
    bottleneck_blocks: tuple[int, ...]


@dataclass(frozen=True)
class NafStackShape:
    """A stack of NAF blocks between two 1x1 convolutions, in the prior."""

    width: int
    blocks: int


@dataclass(frozen=True)
class GroupShape:
    """One channel group and the networks that predict it; `*_head` are hidden widths."""

    channels: int
    mean_naf: NafStackShape
    scale_naf: NafStackShape
    mean_head: tuple[int, int]
    scale_head: tuple[int, int]
    lrp_head: tuple[int, int]


@dataclass(frozen=True)
class Architecture:
    """A CCA network.

    Attributes:
        latent_channels: M, channels of the latents y.
        hyper_channels: Z, channels of the hyper-latents z.
        analysis: g_a, image to latents.
        synthesis: g_s, latents to image.
        hyper_analysis: Hidden widths of h_a.
        hyper_means: Hidden widths of the hyper-synthesis of the means.
        hyper_scales: Hidden widths of the hyper-synthesis of the scales.
        factorised_filters: Hidden widths of the cumulative of the factorised prior on z.
        groups: Channel groups, in coding order.
    """

    latent_channels: int
    hyper_channels: int
    analysis: TransformShape
    synthesis: TransformShape
    hyper_analysis: tuple[int, int]
    hyper_means: tuple[int, int]
    hyper_scales: tuple[int, int]
    factorised_filters: tuple[int, ...]
    groups: tuple[GroupShape, ...]

    def __post_init__(self) -> None:
        """Refuse what no network can have.

        Raises:
            ValueError: Naming the number that is out of range or inconsistent.
        """
        if not 1 <= len(self.groups) <= MAX_GROUPS:
            raise ValueError(f"{len(self.groups)} channel groups: 1 to {MAX_GROUPS} are supported")
        for what, value in self._named_numbers():
            limit = MAX_BLOCKS if "blocks" in what else MAX_CHANNELS
            smallest = 0 if "blocks" in what else 1
            if not smallest <= value <= limit:
                raise ValueError(f"{what} is {value}: {smallest} to {limit} are supported")
        if sum(self.group_sizes) != self.latent_channels:
            raise ValueError(
                f"channel groups {list(self.group_sizes)} sum to {sum(self.group_sizes)}, "
                f"but the latents have {self.latent_channels} channels"
            )

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Channels of each group, in coding order; they sum to `latent_channels`."""
        return tuple(group.channels for group in self.groups)

    @property
    def group_starts(self) -> tuple[int, ...]:
        """Channels decoded before each group, and M as a last entry."""
        return (0, *itertools.accumulate(self.group_sizes))

    def to_manifest(self) -> dict[str, Any]:
        """The architecture as plain JSON values, group sizes listed once more for readers."""
        return {**dataclasses.asdict(self), "group_sizes": list(self.group_sizes)}

    def _named_numbers(self) -> Iterator[tuple[str, int]]:
        """Every number with a dotted name, for instance `groups.3.mean_naf.width`."""
        pending: list[tuple[str, Any]] = [("", dataclasses.asdict(self))]
        while pending:
            name, value = pending.pop()
            if isinstance(value, int):
                yield name, value
                continue
            items = value.items() if isinstance(value, dict) else enumerate(value)
            pending += [(f"{name}.{key}".lstrip("."), item) for key, item in items]
