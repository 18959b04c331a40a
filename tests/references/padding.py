"""Padding a picture to the grid of the transforms, and back.

The network multiplies by averages over the whole picture, so padding changes
the result: the encoder decides it and the stream carries it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID = 64
"""Sides of a padded picture are multiples of this: hyper-latents are 64 times smaller."""

MAX_SIDE = 65_535


class Padding(NamedTuple):
    """Pixels added on each side, 0 to 63 each as this encoder chooses them."""

    left: int
    top: int
    right: int
    bottom: int


def choose_padding(height: int, width: int) -> Padding:
    """The fewest pixels that reach the grid, split evenly between opposite sides."""
    across, down = -width % GRID, -height % GRID
    return Padding(across // 2, down // 2, across - across // 2, down - down // 2)


def padded_pixels(height: int, width: int) -> int:
    """Pixels of a picture with the padding that `choose_padding` gives it."""
    return (height + -height % GRID) * (width + -width % GRID)


def pad(pixels: NDArray[np.uint8], padding: Padding) -> NDArray[np.uint8]:
    """Extend a picture by repeating its border pixels.

    Args:
        pixels: uint8 [H, W, 3].
        padding: What to add.

    Returns:
        uint8 [H + top + bottom, W + left + right, 3].
    """
    rows = (padding.top, padding.bottom)
    columns = (padding.left, padding.right)
    return np.pad(pixels, (rows, columns, (0, 0)), mode="edge")


def pad_part(
    pixels: NDArray[np.uint8], padding: Padding, part: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """A part of what `pad` gives, without making the rest.

    Args:
        pixels: uint8 [H, W, 3].
        padding: What is added to the whole picture.
        part: Left, top, right and bottom of the part, in the padded picture.

    Returns:
        uint8 [bottom - top, right - left, 3].
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = part
    rows = np.clip(np.arange(top, bottom) - padding.top, 0, height - 1)
    columns = np.clip(np.arange(left, right) - padding.left, 0, width - 1)
    return pixels[rows[:, None], columns]


def crop(pixels: NDArray[np.uint8], padding: Padding) -> NDArray[np.uint8]:
    """Undo `pad`. Returns a contiguous copy, so that the padded picture can be freed."""
    height, width = pixels.shape[:2]
    inner = pixels[padding.top : height - padding.bottom, padding.left : width - padding.right]
    return np.ascontiguousarray(inner)
