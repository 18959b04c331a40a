"""Everything about a GPU in one run: exactness, quality, latency, throughput, memory.

    cca-export --ckpt q5.pth -o q5.bundle --precision fp16
    PYTHONPATH=tests python benchmarks/gpu.py q5.bundle --ckpt q5.pth > benchmarks/results/gpu.md

Engines that cannot be used here are listed with the reason. Each figure of an engine is beside that
of eager PyTorch on the same device, with CompressAI's coder. `--engines onnxruntime --device cpu
--sizes 320x256` tries the benchmark itself without a GPU.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cca_core import HYPER_STRIDE, TILE_NONE, DecoderMachine, EncoderMachine, pad_picture
from cca_engines import Engine, EngineError, fingerprint, open_engine, optimisations
from cca_export.checkpoint import load_network
from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.calibration import observe_prior
from cca_export.lower.exact.graphs import ExactPrior, exact_graphs
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.codec import Codec
from cca_runtime.conformance import verify
from cca_runtime.errors import CcaError
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.host import EngineHost
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Pixels
from cca_runtime.plans import plan_options
from cca_runtime.stopwatch import Stopwatch
from eager_pytorch import EagerCodec, Strings, exact_values_on
from exact import example_set
from numpy.typing import NDArray

GPU_ENGINES = ("tensorrt", "tensorrt-rtx", "cuda")
SIZES = ("768x512", "1920x1080", "3840x2160")
BATCHES = (1, 8)
BATCH_PIXELS = 1 << 24
_MIB = 1 << 20


@dataclass(frozen=True)
class Subject:
    """What is timed: something that encodes and decodes a batch, seconds by stage for all of it."""

    label: str
    encode: Callable[[NDArray[np.uint8]], tuple[object, Mapping[str, float]]]
    decode: Callable[[object], Mapping[str, float]]
    memory: Callable[[], int | None]


def open_setting(bundle: Bundle, name: str, optimisation: str | None) -> Engine:
    return open_engine(name, optimisation=optimisation, plans=plan_options(bundle, trust=True))


def settings(names: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Engines, each with all its optimisation levels where those are launches or CUDA graphs."""
    for name in names:
        try:
            levels: Sequence[str | None] = optimisations(name) if name in GPU_ENGINES else ()
        except EngineError:
            levels = ()
        for level in levels or [None]:
            yield name, level


def usable(bundle: Bundle, names: Sequence[str]) -> dict[str, str]:
    """Why engines cannot be used here; empty text for those that can."""
    reasons = {}
    for name in names:
        try:
            Codec(bundle, open_setting(bundle, name, None)).check_engine()
            reasons[name] = ""
        except (CcaError, EngineError) as error:
            reasons[name] = str(error)
    return reasons


def print_usable(reasons: Mapping[str, str]) -> None:
    print("## Engines\n\n| engine | |\n|---|---|")
    for name, reason in reasons.items():
        print(f"| {name} | {reason or 'works'} |")


def print_exactness(
    bundle: Bundle, network: CcaNetwork, engines: Sequence[str], device: str
) -> None:
    """Integers on the device against those of the CPU."""
    print("\n## Exact prior\n\n| on | values compared | differing |\n|---|--:|--:|")
    for name in engines:
        result = verify(bundle, open_setting(bundle, name, None))
        differing = ", ".join(str(mismatch) for mismatch in result.mismatches) or "0"
        total = sum(result.compared.values())
        print(f"| {name}, the bundle's conformance vectors | {total:,} | {differing} |")
    graphs = exact_graphs_of(network)
    pictures = [trimmed(pixels)[None] for _, pixels in example_set()]
    expected = [exact_values_on(graphs, picture, "cpu") for picture in pictures]
    for tf32 in (False, True) if device == "cuda" else (False,):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        compared = differing_values = 0
        for picture, values in zip(pictures, expected, strict=True):
            found = exact_values_on(graphs, picture, device)
            compared += sum(array.size for array in values.values())
            differing_values += sum(int((found[key] != values[key]).sum()) for key in values)
        label = f"PyTorch on {device}" + (", TF32 allowed" if tf32 else "")
        print(f"| {label}, five photographs | {compared:,} | {differing_values:,} |")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def exact_graphs_of(network: CcaNetwork) -> list[CodecGraph]:
    pictures = [torch.from_numpy(trimmed(pixels)[None]) for _, pixels in example_set()]
    return list(exact_graphs(network, ExactPrior(network, observe_prior(network, pictures))))


def trimmed(pixels: Pixels) -> Pixels:
    """The part of a picture that needs no padding."""
    height, width = (side // HYPER_STRIDE * HYPER_STRIDE for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


def print_quality(bundle: Bundle, engines: Sequence[str]) -> None:
    """PSNR of what each engine decodes, beside the default engine in float32."""
    print("\n## PSNR in decibels\n")
    print("| picture | onnxruntime |" + "".join(f" {name} | loss |" for name in engines))
    print("|---|--:|" + "--:|--:|" * len(engines))
    reference = Codec(bundle, open_engine("onnxruntime"))
    codecs = [Codec(bundle, open_setting(bundle, name, None)) for name in engines]
    for name, pixels in example_set():
        expected = psnr(pixels, reference.decode(reference.encode(pixels)))
        row = f"| {name} | {expected:.3f} |"
        for codec in codecs:
            found = psnr(pixels, codec.decode(codec.encode(pixels)))
            row += f" {found:.3f} | {expected - found:+.4f} |"
        print(row)


def engine_subject(bundle: Bundle, name: str, level: str | None, label: str) -> Subject:
    engine = open_setting(bundle, name, level)
    host = EngineHost(engine, GraphRunner(bundle, engine))
    host.graphs.load(host.graphs.names, Stopwatch())
    model = bundle.read_model()
    options: dict[str, Any] = {"max_pixels": 1 << 30}
    if bundle.entropy_mode == "native":
        options["fingerprint"] = fingerprint(engine, host.graphs.identities(bundle.prior_graphs))

    def encode(images: NDArray[np.uint8]) -> tuple[object, Mapping[str, float]]:
        pictures = [(image, None, None, None) for image in images]
        machine = EncoderMachine(model, pictures, tile_side=TILE_NONE, **options)
        seconds = host.drive(machine)
        return [stream for _, stream, _ in machine.finish()], seconds

    def decode(streams: object) -> Mapping[str, float]:
        assert isinstance(streams, list)
        machine = DecoderMachine(model, streams, **options)
        seconds = host.drive(machine)
        machine.finish()
        return seconds

    return Subject(label, encode, decode, memory_in_use(name))


def memory_in_use(name: str) -> Callable[[], int | None]:
    """Bytes of GPU memory that are taken, by whomever."""
    if name not in GPU_ENGINES:
        return lambda: None
    from cca_engines.cuda.runtime import load_runtime

    runtime = load_runtime()

    def used() -> int:
        free, total = runtime.memory_info()
        return total - free

    return used


def eager_subject(network: CcaNetwork, device: str, *, half: bool) -> Subject:
    codec = EagerCodec(network, device, half=half)

    def encode(images: NDArray[np.uint8]) -> tuple[object, Mapping[str, float]]:
        return codec.encode(np.stack([pad_picture(image) for image in images]))

    def decode(strings: object) -> Mapping[str, float]:
        assert isinstance(strings, Strings)
        return codec.decode(strings)[1]

    def memory() -> int | None:
        return torch.cuda.max_memory_allocated() if device == "cuda" else None

    return Subject(f"eager PyTorch {'FP16' if half else 'FP32'}", encode, decode, memory)


def print_latency(subjects: Sequence[Subject], sizes: Sequence[str], rounds: int) -> None:
    """Milliseconds of one call, p50 and p99, and where the median call's time goes."""
    print("\n## Latency\n\nMilliseconds a call. Stages are medians.\n")
    print(
        "| | size | batch | encode p50 | p99 | decode p50 | p99 | prior | coder | synthesis |",
        end="",
    )
    print(" coder's share | pictures/s decoded | MiB |")
    print("|---|---|--:|" + "--:|" * 10)
    for size in sizes:
        picture = picture_of(size)
        for batch in BATCHES:
            if batch * picture[..., 0].size > BATCH_PIXELS:
                continue
            images = np.stack([picture] * batch)
            for subject in subjects:
                try:
                    print(latency_row(subject, images, size, rounds), flush=True)
                except (CcaError, EngineError, torch.OutOfMemoryError) as error:
                    reason = str(error).split("\n", maxsplit=1)[0]
                    print(f"| {subject.label} | {size} | {batch} | {reason} |", flush=True)


def latency_row(subject: Subject, images: NDArray[np.uint8], size: str, rounds: int) -> str:
    before = subject.memory()
    for _ in range(3):  # compiles, records and chooses kernels
        streams, _ = subject.encode(images)
        subject.decode(streams)
    encode, decode, stages = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        streams, _ = subject.encode(images)
        middle = time.perf_counter()
        stages.append(subject.decode(streams))
        decode.append(time.perf_counter() - middle)
        encode.append(middle - start)
    median = {name: statistics.median(s[name] for s in stages) for name in stages[0]}
    cells = [*quantiles(encode), *quantiles(decode)]
    cells += [1e3 * median[stage] for stage in ("prior", "coder", "synthesis")]
    after = subject.memory()
    mebibytes = "-" if after is None or before is None else f"{max(after, before) / _MIB:.0f}"
    seconds = statistics.median(decode)
    return (
        f"| {subject.label} | {size} | {len(images)} | "
        + " | ".join(f"{cell:.2f}" for cell in cells)
        + f" | {median['coder'] / seconds:.0%} | {len(images) / seconds:.1f} | {mebibytes} |"
    )


def quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return 1e3 * statistics.median(ordered), 1e3 * ordered[math.ceil(0.99 * len(ordered)) - 1]


def print_throughput(bundle: Bundle, engines: Sequence[str], size: str, count: int) -> None:
    """Pictures a second of `decode([...])`, which overlaps pictures, by workers."""
    print(f"\n## decode([...]) of {count} pictures of {size}, pictures/s\n")
    print("| workers |" + "".join(f" {name} |" for name in engines))
    print("|--:|" + "--:|" * len(engines))
    picture = picture_of(size)
    for workers in (1, 2, 3, 4):
        row = f"| {workers} |"
        for name in engines:
            codec = Codec(bundle, open_setting(bundle, name, None), workers=workers)
            streams = [codec.encode(picture)] * count
            codec.decode(streams[: 8 * workers])
            start = time.perf_counter()
            codec.decode(streams)
            row += f" {count / (time.perf_counter() - start):.1f} |"
        print(row, flush=True)


def picture_of(size: str) -> NDArray[np.uint8]:
    """A photograph of that size: the example, mirrored as often as needed."""
    width, height = map(int, size.split("x"))
    _, pixels = next(example_set())
    tile = np.concatenate([pixels, pixels[:, ::-1]], 1)
    tile = np.concatenate([tile, tile[::-1]], 0)
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    return np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("bundle", nargs="?", help="bundle in exact mode (default: the shipped one)")
    parser.add_argument("--ckpt", type=Path, required=True, help="the bundle's checkpoint")
    parser.add_argument("--engines", default=",".join(GPU_ENGINES), help="to compare")
    parser.add_argument("--device", default="cuda", help="PyTorch's (default: cuda)")
    parser.add_argument("--sizes", default=",".join(SIZES), help="WIDTHxHEIGHT,...")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    network = load_network(options.ckpt).requires_grad_(False)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU: install it with CUDA, or try --device cpu")
    chip = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor()
    print(f"# Model {bundle.name} on {chip}\n")
    print(f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}\n")
    names = options.engines.split(",")
    reasons = usable(bundle, names)
    print_usable(reasons)
    working = [name for name in names if not reasons[name]]
    print_exactness(bundle, network, working, options.device)
    print_quality(bundle, working)
    subjects = [
        engine_subject(bundle, name, level, f"{name} {level or ''}".strip())
        for name, level in settings(working)
    ]
    torch.backends.cudnn.benchmark = True
    halves = (False, True) if options.device == "cuda" else (False,)
    subjects += [eager_subject(network, options.device, half=half) for half in halves]
    sizes = options.sizes.split(",")
    print_latency(subjects, sizes, options.rounds)
    print_throughput(bundle, working, sizes[0], 64)


if __name__ == "__main__":
    main()
