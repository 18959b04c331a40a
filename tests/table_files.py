"""`tables.bin` in plain Python, from docs/spec/bundle.md alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

Table = tuple[int, list[int]]
"""Value of the first symbol; cumulative frequencies from 0 to 65,536, the escape's last."""


def read_table_file(data: bytes) -> list[list[Table]]:
    """The two sets of tables, gaussian and z."""
    assert data[:8] == b"\x89CCT\x01\0\0\0"
    position = 8
    sets: list[list[Table]] = []
    for _ in range(2):
        (count,) = struct.unpack_from("<I", data, position)
        heads = list(struct.iter_unpack("<hH", data[position + 4 : position + 4 + 4 * count]))
        position += 4 + 4 * count
        tables: list[Table] = []
        for first, symbols in heads:
            widths = struct.unpack_from(f"<{symbols + 1}H", data, position)
            position += 2 * len(widths)
            cdf = [0, *accumulate(width + 1 for width in widths)]
            assert cdf[-1] == 65_536
            tables.append((first, cdf))
        sets.append(tables)
    assert position == len(data)
    return sets


def write_table_file(sets: Sequence[Sequence[Table]]) -> bytes:
    """The inverse, without a check."""
    out = b"\x89CCT\x01\0\0\0"
    for tables in sets:
        out += struct.pack("<I", len(tables))
        for first, cdf in tables:
            out += struct.pack("<hH", first, len(cdf) - 2)
        for _, cdf in tables:
            out += struct.pack(f"<{len(cdf) - 1}H", *(b - a - 1 for a, b in pairwise(cdf)))
    return out
