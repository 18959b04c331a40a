"""Names of files that `cca-run` meets: any bytes, any length, links, pipes, devices."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from cca_runtime.cli import main
from PIL import Image
from processes import through_shell

LONGEST = 255

NAMES = {
    "not UTF-8": (b"caf\xe9", r"caf\xe9"),
    "two lines": (b"new\nline", r"new\nline"),
    "moves the cursor": (b"esc\x1b[2J", r"esc\x1b[2J"),
    "turns letters round": ("bidi\u202egnp".encode(), r"bidi\u202egnp"),
    "long": (b"x" * (LONGEST - 4), "x" * (LONGEST - 4)),
    "a dash": (b"-", "-"),
    "letters": ("\u00e9\u4e2d".encode(), "\u00e9\u4e2d"),
}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "p.png"
    Image.new("RGB", (8, 8), "teal").save(path)
    return path


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_is_coded_and_printed_escaped(
    kind: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, shown = NAMES[kind]
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    source = folder / os.fsdecode(raw + b".png")
    source.write_bytes(picture.read_bytes())
    coded = out / os.fsdecode(raw + b".cca")
    assert main(["encode", str(folder), "-o", str(out)]) == 0
    assert coded.is_file()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{folder}/{shown}.png -> {out}/{shown}.cca: 8x8")
    assert main(["encode", str(folder), "-o", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{shown}.cca' exists" in line
    assert main(["info", str(coded)]) == 0
    assert f"{shown}.cca\n" in capsys.readouterr().out


@pytest.mark.parametrize("kind", NAMES)
def test_names_in_json_can_be_told_exactly(
    kind: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, _ = NAMES[kind]
    source = tmp_path / os.fsdecode(raw + b".png")
    source.write_bytes(picture.read_bytes())
    out = tmp_path / "out"
    assert main(["encode", "--json", "-o", f"{out}/", "--", str(source)]) == 0
    text = capsys.readouterr().out
    facts = json.loads(text)
    facts["input"].encode()  # no half of a character
    told = bytes.fromhex(facts["input_hex"]) if "input_hex" in facts else facts["input"].encode()
    assert told == os.fsencode(source)
    assert ("input_hex" in facts) == (kind == "not UTF-8")
    assert text.isascii()


def test_names_with_dashes_go_behind_two(picture: Path, tmp_path: Path) -> None:
    for name in ("-o.png", "-"):
        (tmp_path / name).write_bytes(picture.read_bytes())
    code, _, errors = through_shell('"$@" -- -o.png ./-', "encode", "-q", cwd=tmp_path)
    assert (code, errors) == (0, b"")
    assert (tmp_path / "-o.cca").is_file()
    assert (tmp_path / "-.cca").is_file()


def test_a_name_too_long_for_its_output_fails_alone(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("y" * LONGEST)
    long.write_bytes(picture.read_bytes())
    longer = tmp_path / ("z" * (LONGEST + 1))
    assert main(["encode", str(long), str(longer), str(picture), "-q"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "cannot be written: File name too long" in errors[0]
    assert "cannot be read: File name too long" in errors[1]
    assert picture.with_suffix(".cca").is_file()
    assert main(["encode", str(picture), "-o", str(longer)]) == 1
    assert "File name too long" in capsys.readouterr().err


def test_a_dangling_link_is_written_through(picture: Path, tmp_path: Path) -> None:
    link, target = tmp_path / "link.cca", tmp_path / "target"
    link.symlink_to("target")
    assert main(["encode", str(picture), "-o", str(link), "-q"]) == 0
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"\x89CCA")


def test_links_that_lead_nowhere_fail_alone(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    round_, dangling = tmp_path / "round.cca", tmp_path / "dangling.png"
    round_.symlink_to(round_)
    dangling.symlink_to(tmp_path / "nothing")
    assert main(["encode", str(picture), "-o", str(round_)]) == 1
    assert "leads to itself" in capsys.readouterr().err
    assert round_.is_symlink()
    assert main(["encode", str(dangling)]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


def test_a_folder_may_be_called_like_a_picture(picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder.png"
    folder.mkdir()
    picture.rename(folder / "p.png")
    assert main(["encode", f"{folder}/", "-q"]) == 0
    assert (folder / "p.cca").is_file()


def test_an_output_is_not_its_own_input(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = picture.rename(tmp_path / "picture.cca")
    content = odd.read_bytes()
    for arguments in ([str(odd)], [str(odd), "-o", f"{tmp_path}/../{tmp_path.name}/picture.cca"]):
        assert main(["encode", "--overwrite", *arguments, "-o", str(odd)]) == 2
        assert "is the input itself" in capsys.readouterr().err
    assert odd.read_bytes() == content


def test_pipes_are_read_and_written(picture: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.cca"
    assert main(["encode", str(picture), "-o", str(whole), "-q"]) == 0
    expected = whole.read_bytes()
    scripts = [
        f'"$@" <(cat {picture}) -o {tmp_path}/a.cca && cat {tmp_path}/a.cca',
        f'"$@" /dev/stdin -o /dev/stdout < {picture}',
        f'cat {picture} | "$@" /dev/fd/0 -o /dev/fd/1 | cat',
        f'"$@" {picture} -o /dev/fd/9 9>{tmp_path}/b.cca && cat {tmp_path}/b.cca',
        f'"$@" {picture} -o >(cat)',
    ]
    for script in scripts:
        assert through_shell(script, "encode", "-q") == (0, expected, b""), script
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert main(["encode", str(picture), "-o", str(pipe), "-q"]) == 0
    reader.join()
    assert read == [expected]


def test_what_has_no_end_is_not_read_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as stream:
        stream.truncate(1 << 40)
    for name in ("/dev/zero", str(large)):
        assert main(["encode", name, "-o", str(tmp_path / "o.cca"), "--max-pixels", "4096"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{name}: longer than 67,141,632 bytes" in line


def test_a_socket_is_no_input(
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
        assert main(["encode", "s.png", str(picture)]) == 1
        assert "s.png: cannot be read: No such device" in capsys.readouterr().err
        assert main(["info", "s.png"]) == 2
        assert main(["decode", "s.png", "-o", "s.png"]) == 2
