"""Engines that other packages register, among them broken ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cca_engines import Engine, Graph, Precision, fingerprint, fingerprint_backend
from cca_runtime.codec import Codec
from cca_runtime.generated import photograph_like
from PIL import Image

_TOY = """
from cca_engines import Backend, Capabilities, Engine, open_engine


class ToyEngine(Engine):
    name = "toy"
    description = "toy 1.0"

    def __init__(self):
        self._library = open_engine("onnxruntime", threads=1)

    def load(self, model, name, precision="float32"):
        return self._library.load(model, name, precision)


BACKEND = Backend(Capabilities(), lambda **_: ToyEngine())
"""


@dataclass(frozen=True)
class Environment:
    """A directory of installed packages, and a process that has it on its path."""

    packages: Path
    cache: Path

    def install(self, package: str, source: str, entry_points: str) -> None:
        """What `pip install` leaves of a package of one module."""
        (self.packages / f"{package}.py").write_text(source)
        facts = self.packages / f"{package}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(entry_points)

    def register(self, name: str, package: str, source: str) -> None:
        self.install(package, source, f"[cca_engines]\n{name} = {package}:BACKEND\n")

    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run code in a new process."""
        path = f"import sys; sys.path.insert(0, {str(self.packages)!r})\n"
        return subprocess.run(
            [sys.executable, "-c", path + code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "XDG_CACHE_HOME": str(self.cache)},
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `cca-run`."""
        return self.python("from cca_runtime.cli import main; sys.exit(main())", *arguments)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Environment(tmp_path / "packages", tmp_path / "cache")
    made.packages.mkdir()
    return made


def test_a_package_of_its_own_registers_an_engine(
    environment: Environment, tmp_path: Path, default_codec: Codec
) -> None:
    environment.register("toy", "cca_toy_engine", _TOY)
    pixels = photograph_like(70, 64)
    picture, stream, restored = (tmp_path / f"picture.{kind}" for kind in ("png", "cca", "ppm"))
    Image.fromarray(pixels).save(picture)
    for command, source, target in (("encode", picture, stream), ("decode", stream, restored)):
        done = environment.run(command, str(source), "-o", str(target), "--engine", "toy")
        assert done.returncode == 0, done.stderr
    expected = default_codec.encode(pixels)
    assert stream.read_bytes() == expected
    decoded = default_codec.decode(expected).astype(int)
    np.testing.assert_allclose(np.asarray(Image.open(restored)), decoded, atol=1)
    verified = environment.run("verify", "--engine", "toy", "--threads", "1", "--json")
    assert verified.returncode == 0, verified.stderr
    assert [row["engine"] for row in json.loads(verified.stdout)["rows"]] == ["toy"]


_BROKEN = {
    "raising": ("raise ValueError('not\\ntoday')", "with ValueError: not; repair or uninstall"),
    "leaving": ("raise SystemExit(3)", "with SystemExit: 3; repair or uninstall"),
    "missing": ("import no_such_library", "No module named 'no_such_library'; repair"),
    "nameless": ("", "with AttributeError: module 'cca_nameless' has no attribute 'BACKEND'"),
    "other": ("BACKEND = object", "registered as cca_other:BACKEND, which is no cca_engines.Back"),
    "failing": (
        "from cca_engines import *\nBACKEND = Backend(Capabilities(), lambda **_: 1 / 0)",
        "engine 'failing' cannot be opened, with ZeroDivisionError: division by zero",
    ),
    "false": (
        "from cca_engines import *\n"
        "BACKEND = Backend(Capabilities(), lambda **_: open_engine('onnxruntime'))",
        "engine 'false' gives something else when it is opened: <cca_engines.onnxruntime.Onnx",
    ),
}


def test_broken_engines_are_errors_of_their_own(environment: Environment) -> None:
    for name, (source, _) in _BROKEN.items():
        environment.register(name, f"cca_{name}", source)
    environment.register("twofold", "cca_one", _TOY)
    environment.register("twofold", "cca_two", _TOY)
    environment.install("cca_garbled", "", "no section\n[cca_engines\n=\n")
    environment.register("onnxruntime", "cca_usurper", "raise AssertionError('imported')")
    environment.register("with space", "cca_space", "raise AssertionError('imported')")
    code = (
        "import cca_engines, logging, cca_runtime\n"
        "logging.basicConfig(level='INFO', format='%(message)s', stream=sys.stdout)\n"
        "names = cca_engines.third_party_engines()\n"
        "print(*names)\n"
        "assert set(names) < set(cca_engines.available_engines())\n"
        "assert cca_engines.open_engine('onnxruntime').name == 'onnxruntime'\n"
        "print(cca_runtime.load(engine='auto').engine.name)\n"
        "assert not {'cca_raising', 'cca_one', 'cca_usurper'} & sys.modules.keys()\n"
        "for name in [*names, 'abacus']:\n"
        "    try:\n"
        "        cca_engines.open_engine(name)\n"
        "    except cca_engines.EngineError as error:\n"
        "        print(error)\n"
    )
    done = environment.python(code)
    assert done.returncode == 0, done.stderr
    listed, *lines = done.stdout.splitlines()
    names = sorted([*_BROKEN, "twofold"])
    assert listed.split() == names
    skipped = [line for line in lines if "is not tried" in line]
    assert [line.split()[1] for line in skipped] == names
    errors = lines[-len(names) - 1 :]
    for name, error in zip(names, errors, strict=False):
        expected = _BROKEN.get(name, ("", "by several packages, cca_one and cca_two: uninstall"))[1]
        assert f"engine '{name}'" in error
        assert expected in error
    assert errors[-1].endswith(f"tensorrt-rtx, cuda, {', '.join(names)}")


def test_a_broken_engine_is_a_row_among_those_of_the_others(environment: Environment) -> None:
    environment.register("broken", "cca_broken", "raise ValueError('not today')")
    done = environment.run("verify", "--threads", "1", "--json")
    assert done.returncode == 1, done.stderr
    rows = {row["engine"]: row for row in json.loads(done.stdout)["rows"]}
    assert "not today" in rows.pop("broken")["error"]
    assert "onnxruntime" in rows
    assert all(row["passed"] for row in rows.values())
    alone = environment.run("verify", "--engine", "broken")
    assert alone.returncode == 1
    assert alone.stderr.count("\n") == 1
    assert "engine 'broken' of package cca_broken cannot be imported" in alone.stderr


class Named(Engine):
    """An engine of any name."""

    name = ""
    description = "the same"

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> Graph:
        raise NotImplementedError


def test_fingerprints_depend_on_no_order() -> None:
    """What is hashed, and the first byte, stay for ever: streams hold them."""
    built_in = [fingerprint(Named(name)) for name in ("onnxruntime", "cuda")]
    assert [value[0] for value in built_in] == [1, 5]
    assert built_in[0][1:] == built_in[1][1:] == bytes.fromhex("fa0487f2dc9154")
    others = [fingerprint(Named(name)) for name in ("toy", "toys")]
    assert others[0] == bytes.fromhex("00d8d3147cae669b")
    assert others[0] != others[1]
    assert {fingerprint_backend(value) for value in others} == {"another engine"}
