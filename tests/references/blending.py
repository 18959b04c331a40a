"""One picture out of windows that overlap.

Neighbours are cross-faded linearly over 2 `FADE` pixels. All sums are of whole numbers and rounded
once, so that a pixel is the same in whatever region and order the windows come.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from cca_runtime.pictures import Pixels
from numpy.typing import NDArray

from references.tiling import FADE, Box, Grid

_WHOLE = 4 * FADE
"""The weight of a window, along one axis, where it is alone."""

_RISE: NDArray[np.uint16] = np.arange(1, _WHOLE, 2, dtype=np.uint16)
"""Weights of the later of two windows, from pixel -FADE to FADE - 1 behind the seam."""


class Canvas:
    """A part of the picture that rows of windows are laid on, from top to bottom."""

    def __init__(self, grid: Grid, box: Box) -> None:
        self._grid = grid
        self._box = box
        self._pixels = np.empty((box.height, box.width, 3), np.uint8)
        self._faded = np.zeros((0, box.width, 3), np.uint16)

    @property
    def pixels(self) -> Pixels:
        """uint8 [H, W, 3]; complete after the last row that `Grid.windows_for` lists."""
        return self._pixels

    def add_row(self, windows: Iterable[tuple[Box, Pixels]]) -> None:
        """Lay on the next row.

        Args:
            windows: Its windows, in any order, each with uint8 [H, W, 3], the pixels of
                `Grid.around(window, FADE)`.
        """
        strip, top, bottom = np.zeros(0, np.uint16), 0, 0
        for window, pixels in windows:
            if not strip.size:
                _, top, _, bottom = self._grid.around(window, FADE)
                strip = np.zeros((bottom - top, self._box.width, 3), np.uint16)
            self._add_window(strip, window, pixels)
        # The last row's lower end lies under this one's upper end.
        blended = len(self._faded)
        mixed = self._faded.astype(np.uint32) * _RISE[::-1, None, None][:blended]
        mixed += strip[:blended] * _RISE[:blended, None, None].astype(np.uint32)
        self._write(top, (mixed + _WHOLE**2 // 2) // _WHOLE**2)
        end = len(strip) - (2 * FADE if bottom < self._grid.picture.bottom else 0)
        self._write(top + blended, (strip[blended:end] + _WHOLE // 2) // _WHOLE)
        self._faded = strip[end:].copy()  # not the strip as a whole

    def _add_window(self, strip: NDArray[np.uint16], window: Box, pixels: Pixels) -> None:
        picture = self._grid.picture
        left, _, right, _ = self._grid.around(window, FADE)
        weights = np.full(right - left, _WHOLE, np.uint16)
        if left > picture.left:
            weights[: 2 * FADE] = _RISE
        if right < picture.right:
            weights[-2 * FADE :] = _RISE[::-1]
        first, last = max(left, self._box.left), min(right, self._box.right)
        inside = slice(first - left, last - left)
        place = slice(first - self._box.left, last - self._box.left)
        strip[:, place] += pixels[:, inside] * weights[inside, None]

    def _write(self, top: int, rows: NDArray[np.unsignedinteger]) -> None:
        """Store finished rows, from row `top` of the picture on, as far as they are wanted."""
        first = max(top, self._box.top)
        last = max(first, min(top + len(rows), self._box.bottom))
        place = slice(first - self._box.top, last - self._box.top)
        self._pixels[place] = rows[first - top : last - top]
