"""Samples of a picture as arrays: grey or RGB of 8 or 16 bits, with what is transparent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.header import Header

_DEEP_GREY = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_GREY = {"1", "L", "LA", "La"}
_ALPHA = {"LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}

_FOREIGN = "B" if sys.byteorder == "little" else "L"
_OTHER_BYTE = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBX", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", _FOREIGN))
}
"""Of Pillow's ways to take the upper byte of 16-bit samples, those that take the lower."""


@dataclass(frozen=True)
class Samples:
    """A picture's samples.

    Attributes:
        values: uint8 or uint16 [H, W, C], of 1 (grey) or 3 channels (RGB).
        maximum: The value of white.
        alpha: [H, W], of the same type; None where all is opaque.
    """

    values: NDArray[Any]
    maximum: int
    alpha: NDArray[Any] | None = None


def read_deep(image: Image.Image, reopen: Callable[[], Image.Image]) -> NDArray[np.uint16] | None:
    """The 16-bit samples of a colour picture, of which Pillow gives the upper bytes alone.

    Args:
        image: As it was opened, and not yet unpacked.
        reopen: Opens it again.

    Returns:
        uint16 [H, W, C], of 2 (grey and alpha) to 4 channels; None if it is no such picture.
    """
    rawmode = _rawmode(image)
    if rawmode == "LA;16B":
        # Four bytes a pixel, which are taken one by one.
        _set_rawmode(image, "RGBA")
        parts = np.asarray(image)
        return _joined(parts[..., 0::2], parts[..., 1::2])
    if rawmode not in _OTHER_BYTE:
        return None
    lower = reopen()
    _set_rawmode(lower, _OTHER_BYTE[rawmode])
    return _joined(np.asarray(image), np.asarray(lower))


def samples_of(image: Image.Image, deep: NDArray[np.uint16] | None, header: Header) -> Samples:
    """A picture's samples, whatever Pillow's mode for them.

    Args:
        image: Any but CMYK and Lab.
        deep: As from `read_deep`.
        header: What the file says of them.

    Raises:
        BadInputError: They have no one meaning in 8 bits.
    """
    if deep is not None:
        colours, alpha = (deep, None) if deep.shape[2] == 3 else (deep[..., :-1], deep[..., -1])
        return Samples(colours, 65_535, _lowest(_keyed(colours, alpha, header), 65_535))
    if image.mode in _DEEP_GREY:
        return _deep_grey(image, header)
    if image.mode == "F":
        raise BadInputError(
            "floating-point pictures have no fixed white: convert this one to 8 or 16 bits first"
        )
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if mode := _ALPHA.get(image.mode):
        values = np.asarray(_in_mode(image, mode))
        return Samples(values[..., :-1], 255, _lowest(values[..., -1], 255))
    values = np.asarray(_in_mode(image, "L" if image.mode in _GREY else "RGB"))
    values = values.reshape(*values.shape[:2], -1)
    return Samples(values, 255, _lowest(_keyed(values, None, header), 255))


def to_eight_bits(values: NDArray[Any], maximum: int) -> NDArray[np.uint8]:
    """Samples of 0..`maximum` spread over 0..255 and rounded."""
    if values.dtype == np.uint8 and maximum == 255:
        return values
    table = _table(np.arange(maximum + 1) / maximum)
    spread: NDArray[np.uint8] = table[np.minimum(values, maximum)]
    return spread


def through_curve(
    samples: Samples, curve: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Samples:
    """Colours of 0..1 through a function to others of 0..1, in 8 bits; alpha as it is."""
    table = _table(curve(np.arange(samples.maximum + 1) / samples.maximum))
    values = table[np.minimum(samples.values, samples.maximum)]
    alpha = samples.alpha
    return Samples(values, 255, None if alpha is None else to_eight_bits(alpha, samples.maximum))


def _table(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _joined(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint16]:
    joined = upper.astype(np.uint16)
    joined <<= 8
    joined |= lower
    return joined


def _deep_grey(image: Image.Image, header: Header) -> Samples:
    values = np.asarray(image)
    if image.mode == "I":
        if values.min() < 0 or values.max() > 65_535:
            raise BadInputError("pictures with more than 16 bits a sample are not supported")
        values = values.astype(np.uint16)
    values = values.astype(np.uint16, copy=False)[..., None]  # in this machine's byte order
    maximum = 65_535 if header.maximum is None else header.maximum
    alpha = _lowest(_keyed(values, None, header), maximum)
    if header.inverted:
        values = maximum - np.minimum(values, maximum)
    return Samples(values, maximum, alpha)


def _keyed(values: NDArray[Any], alpha: NDArray[Any] | None, header: Header) -> NDArray[Any] | None:
    """Alpha, or 0 where a pixel is of the transparent colour and the largest value elsewhere."""
    if header.key is None or len(header.key) != values.shape[2]:
        return alpha
    key = np.array(header.key)
    opaque = 65_535 if values.dtype == np.uint16 else 255
    opaque = header.maximum or opaque
    return np.where((values == key).all(2), 0, opaque).astype(values.dtype)


def _lowest(alpha: NDArray[Any] | None, maximum: int) -> NDArray[Any] | None:
    """Alpha, if anything is transparent."""
    return None if alpha is None or alpha.min() >= maximum else alpha


def _rawmode(image: Image.Image) -> str | None:
    if not isinstance(image, ImageFile.ImageFile) or not image.tile:
        return None
    args = image.tile[0].args
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else None


def _set_rawmode(image: Image.Image, rawmode: str) -> None:
    assert isinstance(image, ImageFile.ImageFile)  # noqa: S101 - for the type checker
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]
