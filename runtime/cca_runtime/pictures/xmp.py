"""XMP packets: whether they are text, and that they do not turn the picture again."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(
    rb"""\s?tiff:Orientation\s*=\s*["']\s*([0-9])\s*["']"""
    rb"""|<tiff:Orientation>\s*([0-9])\s*</tiff:Orientation>"""
)


def is_xmp(packet: bytes) -> bool:
    """Whether a packet is what its standard asks for: XML in UTF-8."""
    try:
        text = packet.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\0" not in text and "<" in text


def xmp_orientation(packet: bytes) -> int:
    """How the picture has to be turned, as in EXIF; 1 where the packet does not say."""
    found = _ORIENTATION.search(packet)
    value = int(found[1] or found[2]) if found else 1
    return value if value in range(1, 9) else 1


def without_orientation(packet: bytes) -> bytes:
    """The packet of a picture that has been turned upright."""
    return _ORIENTATION.sub(b"", packet)
