"""What engines get to see of a bundle's graphs: computation and weights, whatever a forger adds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cca_core
import cca_runtime
import numpy as np
import onnx
import pytest
import torch
from cca_export.bundle_writer import BundleError, BundleWriter
from cca_export.graphs import CodecGraph
from cca_runtime import BadInputError
from cca_runtime.bundle import find_bundle, open_bundle
from forgery import put_file
from locations import ROOT
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

SMALL = ROOT / "tests" / "data" / "streams" / "model.bundle"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SMALL, tmp_path / "copy"))


def synthesis() -> ModelProto:
    return onnx.load_model(SMALL / "graphs" / "synthesis.onnx")


def make_external(tensor: TensorProto, location: str) -> None:
    """The tensor's elements in another file, as `onnx.external_data_helper` says it."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def test_weights_in_the_working_directory_are_never_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One model id would have as many meanings as there are directories."""
    model = onnx.load_model(bundle / "graphs" / "prior_0.onnx")
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    (tmp_path / "weights.bin").write_bytes(weights.raw_data)
    make_external(weights, "weights.bin")
    put_file(bundle, "prior_0", model.SerializeToString())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=r"prior_0\.onnx: a weight has external_data"):
        cca_runtime.load(bundle).encode(np.zeros((64, 64, 3), np.uint8))


def external() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "outside")
    make_external(tensor, "weights.bin")
    return tensor


def body() -> GraphProto:
    return helper.make_graph([], "body", [], [], initializer=[external()])


def with_node(model: ModelProto, **attributes: object) -> None:
    name = model.graph.node[0].input[0]
    model.graph.node.insert(0, helper.make_node("Relu", [name], ["r"], **attributes))


def with_kind(kind: str, domain: str = "") -> Callable[[ModelProto], object]:
    return lambda model: model.graph.node[0].MergeFrom(onnx.NodeProto(op_type=kind, domain=domain))


def with_function(model: ModelProto) -> None:
    constant = helper.make_node("Constant", [], ["y"], value=external())
    opset = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("local", "F", [], ["y"], [constant], opset))


def sparse() -> onnx.SparseTensorProto:
    indices = numpy_helper.from_array(np.zeros(4, np.int64), "indices")
    return helper.make_sparse_tensor(external(), indices, [10])


def with_training(model: ModelProto) -> None:
    model.training_info.add().initialization.CopyFrom(body())


FORGERIES: dict[str, tuple[Callable[[ModelProto], object], str]] = {
    "external weight": (lambda m: m.graph.initializer.append(external()), "external_data"),
    "emptied weight": (lambda m: m.graph.initializer[3].ClearField("raw_data"), "0 bytes"),
    "weight cut short": (
        lambda m: setattr(m.graph.initializer[3], "raw_data", b"1234"),
        "not what its shape takes",
    ),
    "said to be inside": (
        lambda m: setattr(m.graph.initializer[3], "data_location", TensorProto.DEFAULT),
        "data_location",
    ),
    "external attribute": (lambda m: with_node(m, value=external()), "a tensor"),
    "external attributes": (lambda m: with_node(m, value=[external()]), "field 10"),
    "external sparse weight": (
        lambda m: m.graph.sparse_initializer.append(sparse()),
        "sparse_initializer",
    ),
    "external sparse attribute": (lambda m: with_node(m, sparse_value=sparse()), "field 22"),
    "external in a body": (lambda m: with_node(m, body=body()), "a graph"),
    "external in bodies": (lambda m: with_node(m, bodies=[body()]), "field 11"),
    "external in a function": (with_function, "functions"),
    "external in training": (with_training, "training_info"),
    "type attribute": (
        lambda m: with_node(m, kind=helper.make_tensor_type_proto(1, [1])),
        "field 14",
    ),
    "Constant": (with_kind("Constant"), "'Constant' is not allowed"),
    "Loop": (with_kind("Loop"), "'Loop' is not allowed"),
    "If": (with_kind("If"), "'If' is not allowed"),
    "Scan": (with_kind("Scan"), "'Scan' is not allowed"),
    "SequenceMap": (with_kind("SequenceMap"), "'SequenceMap' is not allowed"),
    "unknown operator": (with_kind("x" * 500), "is not allowed"),
    "escape sequence": (with_kind("\x1b[2J"), "printable ASCII"),
    "other domain": (with_kind("Relu", "com.microsoft"), "'com.microsoft' are not allowed"),
    "second operator set": (
        lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
        "twice",
    ),
    "newer operator set": (lambda m: setattr(m.opset_import[0], "version", 21), "21 is not 18"),
    "metadata": (lambda m: m.metadata_props.add(key="path", value="/"), "metadata_props"),
    "graph's metadata": (
        lambda m: m.graph.metadata_props.add(key="path", value="/"),
        "metadata_props",
    ),
    "overridden weight": (
        lambda m: m.graph.input.append(
            helper.make_tensor_value_info(m.graph.initializer[0].name, 1, [1])
        ),
        "made twice",
    ),
    "text weight": (
        lambda m: m.graph.initializer.append(helper.make_tensor("t", 8, [1], [b"a"])),
        "a weight has field 6",
    ),
    "sequence input": (
        lambda m: m.graph.input.append(
            helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
        ),
        "a type has field 4",
    ),
}


@pytest.mark.parametrize("case", FORGERIES)
def test_whatever_is_more_than_computation_is_refused(bundle: Path, case: str) -> None:
    change, message = FORGERIES[case]
    model = synthesis()
    change(model)
    put_file(bundle, "synthesis", model.SerializeToString())
    with pytest.raises(BadInputError, match=rf"synthesis\.onnx: .*{message}") as caught:
        open_bundle(bundle).read_graph("synthesis")
    assert str(caught.value).isprintable()


def graph_of(message: bytes) -> bytes:
    """As field 7, the graph, of a model."""
    size, out = len(message), bytearray(b"\x3a")
    while size >= 128:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes([*out, size]) + message


def test_a_second_part_of_the_graph_is_refused_though_onnx_would_merge_it() -> None:
    """Protocol Buffers' readers join the pieces of a message that stands there twice."""
    whole = synthesis().SerializeToString()
    cca_core.check_graph(whole)
    weight = external()
    weight.name = "more"
    forged = whole + graph_of(GraphProto(initializer=[weight]).SerializeToString())
    merged = onnx.load_from_string(forged).graph.initializer
    assert any(onnx.external_data_helper.uses_external_data(tensor) for tensor in merged)
    with pytest.raises(cca_core.BundleError, match="field 7"):
        cca_core.check_graph(forged)


@pytest.mark.parametrize(
    "extra",
    [
        b"\x70\x00",
        b"\x70\x01",
        b"\x70\x81\x00",
        b"\x10\x01",
        b"\x10\x81\x00",
        b"\x4a\x00",
        b"\x6a\x00",
    ],
    ids=bytes.hex,
)
def test_what_is_added_to_a_weight_is_refused_though_onnx_takes_it(extra: bytes) -> None:
    """A second type or content, or a place, in few or many bytes: onnx takes the last one."""
    model = synthesis()
    weight = min(model.graph.initializer, key=lambda tensor: tensor.ByteSize())
    stored = b"\x2a" + bytes([weight.ByteSize()]) + weight.SerializeToString()
    part = stored[:1] + bytes([weight.ByteSize() + len(extra)]) + stored[2:] + extra
    graph = model.graph.SerializeToString()
    assert graph.count(stored) == 1
    model.ClearField("graph")
    forged = model.SerializeToString() + graph_of(graph.replace(stored, part))
    assert onnx.load_from_string(forged).graph.initializer
    with pytest.raises(cca_core.BundleError, match=r"a weight has|longer than"):
        cca_core.check_graph(forged)
    cca_core.check_graph(model.SerializeToString() + graph_of(graph))


def test_the_shipped_models_graphs_pass() -> None:
    for path in (find_bundle(None), SMALL):
        bundle = open_bundle(path)
        for name in bundle.graphs:
            assert bundle.read_graph(name)


def test_the_exporter_checks_what_it_writes(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path, "name")
    graph = CodecGraph("synthesis", torch.nn.Identity(), (), ())
    model = synthesis()
    with_kind("Loop")(model)
    for add in (writer.add_graph, writer.add_fp16):
        with pytest.raises(BundleError, match=r"graph 'synthesis'.*'Loop' is not allowed"):
            add(graph, model.SerializeToString())
    assert not list(tmp_path.iterdir())
