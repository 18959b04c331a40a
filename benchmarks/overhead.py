"""What the container and the coder cost over the ideal code length.

    python benchmarks/overhead.py [GOLDEN.npz ...]

The ideal is the sum of -log2 p under the quantised tables, plus the raw bits of
escapes; the reference's strings are what CompressAI's coder made of the same
symbols. The stream is a whole file: header, checksums, fingerprint, payload.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cca_core import Encoder, EntropyTables, StreamInfo, write_stream
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent.parent / "tests" / "data" / "golden"
PICTURES = ("chelsea", "coffee", "astronaut")
LENGTH_BITS = 5


@dataclass(frozen=True)
class Cdfs:
    """One set of quantised tables: cdf [T, L], length [T], offset [T], all int32."""

    cdf: NDArray[np.int32]
    length: NDArray[np.int32]
    offset: NDArray[np.int32]

    @classmethod
    def load(cls, arrays: Any, name: str) -> Cdfs:
        """The tables called `name` in a bundle's or the golden tables' arrays."""
        return cls(*(arrays[f"{name}_{part}"] for part in ("cdf", "length", "offset")))

    def ideal_bits(self, symbols: NDArray[Any], indexes: NDArray[Any]) -> float:
        """Sum of -log2 p, in float64; an escape costs its interval and its number."""
        symbols, indexes = symbols.astype(np.int64).ravel(), indexes.astype(np.int64).ravel()
        escape = self.length[indexes] - 2
        value = symbols - self.offset[indexes]
        escaped = (value < 0) | (value >= escape)
        slot = np.where(escaped, escape, value)
        width = self.cdf[indexes, slot + 1] - self.cdf[indexes, slot]
        raw = np.where(value < 0, -2 * value - 1, 2 * (value - escape))[escaped]
        digits = np.floor(np.log2(np.maximum(raw, 1)))  # but for the first, which is 1
        return float(np.sum(16 - np.log2(width)) + np.sum(LENGTH_BITS + digits))


@dataclass(frozen=True)
class Overhead:
    """Bytes of one picture: ideal, the whole stream, and the reference's two strings."""

    ideal: float
    stream: int
    reference: int

    @property
    def allowed(self) -> float:
        """The budget: 0.3 % and 48 bytes over the ideal."""
        return 1.003 * self.ideal + 48


def measure(golden: Any, tables: Any) -> Overhead:
    """Code a golden picture's symbols into one stream in native mode."""
    z, gaussian = Cdfs.load(tables, "z"), Cdfs.load(tables, "gaussian")
    z_symbols = golden["z_symbols"].astype(np.int32)
    channels = np.arange(len(z_symbols), dtype=np.uint16)[:, None, None]
    z_indexes = np.ascontiguousarray(np.broadcast_to(channels, z_symbols.shape))
    symbols, indexes = golden["symbols"].astype(np.int32), golden["indexes"]
    encoder = Encoder()
    encoder.push(z_symbols, z_indexes, EntropyTables(z.cdf, z.length, z.offset))
    gaussian_tables = EntropyTables(gaussian.cdf, gaussian.length, gaussian.offset)
    first = 0
    for size in golden["group_sizes"]:
        group = slice(first, first + int(size))
        encoder.push(symbols[group], indexes[group], gaussian_tables)
        first = group.stop
    height, width = golden["image"].shape[:2]
    info = StreamInfo(
        width=width,
        height=height,
        padding=(0, 0, 0, 0),
        model_id=bytes(8),
        entropy_mode="native",
        fingerprint=bytes(8),
    )
    bits = z.ideal_bits(z_symbols, z_indexes) + gaussian.ideal_bits(symbols, indexes)
    reference = golden["y_string"].size + golden["z_string"].size
    return Overhead(bits / 8, len(write_stream(info, encoder.finish())), reference)


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]] or [GOLDEN / f"{name}.npz" for name in PICTURES]
    tables = np.load(GOLDEN / "tables.npz")
    print("picture       ideal bytes   stream   over ideal              reference   to reference")
    for file in files:
        result = measure(np.load(file), tables)
        over = result.stream - result.ideal
        print(
            f"{file.stem:12}{result.ideal:13.1f}{result.stream:9}"
            f"{over:+9.1f} B {100 * over / result.ideal:+7.3f} %"
            f"{result.reference:14}{result.stream - result.reference:+11} B"
        )


if __name__ == "__main__":
    main()
