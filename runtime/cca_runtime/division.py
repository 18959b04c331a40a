"""How large the parts are that pictures are coded in, for estimates of memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import cca_core
from cca_core import StreamInfo

HALO = 64
"""Pixels that transforms and prior see around a part."""

FADE = 16
"""Pixels on each side of a seam, where two windows are blended."""


class Size(NamedTuple):
    """Pixels across and down."""

    width: int
    height: int

    def around(self) -> int:
        """Pixels of this with what is seen around it."""
        return (self.width + 2 * HALO) * (self.height + 2 * HALO)

    def within(self, other: Size) -> Size:
        """This, no larger than another on either side."""
        return Size(min(self.width, other.width), min(self.height, other.height))


class Division(NamedTuple):
    """The sizes of a padded picture and of its largest window and tile.

    Of a picture that is coded as a whole, all three are the same.
    """

    picture: Size
    window: Size
    tile: Size

    @property
    def whole(self) -> bool:
        """Whether the picture is coded as a whole."""
        return self.window == self.picture

    @property
    def pixels(self) -> int:
        """Of the padded picture."""
        return math.prod(self.picture)


def division_of(info: StreamInfo) -> Division:
    """The division of a stream's picture."""
    left, top, right, bottom = info.padding
    return _divide(Size(left + info.width + right, top + info.height + bottom), info.tiling)


def tiles_of(info: StreamInfo) -> tuple[int, int]:
    """How many tiles a stream's picture has across and down; one of each if it is in one piece."""
    picture, _, tile = division_of(info)
    return -(-picture.width // tile.width), -(-picture.height // tile.height)


def choose_division(width: int, height: int, tile_side: int) -> Division:
    """The division that the encoder gives a picture.

    Args:
        width: Of the picture, 1 to 65,535 pixels.
        height: Likewise.
        tile_side: As for `cca_core.EncoderMachine`.
    """
    tiling = cca_core.choose_tiling(width, height, tile_side)
    return _divide(Size(*cca_core.padded_size(width, height)), tiling)


def _divide(picture: Size, tiling: tuple[int, int, int, int] | None) -> Division:
    if tiling is None:
        return Division(picture, picture, picture)
    width, height, columns, rows = tiling
    window = Size(width, height).within(picture)
    return Division(picture, window, Size(width * columns, height * rows).within(picture))
