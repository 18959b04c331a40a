"""BMP files: the ICC profile that their fifth header may point to, and Pillow leaves unread."""

from __future__ import annotations

import struct

from cca_runtime.pictures.header import Header

_HEADER_AT = 14
_FIFTH_HEADER_BYTES = 124
_EMBEDDED = b"DEBM"
"""PROFILE_EMBEDDED, a number that reads `MBED` from its other end."""


def read_bmp(data: bytes, header: Header) -> None:
    """The profile of a BMP file that has one inside."""
    fifth = data[_HEADER_AT : _HEADER_AT + _FIFTH_HEADER_BYTES]
    if len(fifth) < _FIFTH_HEADER_BYTES or fifth[56:60] != _EMBEDDED:
        return
    (size,) = struct.unpack_from("<I", fifth, 0)
    if size >= _FIFTH_HEADER_BYTES:
        start, length = struct.unpack_from("<II", fifth, 112)
        header.icc = data[_HEADER_AT + start : _HEADER_AT + start + length]
