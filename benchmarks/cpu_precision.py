r"""What float32, bfloat16 and int8 transforms cost and gain on a CPU, with OpenVINO.

    pip install nncf
    python benchmarks/cpu_precision.py default full-size.bundle \
        > benchmarks/results/cpu_precision.md

Everybody's analysis and synthesis are quantised after training by NNCF, calibrated on the
exporter's pictures, the convolutions that average over channels left out; the prior stays exact.
The first bundle's pictures are measured, so it should be a trained one. Times are medians over
rounds in which everybody has a turn, a picture of 768x512.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
from cca_engines import Graph, Precision, Tensor
from cca_engines.openvino import OpenVinoEngine, OpenVinoGraph, ov
from cca_engines.processor import processor_name, usable_cores
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.codec import Codec
from cca_runtime.generated import photograph_like
from cca_runtime.metrics import psnr
from cca_runtime.pictures import read_picture
from exact import example_set
from references.padding import choose_padding, pad

ROOT = Path(__file__).parent.parent
CALIBRATION = [
    ROOT / "export" / "cca_export" / "data" / f"{name}.jpg"
    for name in ("astronaut", "coffee", "rocket")
]
TRANSFORMS = ("analysis", "synthesis")
PRESETS = {
    "int8": nncf.QuantizationPreset.PERFORMANCE,
    "int8, asymmetric": nncf.QuantizationPreset.MIXED,
}
SIZE = (768, 512)


class _Recorded(Graph):
    """A graph that keeps what it was given."""

    def __init__(self, graph: OpenVinoGraph, inputs: list[dict[str, Tensor]]) -> None:
        super().__init__(graph.name, graph.inputs, graph.outputs)
        self._graph, self._given = graph, inputs

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        self._given.append({name: np.array(value) for name, value in inputs.items()})
        return self._graph.run(inputs, into)


class _RecordingEngine(OpenVinoEngine):
    """Keeps what the transforms read."""

    def __init__(self) -> None:
        super().__init__(usable_cores(), "float32")
        self.seen: dict[str, list[dict[str, Tensor]]] = {name: [] for name in TRANSFORMS}

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> Any:
        graph = super().load(model, name, precision)
        return _Recorded(graph, self.seen[name]) if name in self.seen else graph


class _QuantisedEngine(OpenVinoEngine):
    """Takes transforms that are quantised already."""

    def __init__(self, models: Mapping[str, ov.Model]) -> None:
        super().__init__(usable_cores(), "float32")
        self._models = models

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> OpenVinoGraph:
        if name not in self._models:
            return super().load(model, name, precision)
        settings = {"INFERENCE_NUM_THREADS": usable_cores(), "NUM_STREAMS": 1}
        compiled = self._core.compile_model(
            self._models[name], "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"}
        )
        return OpenVinoGraph(compiled, name)


def quantised(bundle: Bundle, preset: nncf.QuantizationPreset) -> _QuantisedEngine:
    recording = _RecordingEngine()
    codec = Codec(bundle, recording)
    for path in CALIBRATION:
        pixels = read_picture(path.read_bytes()).pixels[:512, :768]
        codec.encode_picture(pad(pixels, choose_padding(*pixels.shape[:2])), reconstruct=True)
    models = {}
    for name, inputs in recording.seen.items():
        model = ov.Core().read_model(bundle.read_graph(name), b"")
        with contextlib.redirect_stdout(sys.stderr):  # its progress
            models[name] = nncf.quantize(
                model,
                nncf.Dataset(inputs),
                preset=preset,
                subset_size=len(inputs),
                ignored_scope=nncf.IgnoredScope(names=averages(model), validate=False),
            )
    return _QuantisedEngine(models)


def averages(model: ov.Model) -> list[str]:
    """Names of the convolutions to one channel."""
    return [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "Convolution" and node.get_output_partial_shape(0)[1] == 1
    ]


def engines(bundle: Bundle) -> dict[str, OpenVinoEngine]:
    threads = usable_cores()
    return {
        "float32": OpenVinoEngine(threads, "float32"),
        "bfloat16": OpenVinoEngine(threads, "bfloat16"),
        **{name: quantised(bundle, preset) for name, preset in PRESETS.items()},
    }


def print_quality(codecs: Mapping[str, Codec]) -> None:
    """Bytes and PSNR: of the stream that float32 made, then of each one's own."""
    baseline, *others = codecs
    print("| picture | float32 |" + "".join(f" {name} | both |" for name in others))
    print("|---|--:|" + "--:|--:|" * len(others))
    losses: dict[str, list[float]] = {name: [] for name in others}
    for label, pixels in example_set():
        reference = codecs[baseline].encode(pixels)
        decibels = psnr(pixels, codecs[baseline].decode(reference))
        row = f"| {label} | {len(reference):,} B, {decibels:.3f} dB |"
        for name in others:
            decoded = psnr(pixels, codecs[name].decode(reference)) - decibels
            stream = codecs[name].encode(pixels)
            both = psnr(pixels, codecs[name].decode(stream)) - decibels
            losses[name].append(both)
            size = 100 * (len(stream) / len(reference) - 1)
            row += f" {decoded:+.3f} dB | {size:+.2f} %, {both:+.3f} dB |"
        print(row, flush=True)
    print("| mean | |" + "".join(f" | {statistics.mean(losses[n]):+.3f} dB |" for n in others))


def print_times(codecs: Mapping[str, Codec], rounds: int) -> None:
    picture = photograph_like(*SIZE)
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(-1, rounds):
        for name, codec in codecs.items():
            start = time.perf_counter()
            encoded = codec.encode_picture(picture)
            middle = time.perf_counter()
            decoded = codec.decode_stream(encoded.data)
            stages = {
                "encode": middle - start,
                "decode": time.perf_counter() - middle,
                "analysis": encoded.seconds["analysis"],
                "synthesis": decoded.seconds["synthesis"],
            }
            if turn >= 0:
                for stage, seconds in stages.items():
                    times.setdefault((name, stage), []).append(seconds)
    stages_shown = ("analysis", "synthesis", "encode", "decode")
    print("| |" + "".join(f" {stage}, ms | times as fast |" for stage in stages_shown))
    print("|---|" + "--:|--:|" * len(stages_shown))
    baseline = next(iter(codecs))
    for name in codecs:
        row = f"| {name} |"
        for stage in stages_shown:
            own, reference = times[name, stage], times[baseline, stage]
            factor = statistics.median(r / o for r, o in zip(reference, own, strict=True))
            row += f" {1e3 * statistics.median(own):.0f} | {factor:.2f} |"
        print(row, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="the first is trained")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    nncf.set_log_level(40)
    print("# float32, bfloat16 and int8 on a CPU\n")
    print(f"OpenVINO {ov.__version__}, NNCF {nncf.__version__}, {usable_cores()} cores of ", end="")
    print(f"{processor_name()}, load average {os.getloadavg()[0]:.1f}.")
    for number, name in enumerate(options.bundles):
        bundle = open_bundle(name)
        codecs = {label: Codec(bundle, engine) for label, engine in engines(bundle).items()}
        parameters = bundle.manifest["parameters"] / 1e6
        print(f"\n## {bundle.name} ({parameters:.1f} M parameters)\n")
        if number == 0:
            print("Each column first with the stream of float32, then with one of its own.\n")
            print_quality(codecs)
            print()
        print_times(codecs, options.rounds)


if __name__ == "__main__":
    main()
