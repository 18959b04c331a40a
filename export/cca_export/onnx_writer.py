"""Write one codec graph as an ONNX model that any backend loads and that repeats byte for byte."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from cca_core import HYPER_STRIDE, LATENTS_PER_HYPER, dimensions
from onnx import numpy_helper
from torch import Tensor
from torch.export import Dim

from cca_export.graphs import CodecGraph, TensorSpec

OPSET = 18
"""The exporter's native operator set: newer ones go through a converter and add nothing
that these graphs use, older ones lack LayerNormalization's and Split's present form."""

IR_VERSION = 8
"""The file format that belongs to opset 18; ONNX Runtime 1.20 reads up to 10."""

_HALF_ELEMENTS = 64
"""Weights smaller than this are not worth the extra node that reads them as float16."""

# Sizes to trace with: none of them 1 and no two equal, so that no size is taken for a constant
# or for another one.
_EXAMPLE_SIZES = dimensions(batch=2, width=320, height=192)


def onnx_model(graph: CodecGraph) -> bytes:
    """Export a graph with dynamic batch, height and width.

    The bytes hold no paths, stack traces or times: the same network and library
    versions give the same bytes. Weights that float16 represents exactly are
    stored so and cast when the model is loaded.
    """
    dimensions = _dynamic_sizes()
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            graph.module.eval(),
            kwargs={spec.name: _example(spec) for spec in graph.inputs},
            dynamo=True,
            dynamic_shapes={
                spec.name: {
                    axis: dimensions[size]
                    for axis, size in enumerate(spec.shape)
                    if isinstance(size, str)
                }
                for spec in graph.inputs
            },
            input_names=[spec.name for spec in graph.inputs],
            output_names=[spec.name for spec in graph.outputs],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f"graph '{graph.name}' was not exported")
    model = program.model_proto
    _strip(model, graph.name)
    _name_sizes(model.graph.input, graph.inputs)
    _name_sizes(model.graph.output, graph.outputs)
    _store_half(model.graph)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _dynamic_sizes() -> dict[str, Any]:
    """Sizes as the codec pads pictures: whole hyper-latents."""
    height, width = Dim("hyper_height"), Dim("hyper_width")
    return {
        "batch": Dim("batch"),
        "height": HYPER_STRIDE * height,
        "width": HYPER_STRIDE * width,
        "latent_height": LATENTS_PER_HYPER * height,
        "latent_width": LATENTS_PER_HYPER * width,
        "hyper_height": height,
        "hyper_width": width,
    }


def _example(spec: TensorSpec) -> Tensor:
    sizes = [_EXAMPLE_SIZES[size] if isinstance(size, str) else size for size in spec.shape]
    return torch.zeros(sizes, dtype=getattr(torch, spec.dtype))


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's remarks about its own workings from the user."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _strip(model: onnx.ModelProto, name: str) -> None:
    """Remove everything that is not computation."""
    model.ir_version = IR_VERSION
    model.producer_name = "cca-export"
    model.graph.name = name
    for message in (model, model.graph):
        for field in ("producer_version", "doc_string", "metadata_props", "value_info"):
            if field in message.DESCRIPTOR.fields_by_name:
                message.ClearField(field)
    items = (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output)
    for item in (entry for entries in items for entry in entries):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")


def _name_sizes(values: list[onnx.ValueInfoProto], specs: tuple[TensorSpec, ...]) -> None:
    """Give inputs and outputs the sizes of the signature instead of derived expressions."""
    for value, spec in zip(values, specs, strict=True):
        if value.name != spec.name:
            raise RuntimeError(f"'{spec.name}' was exported as '{value.name}'")
        for dimension, size in zip(value.type.tensor_type.shape.dim, spec.shape, strict=True):
            if isinstance(size, str):
                dimension.dim_param = size
            elif dimension.dim_value != size:
                raise RuntimeError(f"'{spec.name}' was not exported with shape {spec.shape}")


def _store_half(graph: onnx.GraphProto) -> None:
    casts = []
    for initializer in graph.initializer:
        weights = numpy_helper.to_array(initializer)
        if weights.dtype != np.float32 or weights.size < _HALF_ELEMENTS:
            continue
        with np.errstate(over="ignore"):
            half = weights.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), weights):
            continue
        name = initializer.name
        stored = f"{name}.half"
        initializer.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
