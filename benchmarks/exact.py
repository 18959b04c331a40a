"""What an exact prior costs beside the float prior of the same checkpoint: bytes, PSNR and time.

    cca-export --ckpt examples/training/default.pth --entropy native -o native.bundle
    PYTHONPATH=tests python benchmarks/exact.py --native native.bundle

Bytes are those of whole streams, at quantisation steps that the default model was trained for.
Time is that of the whole prior loop on ONNX Runtime: both
models replay their own symbols of one picture, in turn, without the coder.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cca_core
import cca_runtime
import numpy as np
from cca_engines import Tensor, open_engine
from cca_engines.processor import processor_name, usable_cores
from cca_runtime.bundle import Bundle
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Pixels, read_picture
from numpy.typing import NDArray
from references.prior_loop import CodeGroup, run_prior

ROOT = Path(__file__).parent.parent
EXAMPLES = ("chelsea.png", "flower.jpg")
GOLDEN = ("chelsea", "coffee", "astronaut")
HEIGHT, WIDTH = 512, 768
STEPS = (-59, 0, 59)
"""Codes of quantisation steps: 0.41, 1 and 2.48."""


def example_set() -> Iterator[tuple[str, Pixels]]:
    """Pixels of the example photographs and of the golden ones, by name."""
    for name in EXAMPLES:
        yield f"examples/{name}", read_picture((ROOT / "examples" / name).read_bytes()).pixels
    for name in GOLDEN:
        with np.load(ROOT / "tests" / "data" / "golden" / f"{name}.npz") as golden:
            yield f"golden/{name}", golden["image"]


def coded(codec: Codec, pixels: Pixels, step: int) -> tuple[int, float]:
    """Bytes of the stream and the PSNR of what it decodes to."""
    quality = cca_core.quality_of_step(step)
    encoded = codec.encode_picture(pixels, reconstruct=True, quality=quality)
    assert encoded.reconstruction is not None
    return len(encoded.data), psnr(pixels, encoded.reconstruction)


def print_rates(exact: Codec, native: Codec, step: int) -> None:
    """One row a picture, then the mean and the worst, at one quantisation step."""
    print(f"\nStep {cca_core.quantisation_step(step):.2f}\n")
    print(f"{'picture':24}{'pixels':>9}{'native':>8}{'exact':>8}{'rate':>9}", end="")
    print(f"{'native':>12}{'exact':>11}{'PSNR':>12}")
    rates, differences = [], []
    for name, pixels in example_set():
        (before, quality_before), (after, quality_after) = (
            coded(codec, pixels, step) for codec in (native, exact)
        )
        rates.append(100 * (after / before - 1))
        differences.append(quality_after - quality_before)
        height, width = pixels.shape[:2]
        print(f"{name:24}{f'{width}x{height}':>9}{before:8}{after:8}{rates[-1]:+7.2f} %", end="")
        print(f"{quality_before:9.3f} dB{quality_after:8.3f} dB{differences[-1]:+9.3f} dB")
    for name, rate, difference in (
        ("mean", statistics.mean(rates), statistics.mean(differences)),
        ("worst", max(rates), min(differences)),
    ):
        print(f"{name:49}{rate:+7.2f} %{difference:+32.3f} dB")


class Prior:
    """A bundle's prior loop on one picture, ready to be repeated."""

    def __init__(self, bundle: Bundle, threads: int, pixels: Pixels) -> None:
        self._bundle = bundle
        self._engine = open_engine("onnxruntime", threads=threads)
        self._run = GraphRunner(bundle, self._engine).run
        latents = self._run("analysis", {"image": self._engine.to_device(pixels[None])})
        y = self._engine.to_host(latents["y"])
        self._z_symbols = self._engine.to_host(latents["z_symbols"])
        self._symbols: list[NDArray[np.int32]] = []
        first_channel = np.cumsum([0, *bundle.group_sizes])

        def quantise(group: int, indexes: NDArray[np.uint8], means: Tensor) -> NDArray[np.int32]:  # noqa: ARG001
            channels = y[:, first_channel[group] : first_channel[group + 1]]
            residual = np.rint(channels - self._engine.to_host(means))
            symbols: NDArray[np.int32] = residual.astype(np.int32)
            self._symbols.append(symbols)
            return symbols

        self._loop(quantise)

    def replay(self) -> None:
        """Run all prior graphs once, on the symbols that the first run found."""
        self._loop(lambda group, _indexes, _means: self._symbols[group])

    def _loop(self, code_group: CodeGroup) -> None:
        run_prior(self._run, self._engine, self._bundle, self._z_symbols, code_group)


def timed(action: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    action()
    return clock() - start


def print_times(exact: Bundle, native: Bundle, rounds: int) -> None:
    _, flower = list(example_set())[1]
    rows, columns = flower.shape[:2]
    pixels = np.pad(flower, ((0, HEIGHT - rows), (0, WIDTH - columns), (0, 0)), mode="reflect")
    print(f"{'':24}{'native':>10}{'exact':>12}{'exact / native':>18}   quartiles")
    for threads, clock, name in (
        (1, time.process_time, "1 thread, CPU time"),
        (2, time.perf_counter, "2 threads, wall clock"),
    ):
        priors = [Prior(bundle, threads, pixels) for bundle in (native, exact)]
        pairs = [[timed(prior.replay, clock) for prior in priors] for _ in range(rounds)]
        before, after = (statistics.median(times) for times in zip(*pairs, strict=True))
        low, ratio, high = statistics.quantiles((pair[1] / pair[0] for pair in pairs), n=4)
        print(f"{name:24}{1000 * before:7.0f} ms{1000 * after:9.0f} ms{ratio:18.3f}", end="")
        print(f"   {low:.3f} to {high:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--native", required=True, metavar="BUNDLE", help="the float prior")
    parser.add_argument("--exact", metavar="BUNDLE", help="the exact one (default model)")
    parser.add_argument("--rounds", type=int, default=31, help="of timing (default: 31)")
    options = parser.parse_args()
    exact, native = cca_runtime.load(options.exact), cca_runtime.load(options.native)
    print(f"{open_engine('onnxruntime').description}")
    processor = f"{usable_cores()} cores of {processor_name()}"
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {processor}")
    print(f"models: exact {exact.bundle.model_id.hex()}, native {native.bundle.model_id.hex()}\n")
    print("Bytes of whole streams of pixels alone. A native stream holds 8 bytes more than an")
    print("exact one, its engine's fingerprint; they are counted.")
    for step in STEPS:
        print_rates(exact, native, step)
    print(f"\nThe prior at {WIDTH}x{HEIGHT}, in turn, medians of {options.rounds}:\n")
    print_times(exact.bundle, native.bundle, options.rounds)


if __name__ == "__main__":
    main()
