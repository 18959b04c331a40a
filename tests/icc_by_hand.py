"""ICC profiles made from their specification alone."""

from __future__ import annotations


def gray_profile(gamma: float) -> bytes:
    """A minimal ICC v2 grey profile: header, tag table, white point and one gamma curve."""
    white = b"XYZ \0\0\0\0" + b"".join(
        round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249)
    )
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big")
    curve += b"\0\0"
    start = 128 + 4 + 2 * 12
    table = (2).to_bytes(4, "big")
    for tag, offset, data in ((b"wtpt", start, white), (b"kTRC", start + len(white), curve)):
        table += tag + offset.to_bytes(4, "big") + len(data).to_bytes(4, "big")
    size = start + len(white) + len(curve)
    header = bytearray(128)
    header[0:4] = size.to_bytes(4, "big")
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = b"mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = white[8:]
    return bytes(header) + table + white + curve
