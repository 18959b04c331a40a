"""Plans built by TensorRT-RTX itself, which needs no GPU for that."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import tensorrt_rtx
from cca_engines import EngineError, ShapeRange
from cca_engines.tensorrt.build import BuildSettings, Plan, build_plan
from cca_engines.tensorrt.module import Target, TensorRt, load_tensorrt
from cca_engines.tensorrt.plans import PlanDirectory, PlanKey
from cca_export.cli import main
from cca_export.plans import plan_shapes
from cca_runtime.bundle import open_bundle
from full_size_graphs import export_full_size
from plan_models import convolution, table_lookup, write_bundle

GRAPHS = ("analysis", *(f"prior_{group}" for group in range(6)), "synthesis")
SIZES = [(768, 512), (1920, 1088)]
SETTINGS = BuildSettings(plan_shapes(SIZES))


@pytest.fixture(autouse=True)
def the_real_module() -> None:
    """Other tests put doubles in its place."""
    load_tensorrt.cache_clear()


@pytest.fixture
def library() -> TensorRt:
    return load_tensorrt("tensorrt-rtx")


def check(plan: bytes, ports: Mapping[str, str], precision: str) -> None:
    """Read of a plan what can be read without a GPU.

    Args:
        plan: The plan.
        ports: Types of inputs and outputs, by name, that it must have.
        precision: What it must compute in.
    """
    runtime = tensorrt_rtx.Runtime(tensorrt_rtx.Logger(tensorrt_rtx.Logger.INTERNAL_ERROR))
    assert runtime.get_engine_validity(plan)[1] == 0, "version, kind of GPU or format do not fit"
    # It holds its program as text, with a line for each tensor.
    assert plan.count(b"  tf32=0") == 1
    assert b"  tf32=1" not in plan
    types = dict(re.findall(rb'tensor=\{[^\n]* name="(\w+)\.1"[^\n]* type=(\w+) \}', plan))
    names = {"float32": b"float", "uint8": b"uint8", "int32": b"int32"}
    for name, kind in ports.items():
        assert types[name.encode()] == names[kind], name
    assert (b" type=half " in plan) == (precision == "float16")


def test_a_check_of_plans_that_finds_what_is_wrong(library: TensorRt) -> None:
    plan = build_plan(library, convolution(), "convolution", SETTINGS).data
    check(plan, {"x": "float32"}, "float32")
    for wrong, ports, precision in (
        (b"?" + plan[1:], {}, "float32"),
        (plan, {}, "float16"),
        (plan, {"x": "uint8"}, "float32"),
        (plan.replace(b"  tf32=0", b"  tf32=1"), {}, "float32"),
    ):
        with pytest.raises(AssertionError):
            check(wrong, ports, precision)


@pytest.fixture(scope="module")
def default_model(tmp_path_factory: pytest.TempPathFactory, exact_bundle: Path) -> Path:
    """A copy of the default model, without plans."""
    bundle = tmp_path_factory.mktemp("default") / "model"
    shutil.copytree(exact_bundle, bundle, ignore=shutil.ignore_patterns("engines"))
    return bundle


def export(capsys: pytest.CaptureFixture[str], bundle: Path, *options: str) -> tuple[str, str]:
    """Build a bundle's plans; the report, and what was said on the way."""
    capsys.readouterr()
    assert main(["--bundle", str(bundle), "--engine", "tensorrt-rtx", *options]) == 0
    captured = capsys.readouterr()
    assert "warning" not in captured.out + captured.err
    return captured.out, captured.err


def plan_files(bundle: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of each plan file of a bundle."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in (bundle / "engines").iterdir()
    }


def check_bundle(bundle: Path) -> None:
    """Each graph of a bundle has one plan that is what its header says."""
    graphs = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["graphs"]
    assert len(plan_files(bundle)) == len(graphs)
    for name, entry in graphs.items():
        (file,) = PlanDirectory(bundle / "engines").files(name)
        version = tensorrt_rtx.__version__
        assert file.header.key == PlanKey("tensorrt-rtx", version, "portable", entry["sha256"])
        assert file.header.shapes == SETTINGS.shapes
        assert file.header.layers > 10
        ports = {**entry["inputs"], **entry["outputs"]}
        types = {port: values["dtype"] for port, values in ports.items()}
        check(file.read(), types, file.header.precision)


def test_plans_of_the_default_model(
    default_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = ("--shapes", "768x512,1920x1088")
    report, progress = export(capsys, default_model, *shapes)
    check_bundle(default_model)
    steps = progress.splitlines()
    bundle = open_bundle(default_model)
    graphs = ("analysis", *bundle.prior_graphs, "synthesis")
    for number, (step, graph) in enumerate(zip(steps, graphs, strict=True), 1):
        assert step.endswith(f"plan {number} of {len(graphs)}: {graph}")
        assert step.startswith("building with tensorrt-rtx")
        assert re.search(rf"^{graph} +float32 +\d+ +\d+\.\d\d +\d+\.\d$", report, re.MULTILINE)
    assert "portable, for pictures from 64x64 to 1920x1088, batches up to 8" in report

    before = plan_files(default_model)
    report, _ = export(capsys, default_model, *shapes)
    assert plan_files(default_model) == before, "they were up to date"
    assert "0 built in 0 s" in report

    (plan,) = (default_model / "engines").glob(f"{bundle.prior_graphs[-1]}-*")
    content = bytearray(plan.read_bytes())
    content[-1000] ^= 1
    plan.write_bytes(content)
    report, _ = export(capsys, default_model, *shapes)
    assert "1 built" in report
    changed = {name for name, file in plan_files(default_model).items() if before[name] != file}
    assert changed == {plan.name}
    check_bundle(default_model)


def test_plans_of_a_model_with_a_float_prior(
    native_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(native_bundle, tmp_path / "native")
    export(capsys, bundle, "--shapes", "768x512,1920x1088")
    check_bundle(bundle)


def test_plans_follow_what_they_are_built_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_bundle(tmp_path / "model", groups=2)
    export(capsys, bundle)
    first = plan_files(bundle)
    assert len(first) == 5

    write_bundle(bundle, {"prior_1": convolution(factor=3)}, groups=2)
    report, _ = export(capsys, bundle)
    assert "1 built" in report
    second = plan_files(bundle)
    assert len(second) == 5
    assert {name.split("-")[0] for name in second.keys() - first.keys()} == {"prior_1"}

    export(capsys, bundle, "--shapes", "640x480")
    assert len(plan_files(bundle)) == 5
    assert not plan_files(bundle).keys() & second.keys()

    write_bundle(bundle, halves={"analysis": convolution(half=True)})
    report, _ = export(capsys, bundle)
    assert re.search(r"^analysis +float16 ", report, re.MULTILINE)
    assert {name.split("-")[0] for name in plan_files(bundle)} == {
        "analysis",
        "prior_0",
        "prior_1",
        "synthesis",
    }


@pytest.fixture(scope="module")
def full_size() -> dict[str, tuple[bytes, dict[str, str]]]:
    return export_full_size(GRAPHS)


@pytest.mark.parametrize("name", GRAPHS)
def test_plans_of_the_published_size(
    name: str, full_size: dict[str, tuple[bytes, dict[str, str]]], library: TensorRt
) -> None:
    model, types = full_size[name]
    # Eight of these need more than the 64 GiB that the module allows by itself.
    settings = BuildSettings(plan_shapes([(768, 512), (4096, 4096)]))
    plan = build_plan(library, model, name, settings)
    assert plan.warnings == ()
    assert len(plan.data) > 5_000_000
    check(plan.data, types, plan.precision)


@pytest.mark.parametrize("half", [False, True])
def test_the_precision_is_the_models(half: bool, library: TensorRt) -> None:
    plan = build_plan(library, convolution(half=half), "convolution", SETTINGS)
    assert plan.precision == ("float16" if half else "float32")
    assert plan.warnings == ()
    check(plan.data, {"x": "float32", "y": "float32"}, plan.precision)


def test_plans_for_gpus_that_portable_ones_do_not_reach(library: TensorRt) -> None:
    def build(target: Target) -> Plan:
        settings = dataclasses.replace(SETTINGS, target=target)
        return build_plan(library, convolution(), "convolution", settings)

    turing = build(Target("compute capability 7.5", (7, 5)))
    check(turing.data, {}, "float32")
    with pytest.raises(EngineError, match=r"^tensorrt-rtx .* for GPUs of compute capability 7\.0:"):
        build(Target("compute capability 7.0", (7, 0)))


def refusal(library: TensorRt, model: bytes, settings: BuildSettings = SETTINGS) -> str:
    with pytest.raises(EngineError) as failure:
        build_plan(library, model, "g", settings)
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_models_that_the_parser_refuses(library: TensorRt) -> None:
    refused = f"graph 'g' is refused by the parser of tensorrt-rtx {tensorrt_rtx.__version__}"
    assert refusal(library, b"no model").startswith(refused)
    assert refusal(library, convolution()[:-100]).startswith(refused)
    message = refusal(library, table_lookup())
    assert message.startswith(refused)
    assert "uint8" in message.lower()
    assert message.endswith("install another version, or take another engine")


def test_shapes_that_make_no_profile(library: TensorRt) -> None:
    none = ShapeRange({"batch": 1}, {"batch": 1}, {"batch": 1})
    assert refusal(library, convolution(), BuildSettings(none)) == (
        "graph 'g': no sizes are given for dimension 'latent_height' of 'x'"
    )
    shapes = SETTINGS.shapes
    largest = {**shapes.largest, "latent_width": 2}
    descending = dataclasses.replace(shapes, largest=largest)
    assert refusal(library, convolution(), BuildSettings(descending)) == (
        "sizes of 'latent_width' do not ascend: 4, 48, 2"
    )


def test_too_little_memory(library: TensorRt) -> None:
    settings = dataclasses.replace(SETTINGS, memory=1 << 20)
    message = refusal(library, convolution(), settings)
    assert "within the memory limit of 1 MiB, allow more: " in message
