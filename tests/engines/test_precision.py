"""bfloat16: for what need not be exact, where the processor has it, and only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cca_runtime
import numpy as np
import onnx
import pytest
from cca_engines import EngineError, available_engines, fingerprint, open_engine, precisions
from cca_runtime.cli import main
from cca_runtime.metrics import psnr
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

needs_openvino = pytest.mark.skipif(
    "openvino" not in available_engines(), reason="openvino is not installed"
)

ALLOWED_LOSS = 0.05
"""Decibels."""


def has_bfloat16() -> bool:
    try:
        open_engine("openvino", precision="bfloat16")
    except EngineError:
        return False
    return True


needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="needs openvino and a processor with bfloat16"
)


@pytest.fixture(scope="module")
def sums() -> bytes:
    """A graph that adds 64 channels up."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "ones"], ["y"])],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, "h", "w"])],
        [numpy_helper.from_array(np.ones((16, 64, 1, 1), np.float32), "ones")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@needs_bfloat16
def test_only_what_may_be_inexact_is_computed_in_bfloat16(sums: bytes) -> None:
    """257 needs 9 bits, bfloat16 has 8: it becomes 256, or 258."""
    engine = open_engine("openvino", precision="bfloat16")
    x = np.full((1, 64, 8, 8), 257, np.float32)
    exact = engine.load(sums, "sums").run({"x": x})["y"]
    np.testing.assert_array_equal(exact, 257 * 64)
    rounded = engine.load(sums, "sums", "bfloat16").run({"x": x})["y"]
    assert rounded.dtype == np.float32
    assert set(np.unique(rounded)) <= {256 * 64, 258 * 64}


@needs_bfloat16
def test_fingerprints_tell_precisions_apart() -> None:
    single, half = (open_engine("openvino", precision=p) for p in ("float32", "bfloat16"))
    assert "bfloat16" in half.description
    assert fingerprint(single) != fingerprint(half)
    assert fingerprint(single) == fingerprint(open_engine("openvino"))


@needs_bfloat16
def test_streams_are_for_every_engine_and_as_good(chelsea: NDArray[np.uint8]) -> None:
    reference = cca_runtime.load()
    codec = cca_runtime.load(engine="openvino", precision="bfloat16")
    expected = psnr(chelsea, reference.decode(reference.encode(chelsea)))
    stream = codec.encode(chelsea)
    assert abs(len(stream) / len(reference.encode(chelsea)) - 1) < 0.01
    for decoder in (reference, codec):
        assert abs(psnr(chelsea, decoder.decode(stream)) - expected) < ALLOWED_LOSS
    differs = codec.decode(stream) != reference.decode(stream)
    assert differs.any(), "this was float32"


@needs_openvino
def test_a_processor_without_bfloat16_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from cca_engines.openvino import OpenVinoEngine

    def without(_: OpenVinoEngine) -> Sequence[str]:
        return ["FP32", "INT8"]

    monkeypatch.setattr(OpenVinoEngine, "_processor_features", property(without))
    with pytest.raises(EngineError, match="this processor does not compute in bfloat16"):
        open_engine("openvino", precision="bfloat16")
    assert open_engine("openvino").precision == "float32"


def test_a_precision_that_an_engine_lacks_is_refused() -> None:
    assert precisions("onnxruntime") == ("float32",)
    with pytest.raises(EngineError, match="'onnxruntime' does not compute in bfloat16, only in fl"):
        open_engine("onnxruntime", precision="bfloat16")


def test_the_command_line_takes_a_precision(
    chelsea: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(chelsea[:64, :64]).save(picture)
    assert main(["encode", str(picture), "--precision", "fp32", "-q"]) == 0
    assert main(["encode", str(picture), "--precision", "bf16", "--overwrite"]) == 1
    assert "engine 'onnxruntime' does not compute in bfloat16" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["encode", str(picture), "--precision", "bf8"])
    assert left.value.code == 2
    assert "must be fp32 or bf16 or fp16" in capsys.readouterr().err
