"""Checkpoint to checked bundle: the steps of an export in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cca_engines import Engine, Precision, open_engine

from cca_export.bundle_writer import BundleWriter, check_target, new_bundle
from cca_export.check import CALIBRATION, CHECK_PICTURE, CHECK_STEPS, check_graph, load_picture
from cca_export.checkpoint import CheckpointError, load_network
from cca_export.coding_runs import run_codec
from cca_export.complexity import complexity
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.cost import Coding, ExactCost, exact_cost
from cca_export.lower.exact.export import ExactExport, Pictures, build_exact, proof_to_json
from cca_export.lower.folding import folded
from cca_export.lower.fp16.export import Fp16Export
from cca_export.onnx_writer import onnx_model
from cca_export.report import ExportReport, GraphReport
from cca_export.steps import smallest_scale, trained_codes
from cca_export.tables import TableError, gaussian_tables, hyper_latent_tables

EntropyMode = Literal["exact", "native"]

_CHECK_ENGINE = "onnxruntime"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ExportSettings:
    """How to export.

    Attributes:
        name: Name of the model, for people.
        entropy: `exact` for a prior that computes the same integers everywhere, `native`
            for a float prior whose streams are bound to an engine.
        calibration: Pictures that tell the ranges of an exact prior.
        check: Pictures to compare graphs on (the first) and to measure the cost of exactness on.
        overwrite: Replace a bundle that stands at the output.
        precision: `float16` to add variants of the graphs that need not be exact, for GPUs.
        finest_step: The smallest quantisation step that the network was trained for, above 0 and
            up to 1; what the checkpoint says by default.
    """

    name: str
    entropy: EntropyMode = "exact"
    calibration: Sequence[Path] = CALIBRATION
    check: Sequence[Path] = (CHECK_PICTURE,)
    overwrite: bool = False
    precision: Precision = "float32"
    finest_step: float | None = None


def export_bundle(
    checkpoint: Path,
    output: Path,
    settings: ExportSettings,
    progress: Progress = lambda _: None,
) -> ExportReport:
    """Export `checkpoint` to a bundle at `output` and check it.

    Args:
        checkpoint: A published or trained checkpoint (`cca_export.checkpoint`).
        output: Directory to create.
        settings: How.
        progress: Called with one line before each step.

    Raises:
        CheckpointError, PictureError: An input is unusable.
        TargetError: `output` cannot become a bundle.
        BundleError: Writing failed.
        UnprovableLayerError: A layer of the exact prior cannot be proved.
        RangeError: The network overflows, so that it has no float16 variants.
        MismatchError, ConformanceError, cca_engines.EngineError: A graph does not do what
            the network does. As after any error, nothing is left at `output`.
    """
    started = time.monotonic()
    output = output.resolve()
    check_target(output, overwrite=settings.overwrite)
    pictures = {path.name: load_picture(path) for path in settings.check}
    calibration = {path.name: load_picture(path) for path in settings.calibration}
    progress(f"reading {checkpoint}")
    network = load_network(checkpoint, settings.finest_step)
    try:
        hyper_latents = hyper_latent_tables(network.z_entropy_bottleneck)
    except TableError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from error
    cost = complexity(network)
    exact = None
    if settings.entropy == "exact":
        progress(f"calibrating the exact prior on {', '.join(calibration)}")
        exact = build_exact(network, calibration)
    engine = open_engine(_CHECK_ENGINE)
    fp16 = None
    if settings.precision == "float16":
        progress(f"calibrating float16 on {', '.join(calibration)}")
        fp16 = Fp16Export(network, calibration, engine, prior=not exact)
    check_picture = next(iter(pictures.values()))
    reports: list[GraphReport] = []
    with new_bundle(output, overwrite=settings.overwrite) as directory:
        bundle = BundleWriter(directory, settings.name)
        bundle.add_tables(gaussian_tables(), hyper_latents)
        graphs = exact.graphs if exact else list(codec_graphs(network))
        steps = (run_codec(graphs, check_picture, step) for step in CHECK_STEPS)
        for number, runs in enumerate(zip(*steps, strict=True), 1):
            graph = runs[0].graph
            progress(f"exporting and checking graph {number} of {len(graphs)}: {graph.name}")
            model = onnx_model(folded(graph))
            bundle.add_graph(graph, model)
            variants = fp16.add(runs[0], bundle) if fp16 else []
            comparisons = tuple(check_graph(engine, runs, model))
            reports += [GraphReport(graph.name, len(model), comparisons), *variants]
        costs: list[ExactCost] = []
        if exact:
            progress("running the conformance vectors")
            _add_exactness(bundle, exact, engine, directory)
            progress("measuring what exactness costs")
            costs = _costs(network, graphs, {**calibration, **pictures})
        fp16_report = None
        if fp16:
            progress("measuring what float16 loses")
            fp16_report = fp16.report(pictures)
        smallest = smallest_scale(network.finest_step)
        model_id = bundle.finish(network.architecture, smallest, cost)
    return ExportReport(
        bundle=output,
        name=settings.name,
        model_id=model_id,
        check_picture=settings.check[0],
        cost=cost,
        graphs=tuple(reports),
        proofs=tuple(exact.proofs) if exact else (),
        exact_costs=tuple(costs),
        fp16=fp16_report,
        seconds=time.monotonic() - started,
    )


def _add_exactness(
    bundle: BundleWriter, exact: ExactExport, engine: Engine, directory: Path
) -> None:
    models = {
        graph.name: (directory / "graphs" / f"{graph.name}.onnx").read_bytes()
        for graph in exact.graphs
        if graph.exact
    }
    exact.check_engine(engine, models)
    bundle.add_exactness(exact.vectors, exact.manifest_cases(), proof_to_json(exact.proofs))


def _costs(
    network: CcaNetwork, graphs: Sequence[CodecGraph], pictures: Pictures
) -> list[ExactCost]:
    """Of exactness, at every step that the network was trained for."""
    float_graphs, gaussian = list(codec_graphs(network)), gaussian_tables()
    smallest = smallest_scale(network.finest_step)
    return [
        exact_cost(name, picture, float_graphs, graphs, Coding(step, smallest, gaussian))
        for step in trained_codes(network.finest_step)
        for name, picture in pictures.items()
    ]
