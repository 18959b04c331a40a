"""The C library as others use it: installed, found, linked and run."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from cca_core import Decoder, parse_stream
from cca_runtime.bundle import open_bundle
from cca_runtime.codec import Codec
from locations import ROOT
from references.averages import average_factors
from references.padding import choose_padding

PROGRAM = r"""
#include <cca/cca.h>
#include <stdio.h>
int main(void) {
    cca_padding padding;
    if (cca_check_abi(CCA_ABI_VERSION) != CCA_OK) return 1;
    if (cca_choose_padding(100, 50, &padding) != CCA_OK) return 1;
    printf("%s %d\n", cca_version_string(), padding.left);
    return 0;
}
"""
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_package(option: str) -> Path:
    """A directory of the installed package; skips where tests run on the sources."""
    done = subprocess.run(
        [sys.executable, "-m", "cca_runtime", option], capture_output=True, text=True, check=False
    )
    if done.returncode == 1:
        assert "install them with pip" in done.stderr
        pytest.skip("cca-codec is not installed")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cmake --install` writes, moved to another place."""
    build, place = ROOT / "build" / "native", tmp_path_factory.mktemp("installed")
    run("cmake", "-S", ROOT, "-B", build, "-DCCA_PYTHON=OFF")
    run("cmake", "--build", build, "--target", "cca", "cca_static")
    run("cmake", "--install", build, "--prefix", place / "first")
    return (place / "first").rename(place / "moved")


@pytest.fixture(params=["installed", "package"])
def prefix(request: pytest.FixtureRequest) -> Path:
    """Header, libraries and package files, from CMake and inside the Python package."""
    if request.param == "package":
        return in_package("--include-dir").parent
    moved: Path = request.getfixturevalue("installed")
    return moved


def find(prefix: Path, pattern: str) -> Path:
    (found,) = prefix.rglob(pattern)
    return found


def build_with_cmake(
    prefix: Path, work: Path, source: str, language: str, target: str = "cca::cca"
) -> Path:
    suffix = {"C": "c", "CXX": "cpp"}[language]
    (work / f"program.{suffix}").write_text(source)
    (work / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\n"
        f"project(program LANGUAGES {language})\n"
        "find_package(cca 0.1 REQUIRED)\n"
        f"add_executable(program program.{suffix})\n"
        f"target_link_libraries(program PRIVATE {target})\n"
    )
    package = find(prefix, "cca-config.cmake").parent
    run("cmake", "-S", work, "-B", work / "build", f"-Dcca_DIR={package}")
    run("cmake", "--build", work / "build")
    return work / "build" / "program"


def test_cmake_finds_the_shared_library_for_c(prefix: Path, tmp_path: Path) -> None:
    program = build_with_cmake(prefix, tmp_path, PROGRAM, "C")
    assert run(program) == f"{VERSION} 14\n"
    assert "libcca.so.1" in run("ldd", program)


def test_cmake_finds_the_static_library_for_cpp(prefix: Path, tmp_path: Path) -> None:
    program = build_with_cmake(prefix, tmp_path, PROGRAM, "CXX", "cca::cca_static")
    assert run(program) == f"{VERSION} 14\n"
    assert "libcca" not in run("ldd", program)


@pytest.mark.parametrize("static", [False, True])
def test_pkg_config_finds_it(prefix: Path, tmp_path: Path, static: bool) -> None:
    file = find(prefix, "cca.pc")
    where = {"PKG_CONFIG_PATH": str(file.parent)}
    flags = run("pkg-config", "--cflags", "--libs", *["--static"] * static, "cca", **where).split()
    assert run("pkg-config", "--modversion", "cca", **where).strip() == VERSION
    (tmp_path / "program.c").write_text(PROGRAM)
    program = tmp_path / "program"
    kind = ["-Wl,-Bstatic", "-lcca", "-Wl,-Bdynamic"] if static else ["-lcca"]
    flags = [part for flag in flags for part in (kind if flag == "-lcca" else [flag])]
    run("cc", "-std=c11", tmp_path / "program.c", "-o", program, *flags)
    library = find(prefix, "libcca.so.1").parent
    assert run(program, LD_LIBRARY_PATH=str(library)) == f"{VERSION} 14\n"


def test_the_shared_library_exports_the_header_and_nothing_else(installed: Path) -> None:
    symbols = run("nm", "-D", "--defined-only", find(installed, "libcca.so.1"))
    header = (installed / "include" / "cca" / "cca.h").read_text()
    declared = set(re.findall(r"^CCA_API [^;(]*?(cca_\w+)\(", header, re.MULTILINE))
    assert len(declared) > 30
    assert {line.split()[-1] for line in symbols.splitlines()} == declared


def test_numbers_are_those_of_python(installed: Path) -> None:
    library = ctypes.CDLL(str(find(installed, "libcca.so.1")))
    averages = (ctypes.c_float * 4)()
    padding = (ctypes.c_uint8 * 4)()
    sides = [*range(1, 70), 100, 1000, 4095, 4096, 4097, 8191, 16_400, 65_535]
    for height in sides:
        for width in sides:
            assert library.cca_averages(height, width, averages) == 0
            assert list(averages) == average_factors(height, width).tolist()
            assert library.cca_choose_padding(width, height, padding) == 0
            assert tuple(padding) == choose_padding(height, width)


def test_the_program_in_the_document_decodes_the_hyper_latents(
    installed: Path, tmp_path: Path, default_codec: Codec
) -> None:
    (source,) = re.findall(r"```cpp\n(.*?)```", (ROOT / "docs" / "embedding.md").read_text(), re.S)
    program = build_with_cmake(installed, tmp_path, source, "CXX")
    bundle = open_bundle(None)
    picture = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    stream = tmp_path / "picture.cca"
    stream.write_bytes(default_codec.encode(picture))
    symbols = [int(line) for line in run(program, bundle.path, stream).split()]

    _, payload = parse_stream(stream.read_bytes())
    channels = np.repeat(np.arange(bundle.hyper_channels, dtype=np.uint16), 2 * 3)
    expected = Decoder(payload).pull(channels, bundle.read_tables()["z"])
    assert symbols == expected.tolist()
    assert len(set(symbols)) > 1


def test_the_document_s_program_reports_errors(installed: Path, tmp_path: Path) -> None:
    (source,) = re.findall(r"```cpp\n(.*?)```", (ROOT / "docs" / "embedding.md").read_text(), re.S)
    program = build_with_cmake(installed, tmp_path, source, "CXX")
    done = subprocess.run(
        [program, str(open_bundle(None).path), shutil.which("true") or ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("CCA_ERROR_STREAM: not a CCA stream")


def test_a_source_tree_says_that_it_is_not_installed() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "runtime" / "cca_runtime" / "__main__.py", "--cmake-dir"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "install them with pip" in done.stderr
