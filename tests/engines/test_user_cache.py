"""The user's cache: private, believed only if it is, and its loss costs time only."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import cca_runtime
import pytest
from cca_engines.user_cache import cache_directory, read_private, write_private

DATA = b"what is believed"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the cache that is believed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = cache_directory()
    assert directory is not None
    written = directory / "kind" / "name"
    write_private(written, DATA)
    assert read_private(written, len(DATA)) == DATA
    return written


def by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


UNBELIEVABLE: dict[str, Callable[[Path], object]] = {
    "link": by_link,
    "link to a directory": lambda path: by_link(path.parent),
    "pipe": as_pipe,
    "socket": as_socket,
    "directory": as_directory,
    "group may write it": lambda path: path.chmod(0o620),
    "others may write it": lambda path: path.chmod(0o602),
    "others may write its directory": lambda path: path.parent.chmod(0o703),
    "group may write the cache": lambda path: path.parent.parent.chmod(0o770),
    "too long": lambda path: path.write_bytes(DATA + b"!"),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", UNBELIEVABLE)
def test_what_others_could_have_written_is_not_believed(change: str, file: Path) -> None:
    UNBELIEVABLE[change](file)
    assert read_private(file, len(DATA)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_owns_is_neither_believed_nor_written(file: Path) -> None:
    for each in (file, file.parent, file.parent.parent):
        os.chown(each, 12345, 12345)
        assert read_private(file, len(DATA)) is None
        if each != file:
            with pytest.raises(OSError, match="not this user's alone"):
                write_private(file, b"new")
        os.chown(each, 0, 0)
    assert read_private(file, len(DATA)) == DATA


def test_directories_are_private_whatever_the_umask(file: Path) -> None:
    for each in (file.parent, file.parent.parent, file.parent.parent.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_a_model_loads_whatever_lies_in_its_marks_place(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    marks = file.parent.parent / "verified"
    cca_runtime.load(threads=1)
    (mark,) = marks.iterdir()
    text = mark.read_bytes()
    for put in (as_pipe, as_directory):
        put(mark)
        cca_runtime.load(threads=1)
        if mark.is_dir():
            mark.rmdir()
            cca_runtime.load(threads=1)
        assert mark.read_bytes() == text, "written anew"
    assert capfd.readouterr() == ("", "")
