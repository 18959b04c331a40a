"""Checkpoint to checked bundle: the steps of an export in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cca_engines import open_engine

from cca_export.bundle_writer import BundleWriter, check_target, new_bundle
from cca_export.check import GraphChecker, load_picture
from cca_export.checkpoint import CheckpointError, load_network
from cca_export.complexity import complexity
from cca_export.graphs import codec_graphs
from cca_export.onnx_writer import onnx_model
from cca_export.report import ExportReport, GraphReport
from cca_export.tables import TableError, gaussian_tables, hyper_latent_tables

_CHECK_ENGINE = "onnxruntime"


def export_bundle(
    checkpoint: Path,
    output: Path,
    *,
    name: str,
    check_picture: Path,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> ExportReport:
    """Export `checkpoint` to a bundle at `output` and check it on a picture.

    Args:
        checkpoint: A published or trained checkpoint (`cca_export.checkpoint`).
        output: Directory to create.
        name: Name of the model, for people.
        check_picture: Every graph is compared with the network on it.
        overwrite: Replace a bundle that stands at `output`.
        progress: Called with one line before each step.

    Raises:
        CheckpointError, PictureError: An input is unusable.
        TargetError: `output` cannot become a bundle.
        BundleError: Writing failed.
        MismatchError, cca_engines.EngineError: A graph does not do what the network
            does. As after any error, nothing is left at `output`.
    """
    started = time.monotonic()
    output = output.resolve()
    check_target(output, overwrite=overwrite)
    image = load_picture(check_picture)
    progress(f"reading {checkpoint}")
    network = load_network(checkpoint)
    try:
        hyper_latents = hyper_latent_tables(network.z_entropy_bottleneck)
    except TableError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from error
    cost = complexity(network)
    checker = GraphChecker(open_engine(_CHECK_ENGINE), image)
    reports: list[GraphReport] = []
    with new_bundle(output, overwrite=overwrite) as directory:
        bundle = BundleWriter(directory, name)
        bundle.add_tables(gaussian_tables(), hyper_latents)
        graphs = list(codec_graphs(network))
        for number, graph in enumerate(graphs, 1):
            progress(f"exporting and checking graph {number} of {len(graphs)}: {graph.name}")
            model = onnx_model(graph)
            bundle.add_graph(graph, model)
            comparisons = tuple(checker.check(graph, model))
            reports.append(GraphReport(graph.name, len(model), comparisons))
        model_id = bundle.finish(network.architecture, cost)
    seconds = time.monotonic() - started
    return ExportReport(output, name, model_id, check_picture, cost, tuple(reports), seconds)
