"""Files made of boxes (ISO/IEC 14496-12, 15444-1): colours that Pillow leaves unread.

What libraries show of AVIF is RGB in whatever primaries and transfer function the file says,
and of JPEG 2000 in its ICC profile. Only the file's boxes tell which.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.header import CodePoints, Header

_EXIF_ITEM = re.compile(rb"(infe\x02.{3}.{2}\0\0)Exif", re.DOTALL)
"""An item's entry: version 2, flags, number, no protection, and its type."""

_CODE_STREAM = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"
_JP2_SHOWN = {16, 17, 18}
"""Colour spaces of JPEG 2000 by their number: sRGB, grey with sRGB's curve, and sYCC."""


def read_avif(data: bytes, header: Header) -> None:
    """The code points of an AVIF file's primary picture, where it has no ICC profile."""
    for kind, meta in _boxes(data):
        if kind != b"meta":
            continue
        parts = dict(_boxes(meta[4:]))
        properties = dict(_boxes(parts.get(b"iprp", b"")))
        every = list(_boxes(properties.get(b"ipco", b"")))
        primary = _primary(parts.get(b"pitm", b""))
        for index in _associated(properties.get(b"ipma", b""), primary):
            kind, body = every[index - 1] if 0 < index <= len(every) else (b"", b"")
            if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
                header.encoding = CodePoints(*struct.unpack_from(">HH", body, 4))
        return


def without_exif(data: bytes) -> bytes:
    """An AVIF file whose EXIF data have become data of a kind that nobody reads."""
    return _EXIF_ITEM.sub(rb"\1free", data, count=1)


def read_jpeg2000(data: bytes, header: Header) -> None:
    """The profile of a JPEG 2000 file, and how many bits its samples have.

    Raises:
        BadInputError: Its samples or colours are of a kind that cannot be shown.
    """
    streams = [data] if data.startswith(_CODE_STREAM) else []
    for kind, body in _boxes(data):
        if kind == b"jp2c":
            streams.append(body)
        elif kind == b"jp2h":
            colours = [part for name, part in _boxes(body) if name == b"colr"]
            for colour in colours[:1]:  # all are of the same picture
                _read_jp2_colour(colour, header)
    # Coded data never look like the end marker; OpenJPEG may show what there is without it.
    if not any(_END in stream for stream in streams):
        raise BadInputError("the picture is damaged: the JPEG 2000 file is cut off")
    for stream in streams[:1]:
        _read_depths(stream, header)


def _read_depths(stream: bytes, header: Header) -> None:
    """Bits of each component's samples, from the code stream's SIZ segment."""
    count = int.from_bytes(stream[40:42], "big")
    sizes = stream[42 : 42 + 3 * count : 3]
    if any(size >> 7 for size in sizes):
        raise BadInputError("signed samples have no one black and white: convert first")
    bits = max(((size & 127) + 1 for size in sizes), default=8)
    if bits > 8 and count > 1:
        # Pillow rounds them without care: white comes out as black.
        raise BadInputError(
            f"JPEG 2000 pictures in colour with {bits} bits a sample are not supported: "
            "convert to PNG first"
        )
    # Pillow moves samples of 9 to 15 bits up to 16.
    if 8 < bits < 16:
        header.maximum = 65_535 - ((1 << (16 - bits)) - 1)


def _read_jp2_colour(colour: bytes, header: Header) -> None:
    method, code = colour[0], int.from_bytes(colour[3:7], "big")
    if method == 2:
        header.icc = colour[3:]
    elif method == 1 and code not in _JP2_SHOWN:
        raise BadInputError(f"JPEG 2000 pictures of colour space {code} are not supported")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each box; none beyond one that does not fit."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if size == 1 and start + 8 <= len(data):
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        end = len(data) if size == 0 else position + size
        if end < start or end > len(data):
            return
        yield kind, data[start:end]
        position = end


def _primary(body: bytes) -> int:
    wide = body[:1] != b"\0"
    return int.from_bytes(body[4 : 8 if wide else 6], "big")


def _associated(body: bytes, item: int) -> list[int]:
    """Numbers of an item's properties, from 1 (ISO/IEC 23008-12, 9.3)."""
    if len(body) < 8:
        return []
    wide_items, wide_indexes = body[0] > 0, body[3] & 1
    count, position = int.from_bytes(body[4:8], "big"), 8
    for _ in range(min(count, len(body))):
        size = 4 if wide_items else 2
        number = int.from_bytes(body[position : position + size], "big")
        position += size
        many, position = int.from_bytes(body[position : position + 1], "big"), position + 1
        width = 2 if wide_indexes else 1
        raw = body[position : position + many * width]
        position += many * width
        if number == item:
            mask = (1 << (8 * width - 1)) - 1  # the first bit says whether it is essential
            steps = range(0, len(raw) - width + 1, width)
            return [int.from_bytes(raw[i : i + width], "big") & mask for i in steps]
    return []
