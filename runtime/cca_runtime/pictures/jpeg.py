"""JPEG files: what their application segments say, and the rest for Pillow to decode.

Pillow gives up on a picture whose metadata are damaged, and cannot tell a file that lacks only
its end marker from one that lacks pixels. So it is given the segments that hold pixels.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.exif import PREFIX
from cca_runtime.pictures.header import Header

SIGNATURE = b"\xff\xd8\xff"

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP13, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
_ALONE = {0x01, *range(0xD0, 0xD8)}
"""Markers without a segment: TEM and the restarts."""

_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""In coded data: a marker that is neither a restart nor a stuffed byte."""

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_IPTC = b"8BIM\x04\x04"
_CM_AN_INCH = 2.54
_FILLINGS = (bytes(2048), b"\xa5" * 2048)


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file taken apart.

    Attributes:
        data: The segments that hold pixels, up to the end marker or the end of the file.
        ends: Whether there is an end marker.
        complete: Whether the scans there are hold every bit of every coefficient.
    """

    data: bytes
    ends: bool
    complete: bool

    def variants(self) -> list[bytes]:
        """The file to decode; where it does not end, ways to go on that must not matter."""
        end = bytes([0xFF, _EOI])
        if self.ends:
            return [self.data]
        return [self.data + filling + end for filling in _FILLINGS]


def read_jpeg(data: bytes) -> tuple[Jpeg, Header]:
    """Take a JPEG file apart.

    Raises:
        BadInputError: There is no picture in it.
    """
    header = Header()
    kept = [data[:2]]
    profile: dict[int, tuple[int, bytes]] = {}
    for marker, start, end in _segments(data, 2):
        body = data[start + 4 : end]
        if marker == _SOS:
            stop, ends, scans = _scans(data, start)
            kept.append(data[start:stop])
            if profile:
                header.icc = _joined(profile)
                if header.icc is None:
                    header.notes.append("the ICC profile is damaged and is dropped")
            return Jpeg(b"".join(kept), ends, _covers(data, scans)), header
        if marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
            profile[body[12]] = body[13], body[14:]
        elif _APP0 <= marker <= _APP15 or marker == _COM:
            kept.append(_read_application(marker, body, header))
        else:
            kept.append(data[start:end])
    raise BadInputError("the JPEG file ends before its picture")


def _segments(data: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """Marker, first and last byte of each segment; junk between them is skipped."""
    while (position := data.find(b"\xff", position)) >= 0:
        start = position
        while data[position : position + 1] == b"\xff":
            position += 1
        if position >= len(data):
            return
        marker = data[position]
        start, position = position - 1, position + 1
        if marker == 0 or marker in _ALONE or marker == _SOI:
            continue
        if marker == _EOI or position + 2 > len(data):
            return
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            return
        position += length
        yield marker, start, position


def _scans(data: bytes, first: int) -> tuple[int, bool, list[int]]:
    """Where the picture stops, whether by its end marker, and where its scans start."""
    scans = [first]
    position = first + 2 + int.from_bytes(data[first + 2 : first + 4], "big")
    while found := _MARKER.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == _EOI:
            return position, True, scans
        if marker in _ALONE:
            continue
        if marker == _SOS:
            scans.append(position - 2)
        position += int.from_bytes(data[position : position + 2], "big")
    return len(data), False, scans


def _covers(data: bytes, scans: list[int]) -> bool:
    """Whether scans bring the 64 coefficients of every component down to their last bit."""
    known: dict[int, set[int]] = {}
    for start in scans:
        count = data[start + 4] if start + 4 < len(data) else 0
        rest = data[start + 5 : start + 8 + 2 * count]
        if len(rest) < 2 * count + 3:
            return False
        first, last, bits = rest[2 * count :]
        for component in rest[0 : 2 * count : 2]:
            coefficients = known.setdefault(component, set())
            if bits & 15 == 0:
                coefficients.update(range(first, min(last, 63) + 1))
    return all(len(coefficients) == 64 for coefficients in known.values())


def _read_application(marker: int, body: bytes, header: Header) -> bytes:
    """Note what a segment says. Returns what of it the decoder needs to get colours right."""
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        unit, across, down = struct.unpack_from(">BHH", body, 7)
        scale = {1: 1.0, 2: _CM_AN_INCH}.get(unit)
        if scale and across and down:
            header.dpi = across * scale, down * scale
        return b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        return b"\xff\xee" + struct.pack(">H", len(body) + 2) + body
    if marker == _APP1 and body.startswith(PREFIX):
        # What does not fit one segment goes on in the next.
        header.exif = (header.exif or PREFIX) + body[len(PREFIX) :]
    elif marker == _APP1 and body.startswith(_XMP):
        header.xmp = header.xmp or body[len(_XMP) :]
    elif marker == _APP2 and body.startswith(b"MPF\0"):
        header.several = True
    elif name := _name(marker, body):
        header.dropped.append(name)
    return b""


def _name(marker: int, body: bytes) -> str | None:
    """What to call a segment that is left out; None where nobody misses it."""
    if marker == _APP0:
        return None  # JFIF's thumbnails
    if marker == _COM:
        return "comment"
    if marker == _APP13:
        return "IPTC" if _IPTC in body else "Photoshop data"
    if marker == _APP1 and body.startswith(_LONG_XMP):
        return "the rest of the XMP data"
    return f"APP{marker - _APP0}"


def _joined(profile: dict[int, tuple[int, bytes]]) -> bytes | None:
    """The profile of its numbered parts, if each says how many there are and none is missing."""
    numbers = sorted(profile)
    complete = numbers == list(range(1, len(numbers) + 1))
    if not complete or {count for count, _ in profile.values()} != {len(numbers)}:
        return None
    return b"".join(profile[number][1] for number in numbers)
