"""float16 graphs for engines without float16 arithmetic: every rounding made explicit.

ONNX Runtime and OpenVINO load a float16 graph on a CPU, but compute it in float32 and round
nothing in between, so that neither overflow nor loss of precision shows.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_MOVES = {"Split", "Slice", "Transpose", "Reshape", "Concat", "Relu"}
"""Operations whose results are values that they were given, or 0."""


def explicit_rounding(model: bytes) -> bytes:
    """A graph in float32 that computes what `model` does with float16 arithmetic.

    Each float16 operation becomes the float32 one, on values that float16 has, followed by
    a rounding to float16: its sums are float32, as those of tensor cores. Inputs and
    outputs, none of them float16, stay as they are.
    """
    loaded = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    graph = loaded.graph
    values = (*graph.value_info, *graph.output)
    fp16 = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT16}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        explicit = onnx.NodeProto()
        explicit.CopyFrom(node)
        if node.op_type == "Cast" and helper.get_node_attr_value(node, "to") == TensorProto.FLOAT16:
            nodes += _rounded(node.input[0], node.output[0])
        elif node.op_type in _MOVES or not fp16.intersection(node.output):
            nodes.append(explicit)
        else:
            (output,) = node.output
            explicit.output[0] = f"{output}.exact"
            nodes += [explicit, *_rounded(explicit.output[0], output)]
    initializers = [_float32(initializer) for initializer in graph.initializer]
    result = helper.make_graph(nodes, graph.name, graph.input, graph.output, initializers)
    explicit_model = helper.make_model(
        result, opset_imports=loaded.opset_import, ir_version=loaded.ir_version
    )
    content: bytes = explicit_model.SerializeToString()
    return content


def _rounded(source: str, target: str) -> list[onnx.NodeProto]:
    middle = f"{target}.float16"
    return [
        helper.make_node("Cast", [source], [middle], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [middle], [target], to=TensorProto.FLOAT),
    ]


def _float32(initializer: onnx.TensorProto) -> onnx.TensorProto:
    if initializer.data_type != TensorProto.FLOAT16:
        return initializer
    return numpy_helper.from_array(
        numpy_helper.to_array(initializer).astype(np.float32), initializer.name
    )
