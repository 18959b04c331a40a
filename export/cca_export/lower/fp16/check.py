"""What float16 loses: each graph against the network, and the quality of decoded pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from cca_engines import Engine
from numpy.typing import NDArray
from torch import Tensor, nn

from cca_export.check import Comparison, MismatchError
from cca_export.coding_runs import GraphRun, run_codec
from cca_export.graphs import CodecGraph
from cca_export.lower.fp16.rounding import explicit_rounding

ALLOWED_ERROR = 0.02
"""Of an output, root mean square, relative. Correct graphs err by 0.001 to 0.004."""

ALLOWED_STEPS = 0.5
"""Of an integer output, root mean square. In correct graphs at most one value in ten is on the
other side of a rounding boundary, an error of 0.3."""

ALLOWED_LOSS = 0.05
"""Decibels."""


@dataclass(frozen=True)
class Fp16Loss:
    """What float16 transforms lose on one picture, in decibels.

    Attributes:
        picture: Its name.
        psnr: Of the decoded picture with float32 transforms.
        synthesis: How much lower it is with the float16 synthesis of the same y_hat.
        latents: How much larger the float16 analysis makes the latents' mean squared error,
            which is mostly that of quantisation.
    """

    picture: str
    psnr: float
    synthesis: float
    latents: float


class Fp16Module(nn.Module):
    """A float16 graph as a module: an engine runs it, every rounding made explicit."""

    def __init__(self, graph: CodecGraph, model: bytes, engine: Engine) -> None:
        super().__init__()
        self._graph, self._engine = graph, engine
        self._loaded = engine.load(explicit_rounding(model), f"{graph.name}.fp16")

    def forward(self, *values: Tensor, **named: Tensor) -> tuple[Tensor, ...]:
        """Inputs and outputs as the graph's float32 module."""
        names = (spec.name for spec in self._graph.inputs)
        inputs = dict(zip(names, values, strict=False)) | named
        results = self._loaded.run(
            {name: self._engine.to_device(value.numpy()) for name, value in inputs.items()}
        )
        arrays = (self._engine.to_host(results[spec.name]) for spec in self._graph.outputs)
        return tuple(torch.from_numpy(array) for array in arrays)


def compare_fp16(run: GraphRun, fp16: Fp16Module) -> list[Comparison]:
    """Run a float16 graph on what its float32 graph read, and compare what it gave.

    Raises:
        MismatchError: An output differs by more than roundings to float16 explain, or is
            infinite or not a number.
    """
    graph = run.graph
    results = fp16(**{name: torch.from_numpy(array) for name, array in run.inputs.items()})
    comparisons = []
    for found, (name, reference) in zip(results, run.outputs.items(), strict=True):
        comparison = _compare(f"{graph.name}.fp16", name, found.numpy(), reference)
        if not comparison.passed:
            raise MismatchError(
                f"float16 graph '{graph.name}' computes '{name}' with error "
                f"{comparison.error:.2g}, allowed {comparison.allowed:.2g}: "
                "export it without --precision fp16"
            )
        comparisons.append(comparison)
    return comparisons


def fp16_loss(
    name: str,
    picture: NDArray[np.uint8],
    graphs: Sequence[CodecGraph],
    fp16: Mapping[str, nn.Module],
) -> Fp16Loss:
    """Measure what a picture loses.

    Args:
        name: What to call the picture.
        picture: uint8 [1, H, W, 3], sides multiples of 64.
        graphs: `codec_graphs` of the float network.
        fp16: The float16 `analysis` and `synthesis`.

    Raises:
        MismatchError: The loss is larger than `ALLOWED_LOSS`.
    """
    runs = {run.graph.name: run for run in run_codec(graphs, picture)}
    y, y_hat = runs["analysis"].outputs["y"], runs["synthesis"].inputs["y_hat"]
    error = _mean_square(runs["synthesis"].outputs["image"], picture)
    quantisation = _mean_square(y, y_hat.swapaxes(0, 1))
    with torch.inference_mode():
        (fp16_image,) = fp16["synthesis"](torch.from_numpy(y_hat))
        fp16_y, _ = fp16["analysis"](torch.from_numpy(picture))
    fp16_error = _mean_square(fp16_image.numpy(), picture)
    rounding = _mean_square(y, fp16_y.numpy())
    loss = Fp16Loss(
        picture=name,
        psnr=10 * math.log10(255**2 / error),
        synthesis=10 * math.log10(fp16_error / error),
        latents=10 * math.log10(1 + rounding / quantisation),
    )
    for transform, lost in (("synthesis", loss.synthesis), ("analysis", loss.latents)):
        if not lost <= ALLOWED_LOSS:
            raise MismatchError(
                f"the float16 {transform} loses {lost:.3f} dB on {name}, allowed {ALLOWED_LOSS}: "
                "export it without --precision fp16"
            )
    return loss


def _compare(graph: str, name: str, found: NDArray[Any], expected: NDArray[Any]) -> Comparison:
    difference = found.astype(np.float64) - expected.astype(np.float64)
    error = float(np.sqrt(np.mean(difference**2)))
    if not np.issubdtype(expected.dtype, np.floating):
        return Comparison(graph, name, error, ALLOWED_STEPS)
    scale = float(np.sqrt(np.mean(expected.astype(np.float64) ** 2))) or 1.0
    return Comparison(graph, name, error / scale, ALLOWED_ERROR)


def _mean_square(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Of a difference, and never 0."""
    return max(float(np.mean((x.astype(np.float64) - y.astype(np.float64)) ** 2)), 1e-9)
