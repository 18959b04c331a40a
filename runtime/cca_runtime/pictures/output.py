"""Pictures out: PNG, JPEG, WebP and PPM with the metadata they hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.colour import is_profile
from cca_runtime.pictures.exif import PREFIX, parse_exif
from cca_runtime.pictures.guard import library_errors
from cca_runtime.pictures.picture import Picture
from cca_runtime.pictures.xmp import is_xmp

JPEG_QUALITY = 95

_SEGMENT = 65_533
"""Bytes that a JPEG segment holds."""

_JPEG_MOST = {
    "icc": 255 * (_SEGMENT - 14),  # in numbered parts, each with a name of 14 bytes
    "exif": _SEGMENT,
    "xmp": _SEGMENT - 29,  # behind a name of 29 bytes
}
_RESOLUTIONS = (1.0, 65_535.0)
"""Dots an inch that JPEG can say."""


class Formatted(NamedTuple):
    """A picture file.

    Attributes:
        data: Its bytes.
        notes: What it could not hold, one sentence each.
    """

    data: bytes
    notes: tuple[str, ...]


def _png(picture: Picture) -> dict[str, Any]:
    info = PngInfo()
    if picture.xmp:
        info.add_itxt("XML:com.adobe.xmp", picture.xmp)
    return {"icc_profile": picture.icc, "exif": picture.exif, "pnginfo": info, **_dpi(picture)}


def _jpeg(picture: Picture) -> dict[str, Any]:
    return {**_webp(picture), "lossless": None, "quality": JPEG_QUALITY, "subsampling": 0,
            **_dpi(picture)}  # fmt: skip


def _webp(picture: Picture) -> dict[str, Any]:
    return {
        "icc_profile": picture.icc,
        "exif": picture.exif,
        "xmp": picture.xmp,
        "lossless": True,
    }


def _ppm(picture: Picture) -> dict[str, Any]:  # noqa: ARG001 - the format holds pixels alone
    return {}


@dataclass(frozen=True)
class _Format:
    """A format: Pillow's name, its settings for a picture, and bytes of metadata it can hold."""

    name: str
    settings: Callable[[Picture], dict[str, Any]]
    most: dict[str, int]


_JPEG = _Format("JPEG", _jpeg, _JPEG_MOST)
_FORMATS = {
    ".png": _Format("PNG", _png, {}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _Format("WEBP", _webp, {}),
    ".ppm": _Format("PPM", _ppm, dict.fromkeys(("icc", "exif", "xmp"), 0)),
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


def format_picture(picture: Picture, extension: str) -> Formatted:
    """Serialise a picture: PNG, WebP and PPM without loss, JPEG at quality 95 in 4:4:4.

    Args:
        picture: The pixels and metadata. What of the metadata is damaged, or more than the
            format can hold, is left out with a note.
        extension: One of `EXTENSIONS`, in any case.

    Raises:
        BadInputError: An unknown extension, or a picture whose pixels the format cannot hold.
    """
    check_extension(extension)
    format_ = _FORMATS[extension.lower()]
    if picture.exif:  # other encoders may leave out what stands before it in JPEG
        picture = replace(picture, exif=PREFIX + picture.exif.removeprefix(PREFIX))
    picture, notes = _fitting(picture, format_)
    out = io.BytesIO()
    settings = {key: v for key, v in format_.settings(picture).items() if v is not None}
    try:
        with library_errors():
            Image.fromarray(picture.pixels).save(out, format=format_.name, **settings)
    except BadInputError as error:
        height, width = picture.pixels.shape[:2]
        raise BadInputError(
            f"{format_.name} cannot hold this picture of {width}x{height} pixels: "
            "choose another format"
        ) from error
    return Formatted(out.getvalue(), notes)


def _fitting(picture: Picture, format_: _Format) -> tuple[Picture, tuple[str, ...]]:
    """The picture without the metadata that cannot be written, and notes that say so."""
    sound: dict[str, Callable[[bytes], bool]] = {
        "icc": is_profile,
        "exif": lambda data: parse_exif(data).to_bytes() is not None,
        "xmp": is_xmp,
    }
    dropped: dict[str, Any] = {}
    notes = []
    for name, is_sound in sound.items():
        section = getattr(picture, name)
        if not section:
            continue
        most = format_.most.get(name)
        if not is_sound(section):
            notes.append(f"the {name.upper()} data are damaged and left out")
        elif most is not None and len(section) > most:
            holds = f"at most {most} bytes" if most else "none"
            notes.append(f"the {name.upper()} data are left out: {format_.name} holds {holds}")
        else:
            continue
        dropped[name] = None
    return replace(picture, **dropped), tuple(notes)


def _dpi(picture: Picture) -> dict[str, Any]:
    """The resolution that EXIF says, for formats that say it themselves."""
    dpi = parse_exif(picture.exif).dpi if picture.exif else None
    low, high = _RESOLUTIONS
    if dpi is None or not all(low <= value <= high for value in dpi):
        return {}
    return {"dpi": (round(dpi[0]), round(dpi[1]))}
