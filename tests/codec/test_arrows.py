"""Who may import whom, and what a start may cost."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from locations import ROOT

PACKAGES = {
    "cca_console": ROOT / "console" / "cca_console",
    "cca_core": ROOT / "core" / "python" / "cca_core",
    "cca_export": ROOT / "export" / "cca_export",
    "cca_engines": ROOT / "engines" / "cca_engines",
    "cca_runtime": ROOT / "runtime" / "cca_runtime",
}
ALLOWED = {
    "cca_console": set(),
    "cca_core": set(),
    "cca_export": {"cca_console", "cca_core", "cca_engines"},
    "cca_engines": set(),
    "cca_runtime": {"cca_console", "cca_core", "cca_engines"},
}
EXPORT_ONLY = {"torch", "onnx", "onnxscript"}
ENGINES_FACES = {"cca_engines", "cca_engines.tensorrt"}
"""What the exporter may import of the engines: to open one, and to compile plans."""

BACKENDS = {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "cuda"}


def imported(file: Path) -> Iterator[str]:
    """Top-level names of every module a file imports, at any depth of nesting."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide who imports whom"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_along_the_arrows_only(package: str) -> None:
    files = list(PACKAGES[package].rglob("*.py*"))
    assert files
    for file in files:
        crossing = set(imported(file)) & (PACKAGES.keys() - {package})
        assert crossing <= ALLOWED[package], f"{file.relative_to(ROOT)} imports {crossing}"


def modules_imported(file: Path) -> Iterator[str]:
    """Full names of what a file imports, for type checking too: modules, and names in them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{file}: relative imports hide who imports whom"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_exporter_sees_the_public_faces_of_engines_only() -> None:
    public = {
        f"{face}.{name}" for face in ENGINES_FACES for name in importlib.import_module(face).__all__
    }
    for file in PACKAGES["cca_export"].rglob("*.py"):
        seen = {name for name in modules_imported(file) if name.startswith("cca_engines")}
        assert seen <= ENGINES_FACES | public, file.relative_to(ROOT)


def module_name(package: str, file: Path) -> str:
    """The full name of a package's module."""
    inside = file.relative_to(PACKAGES[package].parent).with_suffix("")
    return ".".join(inside.parts).removesuffix(".__init__")


def test_modules_of_the_engines_import_in_no_circle() -> None:
    files = {module_name("cca_engines", f): f for f in PACKAGES["cca_engines"].rglob("*.py")}
    graph = {name: files.keys() & set(modules_imported(file)) for name, file in files.items()}
    assert len(graph) > 30
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_only_the_exporter_imports_torch_and_onnx() -> None:
    for package in PACKAGES.keys() - {"cca_export"}:
        for file in PACKAGES[package].rglob("*.py"):
            assert not set(imported(file)) & EXPORT_ONLY, file


def test_only_the_engine_of_a_backend_imports_it() -> None:
    for directory in PACKAGES.values():
        for file in directory.rglob("*.py"):
            backend = file.stem.removesuffix("_cuda")  # of ONNX Runtime there are two engines
            assert set(imported(file)) & BACKENDS <= {backend}, file


def test_the_native_core_includes_nothing_but_itself_and_the_standard_library() -> None:
    core = ROOT / "core"
    around = {"python", "tests", "fuzz"}
    sources = [f for f in core.rglob("*.[ch]pp") if not around & set(f.relative_to(core).parts)]
    assert sources
    for file in sources:
        for line in file.read_text(encoding="utf-8").splitlines():
            own = file.name == "cca.hpp" and line == "#include <cca/cca.h>"  # both are installed
            if line.startswith("#include <") and not own:
                assert "/" not in line, f"{file.relative_to(ROOT)}: {line}"
                intrinsics = line in ("#include <immintrin.h>", "#include <arm_neon.h>")
                assert intrinsics or ".h" not in line, f"{file.relative_to(ROOT)}: {line}"


def modules_after(code: str) -> set[str]:
    """Top-level modules a fresh interpreter has loaded after running `code`."""
    report = "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_packages_imports_nothing_heavy() -> None:
    code = "import cca_runtime, cca_runtime.cli.main, cca_runtime.cli.arguments, cca_export.cli"
    heavy = {"numpy", "PIL", *BACKENDS, *EXPORT_ONLY}
    assert not modules_after(code) & heavy


def test_coding_a_picture_imports_neither_torch_nor_a_gpu_library() -> None:
    code = (
        "import numpy, cca_runtime; codec = cca_runtime.load()\n"
        "codec.decode(codec.encode(numpy.zeros((8, 8, 3), numpy.uint8)))"
    )
    loaded = modules_after(code)
    assert "onnxruntime" in loaded
    assert not loaded & (EXPORT_ONLY | BACKENDS - {"onnxruntime"})
