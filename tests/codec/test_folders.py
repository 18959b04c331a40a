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
    *errors, total, left_out = captured.err.splitlines()
    notes = folder / "notes.txt"
    assert left_out == f"cca-run: 1 file left out, not pictures by name: '{notes}'"
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


def test_pictures_of_one_name_in_one_folder_are_refused_and_the_others_coded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("same.png", "same.bmp", "other.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    assert main(["encode", str(folder), "-o", str(out)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error.split(": ")[2] for error in errors[:2]] == [
        str(folder / "same.bmp"),
        str(folder / "same.png"),
    ]
    assert all("rename one" in error for error in errors[:2])
    assert errors[2:] == ["cca-run: 2 of 3 files failed"]
    assert outputs_of(out).keys() == {"other.cca"}


def test_two_ways_to_one_output_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    (tmp_path / "link").symlink_to(tmp_path)
    again = tmp_path / "link" / "a.png"
    assert main(["encode", str(picture), str(again)]) == 1
    assert f"this and '{again}' would both be written" in capsys.readouterr().err
    assert main(["encode", str(picture), str(picture)]) == 1
    assert "given more than once" in capsys.readouterr().err
    assert not picture.with_suffix(".cca").exists()


def test_only_extensions_of_pictures_are_replaced(tmp_path: Path) -> None:
    names = {"v1.2": "v1.2.cca", "plain": "plain.cca", "a.b.PNG": "a.b.cca"}
    paths = [tmp_path / name for name in names]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path, format="PNG")
    out, restored = tmp_path / "out", tmp_path / "restored"
    assert main(["encode", *map(str, paths), "-o", str(out), "-q"]) == 0
    assert outputs_of(out).keys() == set(names.values())
    (out / "v1.2.cca").rename(out / "v1.2")
    named = [str(out / "v1.2"), str(out / "plain.cca")]
    assert main(["decode", *named, "-o", str(restored), "-q"]) == 0
    assert outputs_of(restored).keys() == {"v1.2.png", "plain.png"}


def test_what_is_left_out_of_folders_is_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    for name in ("a.heic", "b.heic", "c.txt", "d.txt", "made.cca"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert main(["encode", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    named = ", ".join(f"'{tmp_path / name}'" for name in ("a.heic", "b.heic", "c.txt"))
    assert line == f"cca-run: 7 files left out, not pictures by name: {named} ... and 4 more"
    assert main(["decode", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    error, total, left_out = capsys.readouterr().err.splitlines()
    assert "made.cca" in error
    assert "2 files" in total
    assert "c.txt" in left_out


def test_a_folder_that_cannot_be_read_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    closed = tmp_path / "closed"
    closed.mkdir()
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:  # a superuser may read everything
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert main(["encode", str(hollow), str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "p.cca" in captured.out
    assert f"{hollow}: a directory without pictures" in captured.err
    assert f"{closed}: cannot be read: Permission denied" in captured.err


def test_skip_existing_leaves_what_is_whole(
    tmp_path: Path, chelsea: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = folder_of_pictures(folder, chelsea, 4)
    command = ["encode", str(folder), "-o", str(out)]
    assert main([*command, "-q"]) == 0
    whole = outputs_of(out)
    absent, cut, damaged, kept = (out / coded_name(path, folder) for path in paths)
    absent.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    before = kept.stat()
    assert main(command) == 1
    assert "--skip-existing" in capsys.readouterr().err
    assert absent.exists(), "existing outputs are no matter to others"
    absent.unlink()
    assert main([*command, "--skip-existing"]) == 0
    captured = capsys.readouterr()
    *notes, skipped = captured.err.splitlines()
    assert [note.partition(" is there, but not whole")[0] for note in notes] == [
        f"cca-run: note: '{path}'" for path in (cut, damaged)
    ]
    assert skipped == "cca-run: 1 of 4 done before: skipped"
    assert len(captured.out.splitlines()) == 3
    assert outputs_of(out) == whole
    assert kept.stat() == before
    assert main([*command, "--skip-existing"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "ppm"])
def test_skip_existing_looks_at_decoded_pictures(
    tmp_path: Path,
    chelsea: NDArray[np.uint8],
    default_codec: Codec,
    capsys: pytest.CaptureFixture[str],
    extension: str,
) -> None:
    stream = tmp_path / "a.cca"
    stream.write_bytes(default_codec.encode(chelsea[:60, :50]))
    target = stream.with_suffix(f".{extension}")
    command = ["decode", str(stream), "--format", extension, "--skip-existing"]
    assert main([*command, "-q"]) == 0
    whole = target.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :]
    other_size = tmp_path / f"other.{extension}"
    Image.new("RGB", (50, 61)).save(other_size)
    wrong = [whole[:-20], b"", b"text", other_size.read_bytes()]
    for content in [*wrong, flipped] if extension == "png" else wrong:
        target.write_bytes(content)
        capsys.readouterr()
        assert main(command) == 0
        assert "not whole: done again" in capsys.readouterr().err
        assert target.read_bytes() == whole
    assert main(command) == 0
    assert "1 of 1 done before" in capsys.readouterr().err
    assert main([*command, "--region", "0,0,8,9"]) == 0
    with Image.open(target) as image:
        assert image.size == (8, 9)


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
    process.wait()
    assert process.returncode == -number, "so that a shell's loop ends as well"
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert errors in (b"cca-run: interrupted\n", b"cca-run: terminated\n")
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


def test_an_empty_folder_has_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert main(["encode", str(folder), "-o", str(tmp_path / "out")]) == 2
    assert f"{folder}: a directory without pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
