"""Sets of entropy tables for tests of the coder, each for the core and for the slow reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cca_core import EntropyTables
from locations import GOLDEN
from numpy.typing import NDArray
from references import format_reference

Symbols = NDArray[np.int32]
Indexes = NDArray[np.uint8] | NDArray[np.uint16]
INT16 = (-32_768, 32_767)


@dataclass
class Tables:
    """Tables for the core, the reference decoder, and the code length."""

    cdfs: list[list[int]]
    offsets: list[int]

    def __len__(self) -> int:
        return len(self.cdfs)

    @cached_property
    def core(self) -> EntropyTables:
        cdfs = np.zeros((len(self.cdfs), max(map(len, self.cdfs))), np.int32)
        for row, cdf in zip(cdfs, self.cdfs, strict=True):
            row[: len(cdf)] = cdf
        lengths = np.array([len(cdf) for cdf in self.cdfs], np.int32)
        return EntropyTables(cdfs, lengths, np.array(self.offsets, np.int32))

    @cached_property
    def reference(self) -> list[format_reference.Table]:
        pairs = zip(self.cdfs, self.offsets, strict=True)
        return [format_reference.Table(cdf, offset) for cdf, offset in pairs]

    def indexes(self, rng: np.random.Generator, count: int) -> Indexes:
        indexes = rng.integers(0, len(self), count)
        return indexes.astype(np.uint8) if len(self) <= 256 else indexes.astype(np.uint16)

    def draw(self, rng: np.random.Generator, indexes: Indexes) -> Symbols:
        """Symbols with the tables' own statistics; the escape becomes the nearest symbol."""
        slots = rng.integers(0, 65_536, indexes.shape)
        symbols = np.empty(indexes.shape, np.int32)
        for index in np.unique(indexes):
            here = indexes == index
            cdf = self.cdfs[index]
            interval = np.searchsorted(cdf, slots[here], side="right") - 1
            symbols[here] = self.offsets[index] + np.minimum(interval, len(cdf) - 3)
        return symbols

    def draw_with_escapes(self, rng: np.random.Generator, indexes: Indexes, every: int) -> Symbols:
        """The same, but 1 in `every` is anything, and another close to an end of its table."""
        symbols = self.draw(rng, indexes)
        symbols[1::every] = rng.integers(INT16[0], INT16[1] + 1, symbols[1::every].size)
        for i in range(every // 2, indexes.size, every):
            ends = self.offsets[indexes[i]], self.offsets[indexes[i]] + len(self.cdfs[indexes[i]])
            symbols[i] = np.clip(rng.choice(ends) + rng.integers(-4, 2), *INT16)
        return symbols

    def ideal_bytes(self, symbols: Symbols, indexes: Indexes) -> float:
        """Code length of symbols inside the tables."""
        bits = 0.0
        for index in np.unique(indexes):
            frequencies = np.diff(self.cdfs[index]).astype(np.float64)
            ranks = symbols[indexes == index] - self.offsets[index]
            assert ranks.min() >= 0
            assert ranks.max() < len(frequencies) - 1
            bits -= np.log2(frequencies[ranks] / 65_536).sum()
        return float(bits / 8)


def golden_tables(kind: str) -> Tables:
    """Those of a trained model, `gaussian` or `z`."""
    with np.load(GOLDEN / "tables.npz") as file:
        rows = zip(file[f"{kind}_cdf"], file[f"{kind}_length"], strict=True)
        cdfs = [row[:length].tolist() for row, length in rows]
        return Tables(cdfs, file[f"{kind}_offset"].tolist())


def bell(scale: float, mode: int, skew: float = 0.0) -> tuple[list[int], int]:
    """A quantised Gaussian, and its offset; every symbol and the escape have a slot or more."""
    reach = math.ceil(4 * scale)
    free = 65_536 - (2 * reach + 2)
    below = [
        0.5 * math.erfc(-(i - reach - 0.5 - skew) / scale / 2**0.5) for i in range(1, 2 * reach + 2)
    ]
    cdf = [0, *(int(share * free) + i for i, share in enumerate(below, 1)), 65_536]
    return cdf, mode - reach


def tables_of(*rows: tuple[list[int], int]) -> Tables:
    cdfs, offsets = zip(*rows, strict=True)
    return Tables(list(cdfs), list(offsets))


def nearly_certain(count: int, mode: int) -> Tables:
    """Tables whose modes have all but 2 to 61 slots, symmetric or not; then wide ones."""
    rows = []
    for i in range(count):
        left, right = 1 + i % 30, 1 + (i % 30 if i % 3 else i % 7)
        rows.append(([0, left, 65_535 - right, 65_535, 65_536], mode - 1))
    return tables_of(*rows, *(bell(60, mode) for _ in range(8)))


def ragged() -> Tables:
    """From two values to 300, in no order, with modes anywhere."""
    rng = np.random.default_rng(12)
    rows = []
    for n in (1, 2, 300, 3, 4, 1, 17, 120, 2, 60):
        inner = np.sort(rng.choice(np.arange(1, 65_536), n, replace=False))
        rows.append(([0, *inner.tolist(), 65_536], int(rng.integers(-2_000, 2_000))))
    return tables_of(*rows)


# One set of each kind that the coder has its own way with.
KINDS: dict[str, Callable[[], Tables]] = {
    "gaussian": lambda: golden_tables("gaussian"),
    "z": lambda: golden_tables("z"),
    "ragged": ragged,
    "certain": lambda: tables_of(([0, 65_535, 65_536], 5), (list(range(0, 65_537, 256)), -99)),
    "certain escape": lambda: tables_of(([0, 1, 65_536], -7), ([0, 1, 2, 3, 65_536], 0)),
    "uniform": lambda: tables_of(
        *((list(range(0, 65_537, 65_536 >> bits)), -9) for bits in (1, 2, 5, 8, 11))
    ),
    "largest": lambda: tables_of(([*range(65_535), 65_536], INT16[0])),
    "asymmetric": lambda: tables_of(*(bell(0.6 + i / 20, 0, i / 40) for i in range(20))),
    "low bits": lambda: tables_of(*(bell(20 * 1.3**i, i - 5, i / 20) for i in range(20))),
    "sparse": lambda: nearly_certain(14, 0),
    "more sparse": lambda: nearly_certain(40, 0),
    "sparse elsewhere": lambda: nearly_certain(16, -3),
    "modes": lambda: tables_of(*(bell(0.15 + i / 9, i - 30) for i in range(60))),
    "256 tables": lambda: tables_of(*(bell(0.11 * 1.03**i, 0) for i in range(256))),
    "1024 tables": lambda: tables_of(*(bell(0.11 + i / 200, i % 3 - 1) for i in range(1024))),
    "far away": lambda: tables_of(
        ([0, 9_000, 30_000, 60_000, 65_536], INT16[1] - 2), (list(range(0, 65_537, 256)), INT16[0])
    ),
}
