"""Encoding and decoding groups of symbols with the core, on any of its paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from cca_core import Decoder, Encoder, EntropyTables
from entropy_tables import Indexes, Symbols

Group = tuple[Symbols, Indexes]
FASTEST = ""


def usable_paths() -> Iterator[str]:
    """The values of CCA_SIMD that this processor can serve."""
    for name in ("scalar", "avx2", "avx512", "neon"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CCA_SIMD", name)
            try:
                Encoder()
            except ValueError:
                continue
        yield name


PATHS = tuple(usable_paths())


def encode(groups: Sequence[Group], tables: EntropyTables, path: str = FASTEST) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCA_SIMD", path)
        encoder = Encoder()
    for group in groups:
        encoder.push(*group, tables)
    return encoder.finish()


def decode(
    payload: bytes | bytearray,
    indexes: Sequence[Indexes],
    tables: EntropyTables,
    path: str = FASTEST,
) -> list[Symbols]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCA_SIMD", path)
        decoder = Decoder(payload)
    groups = [decoder.pull(group, tables) for group in indexes]
    decoder.finish()
    return groups


def encode_group(
    symbols: Symbols, indexes: Indexes, tables: EntropyTables, path: str = FASTEST
) -> bytes:
    return encode([(symbols, indexes)], tables, path)


def decode_group(
    payload: bytes | bytearray, indexes: Indexes, tables: EntropyTables, path: str = FASTEST
) -> Symbols:
    return decode(payload, [indexes], tables, path)[0]
