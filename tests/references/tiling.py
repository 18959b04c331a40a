"""How a large picture is divided: into windows for the transforms, and into tiles for the coder.

    tile          tile
    +-----+-----+ +-----+--
    | w   | w   | | w   |      A tile is some windows side by side and one below the other. It is
    +-----+-----+ +-----+--    coded by itself. Transforms work on a window with a margin of what
    | w   | w   | | w   |      lies around it, and neighbouring windows are cross-faded.
    +-----+-----+ +-----+--

Both transforms need much memory for a pixel, the prior little; but each edge of a tile costs bits,
since the prior does not know what lies beyond. So tiles are larger than windows.
"""

from __future__ import annotations

from typing import NamedTuple

from cca_core import StreamInfo

from references.padding import GRID, Padding

TILE_SIDE = 3072
"""Longest side of a tile, if nothing else is asked for. The prior of a large model takes 3 GB for
it, and 1 % more bits than for a picture without edges at most (benchmarks/tiling.py)."""

WINDOW_SIDE = 1024
"""Longest side of a window as this encoder chooses them."""

MARGIN = 64
"""Pixels that a transform sees around a window, where the picture goes on. Results are used no
nearer to an edge than `MARGIN - FADE`, where they are as good as those of the whole picture."""

FADE = 16
"""Neighbouring windows are cross-faded from so many pixels before the seam to as many behind it."""


class Box(NamedTuple):
    """A rectangle of the padded picture: pixels from left and top up to right and bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    def common(self, other: Box) -> Box:
        """The part that both share, which there must be."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def grown(self, pixels: int) -> Box:
        """This with so many pixels more on each side."""
        left, top, right, bottom = self
        return Box(left - pixels, top - pixels, right + pixels, bottom + pixels)


class Tiling(NamedTuple):
    """What a stream says of its division (`StreamInfo.tiling`).

    Attributes:
        window_width: Pixels.
        window_height: Pixels.
        columns: Windows side by side in a tile.
        rows: Windows one below the other in a tile.
    """

    window_width: int
    window_height: int
    columns: int
    rows: int


class Cells:
    """Rectangles of one size that cover a picture; those at its end are as much smaller.

    Attributes:
        columns: How many there are across.
        rows: How many there are down.
    """

    def __init__(self, picture: Box, width: int, height: int) -> None:
        self._picture = picture
        self._width, self._height = width, height
        self.columns = -(-picture.right // width)
        self.rows = -(-picture.bottom // height)

    def box(self, number: int) -> Box:
        """A cell; they are numbered row after row."""
        row, column = divmod(number, self.columns)
        left, top = column * self._width, row * self._height
        return Box(left, top, left + self._width, top + self._height).common(self._picture)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.columns * self.rows

    def rows_in(self, box: Box) -> list[list[int]]:
        """Numbers of the cells that share a pixel with a box, row after row."""
        columns = range(
            max(0, box.left // self._width), min(self.columns, -(-box.right // self._width))
        )
        rows = range(
            max(0, box.top // self._height), min(self.rows, -(-box.bottom // self._height))
        )
        return [[row * self.columns + column for column in columns] for row in rows]


class Grid:
    """Where tiles and windows of one picture are.

    Attributes:
        picture: The padded picture.
        tiles: In the order of their payloads.
        windows: Likewise.
        tile: One of the largest.
        window: Likewise.
    """

    def __init__(self, width: int, height: int, tiling: Tiling) -> None:
        self.picture = Box(0, 0, width, height)
        across = tiling.window_width * tiling.columns
        down = tiling.window_height * tiling.rows
        self.tiles = Cells(self.picture, across, down)
        self.windows = Cells(self.picture, tiling.window_width, tiling.window_height)
        self.tile, self.window = self.tiles.box(0), self.windows.box(0)

    @classmethod
    def of(cls, info: StreamInfo) -> Grid:
        """The grid of a stream that has a tiling."""
        if info.tiling is None:
            raise ValueError("the picture is coded as a whole")
        left, top, right, bottom = info.padding
        width, height = info.width + left + right, info.height + top + bottom
        return cls(width, height, Tiling(*info.tiling))

    def around(self, box: Box, pixels: int) -> Box:
        """`box` with so many pixels more on each side, where the picture has them."""
        return box.grown(pixels).common(self.picture)

    def tiles_in(self, box: Box) -> list[int]:
        """Numbers of the tiles that share a pixel with a box."""
        return [number for row in self.tiles.rows_in(box) for number in row]

    def windows_for(self, box: Box) -> list[list[Box]]:
        """The windows that are needed for the pixels of a box, row after row."""
        rows = self.windows.rows_in(box.grown(FADE))
        return [[self.windows.box(number) for number in row] for row in rows]

    def name_tile(self, number: int) -> str:
        """What errors call a tile."""
        row, column = divmod(number, self.tiles.columns)
        return f"tile in column {column}, row {row}"


def choose_tiling(width: int, height: int, tile_side: int) -> Tiling | None:
    """Tiles of equal size, as nearly as can be.

    Args:
        width: Of the padded picture.
        height: Of the padded picture.
        tile_side: Longest side of a tile, a multiple of 64.

    Returns:
        None for a picture that fits in one window.
    """
    window_width, columns = _divide(width, tile_side)
    window_height, rows = _divide(height, tile_side)
    if window_width >= width and window_height >= height:
        return None
    return Tiling(window_width, window_height, columns, rows)


def region_box(region: tuple[int, int, int, int], padding: Padding) -> Box:
    """A region (x, y, width, height) of the picture itself, in the padded picture."""
    x, y, width, height = region
    left, top = x + padding.left, y + padding.top
    return Box(left, top, left + width, top + height)


def _divide(side: int, tile_side: int) -> tuple[int, int]:
    """Length of windows, and how many of them a tile has, along one side of a picture."""
    tile = _part(side, tile_side)
    window = _part(tile, WINDOW_SIDE)
    return window, -(-tile // window)


def _part(whole: int, most: int) -> int:
    """The length of equal parts of at most `most`, rounded up to the grid."""
    parts = -(-whole // most)
    return -(-whole // (parts * GRID)) * GRID
