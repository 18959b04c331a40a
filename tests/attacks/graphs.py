"""Graphs: damaged protocol buffers, or nodes and weights exchanged, with hashes that fit."""

from __future__ import annotations

from functools import cache
from random import Random

import cca_core
import cca_runtime
import numpy as np
import onnx
from cca_engines import Engine
from cca_runtime import BadInputError
from cca_runtime.bundle import open_bundle
from forgery import put_file
from google.protobuf.message import DecodeError
from onnx import external_data_helper

from attacks.bundles import MODEL, restore, scratch
from attacks.executions import accepts
from attacks.mutation import damaged, number

PICTURE = np.zeros((64, 64, 3), np.uint8)
NAMES = ("analysis", "synthesis", "prior_3")
"""The small ones: bytes that are hit are seldom weights."""


def attack(random: Random) -> bool:
    name = random.choice(NAMES)
    data = _mutant(_originals()[name], random)
    allowed = accepts(lambda: _check(data))
    if allowed:
        _expect_weights_inside(data)
    if not allowed or not data or random.random() < 0.7:
        return allowed
    file = f"graphs/{name}.onnx"
    try:
        put_file(scratch(), name, data)
        return accepts(_code)
    finally:
        restore("manifest.json", file)


def _mutant(data: bytes, random: Random) -> bytes:
    if random.random() < 0.5:
        return damaged(data, random)
    model = onnx.load_from_string(data)
    graph = model.graph
    node, weight = random.choice(graph.node), random.choice(graph.initializer)
    match random.randrange(9):
        case 0:
            node.op_type = random.choice(("Loop", "If", "Relu", "Concat", "Gather", "", "A" * 2000))
        case 1:
            weight.data_location = onnx.TensorProto.EXTERNAL
            weight.external_data.add(key="location", value="/etc/passwd")
        case 2 if node.attribute:
            random.choice(node.attribute).i = number(random, (1 << 63) - 1)
        case 3:
            weight.dims[:] = [number(random, 1 << 33) for _ in range(random.randrange(10))]
        case 4 if node.input:
            node.input[random.randrange(len(node.input))] = random.choice(graph.node).output[0]
        case 5:
            weight.raw_data = damaged(weight.raw_data, random)
        case 6:
            graph.node.insert(random.randrange(len(graph.node)), random.choice(graph.node))
        case 7:
            node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "body"
        case _:
            weight.data_type = random.randrange(20)
    return bytes(model.SerializeToString())


def _check(data: bytes) -> None:
    try:
        cca_core.check_graph(data)
    except cca_core.BundleError as error:
        raise BadInputError(str(error)) from error


def _expect_weights_inside(data: bytes) -> None:
    """What onnx itself makes of an accepted graph."""
    try:
        model = onnx.load_from_string(data)
    except DecodeError as error:
        raise AssertionError("onnx reads no graph in what was accepted") from error
    tensors = list(external_data_helper._get_all_tensors(model))
    assert not any(map(external_data_helper.uses_external_data, tensors))
    assert not model.functions
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


def _code() -> None:
    codec = cca_runtime.Codec(open_bundle(scratch()), _engine())
    assert codec.decode(codec.encode(PICTURE)).shape == PICTURE.shape


@cache
def _engine() -> Engine:
    return cca_runtime.load(MODEL).engine


@cache
def _originals() -> dict[str, bytes]:
    return {name: (MODEL / "graphs" / f"{name}.onnx").read_bytes() for name in NAMES}
