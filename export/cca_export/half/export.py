"""What `cca-export --precision fp16` adds to a bundle, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from cca_engines import Engine
from numpy.typing import NDArray

from cca_export.bundle_writer import BundleWriter
from cca_export.check import GraphChecker
from cca_export.graphs import CodecGraph, codec_graphs
from cca_export.half.check import HalfModule, compare_half, half_loss
from cca_export.half.convert import half_network
from cca_export.half.ranges import observe_ranges
from cca_export.network import CcaNetwork
from cca_export.onnx_writer import onnx_model
from cca_export.report import GraphReport, HalfReport

Pictures = Mapping[str, NDArray[Any]]
"""uint8 [1, H, W, 3], sides multiples of 64, by name."""


class HalfExport:
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
        tensors = [torch.from_numpy(picture) for picture in calibration.values()]
        half, self._places = half_network(network, observe_ranges(network, tensors), prior=prior)
        self._network, self._engine = network, engine
        self._graphs = {
            graph.name: graph
            for graph in codec_graphs(half)
            if prior or not graph.name.startswith("prior_")
        }
        self._modules: dict[str, HalfModule] = {}

    def add(
        self, graph: CodecGraph, bundle: BundleWriter, checker: GraphChecker
    ) -> list[GraphReport]:
        """Write the variant of a graph, if it has one.

        Args:
            graph: Of the bundle, added to it but not yet checked.
            bundle: Where the variant goes.
            checker: What knows the graph's inputs.

        Raises:
            MismatchError: It does not compute what the graph does, but for roundings.
            cca_engines.EngineError: The engine cannot load or run it.
        """
        if graph.name not in self._graphs:
            return []
        model = onnx_model(self._graphs[graph.name])
        bundle.add_half(graph, model)
        module = HalfModule(graph, model, self._engine)
        self._modules[graph.name] = module
        comparisons = compare_half(graph, module, *checker.reference(graph))
        return [GraphReport(f"{graph.name}.fp16", len(model), tuple(comparisons))]

    def report(self, pictures: Pictures) -> HalfReport:
        """What was decided, and what the variants lose on pictures; after all were added.

        Raises:
            MismatchError: A transform loses more than `ALLOWED_LOSS`.
        """
        graphs = list(codec_graphs(self._network))
        losses = [
            half_loss(name, torch.from_numpy(picture), graphs, self._modules)
            for name, picture in pictures.items()
        ]
        return HalfReport(self._places, tuple(losses))
