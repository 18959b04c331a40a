"""The C library as others use it: installed, found, linked and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import cca_runtime
import numpy as np
import pytest
from c_machines import (
    TILE_NONE,
    CCodec,
    CError,
    Limits,
    Pixels,
    Region,
    decode_options,
    encode_options,
)
from cca_engines import open_engine
from cca_runtime.bundle import open_bundle
from locations import ROOT

PROGRAM = r"""
#include <cca/cca.h>
#include <stdio.h>
int main(void) {
    if (cca_check_abi(CCA_ABI_VERSION) != CCA_OK) return 1;
    printf("%s %s\n", cca_version_string(), cca_status_name(CCA_ERROR_STREAM));
    return 0;
}
"""
CPP_PROGRAM = r"""
#include <cca/cca.hpp>
#include <cstdio>
int main() {
    try {
        cca::parse_stream(cca::view(std::string("a picture")));
    } catch (const cca::Error& error) {
        if (cca::Error(CCA_ERROR_MEMORY, "").is_bad_input() || !error.is_bad_input()) return 1;
        std::printf("%s %s\n", cca_version_string(), cca_status_name(error.status()));
    }
}
"""
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
OUTPUT = f"{VERSION} CCA_ERROR_STREAM\n"


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
    assert run(program) == OUTPUT
    assert "libcca.so.2" in run("ldd", program)


def test_cmake_finds_the_static_library_for_cpp(prefix: Path, tmp_path: Path) -> None:
    program = build_with_cmake(prefix, tmp_path, CPP_PROGRAM, "CXX", "cca::cca_static")
    assert run(program) == OUTPUT
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
    library = find(prefix, "libcca.so.2").parent
    assert run(program, LD_LIBRARY_PATH=str(library)) == OUTPUT


def test_the_shared_library_exports_the_header_and_nothing_else(installed: Path) -> None:
    symbols = run("nm", "-D", "--defined-only", find(installed, "libcca.so.2"))
    header = (installed / "include" / "cca" / "cca.h").read_text()
    declared = set(re.findall(r"^CCA_API [^;(]*?(cca_\w+)\(", header, re.MULTILINE))
    assert len(declared) > 30
    assert {line.split()[-1] for line in symbols.splitlines()} == declared


@pytest.fixture(scope="module")
def c_codec(installed: Path) -> Iterator[CCodec]:
    """The default model on the default engine."""
    codec = CCodec(find(installed, "libcca.so.2"), open_bundle(None), open_engine("onnxruntime"))
    yield codec
    codec.close()


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """Of odd sides; its parts differ."""
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    return np.ascontiguousarray(np.kron(noise, np.ones((31, 27, 1), np.uint8))[:150, :187])


@pytest.mark.parametrize("tile", [None, 64, 128])
def test_the_machines_make_what_python_makes(
    tile: int | None, c_codec: CCodec, picture: Pixels
) -> None:
    python = cca_runtime.load(tile=tile, workers=1)
    options = encode_options(tile_side=TILE_NONE if tile is None else tile, reconstruct=1)
    stream, reconstruction = c_codec.encode(picture, options)
    assert stream == python.encode(picture)
    whole = python.decode(stream)
    assert np.array_equal(c_codec.decode(stream), whole)
    assert reconstruction is not None
    assert np.array_equal(reconstruction, whole)
    x, y, width, height = 60, 65, 90, 3
    region = decode_options(region=Region(x, y, width, height))
    part = c_codec.decode(stream, region)
    assert np.array_equal(part, whole[y : y + height, x : x + width])


def test_tiles_follow_from_the_size_and_one_host_is_one_worker(
    c_codec: CCodec, picture: Pixels
) -> None:
    stream, _ = c_codec.encode(picture, encode_options(workers=3))
    assert stream == cca_runtime.load(workers=1).encode(picture)
    assert c_codec.decode(stream, decode_options(workers=3)).shape == picture.shape


@pytest.mark.parametrize("function", ["upload", "run", "download", "free"])
def test_a_host_gives_up(function: str, c_codec: CCodec, picture: Pixels) -> None:
    stream, _ = c_codec.encode(picture[:64, :64].copy())
    with pytest.raises(CError, match="CCA_ERROR_HOST: a function of the host returned 7"):
        c_codec.decode(stream, host=c_codec.host(fail_at=function))
    assert c_codec.decode(stream).shape == (64, 64, 3)


def test_what_the_machines_refuse(c_codec: CCodec, picture: Pixels) -> None:
    stream, _ = c_codec.encode(picture)
    with pytest.raises(CError, match="CCA_ERROR_STREAM"):
        c_codec.decode(stream[:-1])
    with pytest.raises(CError, match="CCA_ERROR_MODEL"):
        c_codec.decode((ROOT / "tests" / "data" / "streams" / "odd-100x75.cca").read_bytes())
    with pytest.raises(CError, match="CCA_ERROR_ARGUMENT: the region 187,0,1,1"):
        c_codec.decode(stream, decode_options(region=Region(187, 0, 1, 1)))
    with pytest.raises(CError, match="CCA_ERROR_LIMIT"):
        c_codec.decode(stream, decode_options(limits=Limits(max_pixels=100)))
    with pytest.raises(CError, match="CCA_ERROR_ARGUMENT: a tile cannot have a side of 65"):
        c_codec.encode(picture, encode_options(tile_side=65))


def test_the_document_s_code_compiles(installed: Path, tmp_path: Path) -> None:
    """The blocks of each language, one after the other."""
    document = (ROOT / "docs" / "guide" / "embedding.md").read_text()
    for language, compiler in [("c", ("cc", "-std=c11")), ("cpp", ("c++", "-std=c++17"))]:
        blocks = re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)
        assert blocks
        file = tmp_path / f"blocks.{language}"
        file.write_text("\n".join(blocks))
        flags = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", installed / "include")
        run(*compiler, *flags, file)


def test_a_source_tree_says_that_it_is_not_installed() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "runtime" / "cca_runtime" / "__main__.py", "--cmake-dir"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "install them with pip" in done.stderr
