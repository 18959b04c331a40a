"""Every engine, setting and layout computes the same exact prior, on photographs and worse."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from cca_engines import available_engines, open_engine, optimisations
from cca_export.check import CALIBRATION, load_picture
from cca_export.checkpoint import load_network
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.calibration import observe_prior
from cca_export.lower.exact.graphs import ExactPrior, exact_graphs
from cca_runtime.bundle import Bundle, open_bundle
from locations import DEFAULT_CHECKPOINT, GOLDEN
from numpy.typing import NDArray
from references.averages import average_factors
from references.coding_order import symbol_bytes
from references.quantisation_steps import step_input

Arrays: TypeAlias = dict[str, NDArray[Any]]
Run: TypeAlias = Callable[[str, Arrays], Arrays]

STEP = step_input(-59)
"""No power of two."""


@pytest.fixture(scope="module")
def bundle(exact_bundle: Path) -> Bundle:
    return open_bundle(exact_bundle)


def engine_run(bundle: Bundle, name: str, **settings: Any) -> Run:
    engine = open_engine(name, **settings)
    graphs = {}

    def run(graph: str, inputs: Arrays) -> Arrays:
        if graph not in graphs:
            graphs[graph] = engine.load(bundle.read_graph(graph), graph)
        names = graphs[graph].inputs
        outputs = graphs[graph].run({key: engine.to_device(inputs[key]) for key in names})
        return {key: engine.to_host(value) for key, value in outputs.items()}

    return run


@pytest.fixture(scope="module")
def pictures() -> dict[str, NDArray[np.uint8]]:
    """Batches of pictures [N, H, W, 3] that may go wrong in different ways."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:64, 0:64]
    small = [np.full((64, 64, 3), value, np.uint8) for value in (0, 1, 127, 128, 255)]
    for period in range(1, 65):
        board = ((x // period + y // period) % 2 * 255).astype(np.uint8)
        small.append(np.repeat(board[..., None], 3, axis=2))
    small += [random.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(4)]
    small += [np.repeat((edge * 255).astype(np.uint8)[..., None], 3, 2) for edge in edges(x, y)]
    small.append(np.broadcast_to(random.integers(0, 256, (1, 1, 3), np.uint8), (64, 64, 3)))
    photographs = []
    for name in ("chelsea", "coffee", "astronaut"):
        with np.load(GOLDEN / f"{name}.npz") as golden:
            image = golden["image"]
        for _ in range(8):
            top, left = (int(random.integers(0, side)) for side in (129, 193))
            photographs.append(image[top : top + 128, left : left + 192])
    tall = random.integers(0, 256, (1, 1024, 64, 3), np.uint8)
    return {
        "adversarial 64x64": np.stack(small),
        "photographs 192x128": np.stack(photographs),
        "tall 64x1024": tall,
        "long 1024x64": np.ascontiguousarray(tall.transpose(0, 2, 1, 3)),
    }


def edges(x: NDArray[Any], y: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Black against white along a column, a row, both diagonals, and around one pixel."""
    yield from (x < 32, y < 31, x < y, x + y < 64, (x == 20) & (y == 40))


def encode(run: Run, analysis: Arrays) -> dict[str, NDArray[Any]]:
    """All outputs of all prior graphs as an encoder meets them at some step, by graph and name."""
    y = analysis["y"]
    known: Arrays = {
        **analysis,
        "averages": np.array(average_factors(*y.shape[2:]), np.float32),
        "step": STEP,
    }
    found = {}
    y_hat: list[NDArray[Any]] = []
    first, graph = 0, 0
    while first < y.shape[1]:
        outputs = run(f"prior_{graph}", known)
        last = first + outputs["means"].shape[1]
        known |= {f"previous_{key}": value for key, value in outputs.items()}
        if "y_hat" in outputs:
            y_hat.append(outputs["y_hat"])
            known["previous_y_hat"] = np.concatenate(y_hat)
        known |= {key: value for key, value in outputs.items() if key.startswith("latent_")}
        known["symbols"] = symbol_bytes(np.rint((y[:, first:last] - outputs["means"]) / STEP))
        found |= {f"prior_{graph} {key}": value for key, value in outputs.items()}
        first, graph = last, graph + 1
    outputs = run(f"prior_{graph}", known)
    return found | {f"prior_{graph} {key}": value for key, value in outputs.items()}


@pytest.fixture(scope="module")
def analysed(bundle: Bundle, pictures: Mapping[str, NDArray[np.uint8]]) -> dict[str, Arrays]:
    run = engine_run(bundle, "onnxruntime")
    return {name: run("analysis", {"image": batch}) for name, batch in pictures.items()}


@pytest.fixture(scope="module")
def expected(bundle: Bundle, analysed: Mapping[str, Arrays]) -> dict[str, dict[str, Any]]:
    """What ONNX Runtime computes without any optimisation, on one thread."""
    run = engine_run(bundle, "onnxruntime", threads=1, optimisation="disable")
    return {name: encode(run, analysis) for name, analysis in analysed.items()}


def assert_equal(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]], what: str
) -> int:
    """Compare every value; returns how many there were."""
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        differing = int(np.count_nonzero(found[key] != values))
        assert differing == 0, f"{what}: {differing} of {values.size} differ in {key}"
    return sum(values.size for values in expected.values())


SETTINGS = [
    (name, optimisation, threads)
    for name in ("onnxruntime", "openvino")
    for optimisation in (optimisations(name) or [None])
    for threads in (1, 2)
]


@pytest.mark.parametrize(("name", "optimisation", "threads"), SETTINGS)
def test_every_engine_setting_computes_the_same_integers(
    bundle: Bundle,
    analysed: Mapping[str, Arrays],
    expected: Mapping[str, dict[str, Any]],
    name: str,
    optimisation: str | None,
    threads: int,
) -> None:
    if name not in available_engines():
        pytest.skip(f"{name} is not installed")
    run = engine_run(bundle, name, threads=threads, optimisation=optimisation)
    values = sum(
        assert_equal(encode(run, analysis), expected[batch], batch)
        for batch, analysis in analysed.items()
    )
    print(f"{name} {optimisation or ''} {threads}: {values} values, 0 differ")  # noqa: T201


def test_a_batch_does_not_change_a_picture(
    bundle: Bundle, analysed: Mapping[str, Arrays], expected: Mapping[str, dict[str, Any]]
) -> None:
    """The encoder's analysis in batches of 1 and 3; the batches above have 79 and 24."""
    run = engine_run(bundle, "onnxruntime")
    for batch in ("adversarial 64x64", "photographs 192x128"):
        for part in (slice(0, 1), slice(5, 6), slice(10, 13)):
            analysis = {key: value[part] for key, value in analysed[batch].items()}
            whole = {
                key: value[:, part] if key.endswith("y_hat") else value[part]
                for key, value in expected[batch].items()
            }
            assert_equal(encode(run, analysis), whole, f"{batch} {part}")


@pytest.fixture(scope="module")
def graphs() -> list[CodecGraph]:
    """The exact prior in PyTorch, built anew as the shipped bundle was."""
    network = load_network(DEFAULT_CHECKPOINT)
    pictures = [load_picture(path) for path in CALIBRATION]
    return list(exact_graphs(network, ExactPrior(network, observe_prior(network, pictures))))


def torch_run(
    graphs: list[CodecGraph], dtype: torch.dtype, memory_format: torch.memory_format
) -> Run:
    modules = {graph.name: graph for graph in graphs}

    def run(name: str, inputs: Arrays) -> Arrays:
        graph = modules[name]
        module = copy.deepcopy(graph.module).to(dtype)
        tensors = {}
        for spec in graph.inputs:
            tensor = torch.from_numpy(inputs[spec.name])
            if tensor.dtype == torch.float32:
                tensor = tensor.to(dtype)
            if tensor.ndim == 4:
                tensor = tensor.contiguous(memory_format=memory_format)
            tensors[spec.name] = tensor
        with torch.inference_mode():
            outputs = module(**tensors)
        names = (spec.name for spec in graph.outputs)
        return {
            key: (value.float() if value.is_floating_point() else value).contiguous().numpy()
            for key, value in zip(names, outputs, strict=True)
        }

    return run


@pytest.mark.parametrize("layout", ["NCHW", "channels last", "without oneDNN", "one thread"])
def test_pytorch_computes_the_same_integers(
    layout: str,
    graphs: list[CodecGraph],
    analysed: Mapping[str, Arrays],
    expected: Mapping[str, dict[str, Any]],
) -> None:
    last = torch.channels_last if layout == "channels last" else torch.contiguous_format
    run = torch_run(graphs, torch.float32, last)
    threads = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        if layout == "without oneDNN":
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            # NNPACK transforms kernels (Winograd, FFT) and so computes other sums than asked.
            stack.enter_context(torch.backends.nnpack.flags(enabled=False))
        if layout == "one thread":
            stack.callback(torch.set_num_threads, threads)
            torch.set_num_threads(1)
        for batch, analysis in analysed.items():
            assert_equal(encode(run, analysis), expected[batch], batch)


@pytest.mark.skipif("openvino" not in available_engines(), reason="openvino is not installed")
def test_openvino_transforms_no_convolution_of_the_prior(bundle: Bundle) -> None:
    """Winograd's algorithm sums other numbers, for which nothing is proved."""
    from cca_engines.openvino import ov

    kernels = set()
    for name in bundle.exact_graphs:
        graph = open_engine("openvino").load(bundle.read_graph(name), name)
        compiled: ov.CompiledModel = graph._compiled.get()  # type: ignore[attr-defined]
        for node in compiled.get_runtime_model().get_ops():
            facts = node.get_rt_info()
            if facts["layerType"].astype(str) == "Convolution":
                kernels.add(facts["primitiveType"].astype(str))
    assert kernels
    assert not [kernel for kernel in kernels if "wino" in kernel.lower()]
    assert all("f32" in kernel for kernel in kernels)
