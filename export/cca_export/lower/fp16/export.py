"""What `cca-export --precision fp16` adds to a bundle, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cca_engines import Engine
from numpy.typing import NDArray

from cca_export.bundle_writer import BundleWriter
from cca_export.coding_runs import GraphRun
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.lower.fp16.check import Fp16Module, compare_fp16, fp16_loss
from cca_export.lower.fp16.convert import fp16_network
from cca_export.lower.fp16.ranges import observe_ranges
from cca_export.onnx_writer import onnx_model
from cca_export.report import Fp16Report, GraphReport

Pictures = Mapping[str, NDArray[Any]]
"""uint8 [1, H, W, 3], sides multiples of 64, by name."""


class Fp16Export:
    """The float16 graphs of a network: its transforms, and its prior if that is a float one."""

    def __init__(
        self, network: CcaNetwork, calibration: Pictures, engine: Engine, *, prior: bool
    ) -> None:
        """Convert the network.

        Args:
            network: Float network.
            calibration: Pictures that tell the ranges of its layers.
            engine: What graphs are checked on.
            prior: Whether the prior graphs get variants as well.

        Raises:
            RangeError: The network overflows in float32 already.
        """
        ranges = observe_ranges(network, calibration.values())
        fp16, self._places = fp16_network(network, ranges, prior=prior)
        self._network, self._engine = network, engine
        self._graphs = {
            graph.name: graph
            for graph in codec_graphs(fp16)
            if prior or not graph.name.startswith("prior_")
        }
        self._modules: dict[str, Fp16Module] = {}

    def add(self, run: GraphRun, bundle: BundleWriter) -> list[GraphReport]:
        """Write the variant of a graph, if it has one.

        Args:
            run: Of a graph that the bundle has.
            bundle: Where the variant goes.

        Raises:
            MismatchError: It does not compute what the graph does, but for roundings.
            cca_engines.EngineError: The engine cannot load or run it.
        """
        graph = run.graph
        if graph.name not in self._graphs:
            return []
        model = onnx_model(self._graphs[graph.name])
        bundle.add_fp16(graph, model)
        module = Fp16Module(graph, model, self._engine)
        self._modules[graph.name] = module
        comparisons = compare_fp16(run, module)
        return [GraphReport(f"{graph.name}.fp16", len(model), tuple(comparisons))]

    def report(self, pictures: Pictures) -> Fp16Report:
        """What was decided, and what the variants lose on pictures; after all were added.

        Raises:
            MismatchError: A transform loses more than `ALLOWED_LOSS`.
        """
        graphs = list(codec_graphs(self._network))
        losses = [
            fp16_loss(name, picture, graphs, self._modules) for name, picture in pictures.items()
        ]
        return Fp16Report(self._places, tuple(losses))
