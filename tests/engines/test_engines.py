"""Engines: opened by name, set up as asked, exact where the arithmetic is."""

from __future__ import annotations

import hashlib
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from cca_engines import (
    EngineError,
    InexactError,
    available_engines,
    digest,
    fingerprint,
    fingerprint_backend,
    open_engine,
    optimisations,
)
from cca_engines.forked import Owned
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ENGINES = [
    pytest.param("onnxruntime"),
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            "openvino" not in available_engines(), reason="openvino is not installed"
        ),
    ),
]


@pytest.fixture(scope="module")
def weights() -> NDArray[np.float32]:
    """Integers of 8 bits for a 3x3 convolution from 24 to 16 channels."""
    return np.random.default_rng(3).integers(-127, 128, (16, 24, 3, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model(weights: NDArray[np.float32]) -> bytes:
    """A graph of one convolution, any batch and size."""
    shape = ["n", 24, "h", "w"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weights"], ["y"], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16, "h", "w"])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = helper.make_opsetid("", 18)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def convolve(x: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.int64]:
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    summed: NDArray[np.int64] = np.einsum("nihwab,oiab->nohw", windows, weights.astype(np.int64))
    return summed


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ENGINES)
def test_a_convolution_of_integers_is_exact(
    name: str, threads: int, model: bytes, weights: NDArray[np.float32]
) -> None:
    """Operands of 11 bits and sums of 23: neither bfloat16 nor int8 would do."""
    for level in optimisations(name) or (None,):
        graph = open_engine(name, threads=threads, optimisation=level).load(model, "convolution")
        assert (list(graph.inputs), list(graph.outputs)) == (["x"], ["y"])
        for shape in [(1, 24, 5, 7), (3, 24, 16, 16)]:
            x = np.random.default_rng(4).integers(-1023, 1024, shape).astype(np.float32)
            np.testing.assert_array_equal(graph.run({"x": x})["y"], convolve(x, weights))


@pytest.mark.skipif("openvino" not in available_engines(), reason="openvino is not installed")
def test_requests_of_openvino_take_turns(model: bytes) -> None:
    """At the same time they may wait for each other for ever."""
    running: list[int] = []
    overlaps: list[int] = []

    class Request:
        def infer(self, *_: object, **__: object) -> list[NDArray[np.float32]]:
            running.append(1)
            time.sleep(0.01)
            overlaps.append(len(running))
            running.pop()
            return [np.zeros((1, 16, 4, 4), np.float32)]

    graphs = [open_engine("openvino").load(model, "convolution") for _ in range(3)]
    for graph in graphs:
        graph._request = Owned(Request(), "engine")  # type: ignore[attr-defined]
    x = {"x": np.zeros((1, 24, 4, 4), np.float32)}
    with ThreadPoolExecutor(len(graphs)) as pool:
        list(pool.map(lambda graph: graph.run(x), 4 * graphs))
    assert overlaps == [1] * 12


@pytest.mark.parametrize("name", ENGINES)
def test_outputs_outlive_the_next_run(name: str, model: bytes) -> None:
    graph = open_engine(name).load(model, "convolution")
    ones = np.ones((1, 24, 4, 4), np.float32)
    first = graph.run({"x": ones})["y"]
    kept = first.copy()
    graph.run({"x": -2 * ones})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", ENGINES)
def test_what_cannot_run_is_one_clear_error(name: str, model: bytes) -> None:
    engine = open_engine(name)
    reason = r"graph 'broken' cannot be loaded: .*(parsing|format)"
    with pytest.raises(EngineError, match=reason) as caught:
        engine.load(b"no ONNX at all", "broken")
    assert "\n" not in str(caught.value)
    graph = engine.load(model, "convolution")
    with pytest.raises(EngineError, match=r"missing inputs \['x'\], unknown inputs \['z'\]"):
        graph.run({"z": np.zeros(3, np.float32)})
    with pytest.raises(EngineError, match="graph 'convolution' failed") as caught:
        graph.run({"x": np.zeros((1, 23, 4, 4), np.float32)})
    assert "\n" not in str(caught.value)


def test_onnxruntimes_levels_are_named_and_openvino_has_none() -> None:
    assert optimisations("onnxruntime") == ("disable", "basic", "extended", "all")
    if "openvino" in available_engines():
        assert optimisations("openvino") == ()


@pytest.mark.parametrize("name", ENGINES)
def test_unknown_settings_are_refused(name: str) -> None:
    with pytest.raises(EngineError, match=f"'{name}' has no optimisation level 'turbo'"):
        open_engine(name, optimisation="turbo")
    with pytest.raises(EngineError, match=f"'{name}' cannot run on 0 threads"):
        open_engine(name, threads=0)
    with pytest.raises(EngineError, match="unknown engine 'abacus': choose one of onnxruntime"):
        open_engine("abacus")


@pytest.mark.parametrize("name", ENGINES)
def test_descriptions_and_fingerprints_tell_settings_apart(name: str) -> None:
    settings = [(level, n) for level in optimisations(name) or (None,) for n in (1, 2)]
    engines = [open_engine(name, optimisation=level, threads=n) for level, n in settings]
    for (level, n), engine in zip(settings, engines, strict=True):
        assert (level or "") in engine.description
        assert f"{n} threads" in engine.description
        assert "float32" in engine.description
        assert fingerprint_backend(fingerprint(engine)) == name
    assert len({fingerprint(engine) for engine in engines}) == len(settings)
    assert fingerprint(open_engine(name)) == fingerprint(open_engine(name))


@pytest.mark.parametrize("threads", [1, 2])
def test_settings_reach_the_library(threads: int, model: bytes) -> None:
    levels = {"disable": 0, "basic": 1, "extended": 2, "all": 99}
    for level, number in levels.items():
        engine = open_engine("onnxruntime", optimisation=level, threads=threads)
        options = engine.load(model, "convolution")._session.get().get_session_options()  # type: ignore[attr-defined]
        assert int(options.graph_optimization_level) == number
        assert options.intra_op_num_threads == threads
    if "openvino" in available_engines():
        graph = open_engine("openvino", threads=threads).load(model, "convolution")
        compiled = graph._request.get().get_compiled_model()  # type: ignore[attr-defined]
        assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
        assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_the_first_byte_of_a_fingerprint_is_for_ever() -> None:
    assert fingerprint_backend(b"\x01" + bytes(7)) == "onnxruntime"
    assert fingerprint_backend(b"\x02" + bytes(7)) == "openvino"
    assert fingerprint_backend(bytes(8)) == "another engine"
    assert fingerprint_backend(b"\xff" + bytes(7)) == "unknown backend"


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "cca_engines.openvino", raising=False)
    with pytest.raises(EngineError, match=r"pip install 'cca-codec\[openvino\]'") as caught:
        open_engine("openvino")
    assert "\n" not in str(caught.value)


def test_a_digest_is_what_the_format_says() -> None:
    means = np.array([[[[0.5, -1.25]]]], np.float32)
    indexes = np.array([[[[7, 63]]]], np.uint8)
    shape = struct.pack("<4q", 1, 1, 1, 2)
    expected = b"means\0" + shape + struct.pack("<2i", 64, -160)
    expected += b"indexes\0" + shape + struct.pack("<2i", 896, 8064)
    found = digest({"means": means, "indexes": indexes})
    assert found == hashlib.sha256(expected).hexdigest()


def test_a_digest_sees_values_order_names_and_shapes_and_nothing_else() -> None:
    x, y = np.arange(-3.0, 3.0, dtype=np.float32), np.zeros(2, np.float32)
    same = digest({"x": x, "y": y})
    assert digest({"x": x.astype(np.float64), "y": -y}) == same, "the sign of zero is no value"
    strided = np.repeat(x, 2)[::2]
    assert digest({"x": strided, "y": y}) == same
    others = [
        {"y": y, "x": x},
        {"a": x, "y": y},
        {"x": x[None], "y": y},
        {"x": x[::-1], "y": y},
        {"x": np.where(x == 2, np.float32(2 + 1 / 128), x), "y": y},
    ]
    assert len({digest(other) for other in others} | {same}) == len(others) + 1


@pytest.mark.parametrize("value", [1 / 256, float("nan"), float("inf"), -(2.0**24) - 2, 2.0**24])
def test_a_digest_of_what_no_exact_graph_gives_is_an_error(value: float) -> None:
    with pytest.raises(InexactError, match="'y' holds"):
        digest({"x": np.zeros(3), "y": np.array([0.0, value], np.float32)})
    with pytest.raises(InexactError, match="'y' holds no numbers"):
        digest({"y": np.array(["text"])})
    assert digest({"y": np.array([-(2.0**24), 2.0**24 - 1])})
