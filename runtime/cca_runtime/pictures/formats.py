"""The picture formats that are opened."""

from __future__ import annotations

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "GIF", "BMP", "PPM")
"""Formats by Pillow's names: what people send photographs in, and nothing more.

Not opened although Pillow could: what another program decodes (EPS by Ghostscript, WMF, BUFR,
GRIB, HDF5, MPEG); what has no signature, so that any file might be taken for it (TGA, PCD);
icons, textures, and what instruments and old programs write (ICO, ICNS, DDS, BLP, FTEX, FITS,
SPIDER, PSD, FLI, ...), where decoders are little used and most bugs are.
"""

_MPO = "MPO"
"""What Pillow calls JPEG files of several pictures, once opened as JPEG."""


def readable_extensions() -> set[str]:
    """Extensions of the picture files that are opened, in lower case, with the dot."""
    registered = Image.registered_extensions()
    return {extension for extension, name in registered.items() if name in (*FORMATS, _MPO)}


def likely_formats(data: bytes) -> tuple[str, ...]:
    """The formats that a file may be of by its first bytes; all of them if it is of none."""
    Image.init()
    likely = []
    for name in FORMATS:
        _, accepts = Image.OPEN[name]
        if accepts is not None and accepts(data[:16]):
            likely.append(name)
    return tuple(likely) or FORMATS


def is_opened(name: str | None) -> bool:
    """Whether files of a format, by Pillow's name, are opened."""
    return name in FORMATS or name == _MPO
