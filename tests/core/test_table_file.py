"""`tables.bin`: the exporter's and the core's against a reader in plain Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cca_core
import numpy as np
import pytest
from cca_export.table_file import MAX_TABLES, encode_table_file
from cca_export.tables import EntropyTables, TableError
from cca_runtime.bundle import find_bundle
from locations import GOLDEN
from numpy.typing import NDArray
from table_files import Table, read_table_file, write_table_file

SETS = ("gaussian", "z")


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN / "tables.npz") as arrays:
        return dict(arrays)


def tables_of(golden: dict[str, NDArray[Any]], name: str) -> EntropyTables:
    return EntropyTables(*(golden[f"{name}_{part}"] for part in ("cdf", "length", "offset")))


def rows(tables: EntropyTables) -> list[Table]:
    return [
        (int(offset), cdf[:length].tolist())
        for cdf, length, offset in zip(tables.cdf, tables.length, tables.offset, strict=True)
    ]


def test_an_exported_model_has_the_references_tables(
    golden: dict[str, NDArray[Any]], native_bundle: Path
) -> None:
    stored = read_table_file((native_bundle / "tables.bin").read_bytes())
    assert stored == [rows(tables_of(golden, name)) for name in SETS]


def test_the_exporter_writes_the_documented_bytes(golden: dict[str, NDArray[Any]]) -> None:
    gaussian, hyper_latents = (tables_of(golden, name) for name in SETS)
    expected = write_table_file([rows(gaussian), rows(hyper_latents)])
    assert encode_table_file(gaussian, hyper_latents) == expected


def test_the_core_codes_with_the_tables_of_the_file(
    golden: dict[str, NDArray[Any]], native_bundle: Path
) -> None:
    read = cca_core.read_tables((native_bundle / "tables.bin").read_bytes())
    rng = np.random.default_rng(0)
    for name, from_file in zip(SETS, read, strict=True):
        tables = tables_of(golden, name)
        from_arrays = cca_core.EntropyTables(tables.cdf, tables.length, tables.offset)
        assert len(from_file) == len(from_arrays)
        indexes = np.arange(4096, dtype=np.uint8) % np.uint8(len(from_file))
        symbols = rng.integers(-40, 40, len(indexes), dtype=np.int32)
        payloads = []
        for coding in (from_file, from_arrays):
            encoder = cca_core.Encoder()
            encoder.push(symbols, indexes, coding)
            payloads.append(encoder.finish())
        assert payloads[0] == payloads[1]


def test_more_tables_than_a_file_holds_are_refused_by_the_exporter(
    golden: dict[str, NDArray[Any]],
) -> None:
    one = tables_of(golden, "z")
    count = MAX_TABLES + 1
    many = EntropyTables(
        np.repeat(one.cdf[:1], count, 0),
        np.repeat(one.length[:1], count),
        np.repeat(one.offset[:1], count),
    )
    with pytest.raises(TableError, match="1025 entropy tables"):
        encode_table_file(tables_of(golden, "gaussian"), many)


def test_what_is_no_table_file_is_an_error_and_no_crash() -> None:
    data = (find_bundle(None) / "tables.bin").read_bytes()
    for size in (0, 7, 8, 11, 12, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(cca_core.BundleError):
            cca_core.read_tables(data[:size])
