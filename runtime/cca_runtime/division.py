"""How large the parts are that pictures are coded in, for estimates of memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import cca_core
from cca_core import HALO, StreamInfo


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
    """The sizes of a padded picture and of its largest window and tile, and tiles across and down.

    Of a picture that is coded as a whole, all three are the same.
    """

    picture: Size
    window: Size
    tile: Size
    tiles: tuple[int, int]

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
    picture, window, tile, tiles = cca_core.division_of(info)
    return Division(Size(*picture), Size(*window), Size(*tile), tiles)


def choose_division(width: int, height: int, tile_side: int) -> Division:
    """The division that the encoder gives a picture.

    Args:
        width: Of the picture, 1 to 65,535 pixels.
        height: Likewise.
        tile_side: As for `cca_core.EncoderMachine`.
    """
    picture, window, tile, tiles = cca_core.choose_division(width, height, tile_side)
    return Division(Size(*picture), Size(*window), Size(*tile), tiles)
