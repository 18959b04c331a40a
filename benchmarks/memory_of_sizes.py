"""Memory of a process that codes pictures of many sizes, and what sizes that repeat cost.

    python benchmarks/memory_of_sizes.py > benchmarks/results/memory_of_sizes.md

Each engine has a process of its own. It encodes and decodes a picture of each size once, in
random order: sides from 64 to 960 pixels. Before and after that it decodes pictures of four sizes
in turn; their processor time is the median.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import cca_runtime
from cca_engines.processor import processor_name, usable_cores
from cca_runtime.codec import Codec
from cca_runtime.generated import photograph_like

_MIB = 1 << 20
_SIDES = range(64, 961, 64)
_REPEATED = [(768, 512), (512, 768), (960, 576), (640, 640)]
_ROUNDS = 6
_REPORTS = (0, 50, 100, 150, 200)


def main() -> None:
    """Print the table, or as a process of its own one engine's row of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", default="onnxruntime,openvino", help="to compare")
    parser.add_argument("--row", metavar="ENGINE", help="print this engine's row alone")
    options = parser.parse_args()
    if options.row:
        print(f"| {' | '.join([options.row, *measure(options.row)])} |")
        return
    print(f"MiB of resident memory, {usable_cores()} cores of {processor_name()}\n")
    columns = [*(f"{count} sizes" for count in _REPORTS), "peak", "repeated, before", "after"]
    print(f"| engine | {' | '.join(columns)} |\n|---|{'--:|' * len(columns)}", flush=True)
    for engine in options.engines.split(","):
        subprocess.run([sys.executable, __file__, "--row", engine], check=True)


def measure(engine: str) -> list[str]:
    """The cells of an engine's row."""
    codec = cca_runtime.load(engine=engine, tile=None)
    before = repeated(codec)
    sizes = list(product(_SIDES, _SIDES))
    random.Random(1).shuffle(sizes)
    memory = [resident()]
    for count, (width, height) in enumerate(sizes[: _REPORTS[-1]], 1):
        codec.decode(codec.encode(photograph_like(width, height)))
        if count in _REPORTS:
            memory.append(resident())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    after = repeated(codec)
    cells = [f"{size // _MIB:,}" for size in [*memory, peak]]
    return [*cells, f"{1e3 * before:.0f} ms", f"{1e3 * after:.0f} ms"]


def repeated(codec: Codec) -> float:
    """Seconds of processor time to decode a picture of a size met before."""
    streams = [codec.encode(photograph_like(*size)) for size in _REPEATED]
    for stream in streams:
        codec.decode(stream)
    seconds = []
    for stream in streams * _ROUNDS:
        start = time.process_time()
        codec.decode(stream)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def resident() -> int:
    """Bytes of main memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
