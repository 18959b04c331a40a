"""What of a picture is decoded: a region, some of its channel groups, what a cut stream has."""

from __future__ import annotations

from collections.abc import Sequence
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

    def cut_notes(self, groups: Sequence[int], missing: int) -> tuple[str, ...]:
        """What is shown of a stream that was cut.

        Args:
            groups: For each tile, or the whole picture, how many groups were used; -1 if not even
                its hyper-latents are there.
            missing: Bytes that the stream lacks.
        """
        if not missing:
            return ()
        return (f"the file is cut, {missing:,} bytes short: {self._shown(groups)}",)

    def _shown(self, groups: Sequence[int]) -> str:
        if len(groups) > 1:
            whole = sum(used == self.groups for used in groups)
            nothing = sum(used < 0 for used in groups)
            return (
                f"{whole} of {len(groups)} tiles are whole, {len(groups) - whole - nothing} have "
                f"some groups, and {nothing} have nothing"
            )
        (used,) = groups
        if used == self.total:
            return "the picture is whole, its metadata are not"
        if used == 0:
            return "the hyper-latents alone are shown, and the rest is predicted"
        return f"{used} of {self.total} groups are shown, and the rest is predicted"


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
