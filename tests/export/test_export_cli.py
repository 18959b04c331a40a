"""cca-export from the command line to the finished bundle."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from cca_export import exporter
from cca_export.bundle_writer import new_bundle
from cca_export.cli import main
from cca_export.graphs import CodecGraph
from cca_export.lower.exact import export as exact_export
from forgery import unloadable_graph
from full_size_checkpoint import random_network
from PIL import Image
from table_files import read_table_file
from tiny_networks import tiny_architecture

GROUP_SIZES = (2, 3)
GRAPHS = ("analysis", "prior_0", "prior_1", "prior_2", "synthesis")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("checkpoint") / "tiny.pth"
    network = random_network(tiny_architecture(GROUP_SIZES))
    torch.save({"state_dict": network.state_dict()}, file)
    return file


@dataclass
class Export:
    bundle: Path
    manifest: dict[str, Any]
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def export(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    bundle = tmp_path_factory.mktemp("bundles") / "tiny.bundle"
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        assert main(["--ckpt", str(checkpoint), "-o", str(bundle), "--proof"]) == 0
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return Export(bundle, manifest, stdout.getvalue(), stderr.getvalue())


def test_manifest_describes_the_model(export: Export) -> None:
    manifest = export.manifest
    assert manifest["format"] == "cca-bundle"
    assert manifest["version"] == 5
    assert manifest["smallest_scale"] == 0
    assert manifest["name"] == "tiny"
    assert manifest["entropy_mode"] == "exact"
    assert manifest["architecture"]["group_sizes"] == list(GROUP_SIZES)
    assert manifest["architecture"]["latent_channels"] == sum(GROUP_SIZES)
    assert manifest["architecture"]["hyper_channels"] == 5
    assert manifest["parameters"] > 1000
    assert manifest["kmac_per_pixel"].keys() == {"encode", "decode"}
    assert manifest["exporter"].keys() == {"cca-codec", "torch", "onnx"}


def test_manifest_describes_every_file(export: Export) -> None:
    parts = ("tables", "conformance", "exactness")
    entries = [*export.manifest["graphs"].values(), *(export.manifest[part] for part in parts)]
    for entry in entries:
        content = (export.bundle / entry["file"]).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    files = {str(f.relative_to(export.bundle)) for f in export.bundle.rglob("*") if f.is_file()}
    assert files == {"manifest.json", *(entry["file"] for entry in entries)}


def test_manifest_describes_inputs_and_outputs(export: Export) -> None:
    graphs = export.manifest["graphs"]
    assert tuple(graphs) == GRAPHS
    latent = ["latent_height", "latent_width"]
    assert graphs["analysis"]["inputs"] == {
        "image": {"dtype": "uint8", "shape": ["batch", "height", "width", 3]}
    }
    assert graphs["prior_1"]["outputs"]["y_hat"] == {
        "dtype": "float32",
        "shape": [2, "batch", *latent],
    }
    assert graphs["prior_2"]["inputs"]["symbols"] == {
        "dtype": "uint8",
        "shape": ["batch", 3, *latent, 2],
    }
    assert graphs["prior_1"]["outputs"]["indexes"] == {
        "dtype": "uint8",
        "shape": ["batch", 3, *latent],
    }
    assert graphs["prior_2"]["inputs"].keys() == {
        "previous_means",
        "previous_support",
        "symbols",
        "step",
    }
    assert graphs["prior_1"]["inputs"]["step"] == {"dtype": "float32", "shape": [1]}
    assert "step" not in graphs["prior_0"]["inputs"]
    assert graphs["prior_2"]["outputs"]["y_hat"]["shape"] == [3, "batch", *latent]


def test_model_id_covers_what_symbols_depend_on(export: Export) -> None:
    graphs, tables = export.manifest["graphs"], export.manifest["tables"]
    text = "cca-model-1\n"
    for i in range(len(GROUP_SIZES) + 1):
        text += f"prior_{i} {graphs[f'prior_{i}']['sha256']}\n"
    text += f"tables {tables['sha256']}\nsmallest_scale 0\n"
    assert export.manifest["model_id"] == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_tables_have_a_table_for_each_scale_and_channel(export: Export) -> None:
    gaussian, hyper_latents = read_table_file((export.bundle / "tables.bin").read_bytes())
    assert len(gaussian) == 64
    assert len(hyper_latents) == 5


def test_report_says_what_was_made_and_progress_goes_elsewhere(export: Export) -> None:
    manifest = export.manifest
    for word in (
        str(export.bundle),
        manifest["model_id"],
        *GRAPHS,
        f"{manifest['parameters']:,} parameters",
        f"{manifest['kmac_per_pixel']['decode']:.1f} to decode",
        "chelsea.jpg",
    ):
        assert word in export.stdout
    steps = export.stderr.splitlines()
    graph_steps = steps[2:-2]
    assert "reading" in steps[0]
    assert "calibrating" in steps[1]
    assert all(graph in step for graph, step in zip(GRAPHS, graph_steps, strict=True))
    for picture in ("astronaut.jpg", "coffee.jpg", "rocket.jpg", "chelsea.jpg"):
        assert re.search(
            rf"{picture} +1\.00 +\d+ +\d+ +[+-]\d+\.\d\d% +[+-]\d\.\d+ dB", export.stdout
        )


def test_every_layer_of_the_exact_prior_is_proved(export: Export) -> None:
    proof = json.loads((export.bundle / "exactness.json").read_text(encoding="utf-8"))
    assert proof["limit"] == 1 << 24
    assert 0 < proof["worst_bound"] < 1 << 24
    assert proof["worst_margin"] >= 4
    proved = {layer["layer"] for layer in proof["layers"]}
    for layer in ("h_mean_s.0", "h_scale_s.4", "mean_NAF_transforms.0.blocks.0.sca.1"):
        assert layer in proved
    for group in range(len(GROUP_SIZES)):
        for part in ("mean_cc", "scale_cc", "lrp"):
            assert {f"{part}_transforms.{group}.{i}" for i in range(5)} <= proved
    assert all(layer["bound"] < 1 << 24 for layer in proof["layers"])
    latents = [layer for layer in proof["layers"] if layer["kind"] == "latents"]
    assert [layer["layer"] for layer in latents] == [
        f"lrp_transforms.{group}" for group in range(len(GROUP_SIZES))
    ]
    assert proof["worst_bound"] == max(layer["bound"] for layer in proof["layers"])


def test_the_proof_is_printed_on_request(export: Export) -> None:
    table = export.stdout.splitlines()
    assert any(re.search("layer +kind +fan-in +bits +bound +margin", row) for row in table)
    assert any(re.match(r"h_mean_s\.0 +convolution +\d+ +\d+ +2\^\d+\.\d\d", row) for row in table)
    assert any(re.match(r"h_mean_s\.1 +gelu +\d+\.\d", row) for row in table)


def test_a_native_bundle_has_no_exactness(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "native"
    assert main(["--ckpt", str(checkpoint), "-o", str(bundle), "--entropy", "native"]) == 0
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["entropy_mode"] == "native"
    assert not manifest.keys() & {"conformance", "exactness"}
    assert "averages" not in manifest["graphs"]["prior_0"]["inputs"]
    assert "Exact" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "options", "smallest_scale"),
    [
        (None, [], 0),
        (0.4, [], 15),
        (0.4, ["--finest-step=1"], 0),
        (None, ["--finest-step=1e-300"], 128),
    ],
)
def test_a_model_says_how_small_its_scales_get(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: float | None,
    options: list[str],
    smallest_scale: int,
) -> None:
    """0.4 of 0.11 lies 14.9 half places below it."""
    thresholds = []

    def model(graph: CodecGraph) -> bytes:
        if graph.name == "prior_0":
            thresholds.append(len(graph.module.get_buffer("group.index.thresholds")))
        return unloadable_graph()

    monkeypatch.setattr(exporter, "onnx_model", model)
    monkeypatch.setattr(exporter, "check_graph", lambda *_: [])
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    beside = {} if said is None else {"finest_step": said}
    torch.save({"state_dict": state, **beside}, tmp_path / "tiny.pth")
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    files = ["--ckpt", str(tmp_path / "tiny.pth"), "-o", str(tmp_path / "b")]
    picture = ["--check", str(tmp_path / "black.png")]
    assert main([*files, *picture, "--entropy", "native", *options]) == 0
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["smallest_scale"] == smallest_scale
    assert thresholds == [smallest_scale + 126]


@pytest.mark.parametrize("text", ["0", "-0.5", "1.01", "nan", "inf", "", "half", "1e999"])
def test_a_finest_step_that_is_none_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--ckpt", str(checkpoint), "-o", str(tmp_path / "b"), f"--finest-step={text}"])
    assert ended.value.code == 2
    message = f"argument --finest-step: '{text}' is not a number above 0 and up to 1"
    assert message in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_an_engine_with_other_integers_fails_the_export(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digests = exact_export.case_digests

    def wrong(case: Any, graphs: Any, *run: Any) -> dict[str, str]:
        found = digests(case, graphs, *run)
        wrong.calls += 1  # type: ignore[attr-defined]
        # The first calls are PyTorch's, one a case; then come the engine's.
        later = wrong.calls > len(exact_export.conformance_cases(1, 1))  # type: ignore[attr-defined]
        return {**found, "prior_1": "0" * 64} if later else found

    wrong.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(exact_export, "case_digests", wrong)
    code, error = run(capsys, "--ckpt", checkpoint, "-o", tmp_path / "b", "--entropy", "exact")
    assert code == 1
    assert "graph 'prior_1' computes other integers on onnxruntime" in error
    assert not list(tmp_path.iterdir())


def test_a_bundle_has_ordinary_permissions(export: Export, tmp_path: Path) -> None:
    (tmp_path / "ordinary").mkdir()
    assert export.bundle.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    assert not [entry for entry in export.bundle.parent.iterdir() if entry != export.bundle]


# What can go wrong. Exporting itself is replaced where the test is not about it.


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports and checks take no time and pass."""
    monkeypatch.setattr(exporter, "onnx_model", lambda _: unloadable_graph())
    monkeypatch.setattr(exporter, "check_graph", lambda *_: [])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and the error line, of a native export unless told otherwise: it is quicker."""
    try:
        code = main(["--entropy", "native", *(str(argument) for argument in arguments)])
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    output = capsys.readouterr()
    if code == 0:
        return code, ""
    assert output.out == ""
    error = output.err.splitlines()[-1]
    assert error.startswith("cca-export: error: ")
    assert "Traceback" not in output.err
    return code, error.removeprefix("cca-export: error: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--ckpt"),
        (["--ckpt", "x.pth"], "--output"),
        (["--ckpt", "x.pth", "-o", "y", "--frobnicate"], "--frobnicate"),
        (["--ckpt", "x.pth", "-o", "y", "--\x1b[31m\u202e"], r"--\x1b[31m\u202e"),
        (["--ckpt", "", "-o", "y"], "empty"),
        (["--ckpt", "x.pth", "-o", ""], "empty"),
        (["--ckpt", "x.pth", "-o", "y", "--check", "\x1b.png"], r"picture \x1b.png cannot be read"),
        (["--ckpt", "/dev/zero", "-o", "y"], "no file"),
        (["--ckpt", "x.pth", "-o", "y", "--name", ""], "--name"),
        (["--ckpt", "x.pth", "-o", "y", "--name", "two\nlines"], "--name"),
        (["--ckpt", "none.pth", "-o", "y"], "none.pth: cannot be read"),
        (["--ckpt", "x.pth", "-o", "none/y"], "none does not exist"),
        (["--ckpt", "x.pth", "-o", "y", "--check", "none.png"], "none.png cannot be read"),
    ],
)
def test_bad_usage_is_one_line_and_2(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = run(capsys, *arguments)
    assert code == 2
    assert reason in error
    assert not list(tmp_path.iterdir())


def test_a_bad_checkpoint_is_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "text.pth"
    file.write_text("not a checkpoint")
    code, error = run(capsys, "--ckpt", file, "-o", tmp_path / "out")
    assert code == 2
    assert error.startswith(f"{file}: is not a PyTorch checkpoint")


def test_unusable_quantiles_are_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = random_network(tiny_architecture((2, 3))).state_dict()
    state["z_entropy_bottleneck.quantiles"] *= 1e6
    torch.save(state, tmp_path / "odd.pth")
    code, error = run(capsys, "--ckpt", tmp_path / "odd.pth", "-o", tmp_path / "out")
    assert code == 2
    assert "odd.pth: z_entropy_bottleneck.quantiles" in error


def test_help_is_quick_and_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from cca_export.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as exit_: assert not exit_.code and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--overwrite" in done.stdout


@pytest.mark.parametrize("library", ["torch", "onnx", "onnxscript"])
def test_a_missing_library_says_how_to_install_it(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    code, error = run(capsys, "--ckpt", "x.pth", "-o", "y")
    assert code == 1
    assert error == f"needs {library}: install with pip install 'cca-codec[export]'"


@pytest.mark.usefixtures("quick_export")
def test_an_existing_bundle_is_replaced_only_on_request(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "model"
    arguments = ("--ckpt", checkpoint, "-o", target, "-q")
    assert run(capsys, *arguments)[0] == 0
    before = (target / "manifest.json").read_bytes()
    code, error = run(capsys, *arguments, "--name", "second")
    assert code == 2
    assert "--overwrite" in error
    assert (target / "manifest.json").read_bytes() == before
    (target / "stale").touch()
    assert run(capsys, *arguments, "--name", "second", "--overwrite")[0] == 0
    assert json.loads((target / "manifest.json").read_text())["name"] == "second"
    assert not (target / "stale").exists()
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_is_not_a_bundle_is_never_overwritten(
    kind: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "thesis"
    if kind == "file":
        target.write_text("years of work")
    else:
        target.mkdir()
        (target / "chapter").write_text("years of work")
    code, error = run(capsys, "--ckpt", checkpoint, "-o", target, "--overwrite")
    assert code == 2
    assert "is not a bundle" in error
    assert [file.read_text() for file in tmp_path.rglob("*") if file.is_file()] == ["years of work"]


@pytest.mark.usefixtures("quick_export")
def test_quiet_is_quiet(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["--ckpt", str(checkpoint), "-o", str(tmp_path / "b"), "-q", "--entropy", "native"])
        == 0
    )
    assert capsys.readouterr() == ("", "")


def with_a_wrong_bias(file: Path) -> bytes:
    model = onnx.load(file)
    bias = next(
        i
        for i in model.graph.initializer
        if i.name.endswith("bias") and i.data_type == onnx.TensorProto.FLOAT
    )
    changed = onnx.numpy_helper.to_array(bias) + 0.5
    bias.CopyFrom(onnx.numpy_helper.from_array(changed.astype(np.float32), bias.name))
    return bytes(model.SerializeToString())


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Path]:
    """A bundle that has to survive the test, alone in its directory."""
    target = tmp_path / "model"
    target.mkdir()
    (target / "manifest.json").write_text("the old one")
    yield target
    assert (target / "manifest.json").read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_graph_that_computes_something_else_fails_the_export(
    checkpoint: Path,
    export: Export,
    standing: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = with_a_wrong_bias(export.bundle / "graphs" / "analysis.onnx")
    monkeypatch.setattr(exporter, "onnx_model", lambda _: wrong)
    code, error = run(capsys, "--ckpt", checkpoint, "-o", standing, "--overwrite")
    assert code == 1
    assert "graph 'analysis' computes a wrong 'y' on onnxruntime" in error


@pytest.mark.usefixtures("quick_export")
def test_a_full_disk_leaves_the_old_bundle(
    checkpoint: Path,
    standing: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    code, error = run(capsys, "--ckpt", checkpoint, "-o", standing, "--overwrite")
    assert code == 1
    assert error == f"cannot write {standing}: No space left on device"


def test_an_interrupted_swap_puts_the_old_bundle_back(
    standing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(Exception, match="Input/output error"), new_bundle(standing, overwrite=True):
        pass


WAITS_FOR_EVER = """
import signal, sys, time
from cca_export import cli, exporter
def onnx_model(_):
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    time.sleep(600)
exporter.onnx_model = onnx_model
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_signal_ends_an_export_and_leaves_nothing(checkpoint: Path, standing: Path) -> None:
    arguments = ["--ckpt", str(checkpoint), "-o", str(standing), "--overwrite", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS_FOR_EVER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert list(standing.parent.glob(".*")), "what is being made"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGINT, "cca-export: interrupted\n")
