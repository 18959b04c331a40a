"""Small models and bundles to build plans of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.arange(54, dtype=np.float32).reshape(3, 2, 3, 3) - 27


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
    bundle: Path, models: Mapping[str, bytes], halves: Mapping[str, bytes] | None = None
) -> Path:
    """As much of a bundle as plans are built from: graphs, and float16 variants of some."""
    graphs = {name: _write(bundle, f"{name}.onnx", model) for name, model in models.items()}
    for name, model in (halves or {}).items():
        graphs[name]["float16"] = _write(bundle, f"{name}.fp16.onnx", model)
    manifest = {"format": "cca-bundle", "version": 5, "graphs": graphs}
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return bundle


def _write(bundle: Path, name: str, model: bytes) -> dict[str, object]:
    file = bundle / "graphs" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    return {"file": f"graphs/{name}", "sha256": digest, "bytes": len(model)}
