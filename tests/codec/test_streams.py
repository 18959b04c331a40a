"""Standard streams of `cca-run` that are closed, full, gone, or in an encoding without a letter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from processes import started, through_shell


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.png", "\u00e9.png", "z.png")]
    for path in paths:
        Image.new("RGB", (8, 8), "teal").save(path)
    return paths


FULL = b"cca-run: standard output cannot be written: No space left on device"

REPORTS = {
    "standard output closed": ('"$@" >&-', 1, b""),
    "standard output full": ('"$@" >/dev/full', 1, FULL),
    "standard error closed": ('"$@" 2>&- >/dev/null', 0, b""),
    "all closed": ('"$@" <&- >&- 2>&-', 1, b""),
    "all full": ('"$@" >/dev/full 2>/dev/full', 1, b""),
    "nobody reads": ('"$@" > >(exec true); exit $?', 1, b""),
    "ASCII": ('PYTHONIOENCODING=ascii "$@" >/dev/null', 0, b""),
    "the C locale": ('LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$@" >/dev/null', 0, b""),
}


@pytest.mark.parametrize("kind", REPORTS)
def test_reports_that_cannot_be_printed_keep_nothing_from_being_done(
    kind: str, pictures: list[Path], tmp_path: Path
) -> None:
    script, code, message = REPORTS[kind]
    out = tmp_path / "out"
    # So that whoever is not to read is gone.
    script = script.replace('"$@"', 'sleep 0.1; "$@"', 1) if "nobody" in kind else script
    done, _, errors = through_shell(script, "encode", *pictures, "-o", out)
    assert done == code
    assert sorted(path.name for path in out.iterdir()) == ["a.cca", "z.cca", "\u00e9.cca"]
    assert errors.startswith(message)
    assert errors.count(b"\n") == bool(message)


def test_errors_that_cannot_be_printed_are_in_the_exit_code(
    pictures: list[Path], tmp_path: Path
) -> None:
    pictures[0].write_bytes(b"no picture")
    for streams in ("2>&-", "2>/dev/full"):
        out = tmp_path / f"out{len(streams)}"
        code, reports, _ = through_shell(f'"$@" {streams}', "encode", tmp_path, "-o", out)
        assert code == 1
        assert reports.count(b"\n") == 2
        assert len(list(out.iterdir())) == 2
    code, _, _ = through_shell('"$@" 2>&-', "encode", pictures[0])
    assert code == 2


DATA = {
    "nobody reads": ('"$@" | true; exit ${PIPESTATUS[0]}', b""),
    "full": ('"$@" >/dev/full', b"standard output cannot be written: No space left on device"),
    "closed": ('"$@" >&-', b"standard output cannot be written: it is closed"),
}


@pytest.mark.parametrize("kind", DATA)
def test_data_that_cannot_be_written_is_a_failure_in_a_line(
    kind: str, pictures: list[Path]
) -> None:
    script, message = DATA[kind]
    code, _, errors = through_shell(script, "encode", pictures[0], "-o", "-", "-q")
    assert code == 1
    assert message in errors
    assert errors.count(b"\n") == bool(message)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--help"], 1), (["--version"], 1), (["encode", "--help"], 1), ([], 2)],
)
@pytest.mark.parametrize("streams", [">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_help_that_cannot_be_printed(arguments: list[str], expected: int, streams: str) -> None:
    assert through_shell(f'"$@" {streams}', *arguments) == (expected, b"", b"")


NOISY = """
import os
sync = os.fsync
def noisy(descriptor):
    for standard in (0, 1, 2):
        os.write(standard, b"noise")
    sync(descriptor)
os.fsync = noisy
"""


def test_no_file_takes_the_place_of_a_closed_stream(pictures: list[Path], tmp_path: Path) -> None:
    """What a library prints to standard output must not end up in a picture."""
    target = tmp_path / "o.cca"
    process = started(
        *("encode", pictures[0], "-o", target, "-q"),
        before=NOISY,
        preexec_fn=lambda: [os.close(descriptor) for descriptor in (0, 1, 2)],
    )
    assert process.wait() == 0
    whole = tmp_path / "whole.cca"
    through_shell('"$@"', "encode", pictures[0], "-o", whole)
    assert target.read_bytes() == whole.read_bytes()


def test_closed_standard_input_is_an_error(tmp_path: Path) -> None:
    code, _, errors = through_shell('"$@" <&-', "encode", "-", "-o", tmp_path / "o.cca")
    assert code == 2
    assert errors.endswith(b"standard input is closed\n")
