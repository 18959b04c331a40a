"""Bundles with float16 variants, and the plans that TensorRT-RTX builds from them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import onnx
import pytest
import torch
from cca_engines.tensorrt.module import TensorRt, load_tensorrt
from cca_export.cli import main
from full_size_checkpoint import random_network
from onnx import TensorProto
from tiny_networks import WIDE_STREAMS, scale_layers, tiny_architecture

FLOAT_OPERATIONS = {"LayerNormalization", "ReduceMean", "Erf", "Tanh", "Log", "Round", "Clip"}

KEPT = ["analysis"]
"""Where convolutions are float32 because their weights are too small for float16: here in one."""

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that plain float16 cannot run, with a float prior; checked as it is written."""
    directory = tmp_path_factory.mktemp("fp16")
    network = random_network(tiny_architecture((2,))).requires_grad_(False)
    scale_layers(network, WIDE_STREAMS)
    torch.save({"state_dict": network.state_dict()}, directory / "tiny.pth")
    target = directory / "tiny.bundle"
    files = ["--ckpt", str(directory / "tiny.pth"), "-o", str(target)]
    assert main([*files, "--entropy", "native", "--precision", "fp16"]) == 0
    return target


def fp16_graphs(bundle: Path) -> dict[str, onnx.ModelProto]:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return {
        name: onnx.load(bundle / entry["float16"]["file"])
        for name, entry in manifest["graphs"].items()
    }


def test_variants_are_in_the_manifest(bundle: Path) -> None:
    graphs = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["graphs"]
    assert list(graphs) == ["analysis", "prior_0", "prior_1", "synthesis"]
    for name, entry in graphs.items():
        content = (bundle / "graphs" / f"{name}.fp16.onnx").read_bytes()
        assert entry["float16"] == {
            "file": f"graphs/{name}.fp16.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
        model, plain = onnx.load_from_string(content), onnx.load(bundle / entry["file"])
        assert list(model.graph.input) == list(plain.graph.input)
        assert list(model.graph.output) == list(plain.graph.output)


def test_convolutions_are_float16_and_the_rest_is_not(bundle: Path) -> None:
    seen, kept = set(), []
    for name, model in fp16_graphs(bundle).items():
        graph = onnx.shape_inference.infer_shapes(model).graph
        kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
        averages = {node.output[0] for node in graph.node if node.op_type == "ReduceMean"}
        for node in graph.node:
            place = f"{name} {node.op_type}"
            seen.add(node.op_type)
            if node.op_type in ("Conv", "ConvTranspose"):
                if node.input[0] in averages:
                    assert kinds[node.output[0]] == FLOAT, place
                elif kinds[node.output[0]] != HALF:
                    kept.append(name)
            elif node.op_type in FLOAT_OPERATIONS:
                assert kinds[node.output[0]] == FLOAT, place
    assert seen >= {"Conv", "ConvTranspose"} | FLOAT_OPERATIONS
    assert kept == KEPT


def test_tensorrt_takes_the_variants(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_tensorrt.cache_clear()
    capsys.readouterr()
    shapes = ["--shapes", "256x192"]
    assert main(["--bundle", str(bundle), "--engine", "tensorrt-rtx", *shapes]) == 0
    captured = capsys.readouterr()
    assert "warning" not in (captured.out + captured.err).lower()
    for name in fp16_graphs(bundle):
        assert re.search(rf"^{name} +float16 ", captured.out, re.MULTILINE), name


def test_tensorrt_convolves_in_float16(bundle: Path) -> None:
    """Its parser keeps every type: all but the attention's layers, on 1x1 averages."""
    load_tensorrt.cache_clear()
    library: TensorRt = load_tensorrt("tensorrt-rtx")
    module = library.module
    for name, model in fp16_graphs(bundle).items():
        network = library.builder().create_network(0)
        parser = module.OnnxParser(network, library.log.logger)
        assert parser.parse(model.SerializeToString()), name
        kinds = []
        for layer in map(network.get_layer, range(network.num_layers)):
            if layer.type in (module.LayerType.CONVOLUTION, module.LayerType.DECONVOLUTION):
                output = layer.get_output(0)
                if tuple(output.shape)[2:] != (1, 1):  # or it is the attention's
                    kinds.append(output.dtype)
            elif layer.type == module.LayerType.NORMALIZATION:
                assert layer.get_output(0).dtype == module.float32, name
        assert kinds.count(module.float16) > 2, name
        assert kinds.count(module.float32) == KEPT.count(name), name
