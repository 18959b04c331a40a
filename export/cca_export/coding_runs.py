"""A codec's graphs run in coding order, one after the other, as the core tells.

The exporter looks at what each graph reads and gives: to calibrate, to check, to hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cca_core
import numpy as np
import torch
from cca_core import CodingPlan, PriorMachine
from numpy.typing import NDArray

from cca_export.graphs import SYMBOL_OFFSET, CodecGraph, TensorSpec, symbols_of

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Tensors by the names of a graph's inputs or outputs."""

RunGraph: TypeAlias = Callable[[CodecGraph, Arrays], Arrays]
"""Runs a graph: its inputs to its outputs, dtypes and shapes as `CodecGraph` has them."""


@dataclass(frozen=True)
class GraphRun:
    """One run of a graph on a batch of pictures: what it read and what it gave."""

    graph: CodecGraph
    inputs: Arrays
    outputs: Arrays


def run_in_pytorch(graph: CodecGraph, inputs: Arrays) -> Arrays:
    """What the graph's module makes of arrays."""
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.inference_mode():
        outputs = graph.module(**tensors)
    names = (spec.name for spec in graph.outputs)
    return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}


def run_codec(
    graphs: Sequence[CodecGraph], image: NDArray[np.uint8], step: int = 0
) -> Generator[GraphRun, None, None]:
    """Encode pictures and decode them, in PyTorch.

    Args:
        graphs: All of a codec, `codec_graphs` or `exact_graphs`.
        image: uint8 [N, H, W, 3], sides multiples of 64.
        step: Code of the quantisation step.

    Yields:
        A run of each graph, in the order in which they are given.
    """
    analysis, *_, synthesis = graphs
    inputs: Arrays = {"image": image}
    outputs = run_in_pytorch(analysis, inputs)
    yield GraphRun(analysis, inputs, outputs)
    z_symbols, latents = outputs["z_symbols"], outputs["y"]
    _, y_hat = yield from run_prior(graphs, z_symbols, latents=latents, step=step)
    inputs = {"y_hat": y_hat}
    yield GraphRun(synthesis, inputs, run_in_pytorch(synthesis, inputs))


def run_prior(
    graphs: Sequence[CodecGraph],
    z_symbols: NDArray[np.int32],
    *,
    latents: NDArray[np.float32] | None = None,
    symbols: NDArray[np.int32] | None = None,
    step: int = 0,
    run: RunGraph = run_in_pytorch,
) -> Generator[GraphRun, None, tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Run the prior graphs on symbols, given or rounded as an encoder does.

    Args:
        graphs: All of a codec.
        z_symbols: int32 [N, Z, h/4, w/4].
        latents: float32 [N, M, h, w], to be rounded; or
        symbols: int32 [N, M, h, w].
        step: Code of the quantisation step.
        run: What runs a graph.

    Yields:
        A run of each prior graph, in coding order.

    Returns:
        Symbols, int32 [N, M, h, w], and y_hat, float32 [M, N, h, w].
    """
    # As the core's encoder does: all that a stream can hold.
    z_symbols = z_symbols.clip(-SYMBOL_OFFSET, SYMBOL_OFFSET - 1)
    plan = coding_plan(graphs)
    machine = PriorMachine(plan, z_symbols, latents=latents, symbols=symbols, step=step)
    host = _Host(graphs, run)
    while machine.step(0, host):
        if host.last is not None:
            yield host.last
            host.last = None
    return machine.finish()


def read_symbols(symbol_bytes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A channel group's symbols [N, s, h, w], from an input `symbols` of a graph."""
    read: NDArray[np.float32] = symbols_of(torch.from_numpy(symbol_bytes)).numpy()
    return read.astype(np.int64)


def coding_plan(graphs: Sequence[CodecGraph]) -> CodingPlan:
    """What the core has to know of graphs to run them."""
    named = {graph.name: graph for graph in graphs}
    y, z_symbols = named["analysis"].outputs
    channels = {"latent_channels": y.shape[1], "hyper_channels": z_symbols.shape[1]}
    signatures = {graph.name: signature(graph) for graph in graphs}
    manifest = {"architecture": channels, "coding": coding(graphs), "graphs": signatures}
    return cca_core.CodingPlan(json.dumps(manifest).encode())


def coding(graphs: Sequence[CodecGraph]) -> list[dict[str, Any]]:
    """The manifest's `coding`: what is coded after each prior graph."""
    priors = [graph for graph in graphs if graph.name.startswith("prior_")]
    return [
        {"channels": spec.shape[1]} if (spec := _find(graph.outputs, "means")) else {}
        for graph in priors
    ]


def signature(graph: CodecGraph) -> dict[str, Any]:
    """A graph's `inputs` and `outputs` in the manifest."""
    return {
        key: {spec.name: {"dtype": spec.dtype, "shape": list(spec.shape)} for spec in specs}
        for key, specs in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }


class _Host:
    """Runs graphs on arrays, and keeps the last run."""

    def __init__(self, graphs: Sequence[CodecGraph], run: RunGraph) -> None:
        self._graphs = graphs
        self._run = run
        self._tensors: dict[int, NDArray[Any]] = {}
        self.last: GraphRun | None = None

    def upload(self, slot: int, array: NDArray[Any]) -> None:
        # A run's inputs may be looked at after their slots are freed.
        self._tensors[slot] = array.copy()

    def allocate(self, slot: int, dtype: str, shape: tuple[int, ...]) -> None:
        self._tensors[slot] = np.empty(shape, dtype)

    def run(
        self, number: int, inputs: list[cca_core.Binding], outputs: list[cca_core.Binding]
    ) -> None:
        graph = self._graphs[number]
        values = {binding[0]: self._bound(binding) for binding in inputs}
        results = self._run(graph, values)
        for binding in outputs:
            name, slot, row, _, _ = binding
            if row is None:
                self._tensors[slot] = results[name]
            else:
                self._bound(binding)[...] = results[name]
        self.last = GraphRun(graph, values, results)

    def download(self, slot: int) -> NDArray[Any]:
        return np.ascontiguousarray(self._tensors[slot])

    def free(self, slot: int) -> None:
        del self._tensors[slot]

    def _bound(self, binding: cca_core.Binding) -> NDArray[Any]:
        _, slot, row, _, shape = binding
        tensor = self._tensors[slot]
        return tensor if row is None else tensor[row : row + shape[0]]


def _find(specs: Sequence[TensorSpec], name: str) -> TensorSpec | None:
    return next((spec for spec in specs if spec.name == name), None)
