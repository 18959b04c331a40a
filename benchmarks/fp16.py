"""What float16 costs in quality, measured on a CPU: every rounding is made explicit.

    python benchmarks/fp16.py > benchmarks/results/fp16.md

Pictures of the trained model are coded with the graphs that `cca-export --precision fp16` writes.
A random network of the published size has no meaningful pictures, so its float16 transforms are
compared with its float32 ones: as it is, and with activations scaled up until plain float16
overflows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cca_engines import Engine, open_engine
from cca_export.check import CALIBRATION, load_picture
from cca_export.checkpoint import load_network
from cca_export.coding_runs import read_symbols, run_codec
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork, NafBlock
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.cost import code_length
from cca_export.lower.fp16.check import Fp16Module, fp16_loss
from cca_export.lower.fp16.convert import Fp16Places, fp16_network
from cca_export.lower.fp16.ranges import Ranges, observe_ranges
from cca_export.onnx_writer import onnx_model
from cca_export.steps import smallest_scale, table_indexes
from cca_export.tables import gaussian_tables
from fp16_islands import MORE, WITHOUT, Rounded, replaced
from full_size_checkpoint import PUBLISHED, random_network
from numpy.typing import NDArray
from torch import Tensor, nn

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "tests" / "data" / "checkpoints" / "cca-small.pth"
GOLDEN = ("chelsea", "coffee", "astronaut")
EXAMPLES = ("chelsea.png", "flower.jpg")
SMALL_PICTURE = (192, 256)
SCALES = (1, 64, 512)
GOOD_PICTURE = 40.0
"""Decibels: losses are larger on better pictures, so those of random networks are given for one
that is as good as the published models' best."""

DEVIATION = 0.25
"""Standard deviation that a random network's output is taken to have, as photographs do."""


def pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and pixels, uint8 [1, H, W, 3]."""
    for name in GOLDEN:
        with np.load(ROOT / "tests" / "data" / "golden" / f"{name}.npz") as golden:
            yield f"golden/{name}", golden["image"][None]
    for name in EXAMPLES:
        yield f"examples/{name}", load_picture(ROOT / "examples" / name)


def small_picture() -> Tensor:
    """uint8 [1, *SMALL_PICTURE, 3]."""
    height, width = SMALL_PICTURE
    return torch.from_numpy(load_picture(CALIBRATION[0]))[:, :height, :width].contiguous()


def scaled_up(network: CcaNetwork, factor: float) -> CcaNetwork:
    """A copy whose residual streams and gate products are about `factor` times as large."""
    result = copy.deepcopy(network).requires_grad_(False)
    layers: list[tuple[nn.Module, float]] = [
        (layer, factor) for layer in (result.g_a.down[0], result.g_s.up[0])
    ]
    for module in result.modules():
        if isinstance(module, NafBlock):
            layers += [(layer, math.sqrt(factor)) for layer in (module.dwconv[1], module.FFN[0])]
    for layer, scale in layers:
        for parameter in layer.parameters():
            parameter.mul_(scale)
    return result


# --- The trained model, picture by picture ----------------------------------------------------


@dataclass(frozen=True)
class Coded:
    """A picture's bits, its PSNR, and what the entropy coder was given."""

    bits: float
    psnr: float
    indexes: NDArray[np.uint8]
    symbols: NDArray[np.int64]


def coded(graphs: Sequence[CodecGraph], picture: NDArray[np.uint8], smallest: int) -> Coded:
    """Encode and decode a picture; bits are of the latents, by their ideal code lengths.

    `smallest` is the network's `smallest_scale`.
    """
    bits, tables = 0.0, gaussian_tables()
    indexes: list[NDArray[np.uint8]] = []
    symbols: list[NDArray[np.int64]] = []
    for run in run_codec(graphs, picture):
        if len(symbols) < len(indexes):  # every graph behind a group's reads its symbols
            symbols.append(read_symbols(run.inputs["symbols"]))
            chosen = table_indexes(indexes[-1], 0, smallest)
            bits += code_length(symbols[-1], chosen, tables)
        if "indexes" in run.outputs:
            indexes.append(run.outputs["indexes"])
    error = float(np.mean((run.outputs["image"].astype(np.float64) - picture) ** 2))
    flat = (np.concatenate([array.ravel() for array in arrays]) for arrays in (indexes, symbols))
    return Coded(bits, 10 * math.log10(255**2 / error), *flat)


def share(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Of values that differ, in percent."""
    return 100 * float(np.mean(found != expected))


def print_trained(engine: Engine, network: CcaNetwork, fp16: CcaNetwork) -> None:
    """One row a picture."""
    graphs = list(codec_graphs(network))
    modules = {g.name: Fp16Module(g, onnx_model(g), engine) for g in codec_graphs(fp16)}
    everything = [CodecGraph(g.name, modules[g.name], g.inputs, g.outputs) for g in graphs]
    transforms = [everything[0], *graphs[1:-1], everything[-1]]
    smallest = smallest_scale(network.finest_step)
    print(
        "| picture | FP32 | synthesis loses | latents lose | FP16 transforms: PSNR | bytes ", end=""
    )
    print("| FP16 prior as well: PSNR | bytes | indexes differ | symbols differ |")
    print("|---" * 10 + "|")
    for name, picture in pictures():
        loss = fp16_loss(name, picture, graphs, modules)
        before = coded(graphs, picture, smallest)
        columns = [f"{loss.psnr:.3f} dB | {loss.synthesis:+.4f} dB | {loss.latents:+.4f} dB"]
        for some in (transforms, everything):
            after = coded(some, picture, smallest)
            columns += [f"{after.psnr - before.psnr:+.3f} dB"]
            columns += [f"{100 * (after.bits / before.bits - 1):+.2f} %"]
        columns += [f"{share(after.indexes, before.indexes):.2f} %"]
        columns += [f"{share(after.symbols, before.symbols):.2f} %"]
        print(f"| {name} | {' | '.join(columns)} |", flush=True)


# --- What is float32, and what it is good for ---------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """A picture by a float32 network: what its transforms make of it."""

    picture: Tensor
    y: Tensor
    z: Tensor
    x: Tensor

    @classmethod
    def of(cls, network: CcaNetwork, picture: Tensor) -> Expected:
        """Encode, round, decode."""
        with torch.no_grad():
            y = network.g_a(picture.float().permute(0, 3, 1, 2) / 255)
            return cls(picture, y, network.h_a(y), network.g_s(torch.round(y)))

    def noise(self, fp16: CcaNetwork) -> tuple[float, float, float]:
        """Of y, z and x by a float16 network: decibels of their variance; NaN if not finite."""
        with torch.no_grad(), Rounded():
            y = fp16.g_a(self.picture.float().permute(0, 3, 1, 2) / 255)
            z = fp16.h_a(self.y)
            x = fp16.g_s(torch.round(self.y))
        return noise(y, self.y), noise(z, self.z), noise(x, self.x)


def noise(found: Tensor, expected: Tensor) -> float:
    """Of float16 beside float32, in decibels of the float32 values' variance; NaN if not finite."""
    error = torch.mean((found.double() - expected.double()) ** 2)
    ratio = (error / expected.double().var()).item()
    return 10 * math.log10(max(ratio, 1e-30)) if math.isfinite(ratio) else math.nan


def describe(places: Fp16Places) -> str:
    return (
        f"{places.convolutions} convolutions, {len(places.scaled)} tensors stored by a factor, "
        f"{len(places.kept)} convolutions kept in float32"
    )


def print_islands(network: CcaNetwork, ranges: Ranges, picture: Tensor) -> None:
    """One row for each part that is float32, with that part in float16."""
    expected = Expected.of(network, picture)
    fp16, places = fp16_network(network, ranges, prior=False)
    print(f"Largest magnitude {ranges.largest():.3g}; {describe(places)}.\n")
    print("| | y | z | x | x loses at 40 dB |")
    print("|---|---|---|---|---|")
    print_row("as exported", expected.noise(fp16))
    plain, _ = fp16_network(network, Ranges(), prior=False)
    print_row("without factors", expected.noise(plain))
    for prefix, parts in (("float16: ", WITHOUT), ("float32 as well: ", MORE)):
        for name, (layers, by) in parts.items():
            if any(isinstance(module, layers) for module in fp16.modules()):
                print_row(prefix + name, expected.noise(replaced(fp16, layers, by)))
    print()


def print_row(label: str, noises: Sequence[float]) -> None:
    """Noise of y, z and x, and what that of x costs a good picture."""
    peak = noises[-1] + 20 * math.log10(DEVIATION)
    lost = 10 * math.log10(1 + 10 ** ((GOOD_PICTURE + peak) / 10))
    cells = [f"{value:.1f} dB" for value in noises] + [f"{lost:.4f} dB"]
    row = " | ".join("**Inf or NaN**" if cell == "nan dB" else cell for cell in cells)
    print(f"| {label} | {row} |", flush=True)


def main() -> None:
    engine = open_engine("onnxruntime")
    network = load_network(CHECKPOINT).eval().requires_grad_(False)
    ranges = observe_ranges(network, [load_picture(p) for p in CALIBRATION])
    fp16, places = fp16_network(network, ranges, prior=True)
    print("# What float16 costs in quality\n")
    print(
        f"`benchmarks/fp16.py`, PyTorch {torch.__version__}, onnxruntime; "
        "see docs/guide/precision.md\n"
    )
    print("## The trained model\n")
    print(f"With its prior {describe(places)}.\n")
    print_trained(engine, network, fp16)
    print("\n## What is float32, and what happens without it\n")
    print("### The trained model, golden/chelsea\n")
    print_islands(network, ranges, next(pictures())[1])
    network = random_network(PUBLISHED).eval()
    picture = small_picture()
    for scale in SCALES:
        print(f"### A random network of the published size, activations x{scale}\n")
        scaled = scaled_up(network, scale)
        print_islands(scaled, observe_ranges(scaled, [picture.numpy()]), picture)


if __name__ == "__main__":
    main()
