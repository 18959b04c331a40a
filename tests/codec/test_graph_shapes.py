"""Graphs that give something else than docs/spec/bundle.md says, each output in several ways."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from cca_engines import open_engine
from cca_runtime.bundle import Bundle, find_bundle, open_bundle
from cca_runtime.codec import Codec
from cca_runtime.errors import BadInputError
from forgery import put_file
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PREDICTION = ["means", "indexes", "support"]
OUTPUTS = {
    "analysis": ["y", "z_symbols"],
    "prior_0": ["latent_means", "latent_scales", *PREDICTION],
    "prior_1": ["y_hat", *PREDICTION],
    "prior_4": ["y_hat"],
    "synthesis": ["image"],
}
OTHER_TYPES = {
    TensorProto.FLOAT: TensorProto.FLOAT16,
    TensorProto.INT32: TensorProto.INT64,
    TensorProto.UINT8: TensorProto.INT32,
}
"""Of outputs, what each is forged to be: types that graphs may have."""
EVERY = [(graph, output) for graph, outputs in OUTPUTS.items() for output in outputs]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_bundle(None), tmp_path / "copy"))


def run_all(bundle: Bundle) -> NDArray[np.uint8]:
    """Run every graph: a picture, encoded and decoded."""
    codec = Codec(bundle, open_engine("onnxruntime", threads=1), workers=1)
    return codec.decode(codec.encode(np.zeros((64, 128, 3), np.uint8)))


def of_another_type(graph: onnx.GraphProto, honest: str, output: onnx.ValueInfoProto) -> None:
    tensor = output.type.tensor_type
    tensor.elem_type = OTHER_TYPES[tensor.elem_type]
    graph.node.append(helper.make_node("Cast", [honest], [output.name], to=tensor.elem_type))


def with_an_axis(graph: onnx.GraphProto, honest: str, output: onnx.ValueInfoProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1), np.int64), "forged_rows"))
    rows = [honest, "forged_rows"]
    graph.node.append(helper.make_node("Gather", rows, [output.name], axis=0))
    forget_sizes(output, rank=1 + len(output.type.tensor_type.shape.dim))


def twice_as_long(graph: onnx.GraphProto, honest: str, output: onnx.ValueInfoProto) -> None:
    graph.node.append(helper.make_node("Concat", [honest, honest], [output.name], axis=1))
    forget_sizes(output, rank=len(output.type.tensor_type.shape.dim))


def forget_sizes(output: onnx.ValueInfoProto, rank: int) -> None:
    del output.type.tensor_type.shape.dim[:]
    for axis in range(rank):
        output.type.tensor_type.shape.dim.add(dim_param=f"forged_{axis}")


def forge(
    path: Path,
    output: str,
    change: Callable[[onnx.GraphProto, str, onnx.ValueInfoProto], None],
) -> bytes:
    """A graph that does something to one of its outputs, last of all."""
    model = onnx.load_model(path)
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == output:
                node.output[place] = "honest"
        for place, name in enumerate(node.input):
            if name == output:
                node.input[place] = "honest"
    (info,) = (value for value in model.graph.output if value.name == output)
    change(model.graph, "honest", info)
    return bytes(model.SerializeToString())


def test_the_shipped_model_gives_what_it_should() -> None:
    assert run_all(open_bundle()).shape == (64, 128, 3)


@pytest.mark.parametrize("change", [of_another_type, with_an_axis, twice_as_long])
@pytest.mark.parametrize(("graph", "output"), EVERY)
def test_an_output_of_another_kind_is_a_broken_bundle(
    graph: str,
    output: str,
    change: Callable[[onnx.GraphProto, str, onnx.ValueInfoProto], None],
    bundle: Path,
) -> None:
    put_file(bundle, graph, forge(bundle / "graphs" / f"{graph}.onnx", output, change))
    kind = rf"gives (.* as '{output}'|'{output}' as .*), expected"
    with pytest.raises(BadInputError, match=f"^broken bundle: graph '{graph}' {kind}") as caught:
        run_all(open_bundle(bundle))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("graph", OUTPUTS)
def test_outputs_that_are_missing_or_too_many_are_a_broken_bundle(graph: str, bundle: Path) -> None:
    path = bundle / "graphs" / f"{graph}.onnx"
    model = onnx.load_model(path)
    removed = model.graph.output.pop()
    put_file(bundle, graph, model.SerializeToString())
    if model.graph.output:  # or it is no graph at all
        with pytest.raises(BadInputError, match=f"'{graph}' has no output '{removed.name}'"):
            run_all(open_bundle(bundle))
    model.graph.output.append(removed)
    more = onnx.ValueInfoProto()
    more.CopyFrom(removed)
    more.name = "more"
    model.graph.output.append(more)
    same = removed.type.tensor_type.elem_type
    model.graph.node.append(helper.make_node("Cast", [removed.name], ["more"], to=same))
    put_file(bundle, graph, model.SerializeToString())
    with pytest.raises(BadInputError, match=f"'{graph}' has an output 'more' too many"):
        run_all(open_bundle(bundle))
