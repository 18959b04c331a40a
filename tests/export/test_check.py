"""The exporter's check: what it compares, on which picture, and what it lets pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cca_export import exporter
from cca_export.check import (
    CHECK_PICTURE,
    Comparison,
    MismatchError,
    PictureError,
    check_graph,
    load_picture,
)
from cca_export.coding_runs import GraphRun, read_symbols, run_codec
from cca_export.exporter import ExportSettings
from cca_export.families.cca.cut import codec_graphs
from cca_export.graphs import CodecGraph
from forgery import unloadable_graph
from full_size_checkpoint import random_network
from locations import GOLDEN
from numpy.typing import NDArray
from PIL import Image
from references.padding import choose_padding, pad
from tiny_networks import tiny_architecture

Outputs = dict[str, NDArray[Any]]
Tamper = Callable[[Outputs], object]

NETWORK = random_network(tiny_architecture((2, 3))).eval()
PICTURE = np.random.default_rng(1).integers(0, 256, (1, 64, 128, 3), np.uint8)


class FakeEngine:
    """Runs the network itself and lets a test tamper with what comes out."""

    name = "fake"

    def __init__(self, tampers: Mapping[str, Tamper]) -> None:
        self._tampers = tampers
        self._graph: CodecGraph
        self.inputs: Mapping[str, NDArray[Any]] = {}

    def load(self, _: bytes, name: str) -> FakeEngine:
        self._graph = next(graph for graph in codec_graphs(NETWORK) if graph.name == name)
        return self

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Outputs:
        self.inputs = inputs
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
            results = [tensor.numpy().copy() for tensor in self._graph.module(**tensors)]
        names = [spec.name for spec in self._graph.outputs]
        outputs = dict(zip(names, results, strict=True))
        self._tampers.get(self._graph.name, lambda _: None)(outputs)
        return outputs

    def to_device(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def to_host(self, tensor: NDArray[Any]) -> NDArray[Any]:
        return tensor


def check_all(engine: FakeEngine) -> list[Comparison]:
    runs = run_codec(list(codec_graphs(NETWORK)), PICTURE)
    return [c for run in runs for c in check_graph(engine, [run], b"")]  # type: ignore[arg-type]


def scale(name: str, factor: float) -> Tamper:
    return lambda outputs: outputs.update({name: outputs[name] * np.float32(factor)})


def put(name: str, value: float, places: int = 1) -> Tamper:
    def change(outputs: Outputs) -> None:
        outputs[name].ravel()[:places] = value

    return change


def step(name: str, by: int, places: int) -> Tamper:
    def change(outputs: Outputs) -> None:
        outputs[name].ravel()[:places] ^= by

    return change


def test_every_output_of_every_graph_is_compared() -> None:
    comparisons = check_all(FakeEngine({}))
    assert [(c.graph, c.output) for c in comparisons] == [
        (graph.name, spec.name) for graph in codec_graphs(NETWORK) for spec in graph.outputs
    ]
    assert all(c.passed and c.error == 0 for c in comparisons)


def test_symbols_are_what_an_encoder_sends() -> None:
    engine = FakeEngine({})
    sent = []
    for run in run_codec(list(codec_graphs(NETWORK)), PICTURE):
        check_graph(engine, [run], b"")  # type: ignore[arg-type]
        if run.graph.name == "analysis":
            y = engine.run({"image": PICTURE})["y"]
        elif "symbols" in engine.inputs:
            low, high = np.moveaxis(engine.inputs["symbols"].astype(np.int32), -1, 0)
            symbols = low + 256 * high - 32768
            np.testing.assert_array_equal(symbols, read_symbols(run.inputs["symbols"]))
            sent.append(symbols + engine.inputs["previous_means"])
    quantised = np.concatenate(sent, 1)
    assert np.abs(quantised - y).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("graph", "output", "tamper"),
    [
        ("analysis", "y", scale("y", 1 + 5e-5)),
        ("prior_1", "indexes", step("indexes", by=1, places=1)),
        ("synthesis", "image", step("image", by=1, places=20)),
    ],
)
def test_rounding_passes(graph: str, output: str, tamper: Tamper) -> None:
    comparisons = check_all(FakeEngine({graph: tamper}))
    found = next(c for c in comparisons if (c.graph, c.output) == (graph, output))
    assert 0 < found.error <= found.allowed


@pytest.mark.parametrize(
    ("graph", "output", "tamper"),
    [
        ("analysis", "y", scale("y", 1 + 5e-4)),
        ("analysis", "y", put("y", np.nan)),
        ("analysis", "z_symbols", step("z_symbols", by=1, places=2)),
        ("prior_0", "support", put("support", np.inf)),
        ("prior_1", "indexes", step("indexes", by=2, places=1)),
        ("prior_2", "y_hat", put("y_hat", 100.0)),
        ("synthesis", "image", step("image", by=1, places=30)),
        ("synthesis", "image", step("image", by=2, places=1)),
    ],
)
def test_mistakes_fail(graph: str, output: str, tamper: Tamper) -> None:
    with pytest.raises(MismatchError, match=f"graph '{graph}' computes a wrong '{output}' on fake"):
        check_all(FakeEngine({graph: tamper}))


@pytest.mark.parametrize("change", [lambda a: a[:, :, 1:], lambda a: a.astype(np.float64)])
def test_other_shapes_and_types_fail(change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    def tamper(outputs: Outputs) -> None:
        outputs["means"] = change(outputs["means"])

    with pytest.raises(MismatchError, match="graph 'prior_0' returns 'means' as"):
        check_all(FakeEngine({"prior_0": tamper}))


def test_of_several_runs_the_worst_counts() -> None:
    runs = list(run_codec(list(codec_graphs(NETWORK)), PICTURE))
    first = next(run for run in runs if run.graph.name == "prior_1")
    again = list(run_codec(list(codec_graphs(NETWORK)), PICTURE, 50))
    second = next(run for run in again if run.graph.name == "prior_1")
    factors = iter((1 + 2e-5, 1 + 8e-5, 1 + 4e-5))
    tamper: Tamper = lambda outputs: scale("means", next(factors))(outputs)  # noqa: E731
    engine = FakeEngine({"prior_1": tamper})
    found = check_graph(engine, [first, second, first], b"")  # type: ignore[arg-type]
    assert [comparison.output for comparison in found] == list(first.outputs)
    assert found[1].error == pytest.approx(8e-5, rel=0.1)
    factors = iter((1.0, 1 + 5e-4))
    with pytest.raises(MismatchError, match="computes a wrong 'means'"):
        check_graph(engine, [first, second], b"")  # type: ignore[arg-type]


# The picture


def test_the_built_in_picture_is_a_photograph_of_whole_hyper_latents() -> None:
    with np.load(GOLDEN / "chelsea.npz") as golden:
        original = golden["image"]
    found = load_picture(CHECK_PICTURE)[0]
    assert found.shape == original.shape
    assert np.mean((found - original.astype(float)) ** 2) < 10


@pytest.mark.parametrize(
    ("size", "mode", "expected"),
    [
        ((1, 1), "L", (64, 64)),
        ((65, 128), "RGBA", (128, 128)),
        ((2000, 100), "P", (128, 768)),
        ((3, 3000), "CMYK", (768, 64)),
    ],
)
def test_any_picture_is_cut_and_padded(
    size: tuple[int, int], mode: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(tmp_path / "picture.tif")
    picture = load_picture(tmp_path / "picture.tif")
    assert picture.shape == (1, *expected, 3)
    with Image.open(tmp_path / "picture.tif") as saved:
        pixels = np.asarray(saved.convert("RGB"))
    top, left = (max(0, side - 768) // 2 for side in pixels.shape[:2])
    cut = pixels[top : top + 768, left : left + 768]
    np.testing.assert_array_equal(picture[0], pad(cut, choose_padding(*cut.shape[:2])))


def test_damaged_pictures_are_refused(tmp_path: Path) -> None:
    content = CHECK_PICTURE.read_bytes()
    file = tmp_path / "picture.jpg"
    for damaged in (b"", b"text", content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(PictureError, match=r"picture\.jpg cannot be read: not a picture"):
            load_picture(file)


def test_a_check_picture_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    steps: list[list[float]] = []

    def check(_: object, runs: Sequence[GraphRun], __: bytes) -> list[Comparison]:
        if runs[0].graph.name == "analysis":
            seen.append(runs[0].inputs["image"].shape)
        steps.append([float(run.inputs["step"][0]) for run in runs if "step" in run.inputs])
        return []

    monkeypatch.setattr(exporter, "onnx_model", lambda _: unloadable_graph())
    monkeypatch.setattr(exporter, "check_graph", check)
    torch.save(NETWORK.state_dict(), tmp_path / "tiny.pth")
    Image.new("RGB", (70, 10)).save(tmp_path / "mine.png")
    settings = ExportSettings(name="n", entropy="native", check=[tmp_path / "mine.png"])
    exporter.export_bundle(tmp_path / "tiny.pth", tmp_path / "out", settings)
    assert seen == [(1, 64, 128, 3)]
    # No graph that takes a step is checked at 1 alone: there it could as well ignore it.
    assert steps == [[], [], [1, 52 / 128, 317 / 128], [1, 52 / 128, 317 / 128], []]
