"""Plans that are built on first use, or by cca-export.

TensorRT is in software here (`fake_builder`); test_tensorrt_build.py has the real builder.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from cca_engines import EngineError, PlanOptions, ShapeRange, open_engine
from cca_engines.tensorrt.build import BuildSettings, Plan, build_plan
from cca_engines.tensorrt.module import Target, load_tensorrt
from cca_engines.tensorrt.plans import PlanDirectory, PlanHeader, PlanKey, read_header
from cca_export.cli import main
from cca_export.plans import plan_shapes
from cca_runtime.bundle import Bundle
from cca_runtime.plans import plan_options
from fakes.fake_builder import FakeBuilderTensorRt
from fakes.fake_cuda import FakeCuda
from fakes.fake_tensorrt import make_plan
from forgery import unloadable_graph
from plan_models import convolution, convolve, write_bundle

GRAPH = "synthesis"
SHAPES = plan_shapes([(256, 128), (320, 320)])
OLD_PLAN = Plan(b"kernels", "float32", 7, 0.5, ())


class Machine:
    """A machine with a GPU and both modules, in software."""

    def __init__(self, path: Path) -> None:
        self.cuda = FakeCuda()
        self.standard = FakeBuilderTensorRt("tensorrt", "10.9.0", self.cuda)
        self.rtx = FakeBuilderTensorRt("tensorrt_rtx", "1.7.1", self.cuda)
        self.bundle = path / "model"
        self.cache = path / "cache" / "cca-codec"
        self.said: list[str] = []

    def module(self, name: str) -> FakeBuilderTensorRt:
        return self.standard if name == "tensorrt" else self.rtx

    def run(self, name: str, model: bytes, shapes: ShapeRange = SHAPES) -> None:
        """Open an engine, load the model and compare what it computes."""
        options = PlanOptions(shapes, [self.bundle / "engines"], say=self.said.append)
        engine = open_engine(name, plans=options)
        graph = engine.load(model, GRAPH)
        x = np.random.default_rng(0).integers(-9, 9, (2, 2, 4, 8)).astype(np.float32)
        y = engine.to_host(graph.run({"x": engine.to_device(x)})["y"])
        np.testing.assert_array_equal(y, convolve(x))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(made.cache.parent))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", made.cuda)
    monkeypatch.setitem(sys.modules, "tensorrt", made.standard)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", made.rtx)
    load_tensorrt.cache_clear()
    yield made
    load_tensorrt.cache_clear()


TARGETS = {"tensorrt": "Software GPU, compute capability 8.9", "tensorrt-rtx": "portable"}
VERSIONS = {"tensorrt": "10.9.0", "tensorrt-rtx": "1.7.1"}


@pytest.mark.parametrize("name", TARGETS)
def test_plans_are_built_on_first_use_and_kept(name: str, machine: Machine) -> None:
    machine.run(name, convolution())
    assert machine.said == [
        f"building graph '{GRAPH}' with {name} {VERSIONS[name]} for {TARGETS[name]}: "
        "this may take minutes, once"
    ]
    machine.run(name, convolution())
    assert len(machine.said) == 1
    # Other shapes, and another model, are other plans.
    machine.run(name, convolution(), plan_shapes([(256, 64)]))
    assert len(machine.said) == 2
    machine.run(name, convolution(half=True))
    assert len(machine.said) == 3
    assert len(list((machine.cache / "plans").iterdir())) == 3
    # Only TensorRT times kernels; for other shapes it knows how long they take.
    timed = [True, False, True] if name == "tensorrt" else [True, True, True]
    assert machine.module(name).timed == timed
    assert (machine.cache / "timing").exists() == (name == "tensorrt")


@pytest.mark.parametrize("name", TARGETS)
def test_plans_of_the_bundle_are_used(
    name: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(machine.bundle, {GRAPH: convolution()})
    assert main(["--bundle", str(machine.bundle), "--engine", name]) == 0
    assert TARGETS[name] in capsys.readouterr().out
    machine.run(name, convolution())
    assert machine.said == []
    assert not (machine.cache / "plans").exists()
    # The bundle stays as it is.
    before = sorted(machine.bundle.rglob("*"))
    machine.run(name, convolution(half=True))
    assert sorted(machine.bundle.rglob("*")) == before


def test_a_plan_that_does_not_fit_is_named(machine: Machine) -> None:
    directory = PlanDirectory(machine.bundle / "engines")
    library = load_tensorrt("tensorrt")
    key = PlanKey.of(library, Target(TARGETS["tensorrt"]), convolution())
    old = directory.write(GRAPH, dataclasses.replace(key, version="10.8.0"), SHAPES, OLD_PLAN)
    machine.run("tensorrt", convolution())
    assert f"({old.path} was built by tensorrt 10.8.0, this is 10.9.0)" in machine.said[0]
    broken = directory.write(GRAPH, key, SHAPES, OLD_PLAN)
    broken.path.write_bytes(broken.path.read_bytes()[:-1] + b"?")
    machine.run("tensorrt", convolution())
    assert len(machine.said) == 1, "the one in the cache is still good"


def test_a_broken_plan_in_the_cache_is_built_again(machine: Machine) -> None:
    machine.run("tensorrt", convolution())
    (path,) = (machine.cache / "plans").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    machine.run("tensorrt", convolution())
    assert len(machine.said) == 2
    machine.run("tensorrt", convolution())
    assert len(machine.said) == 2


@pytest.mark.parametrize("content", [b"junk", b"times\nof another GPU"])
def test_times_that_cannot_be_used_are_taken_again(content: bytes, machine: Machine) -> None:
    machine.run("tensorrt", convolution())
    (times,) = (machine.cache / "timing").iterdir()
    times.write_bytes(content)
    machine.run("tensorrt", convolution(), plan_shapes([(256, 64)]))
    machine.run("tensorrt", convolution(), plan_shapes([(128, 256)]))
    assert machine.standard.timed == [True, True, False]


def test_without_a_place_for_a_cache(machine: Machine) -> None:
    machine.cache.parent.write_bytes(b"not a directory")
    machine.run("tensorrt", convolution())
    machine.run("tensorrt", convolution())
    assert len(machine.said) == 2
    machine.run("tensorrt-rtx", convolution())


def test_too_little_memory_for_the_first_use(machine: Machine) -> None:
    machine.standard.needs = 1 << 50
    with pytest.raises(EngineError) as failure:
        machine.run("tensorrt", convolution())
    assert str(failure.value) == (
        f"graph '{GRAPH}' cannot be built by tensorrt 10.9.0, there is too little memory for the "
        "largest of its shapes: Error Code 10: Internal Error (Could not find any implementation "
        "for node conv.)"
    )
    assert not (machine.cache / "plans").exists()


def test_a_profile_has_the_smallest_typical_and_largest_shape(machine: Machine) -> None:
    library = load_tensorrt("tensorrt")
    plan = build_plan(library, convolution(), GRAPH, BuildSettings(SHAPES))
    profile = {"x": ((1, 2, 4, 4), (1, 2, 8, 16), (8, 2, 20, 20))}
    assert plan.data == make_plan(convolution(), "10.9.0", profile)
    assert (plan.layers, plan.precision, plan.warnings) == (3, "float32", ())
    machine.standard.warning = "using\nfallback"
    half = build_plan(library, convolution(half=True), GRAPH, BuildSettings(SHAPES))
    assert (half.precision, half.warnings) == ("float16", ("using fallback",))


# The command.

PLANNED = {"analysis", "prior_0", "prior_1", "synthesis"}


def export(machine: Machine, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Build the bundle's plans; the status and the report, or the line about what is wrong."""
    capsys.readouterr()
    try:
        code = main(["--bundle", str(machine.bundle), *options])
    except SystemExit as exit_:
        code = int(str(exit_.code))
    captured = capsys.readouterr()
    if code == 0:
        return code, captured.out
    error = captured.err.splitlines()[-1]
    assert error.startswith("cca-export: error: ")
    assert "Traceback" not in captured.err
    return code, error.removeprefix("cca-export: error: ")


def headers(machine: Machine) -> dict[str, PlanHeader]:
    """Of the bundle's plans, by graph."""
    return {
        path.name.split("-")[0]: read_header(path)
        for path in sorted((machine.bundle / "engines").iterdir())
    }


def test_the_command_builds_for_the_gpu_of_this_machine(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(
        machine.bundle,
        {"analysis": convolution(), "prior_0": convolution(factor=2)},
        {"analysis": convolution(half=True)},
    )
    machine.standard.warning = "a layer falls back"
    code, report = export(machine, capsys, "--engine", "tensorrt", "--shapes", "256x128,320x300")
    assert code == 0
    assert "tensorrt 10.9.0, Software GPU, compute capability 8.9, for pictures from" in report
    assert re.search(r"^analysis +float16 +3 .*\n^prior_0 +float32 +3 ", report, re.MULTILINE)
    assert report.count("warning: ") == 4
    assert "warning: analysis: a layer falls back" in report
    found = headers(machine)
    assert found.keys() == PLANNED
    assert [name for name in found if found[name].precision == "float16"] == ["analysis"]
    assert found["analysis"].shapes == SHAPES, "sides that are whole hyper-latents"
    # Plans for portable ones stand beside them; each is replaced by its own kind only.
    export(machine, capsys, "--engine", "tensorrt-rtx")
    assert len(list((machine.bundle / "engines").iterdir())) == 8
    machine.standard.__version__ = "10.10.0"
    _, report = export(machine, capsys, "--engine", "tensorrt", "--shapes", "256x128,320x300")
    assert "4 built" in report
    assert len(list((machine.bundle / "engines").iterdir())) == 8
    _, report = export(machine, capsys, "--engine", "tensorrt-rtx", "-q")
    assert report == ""


def test_plans_are_built_after_an_export(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_two(*_: object) -> int:
        write_bundle(machine.bundle)
        return 0

    monkeypatch.setattr("cca_export.cli._export", export_two)
    arguments = ["--ckpt", "model.pth", "-o", str(machine.bundle), "--engine", "tensorrt"]
    assert main(arguments) == 0
    assert headers(machine).keys() == PLANNED
    machine.standard.needs = 1 << 50
    monkeypatch.setattr("cca_export.plans.DIRECTORY", "others")
    assert main(arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        f"cca-export: error: {machine.bundle} is exported, but not its plans: graph 'analysis' "
    )
    # What can be known before, is said before minutes are spent on the export.
    monkeypatch.setattr("cca_export.cli._export", lambda _: pytest.fail("exported first"))
    machine.cuda.devices = 0
    assert main(arguments) == 1


def test_plans_that_were_done_stay_when_one_fails(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(machine.bundle, {"prior_0": unloadable_graph()})
    code, error = export(machine, capsys, "--engine", "tensorrt")
    assert code == 1
    assert error == (
        "graph 'prior_0' is refused by the parser of tensorrt 10.9.0: Assertion failed: Failed to "
        "parse the ONNX model.; install another version, or take another engine"
    )
    assert headers(machine).keys() == {"analysis"}


@pytest.mark.parametrize("name", TARGETS)
def test_a_module_that_is_missing(
    name: str,
    machine: Machine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = name.replace("-", "_")
    monkeypatch.setitem(sys.modules, module, None)
    code, error = export(machine, capsys, "--engine", name)
    assert code == 1
    assert error.startswith(f"engine '{name}' needs {module}, which cannot be imported")
    assert error.endswith(f"install it with: pip install 'cca-codec[{name}]'")


def test_a_machine_without_a_gpu(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(machine.bundle)
    machine.cuda.devices = 0
    code, error = export(machine, capsys, "--engine", "tensorrt")
    assert code == 1
    assert error.startswith("TensorRT builds plans on the GPU that is to run them (no NVIDIA GPU")
    assert error.endswith("tensorrt-rtx builds them anywhere")
    assert export(machine, capsys, "--engine", "tensorrt-rtx")[0] == 0
    with pytest.raises(EngineError, match=r"^tensorrt cannot build plans here: CUDA init.*: 100$"):
        load_tensorrt("tensorrt").builder()


def test_memory_is_limited(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(machine.bundle)
    machine.standard.needs = 5 << 20
    code, error = export(machine, capsys, "--engine", "tensorrt", "--plan-memory", "4")
    assert code == 1
    assert "within the memory limit of 4 MiB, allow more: Error Code 10" in error
    assert export(machine, capsys, "--engine", "tensorrt", "--plan-memory", "5")[0] == 0


def test_a_bundle_that_cannot_be_written(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(machine.bundle)
    (machine.bundle / "engines").write_bytes(b"not a directory")
    code, error = export(machine, capsys, "--engine", "tensorrt")
    assert code == 1
    assert error == f"{machine.bundle / 'engines'} cannot be written: File exists"
    assert machine.standard.timed == [], "found before minutes are spent on building"


MANIFESTS = {
    "no json": b"{",
    "array": b"[]",
    "format": b'{"format": "zip", "version": 5, "graphs": {}}',
    "version": b'{"format": "cca-bundle", "version": 2, "graphs": {}}',
    "graphs": b'{"format": "cca-bundle", "version": 5, "graphs": []}',
    "none": b'{"format": "cca-bundle", "version": 5}',
    "partial": b'{"format": "cca-bundle", "version": 5, "graphs": {}}',
    "twice": b'{"format": "cca-bundle", "format": "cca-bundle", "version": 5, "graphs": {}}',
    "large": b" " * (1 << 21),
    "nested": b"[" * 100_000,
}
GRAPHS = {
    "outside": ({"file": "graphs/../../secret.onnx"}, "'file' is no usable path of a graph"),
    "number": ({"file": 5}, "'file' is missing or is no string"),
    "size": ({"bytes": "3"}, "'bytes' is missing or is no integer"),
    "huge": ({"bytes": 1 << 60}, "'bytes' is 1152921504606846976, which is not in 1.."),
    "other": ({"bytes": 1}, "is not the file its manifest describes"),
    "digest": ({"sha256": 64 * "0"}, "is not the file its manifest describes"),
    "short": ({"sha256": "00"}, "'sha256' is no SHA-256 of 64 hexadecimal digits"),
    "half": ({"float16": 5}, "'float16' is missing or is no object"),
    "ports": ({"outputs": {}}, "its 'y' is missing"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_what_is_no_bundle(kind: str, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.bundle.mkdir()
    (machine.bundle / "manifest.json").write_bytes(MANIFESTS[kind])
    code, error = export(machine, capsys, "--engine", "tensorrt")
    assert code == 2
    assert error.startswith(f"{machine.bundle} cannot be used, export it again: ")
    assert "\n" not in error


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_bundle_with_a_hostile_graph(
    kind: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(machine.bundle)
    file = machine.bundle / "manifest.json"
    manifest = json.loads(file.read_bytes())
    changes, message = GRAPHS[kind]
    manifest["graphs"]["analysis"].update(changes)
    file.write_text(json.dumps(manifest), encoding="utf-8")
    code, error = export(machine, capsys, "--engine", "tensorrt")
    assert code == 2
    assert str(machine.bundle) in error
    assert message in error


def test_no_bundle(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = export(machine, capsys, "--engine", "tensorrt")
    assert code == 2
    assert error.startswith(f"{machine.bundle} is not a bundle")


USAGE = {
    ("--engine", "cuda"): "argument --engine: invalid choice: 'cuda'",
    ("--engine", "tensorrt", "--shapes", "768"): "argument --shapes: '768' is not WIDTHxHEIGHT",
    ("--engine", "tensorrt", "--shapes", "0x5"): "argument --shapes: '0x5' is not WIDTHxHEIGHT",
    ("--engine", "tensorrt", "--shapes", "9x99999"): "argument --shapes: '9x99999' is not WIDTH",
    ("--engine", "tensorrt", "--shapes", "1x2,"): "argument --shapes: '' is not WIDTHxHEIGHT",
    ("--engine", "tensorrt", "--plan-memory", "0"): "argument --plan-memory: '0' is not a whole",
    ("--engine", "tensorrt", "--overwrite"): "--overwrite goes with --ckpt, not with --bundle",
    ("--engine", "tensorrt", "-o", "x"): "--output goes with --ckpt, not with --bundle",
    ("--engine", "tensorrt", "--ckpt", "x"): "argument --ckpt: not allowed with argument --bundle",
    (): "--bundle adds plans: add --engine",
    ("--shapes", "64x64"): "--shapes and --plan-memory are for plans: add --engine",
}


@pytest.mark.parametrize("options", USAGE, ids=" ".join)
def test_usage(
    options: tuple[str, ...], machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = export(machine, capsys, *options)
    assert code == 2
    assert error.startswith(USAGE[options])


def test_the_default_shapes_take_both_orientations_of_full_hd() -> None:
    shapes = plan_shapes([(768, 512), (1920, 1088), (1088, 1920)])
    assert (shapes.typical["width"], shapes.typical["height"]) == (768, 512)
    assert (shapes.largest["width"], shapes.largest["height"]) == (1920, 1920)
    for sizes in (shapes.smallest, shapes.typical, shapes.largest):
        for side in ("height", "width"):
            assert sizes[side] == 16 * sizes[f"latent_{side}"] == 64 * sizes[f"hyper_{side}"]


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("name", TARGETS)
def test_plans_inside_a_bundle_are_code_and_not_used_untrusted(
    name: str, trust: bool, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.run(name, convolution())
    (built,) = (machine.cache / "plans").iterdir()
    (machine.bundle / "engines").mkdir(parents=True)
    shutil.move(built, machine.bundle / "engines" / built.name)
    bundle = cast("Bundle", SimpleNamespace(plans=machine.bundle / "engines"))
    options = replace(plan_options(bundle, trust=trust), shapes=SHAPES)
    caplog.set_level(logging.INFO, "cca_runtime")
    open_engine(name, plans=options).load(convolution(), GRAPH)
    assert (machine.cache / "plans" / built.name).exists() != trust, "it is built anew"
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    if trust:
        assert said == []
        return
    (level, note), (_, building) = said
    assert (level, building.partition(" with")[0]) == ("INFO", f"building graph '{GRAPH}'")
    assert str(machine.bundle / "engines") in note
    assert "--trust-plans" in note
    open_engine(name, plans=options).load(convolution(), GRAPH)
    assert len([record for record in caplog.records if "building" in record.getMessage()]) == 1
