"""Folders through `cca-run`: what is found, reports, and runs that are cut short."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from numpy.typing import NDArray
from PIL import Image

COUNT = 32
BROKEN = (3, 17, 31)


def folder_of_pictures(folder: Path, chelsea: NDArray[np.uint8], count: int) -> list[Path]:
    """Small pictures of many sizes and formats, some in folders of their own, sorted by path."""
    paths = []
    for index in range(count):
        name = f"{index % 5}/{index // 10}/p{index}" if index % 3 else f"p{index}"
        path = folder / f"{name}{['.png', '.jpg', '.WebP', '.ppm'][index % 4]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = 20 + 7 * index % 60, 90 - 2 * index
        Image.fromarray(chelsea[index : index + height, :width]).save(path)
        paths.append(path)
    return sorted(paths)


def outputs_of(folder: Path) -> dict[str, bytes]:
    """The contents of a folder's visible files, by their paths in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def coded_name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder).with_suffix(".cca"))


def test_a_folder_keeps_its_structure_and_three_broken_files_stop_nothing(
    tmp_path: Path,
    chelsea: NDArray[np.uint8],
    default_codec: Codec,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = folder_of_pictures(folder, chelsea, COUNT)
    for index in BROKEN:
        paths[index].write_bytes(paths[index].read_bytes()[:50])
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty").mkdir()
    for hidden in (folder / ".p.png", folder / ".trash" / "p.png"):
        hidden.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(hidden)
    assert main(["encode", str(folder), "-o", str(out), "--json", "--workers", "3"]) == 1
    captured = capsys.readouterr()
    good = [path for index, path in enumerate(paths) if index not in BROKEN]
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["input"] for line in lines] == [str(path) for path in good], "in order"
    *errors, total = captured.err.splitlines()
    assert [error.split(": ")[2] for error in errors] == [str(paths[index]) for index in BROKEN]
    assert total == f"cca-run: {len(BROKEN)} of {COUNT} files failed"
    coded = outputs_of(out)
    assert coded.keys() == {coded_name(path, folder) for path in good}
    for path in good[::7]:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert coded[coded_name(path, folder)] == default_codec.encode(pixels)

    restored = tmp_path / "restored"
    assert main(["decode", str(out), "-o", str(restored), "--format", "ppm", "-q"]) == 0
    pictures = outputs_of(restored)
    assert pictures.keys() == {str(Path(name).with_suffix(".ppm")) for name in coded}
    for name in list(coded)[::7]:
        pixels = np.asarray(Image.open(restored / Path(name).with_suffix(".ppm")))
        np.testing.assert_allclose(pixels, default_codec.decode(coded[name]), atol=1)


def test_without_an_output_files_go_beside_their_inputs(
    tmp_path: Path, chelsea: NDArray[np.uint8]
) -> None:
    paths = folder_of_pictures(tmp_path, chelsea, 4)
    assert main(["encode", str(tmp_path), "-q"]) == 0
    assert all(path.with_suffix(".cca").is_file() for path in paths)


def test_a_folder_of_one_picture_still_needs_a_folder(
    tmp_path: Path, chelsea: NDArray[np.uint8]
) -> None:
    folder = tmp_path / "in"
    (path,) = folder_of_pictures(folder, chelsea, 1)
    out = tmp_path / "out"
    assert main(["encode", str(folder), "-o", str(out), "-q"]) == 0
    assert outputs_of(out).keys() == {coded_name(path, folder)}


def test_pictures_of_one_name_in_one_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for extension in ("png", "bmp"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"same.{extension}")
    assert main(["encode", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "rename one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_skip_existing_leaves_what_is_there(
    tmp_path: Path, chelsea: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = folder_of_pictures(folder, chelsea, 3)
    done = out / coded_name(paths[1], folder)
    done.parent.mkdir(parents=True)
    done.write_bytes(b"done")
    command = ["encode", str(folder), "-o", str(out)]
    assert main(command) == 2
    assert "--skip-existing" in capsys.readouterr().err
    assert main([*command, "--skip-existing"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "cca-run: 1 of 3 done before: skipped\n"
    assert len(captured.out.splitlines()) == 2
    assert len(outputs_of(out)) == 3
    assert done.read_bytes() == b"done"
    assert main([*command, "--skip-existing"]) == 0
    assert capsys.readouterr().out == ""


class Runner:
    """`cca-run` on two folders and a pipe between them, in a process of its own."""

    def __init__(self, tmp_path: Path, chelsea: NDArray[np.uint8]) -> None:
        self.first, self.last = tmp_path / "first", tmp_path / "last"
        folder_of_pictures(self.first, chelsea, 5)
        rest = folder_of_pictures(self.last, chelsea[10:], COUNT - 6)
        for path in rest:
            path.rename(path.with_name(f"z{path.name}"))
        self.middle = tmp_path / "middle.png"
        Image.fromarray(chelsea[:30, :30]).save(self.middle)
        self.whole = tmp_path / "whole"
        self.out = tmp_path / "out"
        assert main([*self.command(self.whole), "-q"]) == 0

    def command(self, out: Path) -> list[str]:
        inputs = (self.first, self.middle, self.last)
        return ["encode", *map(str, inputs), "-o", str(out), "--workers", "1"]

    def start(self, before: str = "") -> subprocess.Popen[bytes]:
        """Start it, after the lines `before` of Python."""
        # A shell's background jobs ignore SIGINT, and so would theirs.
        script = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        script += f"{before}\nfrom cca_runtime.cli import main\nsys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", script, *self.command(self.out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def check_whole_files(self) -> None:
        """What there is, and it is not all, is as in the run that was not cut short."""
        whole, part = outputs_of(self.whole), outputs_of(self.out)
        assert 0 < len(part) < len(whole)
        assert part.items() <= whole.items()

    def go_on(self) -> None:
        """Finish the run, and see that nothing tells of its interruption."""
        assert main([*self.command(self.out), "--skip-existing", "-q"]) == 0
        assert outputs_of(self.out) == outputs_of(self.whole)


@pytest.fixture
def runner(tmp_path: Path, chelsea: NDArray[np.uint8]) -> Runner:
    return Runner(tmp_path, chelsea)


def feed(pipe: Path, data: bytes) -> None:
    """Write to a pipe, if somebody reads it."""
    try:
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_whole_files_and_can_go_on(
    runner: Runner, number: signal.Signals
) -> None:
    data = runner.middle.read_bytes()
    runner.middle.unlink()
    os.mkfifo(runner.middle)
    process = runner.start()
    done = runner.out
    while len(outputs_of(done)) < 5:  # then it waits for the pipe
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    while process.poll() is None:
        feed(runner.middle, data)
        time.sleep(0.01)
    assert process.returncode == 128 + number
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert b"Traceback" not in errors
    assert not list(runner.out.rglob(".*"))
    runner.middle.unlink()
    runner.middle.write_bytes(data)
    runner.check_whole_files()
    runner.go_on()


KILLED_BEFORE_RENAMING = """
import os
calls = []
original = os.fchmod
def fchmod(*arguments):
    calls.append(1)
    if len(calls) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    original(*arguments)
os.fchmod = fchmod
"""


def test_a_killed_run_leaves_whole_files_and_can_go_on(runner: Runner, tmp_path: Path) -> None:
    process = runner.start(KILLED_BEFORE_RENAMING)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert len(outputs_of(runner.out)) == 8
    assert len(list(runner.out.rglob(".*"))) == 1, "what was being written"
    runner.check_whole_files()
    runner.go_on()
    restored = tmp_path / "restored"
    assert main(["decode", str(runner.out), "-o", str(restored), "-q"]) == 0
    assert len(outputs_of(restored)) == COUNT
