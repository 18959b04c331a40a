"""Speed and size of the entropy coder, beside CompressAI's.

Half a million symbols of the golden pictures, one thread, both coders in turn on the same data;
medians. Needs NumPy and the installed package. For the comparison, give it CompressAI's wheel:

    pip download --no-deps compressai
    python benchmarks/rans.py --compressai compressai-*.whl

Only the wheel's coder is loaded, neither CompressAI nor PyTorch. It takes Python lists, so it is
timed as its models call it, and as its loop alone, as well as that can be told from outside:
encoding by the flush, beside our `finish()` (both leave out the look-up of symbols in tables);
decoding by the time less that for as many certain symbols, which takes off the lists and a little
more.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cca_runtime._core import Decoder, Encoder, EntropyTables
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent.parent / "tests" / "data" / "golden"
PICTURES = ("chelsea", "coffee", "astronaut")
SYMBOLS = 500_000


def load_symbols() -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The golden pictures' symbols and table indexes, repeated up to SYMBOLS."""
    parts = [np.load(GOLDEN / f"{name}.npz") for name in PICTURES]
    symbols = np.concatenate([part["symbols"].ravel() for part in parts])
    indexes = np.concatenate([part["indexes"].ravel() for part in parts])
    return np.resize(symbols, SYMBOLS).astype(np.int32), np.resize(indexes, SYMBOLS)


def load_tables() -> list[NDArray[np.int32]]:
    """The golden Gaussian cdfs, lengths and offsets, and one more table: symbol 0 is certain."""
    with np.load(GOLDEN / "tables.npz") as file:
        cdfs, lengths, offsets = (file[f"gaussian_{part}"] for part in ("cdf", "length", "offset"))
    certain = np.zeros_like(cdfs[:1])
    certain[0, 1:3] = 65_535, 65_536
    return [
        np.concatenate([cdfs, certain]),
        np.append(lengths, np.int32(3)),
        np.append(offsets, np.int32(0)),
    ]


def load_baseline(wheel: Path) -> Any:
    """CompressAI's coder module out of its wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.startswith("compressai/ans."))
        path = archive.extract(member, tempfile.mkdtemp())
    spec = importlib.util.spec_from_file_location("ans", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{wheel} holds no coder for this Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Watch:
    """Seconds of each named step, over all rounds."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        """Note how long the body takes."""
        start = time.perf_counter()
        yield
        self._seconds[step].append(time.perf_counter() - start)

    def median(self, step: str) -> float:
        """The median of a step, in seconds."""
        return statistics.median(self._seconds[step])


class Own:
    """This package's coder."""

    def __init__(self) -> None:
        self.tables = EntropyTables(*load_tables())

    def round(self, symbols: NDArray[np.int32], indexes: NDArray[np.uint8], watch: Watch) -> int:
        """Encode and decode once; returns the payload's bytes."""
        with watch.time("encode"):
            encoder = Encoder()
            encoder.push(symbols, indexes, self.tables)
            with watch.time("encode loop"):
                payload = encoder.finish()
        with watch.time("decode"):
            decoder = Decoder(payload)
            decoded = decoder.pull(indexes, self.tables)
            decoder.finish()
        assert np.array_equal(decoded, symbols)
        return len(payload)


class Baseline:
    """CompressAI's coder, called with lists as its models do."""

    def __init__(self, wheel: Path) -> None:
        self.ans = load_baseline(wheel)
        self.tables = [array.tolist() for array in load_tables()]

    def round(self, symbols: NDArray[np.int32], indexes: NDArray[np.uint8], watch: Watch) -> int:
        """Encode and decode once; returns the payload's bytes."""
        with watch.time("baseline encode"):
            encoder = self.ans.BufferedRansEncoder()
            encoder.encode_with_indexes(symbols.tolist(), indexes.tolist(), *self.tables)
            with watch.time("baseline encode loop"):
                payload = encoder.flush()
        decoded = self._decode(payload, indexes, watch, "baseline decode")
        assert np.array_equal(decoded, symbols)

        certain = np.full_like(indexes, len(self.tables[0]) - 1)
        encoder.encode_with_indexes([0] * SYMBOLS, certain.tolist(), *self.tables)
        self._decode(encoder.flush(), certain, watch, "baseline lists")
        return len(payload)

    def _decode(
        self, payload: bytes, indexes: NDArray[np.uint8], watch: Watch, step: str
    ) -> NDArray[np.int32]:
        decoder = self.ans.RansDecoder()
        with watch.time(step):
            decoder.set_stream(payload)
            decoded = decoder.decode_stream(indexes.tolist(), *self.tables)
            return np.array(decoded, np.int32)


def report(name: str, own: float, baseline: float) -> None:
    """One line: speeds, and how many times as fast the package's own coder is."""
    print(
        f"{name:<32}{SYMBOLS / own / 1e6:8.0f} Msym/s, CompressAI{SYMBOLS / baseline / 1e6:6.0f}"
        f", ratio{baseline / own:6.2f}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--compressai", type=Path, metavar="WHEEL", help="CompressAI's wheel")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds (default 15)")
    args = parser.parse_args()

    symbols, indexes = load_symbols()
    coders: list[Own | Baseline] = [Own()]
    if args.compressai:
        coders.append(Baseline(args.compressai))
    watch = Watch()
    for _ in range(args.rounds):
        sizes = [coder.round(symbols, indexes, watch) for coder in coders]

    print(f"payload: {', '.join(f'{size:,}' for size in sizes)} bytes for {SYMBOLS:,} symbols")
    encode, decode = watch.median("encode"), watch.median("decode")
    if not args.compressai:
        print(f"encode {SYMBOLS / encode / 1e6:.0f}, decode {SYMBOLS / decode / 1e6:.0f} Msym/s")
        print("no baseline: pip download --no-deps compressai, then --compressai compressai-*.whl")
        return
    report("encode, as models call it", encode, watch.median("baseline encode"))
    report("encode, loop alone", watch.median("encode loop"), watch.median("baseline encode loop"))
    report("decode, as models call it", decode, watch.median("baseline decode"))
    loop = watch.median("baseline decode") - watch.median("baseline lists")
    report("decode, loop alone", decode, loop)


if __name__ == "__main__":
    main()
