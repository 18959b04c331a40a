"""A picture: its pixels, what travels beside them, and what sizes and colours there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import cca_core
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.guard import one_line

Pixels: TypeAlias = NDArray[np.uint8]

_MAX_SIDE = 65_535

MAX_METADATA_BYTES = 16 << 20
"""ICC, EXIF and XMP data have no more each."""


@dataclass(frozen=True)
class Picture:
    """Pixels and the metadata that travels with them.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, upright. In the colour space of `icc`, or sRGB without.
        icc: An RGB ICC profile.
        exif: EXIF data without orientation, since the pixels are upright.
        xmp: An XMP packet.
        notes: What could not be kept, one sentence each.
    """

    pixels: Pixels
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()


def from_array(pixels: NDArray[Any]) -> Picture:
    """Check an array of pixels: uint8 [H, W, 3], or grey as [H, W] or [H, W, 1].

    Raises:
        BadInputError: Another dtype or shape, or no pixels.
    """
    if pixels.dtype != np.uint8:
        raise BadInputError(f"pixels must be uint8, these are {pixels.dtype}")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise BadInputError(f"pixels must be [H, W, 3] or [H, W], these are {list(pixels.shape)}")
    _check_sides(pixels.shape[1], pixels.shape[0])
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return Picture(np.ascontiguousarray(pixels))


def parse_colour(text: str) -> tuple[int, int, int]:
    """An RGB triple from a colour's name or code, as Pillow's `ImageColor` reads them.

    Raises:
        BadInputError: No such colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except (ValueError, TypeError, AttributeError) as error:
        message = f"unknown colour '{one_line(str(text))}': use a name or #rrggbb"
        raise BadInputError(message) from error
    return red, green, blue


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse sizes that the format cannot hold, and those above a limit.

    Args:
        width: Pixels.
        height: Pixels.
        max_pixels: Most pixels of the padded picture, which is what is coded.

    Raises:
        BadInputError: A side is not in 1..65535, or there are more than `max_pixels`.
    """
    _check_sides(width, height)
    pixels = math.prod(cca_core.padded_size(width, height))
    if pixels > max_pixels:
        raise BadInputError(
            f"a picture of {width}x{height} is more than the limit of {max_pixels} pixels: "
            f"raise max_pixels (--max-pixels) to {pixels}, which counts its padding, to encode it"
        )


def _check_sides(width: int, height: int) -> None:
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise BadInputError(
            f"a picture of {width}x{height} pixels cannot be coded: "
            f"sides must be 1 to {_MAX_SIDE} pixels"
        )
