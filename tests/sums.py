"""A small graph that engines on doubles of a GPU run, and what it has to give."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

WIDTH = 300


def make_model(factor: float = 1.0) -> bytes:
    """sum = factor * x + bytes, and low = bytes of min(sum, 255)."""
    nodes = [
        helper.make_node("Cast", ["bytes"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "values"], ["sum"]),
        helper.make_node("Min", ["sum", "most"], ["few"]),
        helper.make_node("Cast", ["few"], ["low"], to=TensorProto.UINT8),
    ]
    shape = ["rows", WIDTH]
    graph = helper.make_graph(
        nodes,
        "sums",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("bytes", TensorProto.UINT8, shape),
        ],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("low", TensorProto.UINT8, shape),
        ],
        [
            helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]),
            helper.make_tensor("most", TensorProto.FLOAT, [], [255.0]),
        ],
    )
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return bytes(model.SerializeToString())


def arrays(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "x": generator.integers(0, 100, (rows, WIDTH)).astype(np.float32),
        "bytes": generator.integers(0, 256, (rows, WIDTH), np.uint8),
    }


def expected_sum(inputs: dict[str, np.ndarray], factor: float = 1.0) -> np.ndarray:
    return inputs["x"] * np.float32(factor) + inputs["bytes"]


def run_once(engine: Any, graph: Any, rows: int, seed: int, factor: float = 1) -> None:
    """One run from the host to the host, checked."""
    inputs = arrays(rows, seed)
    tensors = {name: engine.to_device(array) for name, array in inputs.items()}
    outputs = graph.run(tensors)
    total = expected_sum(inputs, factor)
    np.testing.assert_array_equal(engine.to_host(outputs["sum"]), total)
    np.testing.assert_array_equal(engine.to_host(outputs["low"]), np.minimum(total, 255))
