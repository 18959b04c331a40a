"""Conformance vectors: whatever an engine or a bundle computes otherwise is noticed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cca_runtime
import numpy as np
import onnx
import pytest
from cca_engines import (
    Engine,
    Precision,
    Tensor,
    available_engines,
    open_engine,
    optimisations,
)
from cca_export.lower.exact.conformance import conformance_cases, encode_inputs
from cca_runtime import BadInputError, FailureError
from cca_runtime.bundle import open_bundle
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.conformance import verify
from cca_runtime.graph_runner import GraphRunner
from forgery import edit, keep_cases, put_file, unloadable_graph
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from references.averages import average_factors
from references.prior_loop import run_prior
from references.quantisation_steps import numerator, symbol_range

SETTINGS = [
    (name, level, threads)
    for name in available_engines()
    for level in optimisations(name) or (None,)
    for threads in (1, 2)
]


@pytest.fixture
def bundle(tmp_path: Path, exact_bundle: Path) -> Path:
    return Path(shutil.copytree(exact_bundle, tmp_path / "copy"))


@pytest.fixture
def quick_bundle(bundle: Path) -> Path:
    """With two cases only."""
    keep_cases(bundle, 2)
    return bundle


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory in which no engine has been verified yet."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    return directory


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that engines load from now on."""
    names: list[str] = []
    read = cca_runtime.bundle.Bundle.read_graph

    def read_graph(self: cca_runtime.bundle.Bundle, name: str, precision: Precision) -> bytes:
        names.append(name)
        return read(self, name, precision)

    monkeypatch.setattr(cca_runtime.bundle.Bundle, "read_graph", read_graph)
    return names


def marks(cache: Path) -> list[Path]:
    return list((cache / "cca-codec" / "verified").glob("*"))


@pytest.mark.parametrize(("name", "level", "threads"), SETTINGS)
def test_every_engine_computes_every_value(
    exact_bundle: Path, name: str, level: str | None, threads: int
) -> None:
    opened = open_bundle(exact_bundle)
    result = verify(opened, open_engine(name, optimisation=level, threads=threads))
    assert result.mismatches == []
    # Supports alone have as many values as all latents, once a group; the last has y_hat alone.
    assert opened.conformance is not None
    latents = sum(c.batch * c.latent_height * c.latent_width for c in opened.conformance.cases)
    assert list(result.compared) == opened.prior_graphs
    *groups, last = opened.prior_graphs
    for graph in groups:
        assert result.compared[graph] >= latents * opened.latent_channels
    assert result.compared[last] == latents * opened.group_sizes[-1]


def test_openvino_is_among_them() -> None:
    if "openvino" not in available_engines():
        pytest.skip("openvino is not installed")
    assert ("openvino", None, 1) in SETTINGS


def test_a_wrong_digest_is_named(bundle: Path, cache: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        digests = manifest["conformance"]["cases"][0]["digests"]
        digests["prior_2"] = digests["prior_2"][:-1] + (
            "0" if digests["prior_2"][-1] != "0" else "1"
        )

    edit(bundle, change)
    case = json.loads((bundle / "manifest.json").read_text())["conformance"]["cases"][0]["name"]
    with pytest.raises(FailureError) as caught:
        cca_runtime.load(bundle)
    assert re.search(rf"engine onnxruntime .* graph prior_2 .* case '{case}'", str(caught.value))
    assert "\n" not in str(caught.value)
    assert marks(cache) == [], "a failure is never taken for a success"


class OneOff:
    """ONNX Runtime, but for a few values of one output of one graph."""

    def __init__(self, graph: str, output: str, count: int) -> None:
        self._engine = open_engine("onnxruntime")
        self._place = (graph, output, count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def load(self, model: bytes, name: str, *precision: Any) -> Any:
        loaded, (graph, output, count) = self._engine.load(model, name, *precision), self._place
        run = loaded.run

        def run_wrongly(*arguments: Any) -> dict[str, Tensor]:
            outputs: dict[str, Tensor] = run(*arguments)
            if name == graph:
                outputs[output].ravel()[:count] += 1
            return outputs

        loaded.run = run_wrongly  # type: ignore[method-assign]
        return loaded


def test_values_that_differ_are_counted(exact_bundle: Path, cache: Path) -> None:
    codec = Codec(open_bundle(exact_bundle), OneOff("prior_1", "indexes", 3))  # type: ignore[arg-type]
    with pytest.raises(FailureError, match=r": 3 of [0-9,]+ values of graph prior_1 differ on "):
        codec.check_engine()
    assert marks(cache) == []


def add_one_unit(model: onnx.ModelProto, parameter: str) -> None:
    """Add one unit to one value of a convolution's weight or bias.

    The unit is the largest power of two of which all weights of its channel are multiples.
    """
    nodes = model.graph.node
    stored = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Cast"}
    initialisers = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = [
        [stored.get(name, name) for name in n.input] for n in nodes if n.op_type == "Conv"
    ]
    _, *names = next(
        inputs for inputs in convolutions if any(parameter in name for name in inputs[1:])
    )
    weights = numpy_helper.to_array(initialisers[names[0]]).astype(np.float64)
    channel = next(i for i, kernel in enumerate(weights) if kernel.any())
    unit = 2.0**-30
    while not np.fmod(weights[channel], 2 * unit).any():
        unit *= 2
    target = initialisers[next(name for name in names if parameter in name)]
    values = numpy_helper.to_array(target).copy()
    position = (channel, *(size // 2 for size in values.shape[1:]))
    expected = float(values[position]) + unit
    values[position] = expected
    assert values[position] == expected, "the stored format must hold it"
    target.CopyFrom(numpy_helper.from_array(values, target.name))


def round_once_more(model: onnx.ModelProto, _: str) -> None:
    """Round to the nearest integer before the first rounding down."""
    nodes = list(model.graph.node)
    index = next(i for i, node in enumerate(nodes) if node.op_type == "Floor")
    nodes.insert(index, helper.make_node("Round", nodes[index].input, ["rounded"]))
    nodes[index + 1].input[0] = "rounded"
    del model.graph.node[:]
    model.graph.node.extend(nodes)


MUTATIONS = [
    *(
        (graph, add_one_unit, parameter)
        for graph in ("prior_0", "prior_1")
        for parameter in ("mean_head.2.weight", "mean_head.4.weight", "mean_head.4.bias")
    ),
    ("prior_1", add_one_unit, "mean_naf.blocks.0.conv1.weight"),
    ("prior_last", add_one_unit, "lrp.head.4.weight"),
    ("prior_last", add_one_unit, "lrp.head.2.bias"),
    ("prior_0", round_once_more, ""),
    ("prior_last", round_once_more, ""),
]


@pytest.mark.parametrize(("graph", "mutate", "parameter"), MUTATIONS)
def test_one_unit_or_one_rounding_is_noticed(
    bundle: Path, graph: str, mutate: Callable[[onnx.ModelProto, str], None], parameter: str
) -> None:
    graph = graph.replace("prior_last", open_bundle(bundle).prior_graphs[-1])
    model = onnx.load_model(bundle / "graphs" / f"{graph}.onnx")
    mutate(model, parameter)
    put_file(bundle, graph, model.SerializeToString())
    mismatches = verify(open_bundle(bundle), open_engine("onnxruntime")).mismatches
    assert {mismatch.graph for mismatch in mismatches} == {graph}


def test_load_checks_once_and_keeps_the_graphs(
    exact_bundle: Path, cache: Path, loaded: list[str], chelsea: NDArray[np.uint8]
) -> None:
    codec = cca_runtime.load(exact_bundle)
    assert loaded == codec.bundle.prior_graphs
    codec.encode(chelsea[:64, :64])
    assert sorted(loaded) == sorted([*codec.bundle.prior_graphs, "analysis"])
    assert len(marks(cache)) == 1
    loaded.clear()
    cca_runtime.load(exact_bundle)
    assert loaded == [], "an engine that has passed is not asked again"


def test_a_mark_holds_for_one_engine_and_one_set_of_vectors(
    bundle: Path, cache: Path, loaded: list[str]
) -> None:
    codec = cca_runtime.load(bundle)
    other = open_engine("onnxruntime", optimisation="basic")
    loaded.clear()
    cca_runtime.Codec(codec.bundle, other).check_engine()
    assert loaded == codec.bundle.prior_graphs
    assert len(marks(cache)) == 2
    keep_cases(bundle, 3)
    loaded.clear()
    cca_runtime.load(bundle)
    assert loaded == codec.bundle.prior_graphs


@pytest.mark.parametrize("content", [b"", b"cca-verified-1\n", b"\0" * 5000])
def test_a_mark_with_other_content_is_none(
    exact_bundle: Path, cache: Path, loaded: list[str], content: bytes
) -> None:
    cca_runtime.load(exact_bundle)
    (mark,) = marks(cache)
    right = mark.read_bytes()
    mark.write_bytes(content)
    loaded.clear()
    cca_runtime.load(exact_bundle)
    assert loaded
    assert mark.read_bytes() == right
    assert marks(cache) == [mark], "no temporary file stays"
    mark.write_bytes(right + b"x")
    loaded.clear()
    cca_runtime.load(exact_bundle)
    assert loaded


@pytest.mark.parametrize("place", ["/dev/null", "/proc/none"])
def test_a_cache_that_cannot_be_written_is_no_error(
    exact_bundle: Path, monkeypatch: pytest.MonkeyPatch, place: str, loaded: list[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    for _ in range(2):
        loaded.clear()
        cca_runtime.load(exact_bundle)
        assert loaded, "checked every time"


@pytest.mark.parametrize("named", ["", "relative/cache"])
def test_without_a_cache_directory_it_is_the_homes(
    exact_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cca_runtime.load(exact_bundle)
    assert len(marks(tmp_path / "home" / ".cache")) == 1
    assert not (tmp_path / "relative").exists()


def test_native_bundles_load_unchecked(native_bundle: Path, cache: Path, loaded: list[str]) -> None:
    cca_runtime.load(native_bundle)
    assert loaded == []
    assert not cache.exists()


@pytest.mark.parametrize("name", available_engines())
def test_pictures_of_a_batch_do_not_touch_one_another(exact_bundle: Path, name: str) -> None:
    opened = open_bundle(exact_bundle)
    random = np.random.default_rng(11)
    z_symbols = random.integers(-9, 10, (3, opened.hyper_channels, 1, 2)).astype(np.int32)
    symbols = random.integers(-9, 10, (3, opened.latent_channels, 4, 8)).astype(np.int32)
    engine = open_engine(name)
    graphs = GraphRunner(opened, engine)
    together = run_loop(opened, engine, graphs, z_symbols, symbols)
    for i in range(3):
        alone = run_loop(opened, engine, graphs, z_symbols[i : i + 1], symbols[i : i + 1])
        for whole, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(whole[i], single[0])


def run_loop(
    bundle: cca_runtime.bundle.Bundle,
    engine: Engine,
    graphs: GraphRunner,
    z_symbols: NDArray[np.int32],
    symbols: NDArray[np.int32],
) -> list[NDArray[Any]]:
    """Table indexes of every group, then y_hat."""
    seen: list[NDArray[Any]] = []
    ends = np.cumsum([0, *bundle.group_sizes])

    def code_group(group: int, indexes: NDArray[np.uint8], means: Tensor) -> NDArray[np.int32]:  # noqa: ARG001
        seen.append(indexes)
        return symbols[:, ends[group] : ends[group + 1]]

    y_hat = run_prior(graphs.run, engine, bundle, z_symbols, code_group)
    return [*seen, engine.to_host(y_hat).swapaxes(0, 1)]


def test_conformance_inputs_cover_what_a_stream_can_hold() -> None:
    cases = conformance_cases(latent_channels=96, hyper_channels=48)
    assert len({case.name for case in cases}) == len(cases)
    assert len(encode_inputs(cases)) <= 300_000
    again = conformance_cases(latent_channels=96, hyper_channels=48)
    assert encode_inputs(cases) == encode_inputs(again)
    ends = {(case.step, int(case.symbols.min()), int(case.symbols.max())) for case in cases}
    for step in (-128, 0, 127):
        assert (step, *symbol_range(step)) in ends, "all that a stream of this step can hold"
    for step, low, high in ends:
        assert symbol_range(step)[0] <= low <= high <= symbol_range(step)[1]

    def reach(step: int) -> float:
        """Of a symbol's distance and a residual prediction, in units of 2^-7."""
        return numerator(step) * (0.5 - symbol_range(step)[0])

    widest = max(range(-128, 128), key=reach)
    assert (widest, *symbol_range(widest)) in ends
    assert len({case.step for case in cases if case.fast}) == 4
    batches = [case for case in cases if len(case.symbols) == 3]
    assert batches
    for case in batches:
        assert not (case.symbols[0] == case.symbols[1]).all()
        assert not (case.symbols[1] == case.symbols[2]).all()
    # A photograph's symbols are small and most of them zero; the first channels are livelier.
    ordinary = next(case.symbols for case in cases if case.name == "ordinary-192x320")
    assert 0.4 < np.mean(ordinary == 0) < 0.9
    assert np.abs(ordinary[:, :24]).mean() > 4 * np.abs(ordinary[:, -24:]).mean()
    assert abs(ordinary.astype(float).mean()) < 0.2
    mosaic = next(case.symbols for case in cases if case.name == "mosaic-1024x2048")
    triples = [mosaic[0, 0, i : i + 3].tobytes() for i in range(62)]
    assert len(set(triples)) > 40, "kernels must see different neighbourhoods"
    rows = {float(average_factors(*case.symbols.shape[2:])[0]) for case in cases}
    assert rows == {1.0, 0.5}, "one case must be large enough for coarser rows"


def test_verify_prints_a_matrix(quick_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(quick_bundle), "--engine", "onnxruntime", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    header, *rows = lines[2:-2]
    assert header.split() == open_bundle(quick_bundle).prior_graphs
    assert [row.split(", 1 thread ")[0] for row in rows] == [
        f"onnxruntime {level}" for level in ("disable", "basic", "extended", "all")
    ]
    values = sum(
        int(cell.replace(",", "")) for row in rows for cell in row.split(" thread ")[1].split()
    )
    assert lines[-1] == f"{values:,} values compared, 0 differ"


def test_verify_reports_all_engines_as_json(
    quick_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(quick_bundle), "--threads", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert {row["engine"] for row in report["rows"]} == set(available_engines())
    assert report["values"] == sum(sum(row["values"].values()) for row in report["rows"])
    assert all(row["threads"] == 2 and row["mismatches"] == [] for row in report["rows"])


def test_verify_names_what_differs(quick_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(quick_bundle, lambda m: m["conformance"]["cases"][1]["digests"].update(prior_1="0" * 64))
    name = open_bundle(quick_bundle).conformance.cases[1].name  # type: ignore[union-attr]
    arguments = ["verify", str(quick_bundle), "--engine", "onnxruntime", "--threads", "1"]
    assert main(arguments) == 1
    text = capsys.readouterr().out
    assert text.count("MISMATCH") == 4
    assert "onnxruntime all, 1 thread: some of " in text
    assert f"values of graph prior_1 differ on case '{name}'\n" in text
    assert text.endswith("4 of 4 settings FAILED\n")
    assert main([*arguments, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["passed"]
    (mismatch,) = report["rows"][0]["mismatches"]
    assert (mismatch["graph"], mismatch["case"], mismatch["differing"]) == ("prior_1", name, None)
    assert mismatch["values"] > 0


def test_verify_goes_on_after_a_graph_that_cannot_be_loaded(
    quick_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_file(quick_bundle, "prior_1", unloadable_graph())
    assert main(["verify", str(quick_bundle), "--engine", "onnxruntime", "--threads", "1"]) == 1
    text = capsys.readouterr().out
    assert text.count("graph 'prior_1' cannot be loaded") == 4
    assert text.endswith("4 of 4 settings FAILED\n")


def test_verify_refuses_what_it_cannot_verify(
    native_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(native_bundle)]) == 2
    errors = capsys.readouterr().err
    assert "there is nothing to verify" in errors
    assert errors.count("\n") == 1


def test_verify_refuses_unknown_engines(
    exact_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(exact_bundle), "--engine", "abacus"]) == 1
    assert "unknown engine 'abacus'" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "", "1,x", "-1", "100000"])
def test_verify_refuses_odd_thread_counts(threads: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["verify", "--threads", threads])
    assert caught.value.code == 2


def test_a_native_bundle_has_nothing_to_verify(native_bundle: Path) -> None:
    with pytest.raises(BadInputError, match="native mode"):
        verify(open_bundle(native_bundle), open_engine("onnxruntime"))
