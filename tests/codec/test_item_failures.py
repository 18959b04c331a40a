"""Whatever goes wrong with one file of `cca-run` is that file's failure, in one line."""

from __future__ import annotations

import json
import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cca_console.text import json_line
from cca_runtime.cli import main
from cca_runtime.cli.jobs import Result
from cca_runtime.codec import Codec
from cca_runtime.pictures import format_picture
from PIL import Image
from processes import started


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for index, path in enumerate(paths):
        Image.new("RGB", (8 + index, 8), "teal").save(path)
    return paths


class OddError(Exception):
    """Of a library, with a message for a terminal."""

    def __str__(self) -> str:
        return "\n\x1b[31mfirst line\nsecond line"


FAILURES: dict[str, tuple[Callable[[], Exception], str]] = {
    "a library's own": (
        OddError,
        r"internal error, please report it: OddError: \x1b[31mfirst line "
        "(CCA_DEBUG=1 in the environment shows where)",
    ),
    "a bug": (
        lambda: AttributeError("'NoneType' object has no attribute 'x'"),
        "internal error, please report it: AttributeError: 'NoneType' object has no attribute 'x' "
        "(CCA_DEBUG=1 in the environment shows where)",
    ),
    "no memory": (MemoryError, "not enough memory"),
}


def fail_second(work: Callable[..., Any], error: Callable[[], Exception]) -> Callable[..., Any]:
    calls: list[int] = []

    def run(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise error()
        return work(*arguments, **settings)

    return run


@pytest.mark.parametrize("kind", FAILURES)
def test_any_exception_while_encoding_is_the_files(
    kind: str,
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error, message = FAILURES[kind]
    monkeypatch.delenv("CCA_DEBUG", raising=False)
    monkeypatch.setattr(Codec, "encode_picture", fail_second(Codec.encode_picture, error))
    assert main(["encode", str(tmp_path), "--workers", "1", "-q"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"cca-run: error: {pictures[1]}: {message}",
        "cca-run: 1 of 3 files failed",
    ]
    assert {path.name for path in tmp_path.glob("*.cca")} == {"a.cca", "c.cca"}


def test_any_exception_while_decoding_is_the_files(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["encode", *map(str, pictures), "-q"]) == 0
    broken = fail_second(format_picture, RuntimeError)
    monkeypatch.setattr("cca_runtime.cli.decode.format_picture", broken)
    out = tmp_path / "out"
    arguments = ["--workers", "1", "-q", "-o", str(out)]
    assert main(["decode", *map(str, sorted(tmp_path.glob("*.cca"))), *arguments]) == 1
    assert {path.name for path in out.iterdir()} == {"a.png", "c.png"}


def test_an_internal_error_shows_where_on_request(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OddError

    monkeypatch.setenv("CCA_DEBUG", "1")
    monkeypatch.setattr(Codec, "encode_picture", fail)
    assert main(["encode", str(pictures[0])]) == 1
    errors = capsys.readouterr().err
    assert "in fail" in errors
    assert "\x1b" not in errors


@pytest.mark.parametrize("arguments", [["encode", "{a}"], ["info", "{a}"], ["verify"], ["bench"]])
@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_an_exception_anywhere_else_is_a_line_as_well(
    arguments: list[str],
    error: type[Exception],
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    for place in ("jobs.load", "info._describe", "verify.open_bundle", "bench.load"):
        monkeypatch.setattr(f"cca_runtime.cli.{place}", fail)
    assert main([argument.format(a=pictures[0]) for argument in arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "internal error" in line or "not enough memory" in line


def test_facts_that_json_lacks_are_null(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def odd(data: bytes, facts: dict[str, Any], *rest: Any) -> Result:
        return Result(data, {**facts, "odd": [math.inf, math.nan, "\ud800", 1e300]}, *rest)

    monkeypatch.setattr("cca_runtime.cli.encode.Result", odd)
    assert main(["encode", str(pictures[0]), "--json"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    facts = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert facts["odd"] == [None, None, "\ufffd", 1e300]
    assert json_line({"a": {"b\udcff": (math.nan,)}}) == '{"a": {"b\\ufffd": [null]}}'


def test_damaged_inputs_do_not_stop_info(
    pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text('{"format": "\\u001b[31m"}')
    good = tmp_path / "a.cca"
    assert main(["encode", str(pictures[0]), "-q"]) == 0
    names = [pictures[0], bundle, tmp_path / ("n" * 300), good]
    assert main(["info", *map(str, names)]) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 3
    assert "\x1b" not in captured.err
    assert "internal error" not in captured.err
    assert str(good) in captured.out


def test_a_disk_that_is_full_fails_the_files_that_do_not_fit(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "small.png")
    Image.effect_noise((300, 300), 90).save(folder / "large.png")
    process = started(
        *("encode", folder, "-o", out, "-q"),
        # A file that grows beyond what it may is an error to whoever writes it, as on a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        stderr=-1,
    )
    _, errors = process.communicate()
    assert process.returncode == 1
    first, total = errors.decode().splitlines()
    assert first.startswith(f"cca-run: error: {folder}/large.png: output '{out}/large.cca' cannot")
    assert first.endswith("File too large")
    assert total == "cca-run: 1 of 2 files failed"
    assert [path.name for path in out.iterdir()] == ["small.cca"]
