"""Dead leaves: overlapping shapes of all sizes, whose edges and spectra are those of nature.

Lee, Mumford & Huang, *Occlusion Models for Natural Images* (2001). Leaves are flat,
shaded, or cut from photographs, so that edges meet every kind of surface.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_SUPERSAMPLING = 2
_SMALLEST_RADIUS = 3
_LARGEST_LEAF = 0.5  # radius, as a share of the picture's side
_LEAVES = 120
_TEXTURED = 0.4


def dead_leaves(
    rng: np.random.Generator, size: int, photograph: Callable[[int], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Generate a picture.

    Args:
        rng: Where everything random comes from.
        size: Side of the picture in pixels.
        photograph: Gives a photograph's square, uint8 [S, S, 3], for a side S.

    Returns:
        uint8 [size, size, 3].
    """
    side = size * _SUPERSAMPLING
    background = photograph(size)
    texture = Image.fromarray(photograph(size)).resize((side, side), Image.Resampling.BICUBIC)
    canvas = Image.fromarray(background).resize((side, side), Image.Resampling.BICUBIC)
    # Radii fall as r^-3, which makes the picture look the same at every scale; a leaf is drawn
    # over smaller ones as often as under them.
    largest = side * _LARGEST_LEAF
    inverse_squares = rng.uniform(largest**-2, (_SMALLEST_RADIUS * _SUPERSAMPLING) ** -2, _LEAVES)
    for radius in rng.permutation(inverse_squares**-0.5):
        mask = _leaf(rng, side, radius)
        if rng.random() < _TEXTURED:
            shifted = np.roll(np.asarray(texture), rng.integers(side, size=2), axis=(0, 1))
            canvas.paste(Image.fromarray(shifted), mask=mask)
        else:
            canvas.paste(_natural_colour(rng, background), mask=mask)
    return np.asarray(canvas.resize((size, size), Image.Resampling.LANCZOS))


def _leaf(rng: np.random.Generator, side: int, radius: float) -> Image.Image:
    """Mask of an ellipse or a polygon somewhere in the picture."""
    mask = Image.new("1", (side, side))
    centre = rng.uniform(0, side, 2)
    corners = 32 if rng.random() < 0.5 else int(rng.integers(3, 7))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 32 else _CIRCLE
    stretch, turn = rng.uniform(0.3, 1.0), rng.uniform(0, np.pi)
    outline = np.stack((np.cos(angles), stretch * np.sin(angles)), 1) * radius
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in outline @ rotation + centre], fill=1)
    return mask


_CIRCLE = np.linspace(0, 2 * np.pi, 32, endpoint=False)


def _natural_colour(
    rng: np.random.Generator, photograph: NDArray[np.uint8]
) -> tuple[int, int, int]:
    """A colour that occurs in the photograph."""
    red, green, blue = photograph[tuple(rng.integers(photograph.shape[:2]))].tolist()
    return red, green, blue
