"""What float16 costs in quality, measured on a CPU: every rounding is made explicit.

    python benchmarks/half.py > benchmarks/results/half.md

With the trained model, each picture is coded with float32 and with float16 transforms. A random
network of the published size has no meaningful pictures, so its float16 synthesis is compared
with its float32 one, on the latents that it makes of a photograph: once as it is, and with
activations scaled up until plain float16, without factors, overflows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cca_engines import Engine, open_engine
from cca_export.check import CALIBRATION, load_picture
from cca_export.checkpoint import load_network
from cca_export.exact.calibration import run_prior
from cca_export.exact.cost import code_length
from cca_export.graphs import CodecGraph, TensorSpec, codec_graphs
from cca_export.half.check import HalfModule, half_loss
from cca_export.half.convert import HalfPlaces, half_network
from cca_export.half.ranges import Ranges, observe_ranges
from cca_export.network import CcaNetwork, NafBlock, SynthesisTransform
from cca_export.onnx_writer import onnx_model
from cca_export.tables import gaussian_tables
from full_size_checkpoint import PUBLISHED, random_network
from torch import Tensor, nn

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "tests" / "data" / "checkpoints" / "cca-small.pth"
GOLDEN = ("chelsea", "coffee", "astronaut")
EXAMPLES = ("chelsea.png", "flower.jpg")
SMALL_PICTURE = (192, 256)
GOOD_PICTURE = 40.0
"""Decibels: losses are larger on better pictures, so those of random networks are given for one
that is better than the published models' largest rate."""

DEVIATION = 0.25
"""Standard deviation that a random network's output is taken to have, as photographs do."""


def pictures() -> Iterator[tuple[str, Tensor]]:
    """Names and pixels, uint8 [1, H, W, 3]."""
    for name in GOLDEN:
        with np.load(ROOT / "tests" / "data" / "golden" / f"{name}.npz") as golden:
            yield f"golden/{name}", torch.from_numpy(golden["image"])[None]
    for name in EXAMPLES:
        path = ROOT / "examples" / name
        yield f"examples/{name}", torch.from_numpy(load_picture(path))


def scaled_up(network: CcaNetwork, factor: float) -> CcaNetwork:
    """A copy whose residual streams and gate products are about `factor` times as large.

    The layers that carry the pictures' signal give more, and the gated branches more yet.
    """
    result = copy.deepcopy(network).requires_grad_(False)
    layers: list[nn.Module] = [result.g_a.down[0], result.g_s.up[0], result.h_a[0]]
    for module in result.modules():
        if isinstance(module, NafBlock):
            layers += [module.dwconv[1], module.FFN[0]]
    for layer in layers:
        scale = factor if layer in layers[:3] else math.sqrt(factor)
        for parameter in layer.parameters():
            parameter.mul_(scale)
    return result


class FloatSynthesis(nn.Module):
    """The synthesis transform without its last steps, which would hide what exceeds a pixel."""

    def __init__(self, g_s: SynthesisTransform) -> None:
        super().__init__()
        self.g_s = g_s

    def forward(self, y_hat: Tensor) -> tuple[Tensor, ...]:
        """[N, M, h, w] to [N, 3, 16h, 16w]."""
        return (self.g_s(y_hat),)


@dataclass(frozen=True)
class Transforms:
    """A half network's transforms as graphs that an engine runs: `y` and pictures as floats."""

    analysis: HalfModule
    synthesis: HalfModule

    @classmethod
    def of(cls, half: CcaNetwork, engine: Engine) -> Transforms:
        """Export them."""
        channels = half.architecture.latent_channels
        latents = TensorSpec(
            "y_hat", "float32", ("batch", channels, "latent_height", "latent_width")
        )
        image = TensorSpec("x", "float32", ("batch", 3, "height", "width"))
        synthesis = CodecGraph("synthesis", FloatSynthesis(half.g_s), (latents,), (image,))
        analysis = next(codec_graphs(half))
        graphs = (analysis, synthesis)
        return cls(*(HalfModule(graph, onnx_model(graph), engine) for graph in graphs))


def noise(found: Tensor, expected: Tensor) -> float:
    """Of float16 beside float32, in decibels of the float32 values' variance; NaN if not finite."""
    error = torch.mean((found.double() - expected.double()) ** 2)
    ratio = (error / expected.double().var()).item()
    return 10 * math.log10(max(ratio, 1e-30)) if math.isfinite(ratio) else math.nan


def print_trained(engine: Engine) -> None:
    network = load_network(CHECKPOINT).eval()
    ranges = observe_ranges(network, [torch.from_numpy(load_picture(p)) for p in CALIBRATION])
    half, places = half_network(network, ranges, prior=True)
    graphs = list(codec_graphs(network))
    modules: dict[str, HalfModule] = {
        graph.name: HalfModule(graph, onnx_model(graph), engine) for graph in codec_graphs(half)
    }
    print("## The trained model\n")
    print(
        f"Largest magnitude on calibration pictures {ranges.largest():.0f}; {describe(places)}.\n"
    )
    print("| picture | FP32 | FP16 | synthesis loses | latents lose | whole codec: PSNR | bytes |")
    print("|---|---|---|---|---|---|---|")
    halves = [
        CodecGraph(graph.name, modules[graph.name], graph.inputs, graph.outputs) for graph in graphs
    ]
    for name, picture in pictures():
        loss = half_loss(name, picture, graphs, modules)
        before, after = (coded(every, picture) for every in (graphs, halves))
        print(
            f"| {name} | {loss.psnr:.3f} dB | {loss.psnr - loss.synthesis:.3f} dB "
            f"| {loss.synthesis:+.4f} dB | {loss.latents:+.4f} dB | {after[1] - before[1]:+.3f} dB "
            f"| {100 * (after[0] / before[0] - 1):+.2f} % |",
            flush=True,
        )


def coded(graphs: list[CodecGraph], picture: Tensor) -> tuple[float, float]:
    """Ideal bits of the latents, and PSNR, with the graphs given."""
    bits, tables, y_hat = 0.0, gaussian_tables(), []
    with torch.inference_mode():
        for outputs in run_prior(graphs, picture):
            if "y_hat" in outputs:
                y_hat.append(outputs["y_hat"])
            if "symbols" in outputs:
                bits += code_length(outputs["symbols"], outputs["indexes"], tables)
        decoded = graphs[-1].module(torch.cat(y_hat))[0]
    error = torch.mean((decoded.double() - picture.double()) ** 2).item()
    return bits, 10 * math.log10(255**2 / error)


def describe(places: HalfPlaces) -> str:
    return (
        f"{places.convolutions} convolutions, {len(places.scaled)} tensors stored by a factor, "
        f"{len(places.kept)} convolutions kept in float32"
    )


def print_random(network: CcaNetwork, picture: Tensor, engine: Engine, label: str) -> bool:
    """One row; returns whether plain float16 is not finite."""
    ranges = observe_ranges(network, [picture])
    graphs = list(codec_graphs(network))
    with torch.inference_mode():
        y = graphs[0].module(picture)[0]
        x = network.g_s(torch.round(y))
    columns, overflows = [], False
    for observed in (Ranges(), ranges):
        half, places = half_network(network, observed, prior=False)
        transforms = Transforms.of(half, engine)
        latents = noise(transforms.analysis(picture)[0], y)
        image = noise(transforms.synthesis(torch.round(y))[0], x)
        if observed is not ranges:
            overflows = math.isnan(latents) or math.isnan(image)
            columns.append(f"{latents:.1f} | {image:.1f}".replace("nan", "**Inf, NaN**"))
            continue
        peak = image + 20 * math.log10(DEVIATION)
        lost = 10 * math.log10(1 + 10 ** ((GOOD_PICTURE + peak) / 10))
        columns.append(f"{latents:.1f} | {image:.1f} | {lost:.4f} dB")
        columns.append(f"{places.convolutions} | {len(places.scaled)} | {len(places.kept)}")
    print(f"| {label} | {ranges.largest():.3g} | {' | '.join(columns)} |", flush=True)
    return overflows


def print_full_size(engine: Engine) -> None:
    network = random_network(PUBLISHED).eval().requires_grad_(False)
    picture = torch.from_numpy(load_picture(CALIBRATION[0]))
    picture = picture[:, : SMALL_PICTURE[0], : SMALL_PICTURE[1]].contiguous()
    print("\n## A random network of the published size\n")
    print("| activations | largest | plain: y | x | FP16: y | x | loses at 40 dB ", end="")
    print("| convolutions | factors | kept FP32 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    overflowed, factor = 0, 1.0
    while overflowed < 3:
        overflowed += print_random(scaled_up(network, factor), picture, engine, f"x{factor:g}")
        factor *= 16


def main() -> None:
    engine = open_engine("onnxruntime")
    print("# What float16 costs in quality\n")
    print(f"`benchmarks/half.py`, PyTorch {torch.__version__}, {engine.description}\n")
    print_trained(engine)
    print_full_size(engine)


if __name__ == "__main__":
    main()
