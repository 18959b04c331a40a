r"""What each difference between the published network and the exported graphs is worth.

    python benchmarks/folding.py full-size.pth > benchmarks/results/folding.md

The synthesis of a picture of 768x512, in the published form, as it is exported, and as exported
but for one thing. Milliseconds, medians over rounds in which everybody has a turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cca_engines import Engine
from cca_engines.processor import processor_name, usable_cores
from cca_export.checkpoint import load_network
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import LAYER_NORM_EPSILON
from cca_export.graphs import CodecGraph
from cca_export.lower import folding
from cca_export.onnx_writer import onnx_model
from engine_settings import engines
from torch import Tensor, nn
from torch.nn import functional as F

LATENTS = (32, 48)


class _Gain(nn.Module):
    """A convolution, and its gain apart."""

    def __init__(self, convolution: nn.Conv2d, gain: Tensor) -> None:
        super().__init__()
        self.convolution = convolution
        self.register_buffer("gain", gain.detach())

    gain: Tensor

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.convolution(x) * self.gain
        return scaled


def channels_last(_: folding.Normalisation, x: Tensor) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    shape = x.shape[-1:]
    return F.layer_norm(x, shape, None, None, LAYER_NORM_EPSILON).permute(0, 3, 1, 2)


def reduced(_: folding.Normalisation, x: Tensor) -> Tensor:
    deviation = x - x.mean(1, keepdim=True)
    variance = (deviation * deviation).mean(1, keepdim=True)
    return deviation * torch.rsqrt(variance + LAYER_NORM_EPSILON)


def split(branch: folding.GatedBranch, x: Tensor) -> Tensor:
    """The gate of one convolution, whose output is split."""
    x = branch.norm(x)
    for first, second in zip(branch.first, branch.second, strict=True):
        halves = (first.get_parameter("weight"), second.get_parameter("weight"))
        biases = (first.get_parameter("bias"), second.get_parameter("bias"))
        depthwise = halves[0].shape[1] == 1
        x = F.conv2d(
            x,
            torch.cat(halves),
            torch.cat(biases),
            padding="same",
            groups=2 * len(halves[0]) if depthwise else 1,
        )
    one, other = x.chunk(2, dim=1)
    return one * other


VARIANTS: dict[str, tuple[Any, str, Callable[..., Any]] | None] = {
    "as exported": None,
    "with transposed convolutions": (folding, "SubPixelConvolution", lambda layer: layer),
    "with gains apart": (folding, "_scaled", _Gain),
    "with gates split": (folding.GatedBranch, "forward", split),
    "with LayerNormalization, channels last": (folding.Normalisation, "forward", channels_last),
    "with averages by ReduceMean": (folding.Normalisation, "forward", reduced),
}


@contextmanager
def patched(place: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:
    original = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, original)


def models(graph: CodecGraph) -> dict[str, bytes]:
    made = {"published": onnx_model(graph)}
    for label, variant in VARIANTS.items():
        if variant is None:
            made[label] = onnx_model(folding.folded(graph))
        else:
            with patched(*variant):
                made[label] = onnx_model(folding.folded(graph))
    return made


def medians(
    engine: Engine,
    made: Mapping[str, bytes],
    inputs: Mapping[str, Any],
    rounds: int,
) -> dict[str, float]:
    """Milliseconds of each model on one engine."""
    graphs = {label: engine.load(model, label, engine.precision) for label, model in made.items()}
    times: dict[str, list[float]] = {label: [] for label in graphs}
    for turn in range(-1, rounds):
        for label, graph in graphs.items():
            start = time.perf_counter()
            graph.run(inputs)
            if turn >= 0:
                times[label].append(time.perf_counter() - start)
    return {label: 1e3 * statistics.median(seconds) for label, seconds in times.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    *_, synthesis = codec_graphs(load_network(options.checkpoint).requires_grad_(False))
    made = models(synthesis)
    channels = synthesis.inputs[0].shape[0]
    assert isinstance(channels, int)
    generator = np.random.default_rng(0)
    y_hat = generator.standard_normal((channels, 1, *LATENTS)).astype(np.float32)
    columns = {
        name: medians(engine, made, {"y_hat": y_hat}, options.rounds) for name, engine in engines()
    }
    print("# What folding is worth\n")
    print(
        f"Synthesis at 768x512, milliseconds, {usable_cores()} cores of {processor_name()}, ",
        end="",
    )
    print(f"load average {os.getloadavg()[0]:.1f}; medians of {options.rounds} rounds.\n")
    print("| |" + "".join(f" {column} |" for column in columns))
    print("|---|" + "--:|" * len(columns))
    for label in made:
        cells = "".join(f" {found[label]:.0f} |" for found in columns.values())
        print(f"| {label} |{cells}")


if __name__ == "__main__":
    main()
