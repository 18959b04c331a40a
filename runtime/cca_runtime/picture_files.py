"""Pictures as files: which are readable; PNG, JPEG, WebP and PPM with the metadata they hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cca_runtime.errors import BadInputError
from cca_runtime.pictures import Picture

JPEG_QUALITY = 95

_IDENTIFIED_ONLY = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow recognises, and leaves to other programs to decode."""


def readable_extensions() -> set[str]:
    """Extensions of the picture files that Pillow can decode, in lower case, with the dot."""
    registered = Image.registered_extensions()
    formats = Image.OPEN.keys() - _IDENTIFIED_ONLY
    return {extension for extension, name in registered.items() if name in formats}


def _png(picture: Picture) -> dict[str, Any]:
    info = PngInfo()
    if picture.xmp:
        info.add_itxt("XML:com.adobe.xmp", picture.xmp.decode("utf-8", errors="replace"))
    return {**_metadata(picture, "icc_profile", "exif"), "pnginfo": info}


def _jpeg(picture: Picture) -> dict[str, Any]:
    settings = {"quality": JPEG_QUALITY, "subsampling": 0}
    return {**_metadata(picture, "icc_profile", "exif", "xmp"), **settings}


def _webp(picture: Picture) -> dict[str, Any]:
    return {**_metadata(picture, "icc_profile", "exif", "xmp"), "lossless": True}


def _ppm(picture: Picture) -> dict[str, Any]:  # noqa: ARG001 - the format holds pixels alone
    return {}


_FORMATS: dict[str, tuple[str, Callable[[Picture], dict[str, Any]]]] = {
    ".png": ("PNG", _png),
    ".jpg": ("JPEG", _jpeg),
    ".jpeg": ("JPEG", _jpeg),
    ".webp": ("WEBP", _webp),
    ".ppm": ("PPM", _ppm),
}

EXTENSIONS = tuple(_FORMATS)


def check_extension(extension: str) -> None:
    """Refuse a file name extension that `format_picture` cannot write.

    Raises:
        BadInputError: Naming the extensions there are.
    """
    if extension.lower() not in _FORMATS:
        known = ", ".join(EXTENSIONS)
        raise BadInputError(f"cannot write '{extension}' pictures: choose one of {known}")


def format_picture(picture: Picture, extension: str) -> bytes:
    """Serialise a picture: PNG, WebP and PPM without loss, JPEG at quality 95 in 4:4:4.

    Args:
        picture: The pixels and metadata. PPM holds no metadata.
        extension: One of `EXTENSIONS`, in any case.

    Raises:
        BadInputError: An unknown extension, or a picture the format cannot hold.
    """
    check_extension(extension)
    name, settings = _FORMATS[extension.lower()]
    out = io.BytesIO()
    try:
        Image.fromarray(picture.pixels).save(out, format=name, **settings(picture))
    except (OSError, ValueError) as error:
        height, width = picture.pixels.shape[:2]
        raise BadInputError(
            f"{name} cannot hold this picture of {width}x{height} pixels ({error}): "
            "choose another format"
        ) from error
    return out.getvalue()


def _metadata(picture: Picture, *names: str) -> dict[str, bytes]:
    values = {"icc_profile": picture.icc, "exif": picture.exif, "xmp": picture.xmp}
    return {name: value for name in names if (value := values[name]) is not None}
