"""Entropy tables as the bytes of a bundle's `tables.bin` (docs/spec/bundle.md)."""

from __future__ import annotations

import struct

import numpy as np

from cca_export.tables import EntropyTables, TableError

MAGIC = b"\x89CCT"
VERSION = 1
MAX_TABLES = 1024
"""Of a set."""

MAX_ENTRIES = 1 << 22
"""Tables of a set times cumulative frequencies of its longest."""


def encode_table_file(gaussian: EntropyTables, hyper_latents: EntropyTables) -> bytes:
    """The content of `tables.bin`.

    Raises:
        TableError: A set has more or longer tables than the file can hold.
    """
    header = MAGIC + struct.pack("<I", VERSION)
    return header + _encode_set(gaussian) + _encode_set(hyper_latents)


def _encode_set(tables: EntropyTables) -> bytes:
    count, longest = len(tables.length), int(tables.length.max())
    if count > MAX_TABLES or count * longest > MAX_ENTRIES:
        raise TableError(
            f"{count} entropy tables of up to {longest} entries: a bundle holds {MAX_TABLES} "
            f"of them, and {MAX_ENTRIES} entries"
        )
    heads = np.empty((count, 2), "<u2")
    heads[:, 0] = tables.offset.astype("<i2").view("<u2")
    heads[:, 1] = tables.length - 2
    # A certain symbol's width of 65,536 would not fit, and a width is never 0: one less is stored.
    rows = zip(tables.cdf, tables.length, strict=True)
    widths = np.concatenate([np.diff(row[:length]) - 1 for row, length in rows])
    return struct.pack("<I", count) + heads.tobytes() + widths.astype("<u2").tobytes()
