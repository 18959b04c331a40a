"""The graphs of a random network of the published size, with an exact prior, as ONNX models.

Exporting one takes as long as ten seconds, on one core: processes share them.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import torch
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.calibration import observe_prior
from cca_export.lower.exact.graphs import ExactPrior, exact_graphs
from cca_export.lower.folding import folded
from cca_export.onnx_writer import onnx_model
from full_size_checkpoint import PUBLISHED, random_network

_PROCESSES = 2


def export_full_size(names: Iterable[str]) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Of each graph its model, and the types of its inputs and outputs by name."""
    names = list(names)
    # A process that is forked would inherit torch's locks without the threads that hold them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_PROCESSES, mp_context=context) as pool:
        return dict(zip(names, pool.map(_export, names), strict=True))


def _export(name: str) -> tuple[bytes, dict[str, str]]:
    graph = _graphs()[name]
    types = {spec.name: spec.dtype for spec in (*graph.inputs, *graph.outputs)}
    return onnx_model(folded(graph)), types


@functools.cache
def _graphs() -> dict[str, CodecGraph]:
    torch.set_num_threads(1)  # of this process
    network = random_network(PUBLISHED)
    picture = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    prior = ExactPrior(network, observe_prior(network, [picture.numpy()]))
    return {graph.name: graph for graph in exact_graphs(network, prior)}
