"""Speed and size of the entropy coder, beside CompressAI's own loop.

Builds a program of the core's sources and CompressAI's (its sdist; C++ compiler, CMake, pybind11
and Python's development files needed), which times both in turn on the same symbols, one thread,
medians of the thread's processor time: once for each instruction set that this processor has.
Encoding and decoding are timed from arrays to payload and back, for both, with warm caches. Then
the package itself, through NumPy.

    pip download --no-deps --no-binary :all: compressai
    python benchmarks/rans.py compressai-*.tar.gz
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cca_core import Decoder, Encoder, EntropyTables
from numpy.typing import NDArray
from overhead import Cdfs

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"
PICTURES = ("chelsea", "coffee", "astronaut")
PATHS = ("scalar", "neon", "avx2", "avx512")
GROUPS = 5

Symbols = NDArray[np.int32]
Indexes = NDArray[np.uint8]


@dataclass(frozen=True)
class Figures:
    """One coder on one data set: payload bytes, seconds to encode and to decode."""

    payload: int
    encode: float
    decode: float


def golden_symbols(count: int) -> tuple[Symbols, Indexes]:
    """The golden pictures' symbols and table indexes, repeated up to `count`."""
    parts = [np.load(GOLDEN / f"{name}.npz") for name in PICTURES]
    symbols = np.concatenate([part["symbols"].ravel() for part in parts])
    indexes = np.concatenate([part["indexes"].ravel() for part in parts])
    return np.resize(symbols, count).astype(np.int32), np.resize(indexes, count)


def log_normal_symbols(count: int, lowest: float) -> tuple[Symbols, Indexes]:
    """Symbols of log-normal scales; a part `lowest` of them, at random, in table 0."""
    rng = np.random.default_rng(0)
    table_scales = np.geomspace(0.11, 256, 64)
    scales = np.exp(rng.normal(np.log(0.5), 1.2, count))
    indexes = np.searchsorted(table_scales[:-1], scales).astype(np.uint8)
    indexes[rng.random(count) < lowest] = 0
    symbols = np.rint(rng.normal(0, table_scales[indexes]))
    return symbols.astype(np.int32), indexes


DATA = {
    "golden, 0.5 M": lambda: golden_symbols(500_000),
    "golden, 2.6 M": lambda: golden_symbols(2_600_000),
    "log-normal scales": lambda: log_normal_symbols(500_000, 0),
    "75 % in table 0": lambda: log_normal_symbols(500_000, 0.75),
}


def build(sdist: Path, folder: Path) -> Path:
    """The timing program."""
    import pybind11

    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.glob("compressai-*") if path.is_dir())
    native = folder / "native"
    run = ["cmake", "-S", str(ROOT), "-B", str(native), "-DCCA_PYTHON=OFF"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    run = ["cmake", "--build", str(native), "--target", "cca_static", "-j2"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    (library,) = native.rglob("libcca.a")
    program = folder / "rans"
    config = sysconfig.get_config_vars()
    rans = source / "compressai" / "cpp_exts" / "rans"
    includes = [
        ROOT / "core" / "include",
        rans,
        source / "third_party" / "ryg_rans",
        pybind11.get_include(),
        sysconfig.get_paths()["include"],
    ]
    compiler = [os.environ.get("CXX", "c++"), "-std=c++20", "-O3", "-DNDEBUG", "-w"]
    sources = [str(ROOT / "benchmarks" / "rans.cpp"), str(rans / "rans_interface.cpp")]
    python = [f"-L{config['LIBDIR']}", f"-Wl,-rpath,{config['LIBDIR']}"]
    python.append(f"-lpython{config['LDVERSION']}")
    flags = [f"-I{path}" for path in includes]
    subprocess.run(
        [*compiler, *flags, *sources, str(library), *python, "-o", str(program)], check=True
    )
    return program


def run_program(
    program: Path, tables: Cdfs, symbols: Symbols, indexes: Indexes, rounds: int
) -> dict[str, Figures]:
    """The figures of each coder, by name."""
    data = program.with_suffix(".data")
    integers = [tables.cdf.shape, tables.cdf, tables.length, tables.offset]
    integers += [[symbols.size], symbols, indexes]
    data.write_bytes(b"".join(np.ravel(part).astype("<i4").tobytes() for part in integers))
    run = [str(program), str(data), str(rounds)]
    lines = subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return {name: Figures(int(size), float(up), float(down)) for name, size, up, down in fields}


def time_numpy(tables: Cdfs, symbols: Symbols, indexes: Indexes, rounds: int) -> Figures:
    """The package's figures, with the fastest instructions."""
    core = EntropyTables(tables.cdf, tables.length, tables.offset)
    parts = np.array_split(np.arange(symbols.size), GROUPS)
    groups = [(symbols[part], indexes[part]) for part in parts]
    encode, decode = [], []
    for _ in range(rounds):
        start = time.thread_time()
        encoder = Encoder()
        for values, chosen in groups:
            encoder.push(values, chosen, core)
        payload = encoder.finish()
        middle = time.thread_time()
        decoder = Decoder(payload)
        decoded = [decoder.pull(chosen, core) for _, chosen in groups]
        decoder.finish()
        end = time.thread_time()
        encode.append(middle - start)
        decode.append(end - middle)
        if not np.array_equal(np.concatenate(decoded), symbols):
            sys.exit("decoded symbols differ")
    return Figures(len(payload), statistics.median(encode), statistics.median(decode))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sdist", type=Path, help="CompressAI's source distribution (.tar.gz)")
    parser.add_argument("--rounds", type=int, default=25, help="timed rounds (default 25)")
    args = parser.parse_args()

    tables = Cdfs.load(np.load(GOLDEN / "tables.npz"), "gaussian")
    print("| symbols | coder | decode Msym/s | ratio | encode Msym/s | ratio | over ideal |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        program = build(args.sdist, Path(folder))
        for name, make in DATA.items():
            symbols, indexes = make()
            ideal = tables.ideal_bits(symbols, indexes) / 8
            figures = run_program(program, tables, symbols, indexes, args.rounds)
            figures["NumPy"] = time_numpy(tables, symbols, indexes, args.rounds)
            base = figures["compressai"]
            for coder in ("compressai", *PATHS, "NumPy"):
                if coder in figures:
                    own = figures[coder]
                    over = own.payload - ideal
                    print(
                        f"| {name} | {coder} "
                        f"| {symbols.size / own.decode / 1e6:.0f} | {base.decode / own.decode:.1f} "
                        f"| {symbols.size / own.encode / 1e6:.0f} | {base.encode / own.encode:.1f} "
                        f"| {over:+.0f} B, {100 * over / ideal:+.3f} % |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
