"""Small models and bundles to build plans of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from cca_export.bundle_writer import BundleWriter
from cca_export.complexity import complexity
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.tables import EntropyTables
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import tiny_architecture

WEIGHTS = np.arange(54, dtype=np.float32).reshape(3, 2, 3, 3) - 27

_OTHERS = 10
"""The first factor of convolutions that nobody asked for."""

_TABLES = EntropyTables(*(np.array(part, np.int32) for part in ([[0, 1 << 15, 1 << 16]], [3], [0])))


def convolution(*, half: bool = False, factor: float = 1) -> bytes:
    """y = x [batch, 2, height, width] convolved with `factor * WEIGHTS`, in float32 or float16."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    weights = (factor * WEIGHTS).astype(np.float16 if half else np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["values"], to=kind),
        helper.make_node("Conv", ["values", "weights"], ["sums"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [
            helper.make_tensor_value_info(
                "x", TensorProto.FLOAT, ["batch", 2, "latent_height", "latent_width"]
            )
        ],
        [
            helper.make_tensor_value_info(
                "y", TensorProto.FLOAT, ["batch", 3, "latent_height", "latent_width"]
            )
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    return _model(graph)


def table_lookup() -> bytes:
    """A model that ONNX Runtime runs and TensorRT does not: it computes with 8-bit integers."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"], name="lookup")],
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT32, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["batch"])],
        [numpy_helper.from_array(np.arange(9, dtype=np.uint8), "table")],
    )
    return _model(graph)


def _model(graph: object) -> bytes:
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def convolve(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `convolution` computes, term by term."""
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((len(x), 3, height, width), np.float32)
    for row in range(3):
        for column in range(3):
            part = padded[:, :, row : row + height, column : column + width]
            y += np.einsum("oc,bchw->bohw", WEIGHTS[:, :, row, column], part)
    return y


def write_bundle(
    bundle: Path,
    models: Mapping[str, bytes] = MappingProxyType({}),
    halves: Mapping[str, bytes] = MappingProxyType({}),
    *,
    groups: int = 1,
) -> Path:
    """A whole bundle, in native mode, whose graphs are other models than its manifest says.

    Args:
        bundle: The directory; a bundle that is there is replaced.
        models: Of some graphs, by name; each of the others has a convolution of its own.
        halves: Float16 variants of some.
        groups: Channel groups. One makes the graphs analysis, prior_0, prior_1 and synthesis.
    """
    network = CcaNetwork(tiny_architecture((2,) * groups))
    for file in bundle.glob("graphs/*"):
        file.unlink()
    bundle.mkdir(exist_ok=True)
    writer = BundleWriter(bundle, "plans")
    for factor, graph in enumerate(codec_graphs(network), _OTHERS):
        writer.add_graph(graph, models.get(graph.name) or convolution(factor=factor))
        if graph.name in halves:
            writer.add_fp16(graph, halves[graph.name])
    writer.add_tables(_TABLES, _TABLES)
    writer.finish(network.architecture, 0, complexity(network))
    return bundle
