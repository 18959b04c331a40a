"""Float16 layers against float64, and explicit roundings against NumPy's float16."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from cca_engines import Engine, open_engine
from cca_export.families.cca.network import ChannelLayerNorm
from cca_export.lower.fp16.convert import factor
from cca_export.lower.fp16.layers import (
    FloatConvolution,
    Fp16Attention,
    Fp16Gelu,
    Fp16Norm,
    WideGate,
)
from cca_export.lower.fp16.rounding import explicit_rounding
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

RELATIVE = 2.0**-10
"""Twice the largest relative error of rounding to float16."""

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine("onnxruntime")


# --- Explicit roundings -----------------------------------------------------------------------


def fp16_model(
    nodes: list[onnx.NodeProto], weights: Mapping[str, NDArray[Any]] | None = None
) -> bytes:
    """From `a` and `b` float32 [1, 4, 2, 2], cast to `ha` and `hb`, to `y`, cast from `hy`."""
    shape = [1, 4, 2, 2]
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape) for name in "ab"]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["a"], ["ha"], to=HALF),
            helper.make_node("Cast", ["b"], ["hb"], to=HALF),
            *nodes,
            helper.make_node("Cast", ["hy"], ["y"], to=FLOAT),
        ],
        "fp16",
        inputs,
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def operands() -> dict[str, NDArray[np.float32]]:
    """Float32 values of all magnitudes: some products overflow float16, some underflow."""
    random = np.random.default_rng(0)
    exponents = random.uniform(-8, 10, (2, 1, 4, 2, 2))
    values = random.choice([-1, 1], exponents.shape) * 2.0**exponents
    return dict(zip("ab", values.astype(np.float32), strict=True))


def run_rounded(engine: Engine, model: bytes) -> NDArray[Any]:
    graph = engine.load(explicit_rounding(model), "fp16")
    result = graph.run({name: engine.to_device(array) for name, array in operands().items()})
    return engine.to_host(result["y"])


@pytest.mark.parametrize(
    ("operation", "numpy"), [("Mul", np.multiply), ("Add", np.add), ("Div", np.divide)]
)
def test_arithmetic_is_rounded_as_numpys_float16(
    operation: str, numpy: Callable[..., Any], engine: Engine
) -> None:
    found = run_rounded(engine, fp16_model([helper.make_node(operation, ["ha", "hb"], ["hy"])]))
    a, b = (array.astype(np.float16) for array in operands().values())
    with np.errstate(over="ignore", under="ignore"):
        expected = numpy(a, b)
    if operation == "Mul":
        assert np.isinf(expected).any(), "or overflow goes untested"
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_a_convolution_sums_in_float32_and_rounds_once(engine: Engine) -> None:
    weights = np.random.default_rng(1).normal(size=(3, 4, 1, 1)).astype(np.float16)
    node = helper.make_node("Conv", ["ha", "weights"], ["hy"])
    found = run_rounded(engine, fp16_model([node], {"weights": weights}))
    a = operands()["a"].astype(np.float16).astype(np.float64)
    exact = np.einsum("oi,nihw->nohw", weights[:, :, 0, 0].astype(np.float64), a)
    np.testing.assert_array_equal(found, found.astype(np.float16), "values that float16 has")
    np.testing.assert_allclose(found, exact, rtol=2.0**-11 * 1.01, atol=1e-4)


def test_every_step_is_rounded(engine: Engine) -> None:
    """(a b) / b: in float32 that is a, whatever overflows or underflows on the way."""
    nodes = [
        helper.make_node("Mul", ["ha", "hb"], ["product"]),
        helper.make_node("Split", ["product"], ["p0", "p1"], axis=1, num_outputs=2),
        helper.make_node("Concat", ["p0", "p1"], ["joined"], axis=1),
        helper.make_node("Relu", ["joined"], ["positive"]),
        helper.make_node("Div", ["positive", "hb"], ["hy"]),
    ]
    found = run_rounded(engine, fp16_model(nodes))
    a, b = (array.astype(np.float16) for array in operands().values())
    with np.errstate(over="ignore", under="ignore"):
        expected = np.maximum(a * b, 0) / b
    np.testing.assert_array_equal(found, expected.astype(np.float32))


# --- Layers -----------------------------------------------------------------------------------


def stored(x: Tensor, by: float) -> Tensor:
    """float16, by a factor."""
    return (x * by).to(torch.float16)


def check_layer(
    layer: nn.Module, exact: Callable[[Tensor], Tensor], x: Tensor, source: float, target: float
) -> None:
    """A layer between tensors that are stored by factors, against its formula in float64."""
    fp16 = stored(x, source)
    with torch.inference_mode():
        found = layer(fp16)
        expected = exact(fp16.double() / source)
    assert found.dtype == torch.float16
    assert found.isfinite().all()
    error = (found.double() / target - expected).abs()
    # Of small values float16 has fewer bits: its steps are 2^-24.
    assert (error <= RELATIVE * expected.abs() + 2.0**-24 / target + 1e-6).all()


def seeded(*shape: int, scale: float = 1) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(3))


FACTORS = [(1.0, 1.0), (2.0**-6, 1.0), (1.0, 2.0**-4), (2.0**-8, 2.0**3)]


@pytest.mark.parametrize(("source", "target"), FACTORS)
def test_statistics_of_wide_tensors(source: float, target: float) -> None:
    """Squares of these values overflow float16."""
    norm = ChannelLayerNorm(16).requires_grad_(False)
    norm.weight.copy_(1 + seeded(16, scale=0.3))
    norm.bias.copy_(seeded(16))

    def exact(x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        deviation = (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        weight, bias = (p.double()[:, None, None] for p in (norm.weight, norm.bias))
        return centred / deviation * weight + bias

    check_layer(Fp16Norm(norm, source, target), exact, seeded(2, 16, 3, 5) * 3000, source, target)


@pytest.mark.parametrize(("source", "target"), [(1.0, 2.0**-10), (2.0**-6, 2.0**-10)])
def test_products_that_overflow(source: float, target: float) -> None:
    x = seeded(2, 8, 3, 5, scale=1000)
    assert (x[:, :4] * x[:, 4:]).abs().max() > 65504
    check_layer(WideGate(source, target), lambda x: x[:, :4] * x[:, 4:], x, source, target)


@pytest.mark.parametrize(("source", "target"), FACTORS)
def test_gelu(source: float, target: float) -> None:
    def exact(x: Tensor) -> Tensor:
        return x / 2 * (1 + torch.erf(x / math.sqrt(2)))

    check_layer(Fp16Gelu(source, target), exact, seeded(2, 8, 3, 5) * 4, source, target)


@pytest.mark.parametrize(("source", "target"), FACTORS)
def test_attention_averages_pictures_whose_sum_overflows(source: float, target: float) -> None:
    sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 6, 1)).requires_grad_(False)
    convolution = cast(nn.Conv2d, sca[1])
    weight, bias = convolution.weight.double()[..., 0, 0], cast(Tensor, convolution.bias).double()

    def exact(x: Tensor) -> Tensor:
        attention = x.mean((2, 3)) @ weight.T + bias
        return cast(Tensor, x * attention[:, :, None, None])

    x = 20 + seeded(2, 6, 60, 70)
    assert x.sum((2, 3)).min() > 65504
    check_layer(Fp16Attention(sca, source, target), exact, x, source, target)


def test_a_convolution_with_weights_that_float16_does_not_hold() -> None:
    convolution = nn.Conv2d(4, 3, 1).requires_grad_(False)
    weight = convolution.weight.copy_(seeded(3, 4, 1, 1) * 1e6)
    x = seeded(2, 4, 3, 5, scale=1e-3)

    def exact(x: Tensor) -> Tensor:
        bias = cast(Tensor, convolution.bias).double()[:, None, None]
        return torch.einsum("oi,nihw->nohw", weight.double()[..., 0, 0], x) + bias

    check_layer(FloatConvolution(convolution), exact, x, 1, 1)


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0, 1), (1, 1), (8188, 1), (8189, 2**-1), (1e6, 2**-7), (2**-6, 1), (2**-7, 2**7)],
)
def test_a_factor_leaves_room_for_eight_times_as_much(largest: float, expected: float) -> None:
    assert factor(largest) == expected
    assert 8 * largest * factor(largest) <= np.finfo(np.float16).max
