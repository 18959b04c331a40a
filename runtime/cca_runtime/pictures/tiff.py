"""TIFF files: what samples mean where Pillow takes them for something else."""

from __future__ import annotations

from PIL import Image, ImagePalette, TiffImagePlugin

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.header import Gamma, Header

_WHITE_IS_ZERO, _YCBCR = 0, 6
_UNSIGNED = 1
_RAW = "raw"
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_WHITE_POINT, _PRIMARIES = 318, 319
_NOTED = {
    TiffImagePlugin.IPTC_NAA_CHUNK: "IPTC",
    TiffImagePlugin.PHOTOSHOP_CHUNK: "Photoshop data",
    TiffImagePlugin.TRANSFERFUNCTION: "the transfer function",
}


def is_tiff(image: Image.Image) -> bool:
    """Whether a PIL image is of a TIFF file, with its tags."""
    return isinstance(image, TiffImagePlugin.TiffImageFile)


def read_tiff(image: Image.Image, header: Header) -> None:
    """What a TIFF file's tags say of its samples and colours.

    Args:
        image: One of which `is_tiff` holds.
        header: Where to say it.

    Raises:
        BadInputError: The samples have no one meaning in 8 bits, or Pillow misreads them.
    """
    assert isinstance(image, TiffImagePlugin.TiffImageFile)  # noqa: S101 - for the type checker
    tags = image.tag_v2
    bits = _numbers(tags.get(TiffImagePlugin.BITSPERSAMPLE, 1))
    kinds = _numbers(tags.get(TiffImagePlugin.SAMPLEFORMAT, _UNSIGNED))
    _check_samples(max(bits), kinds)
    _check_layout(image, max(bits))
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO)
    if image.mode.startswith("I"):
        header.maximum = (1 << bits[0]) - 1
        # Pillow turns 8 bits over itself, and 16 not.
        header.inverted = photometric == _WHITE_IS_ZERO
    if image.palette is not None:
        image.palette = _colour_map(_numbers(tags.get(TiffImagePlugin.COLORMAP, 0)))
    white, primaries = tags.get(_WHITE_POINT), tags.get(_PRIMARIES)
    if primaries:
        points = (*_floats(white or (0.3127, 0.3290)), *_floats(primaries))
        header.encoding = Gamma(None, points) if len(points) == 8 else None
    header.dropped += [name for tag, name in _NOTED.items() if tag in tags]


def _check_samples(bits: int, kinds: tuple[int, ...]) -> None:
    if 3 in kinds:
        raise BadInputError(
            "floating-point pictures have no fixed white: convert this one to 8 or 16 bits first"
        )
    if bits > 16:
        raise BadInputError("pictures with more than 16 bits a sample are not supported")
    if any(kind not in (_UNSIGNED, 4) for kind in kinds):
        raise BadInputError(
            "signed samples have no one black and white: convert to unsigned ones first"
        )


def _check_layout(image: TiffImagePlugin.TiffImageFile, bits: int) -> None:
    tags = image.tag_v2
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2 and bits != 8:
        # Pillow would take each byte of a plane for a sample.
        raise BadInputError(
            f"TIFF pictures with {bits}-bit samples in separate planes are not supported: "
            "convert to interleaved ones first"
        )
    if image.info.get("compression") != _RAW:
        return  # libtiff unpacks it
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _YCBCR and bits == 8:
        reference = tags.get(TiffImagePlugin.REFERENCEBLACKWHITE, _FULL_RANGE)
        subsampling = tags.get(TiffImagePlugin.YCBCRSUBSAMPLING, (2, 2))
        if tuple(subsampling) != (1, 1) or tuple(reference) != _FULL_RANGE:
            raise BadInputError(
                "uncompressed TIFF pictures with subsampled or limited YCbCr are not supported: "
                "convert to RGB first"
            )


def _colour_map(levels: tuple[int, ...]) -> ImagePalette.ImagePalette:
    """A palette of 16-bit levels, rounded; or of 8-bit ones, which some programs write."""
    scale = 257 if max(levels) > 255 else 1
    rounded = bytes(min(255, (level + scale // 2) // scale) for level in levels)
    return ImagePalette.raw("RGB;L", rounded)


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    if not values or not all(isinstance(number, int) for number in values):
        raise BadInputError("the TIFF file's tags are damaged")
    return values


def _floats(values: object) -> tuple[float, ...]:
    return tuple(float(value) for value in values) if isinstance(values, tuple) else ()
