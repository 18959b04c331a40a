"""The exact prior against integers: docs/spec/exact.md says what the graphs compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cca_engines import digest
from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.calibration import observe_prior
from cca_export.lower.exact.graphs import ExactPrior, ExactScaleIndex, exact_graphs
from cca_export.lower.exact.layers import AverageFactors, ExactAttention, ExactLayerNorm
from cca_export.lower.exact.modules import ExactLrp, ExactNafBlock
from cca_export.lower.exact.normalisation import fill_inverse_deviations
from cca_export.onnx_writer import onnx_model
from cca_runtime.bundle import open_bundle
from numpy.typing import NDArray
from references.averages import average_factors
from references.coding_order import CodingState, symbol_bytes
from references.exact_reference import (
    SCALES,
    Integers,
    Layers,
    Outputs,
    averages,
    integer_weights,
    read_parameters,
    run_prior,
    times_power,
)
from references.quantisation_steps import step_input, symbol_range
from tiny_networks import tiny_architecture

_WEIGHTS = [
    "h_mean_s.4",
    "h_scale_s.4",
    "group.mean_naf.in_conv",
    "group.mean_naf.out_conv",
    "group.mean_head.0",
    "group.mean_head.4",
    "group.scale_head.4",
]
_BIASES = ["h_mean_s.4", "h_scale_s.4", "group.mean_head.4"]


@pytest.fixture(scope="module", params=[(4,), (1, 3, 2)], ids=["one-group", "three-groups"])
def any_graphs(request: pytest.FixtureRequest) -> list[CodecGraph]:
    return _exact_graphs(request.param)


@pytest.fixture(scope="module")
def graphs() -> list[CodecGraph]:
    return _exact_graphs((4,))


@pytest.mark.parametrize("largest", [2, 60, 32767])
@pytest.mark.parametrize("code", [0, -128, -59, 1, 127])
def test_modules_compute_the_reference(
    any_graphs: list[CodecGraph], largest: int, code: int
) -> None:
    z_symbols, symbols = _symbols(any_graphs, largest, (8, 12))
    symbols = symbols.clip(*symbol_range(code))
    expected = run_prior([_layers(graph) for graph in any_graphs], z_symbols, symbols, code)
    computed = _run_modules(any_graphs, z_symbols, symbols, code)
    for ours, theirs in zip(computed, expected, strict=True):
        assert list(ours) == list(theirs)
        for name, values in ours.items():
            assert values.dtype == theirs[name].dtype
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)


def test_tiny_outputs_are_no_constants(graphs: list[CodecGraph]) -> None:
    """Else the other tests of this file would compare little."""
    outputs = _first_outputs([_layers(graph) for graph in graphs], *_symbols(graphs, 20, (8, 12)))
    distinct = {name: len(np.unique(values)) for name, values in outputs.items()}
    assert distinct.pop("indexes") > 20
    assert min(distinct.values()) > 100


def test_graph_file_holds_the_documented_parameters(
    graphs: list[CodecGraph], tmp_path: Path
) -> None:
    path = tmp_path / "prior_1.onnx"
    path.write_bytes(onnx_model(graphs[1]))
    stored = read_parameters(path)
    for name, values in _layers(graphs[1]).parameters.items():
        np.testing.assert_array_equal(stored[name], values, err_msg=name)


def test_default_model_computes_the_reference(exact_bundle: Path) -> None:
    """Every conformance case of the bundle, by the digests that engines are held to."""
    bundle = open_bundle(exact_bundle)
    assert bundle.conformance is not None
    layers = [
        Layers(read_parameters(exact_bundle / "graphs" / f"{name}.onnx"))
        for name in bundle.prior_graphs
    ]
    cases = bundle.conformance.cases
    for case, inputs in zip(cases, bundle.conformance.read(cases), strict=True):
        outputs = run_prior(layers, inputs.z_symbols, inputs.symbols, case.step)
        assert list(map(digest, outputs)) == case.digests, case.name


@pytest.mark.parametrize("channels", [3, 48, 321])
@pytest.mark.parametrize("largest", [1, 60, 4095])
def test_normalisation_of_any_width_is_the_reference(channels: int, largest: int) -> None:
    layer = ExactLayerNorm(channels)
    fill_inverse_deviations(layer, -6, -7)
    x = np.random.default_rng(3).integers(-largest, largest + 1, (2, channels, 6, 7))
    x[0, :, 0, 0], x[0, :, 0, 1] = largest, np.where(np.arange(channels) % 2, -4095, 4095)
    reference = Layers({f"norm.{name}": _array(each) for name, each in layer.named_buffers()})
    computed = layer(torch.from_numpy(x).float())
    np.testing.assert_array_equal(computed.numpy(), reference.normalise("norm", x))


@pytest.mark.parametrize("limit", [700, 4095])
def test_block_computes_the_reference_where_the_residual_saturates(
    graphs: list[CodecGraph], limit: int
) -> None:
    block = graphs[0].module.group.mean_naf.blocks[0]  # type: ignore[union-attr,index]
    assert isinstance(block, ExactNafBlock)
    x = np.random.default_rng(4).integers(-5000, 5001, (2, block.norm1.channels, 16, 12))
    x = x.clip(-limit, limit)
    reference = Layers({f"block.{name}": _array(each) for name, each in block.named_buffers()})
    computed = block(
        torch.from_numpy(x).float(),
        AverageFactors.unpack(torch.from_numpy(average_factors(16, 12))),
    )
    np.testing.assert_array_equal(computed.numpy(), reference.block("block", x))


@pytest.mark.parametrize("size", [(4, 4), (12, 20), (4096, 4), (612, 428)])
def test_attention_of_any_size_is_the_reference(size: tuple[int, int]) -> None:
    """Sums of rows lose a bit from 8201 latents on; 612 x 428 have the largest reciprocal."""
    layer = ExactAttention(torch.nn.Conv2d(4, 4, 1))
    layer.convolution.weight = 2.0**-3 * torch.eye(4)[:, :, None, None]
    layer.average_factor = torch.tensor([1.0, 4.0, 64.0, 256.0])[:, None, None]
    layer.factor = torch.full((4, 1, 1), 2.0**-2)
    x = np.random.default_rng(5).integers(-1023, 1024, (1, 4, *size))
    x[:, :2] = np.where(x[:, :2] % 16, 1023, x[:, :2])
    x[:, 3] = np.arange(size[1]) == 0  # where rows lose a bit, nothing is left of these
    reference = Layers({f"sca.{name}": _array(each) for name, each in layer.named_buffers()})
    factors = AverageFactors.unpack(torch.from_numpy(average_factors(*size)))
    computed = layer(torch.from_numpy(x).float(), factors)
    np.testing.assert_array_equal(computed.numpy(), reference.attention("sca", x))


@pytest.mark.parametrize("size", [(4, 4), (12, 20), (4, 2052), (612, 428), (4096, 4096)])
def test_hosts_pass_the_documented_averages(size: tuple[int, int]) -> None:
    r, k, reciprocal, t = averages(*size)
    expected = [2.0**-r, 2.0**-k, reciprocal, 2.0**-t]
    np.testing.assert_array_equal(average_factors(*size), np.array(expected, np.float32))


def test_tables_follow_their_formulas(graphs: list[CodecGraph]) -> None:
    lrp = graphs[1].module.lrp
    assert isinstance(lrp, ExactLrp)
    tanh = [round(64 * math.tanh(i / 128)) for i in range(-511, 512)]
    np.testing.assert_array_equal(_array(lrp.tanh.values)[:, 0], tanh)


@pytest.mark.parametrize("smallest_scale", [0, 15, 128])
def test_scale_indexes_follow_their_formula(smallest_scale: int) -> None:
    places = (np.arange(smallest_scale + 126) - smallest_scale) / 2
    thresholds = np.round(512 * 0.11 * (256 / 0.11) ** (places / 63))
    less = (thresholds < np.arange(SCALES[1] + 1)[:, None]).sum(1)
    indexes = _array(ExactScaleIndex(smallest_scale).indexes)[:, 0]
    np.testing.assert_array_equal(indexes, less)
    assert indexes.max() == smallest_scale + 126 < 256


def test_inverse_deviations_follow_their_formula() -> None:
    channels, exponent = 48, -5
    layer = ExactLayerNorm(channels)
    fill_inverse_deviations(layer, exponent, -7)
    table = _array(layer.inverse_deviation.values)[:, 0].astype(np.float64)
    q = math.ceil(math.log2(channels * 4095**2 / (16776960 - channels)))
    for entry, squares in ((0, 0), (3839, 3839), (3840, 3840 + 7.5), (15359, 16776960 - 2048.5)):
        variance = squares * 2**q / channels
        exact = 2**7 / math.sqrt(variance + 1e-6 * 2.0 ** (-2 * exponent))
        assert table[entry] == pytest.approx(exact, rel=2.0**-10, abs=2.0**-21)


@pytest.mark.parametrize("name", _WEIGHTS)
def test_one_unit_in_one_weight_is_noticed(graphs: list[CodecGraph], name: str) -> None:
    assert _differences(graphs, Layers(_with_one_more(graphs, name, "weight"))) > 0


@pytest.mark.parametrize("name", _BIASES)
def test_one_unit_in_one_bias_is_noticed(graphs: list[CodecGraph], name: str) -> None:
    assert _differences(graphs, Layers(_with_one_more(graphs, name, "bias"))) > 0


@pytest.mark.parametrize("name", ["h_mean_s.0", "h_scale_s.4", "group.mean_head.4"])
def test_one_extra_rounding_is_noticed(graphs: list[CodecGraph], name: str) -> None:
    class RoundingTwice(Layers):
        """Rounds the sums of one convolution to halves first."""

        def unshift(self, layer: str, total: Integers, shift: Integers) -> Integers:
            if layer == name:
                total, shift = times_power(total, 1 - shift), np.ones_like(shift)
            return super().unshift(layer, total, shift)

    assert _differences(graphs, RoundingTwice(_layers(graphs[0]).parameters)) > 0


def test_a_sum_that_may_reach_the_limit_is_noticed(graphs: list[CodecGraph]) -> None:
    parameters = dict(_layers(graphs[0]).parameters)
    weight = parameters["group.mean_head.4.weight"].copy()
    weight[0, 0, 0, 0] = 2**17
    with pytest.raises(AssertionError, match=r"group\.mean_head\.4"):
        _differences(graphs, Layers({**parameters, "group.mean_head.4.weight": weight}))


def _exact_graphs(group_sizes: tuple[int, ...]) -> list[CodecGraph]:
    """Exact prior graphs of a random network that uses the whole range of its outputs."""
    torch.manual_seed(1)
    network = CcaNetwork(tiny_architecture(group_sizes)).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("beta", "gamma", "quantiles")):
                parameter.normal_(std=0.5)
            elif name.endswith(".4.weight"):
                parameter.mul_(100)
            elif name.startswith("scale_cc_transforms") and name.endswith(".4.bias"):
                parameter.uniform_(0, 60)
        picture = torch.randint(0, 256, (1, 128, 192, 3), dtype=torch.uint8).numpy()
        prior = ExactPrior(network, observe_prior(network, [picture]))
    return [each for each in exact_graphs(network, prior) if each.name.startswith("prior_")]


def _symbols(
    graphs: Sequence[CodecGraph], largest: int, size: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Evenly distributed hyper-latent symbols and symbols of a batch of two pictures."""
    random = np.random.default_rng(2)
    height, width = size
    hyper_channels = int(graphs[0].inputs[0].shape[1])
    latent_channels = sum(int(graph.outputs[0].shape[0]) for graph in graphs[1:])
    shapes = (
        (2, hyper_channels, height // 4, width // 4),
        (2, latent_channels, height, width),
    )
    z_symbols, symbols = (random.integers(-largest, largest + 1, shape) for shape in shapes)
    return z_symbols.astype(np.int32), symbols.astype(np.int32)


def _run_modules(
    graphs: Sequence[CodecGraph], z_symbols: NDArray[Any], symbols: NDArray[Any], code: int
) -> list[Outputs]:
    """Outputs of every graph in PyTorch."""
    factors = torch.from_numpy(average_factors(*symbols.shape[2:]))
    step = torch.from_numpy(step_input(code))
    start = {"z_symbols": torch.from_numpy(z_symbols), "averages": factors, "step": step}
    known = CodingState[torch.Tensor](start, torch.cat)
    results = []
    first = 0
    for graph in graphs:
        if "means" in known:
            last = first + known["means"].shape[1]
            known.add({"symbols": torch.from_numpy(symbol_bytes(symbols[:, first:last]))})
            first = last
        names = [spec.name for spec in graph.outputs]
        outputs = dict(zip(names, graph.module(**known.inputs(graph)), strict=True))
        known.add(outputs)
        results.append({name: _array(values) for name, values in outputs.items()})
    return results


def _layers(graph: CodecGraph) -> Layers:
    """The reference on a module's parameters, which have the names of the graph file's."""
    return Layers({name: _array(each) for name, each in graph.module.state_dict().items()})


def _with_one_more(graphs: Sequence[CodecGraph], name: str, part: str) -> dict[str, NDArray[Any]]:
    """Parameters of the first graph with one integer of one convolution one unit larger."""
    parameters = dict(_layers(graphs[0]).parameters)
    changed = parameters[f"{name}.{part}"] = parameters[f"{name}.{part}"].copy()
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    transposed = name.startswith("h_")
    shift = integer_weights(weight.swapaxes(0, 1) if transposed else weight, bias)[2]
    changed[(0,) * changed.ndim] += 2.0 ** -int(shift[0])
    return parameters


def _differences(graphs: Sequence[CodecGraph], changed: Layers) -> int:
    """How many outputs of the first graph another one changes."""
    inputs = _symbols(graphs, 20, (24, 32))
    expected = _first_outputs([_layers(graphs[0])], *inputs)
    outputs = _first_outputs([changed], *inputs)
    return sum(int((outputs[name] != expected[name]).sum()) for name in expected)


def _first_outputs(layers: Sequence[Layers], *symbols: NDArray[Any]) -> Outputs:
    return next(run_prior(layers, *symbols))


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.numpy()
    return array
