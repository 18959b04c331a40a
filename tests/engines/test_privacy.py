"""Nothing is sent, and nothing is left in the user's home but what is ours."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cca_engines import available_engines
from locations import ROOT

ENGINES = [name for name in ("onnxruntime", "openvino") if name in available_engines()]

CODE = """
import sys, time
import numpy, cca_runtime
for name in sys.argv[1].split(","):
    codec = cca_runtime.load(engine=name)
    codec.decode(codec.encode(numpy.zeros((64, 64, 3), numpy.uint8)))
time.sleep(1)  # libraries report in threads of their own
"""


def run(command: list[str], home: Path) -> str:
    """Run a command whose home that is; what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def coding(engines: list[str]) -> list[str]:
    return [sys.executable, "-c", CODE, ",".join(engines)]


def files(home: Path) -> set[str]:
    """Files below a directory, those of the notes that an engine is exact left out."""
    found = {path.relative_to(home) for path in home.rglob("*") if not path.is_dir()}
    ours = Path(".cache", "cca-codec", "verified")
    return {str(path) for path in found if path.parent != ours}


def test_coding_leaves_nothing_in_the_home_that_is_not_ours(tmp_path: Path) -> None:
    assert run(coding(ENGINES), tmp_path) == ""
    assert files(tmp_path) == set()
    assert len(list(tmp_path.glob(".cache/cca-codec/verified/*"))) == len(ENGINES)
    assert [path.name for path in tmp_path.iterdir()] == [".cache"]
    assert [path.name for path in tmp_path.joinpath(".cache").iterdir()] == ["cca-codec"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_coding_asks_nothing_of_the_network(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(["strace", "-f", "-e", "trace=%network", "-o", str(log), *coding(ENGINES)], tmp_path)
    text = log.read_text()
    assert "exited with 0" in text
    calls = [line for line in text.splitlines() if "AF_INET" in line or "AF_UNIX" in line]
    assert calls == [], "no address and no name is looked up"


@pytest.mark.parametrize("home", ["unwritable", "file"])
def test_a_home_that_cannot_be_used_costs_nothing(home: str, tmp_path: Path) -> None:
    place = tmp_path / home
    if home == "unwritable":
        place = Path("/proc/self/fdinfo")  # where not even root can write
    elif home == "file":
        place.write_bytes(b"")
    assert run(coding(ENGINES), place) == ""
    assert {path.name for path in tmp_path.iterdir()} <= {"file"}


def test_the_exporters_libraries_leave_nothing_either(tmp_path: Path) -> None:
    code = "import cca_export.exporter, cca_export.check; from cca_engines import open_engine\n"
    run([sys.executable, "-c", code + "open_engine('onnxruntime')"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_backends_that_report_are_imported_in_one_way() -> None:
    """Not by anybody but the engines, whose way tells them not to."""
    folders = [ROOT / name for name in ("engines", "export", "runtime", "tests", "benchmarks")]
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        allowed = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.With) and ast.unparse(node.items[0]) == "unreported()"
            for line in map(id, node.body)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                reports = module.partition(".")[0] in ("onnxruntime", "openvino")
                assert not reports or id(node) in allowed, file
