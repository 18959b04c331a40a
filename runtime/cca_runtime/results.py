"""What coding a picture gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cca_core import StreamInfo

from cca_runtime.pictures import Picture, Pixels


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
    """

    data: bytes
    info: StreamInfo
    reconstruction: Pixels | None
    notes: tuple[str, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        picture: Pixels and metadata.
        seconds: Wall-clock seconds by stage: load, prior, coder, synthesis, as for `Encoded`.
        notes: What is wrong with the picture, one sentence each; without `keep_going`, nothing.
    """

    picture: Picture
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()
