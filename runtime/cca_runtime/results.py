"""What coding a picture gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cca_core
from cca_core import StreamInfo

from cca_runtime.pictures import Picture, Pixels


class Groups(NamedTuple):
    """How many channel groups a picture was made of.

    Attributes:
        used: Those whose symbols were decoded; 0 is the hyper-latents alone. Of a picture in
            tiles, in the one that has the fewest.
        total: Those that the model has.
    """

    used: int
    total: int


@dataclass(frozen=True)
class Encoded:
    """A coded picture.

    Attributes:
        data: The stream, a whole `.cca` file.
        info: Its header.
        reconstruction: uint8 [H, W, 3], what `decode` will give, if it was asked for.
        notes: What could not be kept of the picture, one sentence each.
        seconds: Wall-clock seconds by stage: load, analysis, prior, coder, synthesis. Of
            pictures that were coded together, each has an equal share; of a tiled picture,
            the sum of all workers, which code at the same time.
        group_bytes: Bytes of the hyper-latents and of each channel group, over all tiles.
        trials: How many steps were tried; 1 without a target.
    """

    data: bytes
    info: StreamInfo
    reconstruction: Pixels | None
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    group_bytes: Sequence[int]
    trials: int

    @property
    def step(self) -> float:
        """The quantisation step; 1.0 is the one that published models are trained at."""
        return cca_core.quantisation_step(self.info.step)

    @property
    def quality(self) -> float:
        """The quality that gives this step, 0 to 100."""
        return cca_core.quality_of_step(self.info.step)


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        picture: Pixels and metadata.
        seconds: Wall-clock seconds by stage: load, prior, coder, synthesis, as for `Encoded`.
        groups: How many channel groups the picture was made of, of how many.
        group_bytes: As for `Encoded`, of the groups that were used.
        notes: What is wrong with the picture, one sentence each; without `keep_going` and
            `preview`, nothing.
    """

    picture: Picture
    seconds: Mapping[str, float]
    groups: Groups
    group_bytes: Sequence[int]
    notes: tuple[str, ...] = ()
