"""What of a picture is decoded: a region, some of its channel groups, what a cut stream has."""

from __future__ import annotations

from dataclasses import dataclass

from cca_core import StreamInfo

from cca_runtime.arguments import Region, as_region, show, true_or_false, whole_number
from cca_runtime.errors import BadInputError


@dataclass(frozen=True)
class Selection:
    """What was asked of the decoder, checked.

    Attributes:
        region: The part of the picture; None for all of it.
        groups: The first channel groups, whose symbols are decoded.
        total: How many groups there are.
        preview: Whether a stream may be cut.
    """

    region: Region | None
    groups: int
    total: int
    preview: bool

    def region_within(self, info: StreamInfo) -> Region | None:
        """The region, as the core takes it.

        Raises:
            BadInputError: It is not inside the picture.
        """
        if self.region is None:
            return None
        x, y, width, height = self.region
        if (
            min(x, y) < 0
            or min(width, height) < 1
            or x + width > info.width
            or y + height > info.height
        ):
            raise BadInputError(
                f"the region {','.join(map(show, self.region))} (x, y, width, height) is not in "
                f"the picture, which has {info.width}x{info.height} pixels"
            )
        return self.region

    def cut_notes(self, used: int) -> tuple[str, ...]:
        """What is missing of a picture for which fewer groups were there than asked for."""
        if used == self.groups:
            return ()
        whole = f"{used} of {self.total} groups" if used else f"none of {self.total} groups"
        return (f"the stream is cut: it has {whole}, and the rest is predicted",)


def as_selection(region: object, groups: object, preview: object, total: int) -> Selection:
    """What the arguments ask for.

    Args:
        region: (x, y, width, height), or None.
        groups: 0 to `total`, or None for all.
        preview: True or False.
        total: Groups of the model.

    Raises:
        BadInputError: They make no sense, or there are fewer groups.
    """
    return Selection(
        None if region is None else as_region(region),
        total if groups is None else whole_number(groups, "groups", 0, total),
        total,
        true_or_false(preview, "preview"),
    )
