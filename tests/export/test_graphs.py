"""The network and its exported graphs against the published reference's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from cca_engines import Graph, open_engine
from cca_export.checkpoint import load_network
from cca_export.complexity import complexity
from cca_export.families.cca.cut import ScaleIndex, codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import CodecGraph, TensorSpec
from cca_export.lower.folding import folded
from cca_export.onnx_writer import onnx_model
from cca_export.tables import scale_table, scale_thresholds
from full_size_checkpoint import PUBLISHED, random_network
from locations import CHECKPOINTS, GOLDEN
from numpy.typing import NDArray
from references.coding_order import symbol_bytes
from references.quantisation_steps import step_input, table_indexes
from tiny_networks import tiny_architecture
from torch import nn
from training.quantisation import at_step

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[str, dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]
"""Runs a graph, given by name, on named inputs."""

CHECKPOINT_OF_PICTURE = {
    "chelsea": "cca-small",
    "coffee": "cca-small",
    "astronaut": "cca-small",
    "random-2groups": "random-2groups",
}

# Summing in another order costs 1e-5 here; a wrong constant or a missing bias much more.
TOLERANCE = 5e-5


@cache
def network_of(checkpoint: str) -> CcaNetwork:
    return load_network(CHECKPOINTS / f"{checkpoint}.pth")


def in_torch(network: CcaNetwork) -> Run:
    graphs = {graph.name: graph for graph in codec_graphs(network)}

    def run(name: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        graph = graphs[name]
        with torch.inference_mode():
            outputs = graph.module(**{key: torch.from_numpy(a) for key, a in inputs.items()})
        names = [spec.name for spec in graph.outputs]
        return dict(zip(names, (output.numpy() for output in outputs), strict=True))

    return run


class Exported:
    """A network's graphs, exported when first used and run on ONNX Runtime.

    Attributes:
        models: What was exported, by graph; may hold some from the start.
    """

    def __init__(self, network: CcaNetwork, models: Mapping[str, bytes] | None = None) -> None:
        self.graphs = {graph.name: graph for graph in codec_graphs(network)}
        self.models = dict(models or {})
        self._loaded: dict[str, Graph] = {}
        self._engine = open_engine("onnxruntime")

    def __call__(self, name: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if name not in self._loaded:
            if name not in self.models:
                self.models[name] = onnx_model(folded(self.graphs[name]))
            self._loaded[name] = self._engine.load(self.models[name], name)
        return self._loaded[name].run(inputs)


@pytest.fixture(scope="module")
def exported(native_bundle: Path) -> Callable[[str], Exported]:
    """By checkpoint."""
    stored = {path.stem: path.read_bytes() for path in (native_bundle / "graphs").glob("*.onnx")}
    models = {"cca-small": stored}
    return cache(lambda name: Exported(network_of(name), models.get(name)))


def encode(
    run: Run, image: NDArray[np.uint8], groups: int, step: int = 0
) -> dict[str, NDArray[Any]]:
    """Analysis, the prior loop as an encoder runs it, and synthesis; `image` is [N, H, W, 3].

    `step` is the quantisation step's code. Group outputs come back concatenated, under the names
    of the golden arrays; indexes are the tables of a model whose scales go no further.
    """
    size = step_input(step)
    values = run("analysis", {"image": image})
    outputs = run("prior_0", {"z_symbols": values["z_symbols"]})
    hyperprior = {name: outputs[name] for name in ("latent_means", "latent_scales")}
    parts: dict[str, list[NDArray[Any]]] = {"means": [], "indexes": [], "symbols": []}
    y_hat: list[NDArray[Any]] = []
    start = 0
    for group in range(1, groups + 1):
        end = start + outputs["means"].shape[1]
        residual = values["y"][:, start:end] - outputs["means"]
        symbols = np.round(residual / size).astype(np.int32)
        inputs = {f"previous_{name}": outputs[name] for name in ("means", "support")}
        inputs["step"] = size
        if group < groups:
            inputs |= hyperprior
            if group > 1:
                inputs["previous_y_hat"] = np.concatenate(y_hat)
        for name, value in (*outputs.items(), ("symbols", symbols)):
            if name in parts:
                parts[name].append(value)
        outputs = run(f"prior_{group}", {**inputs, "symbols": symbol_bytes(symbols)})
        y_hat.append(outputs["y_hat"])
        start = end
    picture = run("synthesis", {"y_hat": np.concatenate(y_hat)})
    joined = {name: np.concatenate(arrays, 1) for name, arrays in parts.items()}
    joined["indexes"] = table_indexes(joined["indexes"], 0, step)
    joined["y_hat"] = np.concatenate(y_hat).swapaxes(0, 1)
    return values | hyperprior | joined | picture


def golden(picture: str) -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN / f"{picture}.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("picture", CHECKPOINT_OF_PICTURE)
def test_every_value_is_the_references(
    picture: str, backend: str, exported: Callable[[str], Exported]
) -> None:
    checkpoint = CHECKPOINT_OF_PICTURE[picture]
    run = in_torch(network_of(checkpoint)) if backend == "torch" else exported(checkpoint)
    reference = golden(picture)
    found = encode(run, reference["image"][None], groups=len(reference["group_sizes"]))
    np.testing.assert_array_equal(found["z_symbols"][0], reference["z_symbols"])
    for name in ("y", "latent_means", "latent_scales", "means", "y_hat"):
        np.testing.assert_allclose(found[name][0], reference[name], rtol=0, atol=TOLERANCE)
    for name in ("indexes", "symbols"):
        difference = np.abs(found[name][0].astype(int) - reference[name])
        assert difference.max() <= 1
        assert np.mean(difference > 0) <= 0.001
    x_hat = np.round(reference["x_hat"].transpose(1, 2, 0) * 255)
    difference = np.abs(found["image"][0] - x_hat)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001


def test_exported_graphs_have_the_declared_signature(exported: Callable[[str], Exported]) -> None:
    for checkpoint in set(CHECKPOINT_OF_PICTURE.values()):
        run = exported(checkpoint)
        encode(run, golden("chelsea")["image"][None, :64, :64], len(run.graphs) - 3)
        for name, graph in run.graphs.items():
            model = onnx.load_from_string(run.models[name]).graph
            assert [signature(value) for value in model.input] == list(graph.inputs)
            assert [signature(value) for value in model.output] == list(graph.outputs)


def signature(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_param or size.dim_value for size in tensor.shape.dim)
    return TensorSpec(
        value.name, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, shape
    )


# Sizes


@pytest.mark.parametrize("size", [(64, 64), (64, 192), (256, 128)])
def test_graphs_take_any_size(size: tuple[int, int], exported: Callable[[str], Exported]) -> None:
    image = golden("chelsea")["image"][None, : size[0], : size[1]]
    found = encode(exported("random-2groups"), image, groups=2)
    expected = encode(in_torch(network_of("random-2groups")), image, groups=2)
    assert found["image"].shape == image.shape
    for name, value in expected.items():
        assert found[name].shape == value.shape
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1)
        assert np.mean(np.abs(found[name] - value) > TOLERANCE) <= 0.002


def test_a_batch_gives_what_its_pictures_give_alone(exported: Callable[[str], Exported]) -> None:
    run = exported("random-2groups")
    picture = golden("chelsea")["image"]
    batch = np.stack([picture[:128, i : i + 128] for i in (0, 100, 200)])
    together = encode(run, batch, groups=2)
    for i in range(3):
        alone = encode(run, batch[i : i + 1], groups=2)
        for name, value in alone.items():
            assert np.mean(np.abs(together[name][i] - value[0]) > TOLERANCE) <= 0.002


def assert_matches_torch(network: CcaNetwork, run: Run) -> None:
    image = golden("chelsea")["image"][None, :128, :192]
    groups = len(network.architecture.groups)
    found = encode(run, image, groups)
    for name, value in encode(in_torch(network), image, groups).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1)
        assert np.mean(np.abs(found[name] - value) > TOLERANCE) <= 0.002


@cache
def one_group_models() -> Mapping[str, bytes]:
    network = random_network(tiny_architecture((5,))).eval()
    run = Exported(network)
    assert_matches_torch(network, run)
    return run.models


def test_a_network_of_one_group_and_odd_widths_exports() -> None:
    assert one_group_models().keys() == {"analysis", "prior_0", "prior_1", "synthesis"}


def test_a_network_of_seven_groups_exports() -> None:
    """One group amid the others and the last: the first ones are like those of two groups."""
    network = random_network(tiny_architecture((1, 2, 1, 3, 1, 1, 2))).eval()
    exporting, reference = Exported(network), in_torch(network)

    def run(name: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return (exporting if name in ("prior_3", "prior_7") else reference)(name, inputs)

    assert_matches_torch(network, run)
    assert len(exporting.models) == 2


# Scale to table index


@pytest.mark.parametrize("step", [-40, 25])
def test_a_step_is_a_scale_of_the_latents(step: int, exported: Callable[[str], Exported]) -> None:
    """The graphs at a step, against those of a network whose layers were scaled to it, at 1."""
    network, size = network_of("cca-small"), float(step_input(step)[0])
    image = golden("coffee")["image"][None, :256, :256]
    found = encode(exported("cca-small"), image, 5, step)
    other = at_step(network, size)
    other.finest_step = 1.0  # its indexes begin where the others do
    scaled = encode(in_torch(other), image, 5)
    for name in ("y", "means", "y_hat"):
        difference = np.abs(found[name] - size * scaled[name])
        # A symbol on the other side of a rounding boundary changes what follows, a little.
        assert np.mean(difference > 1e-3) < 0.01
    assert np.mean(found["symbols"] != scaled["symbols"]) < 1e-3
    # Codes are eighths of a place, and tables are chosen by halves of one.
    assert np.mean(np.abs(found["indexes"].astype(int) - scaled["indexes"]) > 1) < 1e-3
    assert abs(found["indexes"].mean() - scaled["indexes"].mean()) < 0.15


def published_indexes(scales: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The published rule, one pass for each table entry."""
    table = scale_table().numpy()
    bounded = np.maximum(scales, np.float32(0.11))
    indexes = np.full(scales.shape, len(table) - 1)
    for entry in table[:-1]:
        indexes -= bounded <= entry
    return indexes.astype(np.uint8)


def critical_scales() -> NDArray[np.float32]:
    table = scale_thresholds(128).numpy()
    ulps = [table, scale_table().numpy()]
    for direction in (np.float32(0), np.float32(np.inf)):
        value = np.concatenate(ulps[:2])
        for _ in range(3):
            value = np.nextafter(value, direction)
            ulps.append(value)
    middles = np.sqrt(table[:-1] * table[1:])
    generator = np.random.default_rng(5)
    anything = generator.integers(0, 1 << 32, 40_000, np.uint32).view(np.float32)
    likely = np.exp(generator.uniform(-12, 8, 40_000)).astype(np.float32)
    odd = np.array([0, -0.0, -1, -np.inf, np.inf, np.nan, 1e-45, 3.4e38, -3.4e38], np.float32)
    return np.concatenate([*ulps, middles, anything, likely, odd]).astype(np.float32)


def index_graph(smallest_scale: int) -> CodecGraph:
    def spec(name: str, dtype: str) -> TensorSpec:
        return TensorSpec(name, dtype, ("batch", 3, "height", "width"))

    class Index(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.index = ScaleIndex(smallest_scale)

        def forward(self, scales: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.index(scales),)

    return CodecGraph("index", Index(), (spec("scales", "float32"),), (spec("indexes", "uint8"),))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("smallest_scale", [0, 15, 128])
def test_scale_index_is_exact_at_every_threshold(smallest_scale: int) -> None:
    scales = critical_scales()
    thresholds = scale_thresholds(smallest_scale).numpy()
    places = (np.arange(smallest_scale + 126) - smallest_scale) / 2
    np.testing.assert_allclose(thresholds, 0.11 * (256 / 0.11) ** (places / 63), rtol=1e-6)
    # A comparison is false for what is not a number: it counts as infinite.
    expected = (~(scales[:, None] <= thresholds)).sum(1)
    assert set(expected) == set(range(smallest_scale + 127))
    in_pytorch = ScaleIndex(smallest_scale)(torch.from_numpy(scales)).numpy()
    np.testing.assert_array_equal(in_pytorch, expected)
    # At step 1, what the coder makes of it is the published choice.
    published = published_indexes(scales)
    assert set(published) == set(range(64))
    np.testing.assert_array_equal(table_indexes(in_pytorch, smallest_scale, 0), published)
    padded = np.pad(scales, (0, -len(scales) % 6))
    graph = open_engine("onnxruntime").load(onnx_model(index_graph(smallest_scale)), "index")
    exported = graph.run({"scales": padded.reshape(1, 3, 2, -1)})["indexes"].ravel()
    np.testing.assert_array_equal(exported[: len(scales)], expected)


# The files


@pytest.fixture(scope="module")
def small_models(exported: Callable[[str], Exported]) -> Mapping[str, bytes]:
    run = exported("cca-small")
    encode(run, golden("chelsea")["image"][None], groups=5)
    return run.models


def test_files_hold_computation_only(small_models: Mapping[str, bytes]) -> None:
    for content in small_models.values():
        assert b"/home/" not in content
        assert b".py" not in content
        model = onnx.load_from_string(content)
        assert model.opset_import[0].version == 18
        assert model.ir_version <= 10  # what ONNX Runtime 1.20 reads
        assert not model.metadata_props
        assert not model.graph.value_info
        for node in model.graph.node:
            assert not node.doc_string
            assert not node.metadata_props


# fmt: off
ALLOWED_OPERATORS = {
    "Add", "Cast", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Erf",
    "Gather", "Greater", "Less", "Log", "Mul", "ReduceMean", "Reciprocal", "Relu", "Round", "Sqrt",
    "Squeeze", "Sub", "Tanh", "Transpose", "Where",
}
# fmt: on


def test_graphs_use_simple_operators_of_the_standard_only(
    small_models: Mapping[str, bytes],
) -> None:
    """No control flow, sequences, or shapes computed at run time: every backend has these."""
    for content in small_models.values():
        for node in onnx.load_from_string(content).graph.node:
            assert node.op_type in ALLOWED_OPERATORS
            assert not node.domain


def test_weights_that_fit_float16_are_stored_so(small_models: Mapping[str, bytes]) -> None:
    assert sum(map(len, small_models.values())) < 8e6


def test_weights_that_do_not_fit_float16_are_stored_as_they_are() -> None:
    network = random_network(tiny_architecture((5,)))
    stored = onnx.load_from_string(one_group_models()["prior_1"]).graph.initializer
    weights = {tuple(onnx.numpy_helper.to_array(entry).shape): entry for entry in stored}
    expected = network.lrp_transforms[0][2].weight.detach().numpy()
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weights[expected.shape]), expected)


def test_exporting_twice_gives_the_same_bytes() -> None:
    again = random_network(tiny_architecture((5,)))
    graph = next(graph for graph in codec_graphs(again) if graph.name == "prior_1")
    assert onnx_model(folded(graph)) == one_group_models()["prior_1"]


def test_uint8_crosses_only_through_casts(small_models: Mapping[str, bytes]) -> None:
    """Accelerators accept uint8 at the border of a graph and nowhere inside."""
    for name in ("analysis", "prior_0", "synthesis"):
        graph = onnx.load_from_string(small_models[name]).graph
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8:
                users = [n for n in graph.node if value.name in (*n.input, *n.output)]
                assert [node.op_type for node in users] == ["Cast"]


# What it all costs


def layers(network: CcaNetwork) -> Iterator[nn.Module]:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            yield module


def test_complexity_is_what_the_convolutions_do_on_a_picture() -> None:
    network = random_network(tiny_architecture((2, 3))).eval()
    macs: dict[str, float] = {}
    running = ""

    def count(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if output.shape[-2:] == (1, 1):
            return  # channel attention
        positions = (inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output)[0, 0].numel()
        macs[running] = macs.get(running, 0) + layer.weight.numel() * positions

    for layer in layers(network):
        layer.register_forward_hook(count)
    run = in_torch(network)

    def run_counting(name: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        nonlocal running
        running = name
        return run(name, inputs)

    encode(run_counting, np.zeros((1, 128, 192, 3), np.uint8), groups=2)
    pixels = 128 * 192
    cost = complexity(network)
    decode = sum(macs.values()) - macs["analysis"]
    assert cost.encode_kmac * 1000 == pytest.approx(
        (sum(macs.values()) - macs["synthesis"]) / pixels
    )
    assert cost.decode_kmac * 1000 == pytest.approx(decode / pixels)
    assert cost.parameters == sum(tensor.numel() for tensor in network.state_dict().values())


def test_the_published_size_costs_what_is_published() -> None:
    with torch.device("meta"):
        cost = complexity(CcaNetwork(PUBLISHED))
    assert round(cost.parameters / 1e6, 2) == 64.99
    assert round(cost.encode_kmac) == 693
    assert round(cost.decode_kmac) == 689
