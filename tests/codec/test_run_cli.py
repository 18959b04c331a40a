"""`cca-run` as a user meets it: files, streams, reports, errors and exit codes."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.metrics import psnr
from numpy.typing import NDArray
from PIL import Image
from wrong_usage import refuse

Run = Callable[..., int]


@pytest.fixture
def picture(tmp_path: Path, chelsea: NDArray[np.uint8]) -> Path:
    path = tmp_path / "cat.png"
    Image.fromarray(chelsea[:100, :90]).save(path)
    return path


@pytest.fixture
def stream(tmp_path: Path, chelsea: NDArray[np.uint8], default_codec: Codec) -> Path:
    path = tmp_path / "made.cca"
    path.write_bytes(default_codec.encode(chelsea[:100, :90]))
    return path


def cca_run(*arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[bytes]:
    """Run the tool in a process of its own."""
    command = [sys.executable, "-m", "cca_runtime.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **settings)  # type: ignore[call-overload,no-any-return]


def leftovers(directory: Path, *expected: str) -> set[str]:
    return {entry.name for entry in directory.iterdir()} - set(expected)


def test_encode_then_decode_beside_the_input(
    picture: Path, capsys: pytest.CaptureFixture[str], default_codec: Codec
) -> None:
    assert main(["encode", str(picture), "--psnr"]) == 0
    coded = picture.with_suffix(".cca")
    report = capsys.readouterr().out
    size = rf"90x100, {coded.stat().st_size:,} bytes, \d\.\d+ bpp of pixels, \d\.\d+ of the file"
    assert re.search(rf"{size}, quality 50\.0, \d+\.\d\d dB", report)
    for stage in ("load", "analysis", "prior", "coder", "write"):
        assert stage in report
    original = np.asarray(Image.open(picture))
    picture.unlink()
    assert main(["decode", str(coded)]) == 0
    restored = np.asarray(Image.open(picture))
    np.testing.assert_array_equal(restored, default_codec.decode(coded.read_bytes()))
    reported = re.search(r"(\d+\.\d\d) dB", report)
    assert reported is not None
    assert float(reported[1]) == pytest.approx(psnr(original, restored), abs=0.006)
    assert not leftovers(picture.parent, "cat.png", "cat.cca")


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "ppm"])
def test_decode_writes_the_format_of_the_name(stream: Path, extension: str) -> None:
    target = stream.with_name(f"out.{extension}")
    assert main(["decode", str(stream), "-o", str(target), "-q"]) == 0
    kinds = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "ppm": "PPM"}
    with Image.open(target) as image:
        assert image.format == kinds[extension]
        assert image.size == (90, 100)


def test_standard_streams(picture: Path, default_codec: Codec) -> None:
    encoded = cca_run("encode", "-", input=picture.read_bytes())
    assert encoded.returncode == 0, encoded.stderr
    assert encoded.stdout == default_codec.encode(np.asarray(Image.open(picture)))
    assert b"bpp" in encoded.stderr, "the report makes way for the data"
    decoded = cca_run("decode", "-", "-o", "-", "--format", "ppm", "-q", input=encoded.stdout)
    assert decoded.stderr == b""
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(decoded.stdout))), default_codec.decode(encoded.stdout)
    )


def test_several_files_into_a_directory(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = picture.with_name("dog.png")
    other.write_bytes(picture.read_bytes())
    out = tmp_path / "out"
    assert main(["encode", str(picture), str(other), "-o", str(out), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["output"] for line in lines] == [str(out / "cat.cca"), str(out / "dog.cca")]
    for line in lines:
        assert line["bytes"] == Path(line["output"]).stat().st_size
        assert line["bpp"] == pytest.approx(8 * line["bytes"] / 9000, abs=1e-6)
        assert line["file_bpp"] == line["bpp"], "there are no metadata"
        assert line["seconds"].keys() >= {"load", "analysis", "prior", "coder", "write"}


def test_one_bad_file_does_not_stop_the_others(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    missing = tmp_path / "missing.png"
    out = tmp_path / "out"
    assert main(["encode", str(bad), str(missing), str(picture), "-o", str(out)]) == 1
    assert leftovers(out) == {"cat.cca"}
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "bad.png: not a picture" in errors[0]
    assert "missing.png: cannot be read: No such file" in errors[1]
    assert "2 of 3 files failed" in errors[2]


def test_existing_outputs_are_refused_unless_told(picture: Path) -> None:
    coded = picture.with_suffix(".cca")
    coded.write_bytes(b"precious")
    assert main(["encode", str(picture)]) == 2
    assert coded.read_bytes() == b"precious"
    assert main(["encode", str(picture), "--overwrite", "-q"]) == 0
    assert coded.read_bytes() != b"precious"


def test_outputs_have_the_permissions_of_any_new_file(picture: Path) -> None:
    old = os.umask(0o027)
    try:
        assert main(["encode", str(picture), "-q"]) == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE(picture.with_suffix(".cca").stat().st_mode) == 0o640


def test_a_linked_output_stays_a_link(picture: Path, tmp_path: Path) -> None:
    target = tmp_path / "real.cca"
    target.write_bytes(b"old")
    link = tmp_path / "link.cca"
    link.symlink_to(target)
    assert main(["encode", str(picture), "-o", str(link), "--overwrite", "-q"]) == 0
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"\x89CCA")


def test_a_device_as_output_is_written_to_and_not_replaced(picture: Path) -> None:
    before = Path("/dev/null").stat()
    assert main(["encode", str(picture), "-o", "/dev/null", "-q"]) == 0
    after = Path("/dev/null").stat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_transparency_needs_a_background(tmp_path: Path) -> None:
    path = tmp_path / "glass.png"
    Image.new("RGBA", (70, 70), (255, 0, 0, 128)).save(path)
    assert main(["encode", str(path)]) == 2
    assert not leftovers(tmp_path, "glass.png")
    assert main(["encode", str(path), "--background", "white", "-q"]) == 0
    assert main(["encode", str(path), "--background", "no such colour", "--overwrite"]) == 2


def test_profiles_travel_and_strip_drops_the_rest(tmp_path: Path) -> None:
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    path = tmp_path / "a.png"
    Image.new("RGB", (70, 70), "teal").save(path, icc_profile=icc, exif=exif)
    assert main(["encode", str(path), "-q"]) == 0
    assert main(["decode", str(tmp_path / "a.cca"), "-o", str(tmp_path / "b.png"), "-q"]) == 0
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == icc
        assert image.getexif()[0x010F] == "Maker"
    assert main(["encode", str(path), "-q", "--strip", "exif,xmp", "--overwrite"]) == 0
    assert main(["decode", str(tmp_path / "a.cca"), "-o", str(tmp_path / "c.png"), "-q"]) == 0
    with Image.open(tmp_path / "c.png") as image:
        assert image.info["icc_profile"] == icc
        assert not image.getexif()


def test_info_describes_streams_and_bundles(
    stream: Path, capsys: pytest.CaptureFixture[str], default_codec: Codec
) -> None:
    assert main(["info", str(stream), "default", "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["kind"], first["width"], first["height"]) == ("stream", 90, 100)
    assert first["bytes"] == stream.stat().st_size
    assert first["padding"] == {"left": 19, "top": 14, "right": 19, "bottom": 14}
    assert first["model_id"] == second["model_id"] == default_codec.bundle.model_id.hex()
    assert (first["entropy_mode"], first["engine"]) == ("exact", None)
    assert second["kind"] == "bundle"
    assert second["group_sizes"] == [9, 29, 58, 96]
    assert main(["info", str(stream)]) == 0
    assert "90" in capsys.readouterr().out


def test_verbose_names_model_and_engine(
    picture: Path, capsys: pytest.CaptureFixture[str], default_codec: Codec
) -> None:
    assert main(["encode", str(picture), "-v"]) == 0
    errors = capsys.readouterr().err
    assert default_codec.bundle.model_id.hex() in errors
    assert "onnxruntime" in errors


def test_help_and_version() -> None:
    help_text = cca_run("--help")
    assert help_text.returncode == 0
    for command in (b"encode", b"decode", b"info"):
        assert command in help_text.stdout
    version = cca_run("--version")
    assert re.fullmatch(rb"cca-run \d+\.\d+\.\d+\S*\n", version.stdout)


BAD = {
    "empty picture": (["encode", "{empty}"], 2, "empty"),
    "text as picture": (["encode", "{text}"], 2, "not a picture"),
    "missing picture": (["encode", "{dir}/none.png"], 2, "No such file"),
    "directory without pictures": (["encode", "{hollow}"], 2, "directory without pictures"),
    "directory without streams": (["decode", "{hollow}"], 2, "directory without .cca files"),
    "directory to stdout": (["encode", "{dir}", "-o", "-"], 2, "several files"),
    "missing model": (["encode", "{picture}", "--model", "{dir}/none"], 2, "no model bundle"),
    "text as model": (["encode", "{picture}", "--model", "{text}"], 2, "no model bundle"),
    "directory as model": (["encode", "{picture}", "--model", "{dir}"], 2, "not a model bundle"),
    "unknown engine": (["encode", "{picture}", "--engine", "steam"], 1, "unknown engine"),
    "no such directory": (["encode", "{picture}", "-o", "{dir}/no/x.cca"], 1, "no directory"),
    "output is a directory in /proc": (["encode", "{picture}", "-o", "/proc/x.cca"], 1, "written"),
    "output below a file": (["encode", "{picture}", "-o", "{text}/x.cca"], 1, "no directory"),
    "device without space": (["encode", "{picture}", "-o", "/dev/full"], 1, "No space"),
    "empty stream": (["decode", "{empty}"], 2, "not a CCA stream|truncated|empty"),
    "text as stream": (["decode", "{text}"], 2, "not a CCA stream"),
    "truncated stream": (["decode", "{cut}"], 2, "truncated"),
    "damaged stream": (["decode", "{damaged}"], 2, "checksum"),
    "unknown format": (["decode", "{stream}", "-o", "{dir}/x.gif"], 2, "cannot write '.gif'"),
    "too large": (["decode", "{stream}", "--max-pixels", "100"], 2, "max-pixels"),
    "two to stdout": (["encode", "{picture}", "{picture}", "-o", "-"], 2, "several files"),
    "info on text": (["info", "{text}"], 2, "not a CCA stream"),
    "info on nothing": (["info", "{dir}/none"], 2, "no model bundle"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_are_one_line_with_the_right_code_and_leave_nothing(
    case: str, picture: Path, stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, code, message = BAD[case]
    data = stream.read_bytes()
    files = {"empty": b"", "text": b"just some text\n" * 40}
    files |= {"cut": data[:-3], "damaged": data[:-3] + b"abc"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "hollow").mkdir()
    before = {entry.name for entry in tmp_path.iterdir()}
    places = {"hollow": str(tmp_path / "hollow")} | {name: str(tmp_path / name) for name in files}
    places |= {"picture": str(picture), "stream": str(stream), "dir": str(tmp_path)}
    assert main([argument.format(**places) for argument in arguments]) == code
    errors = capsys.readouterr().err
    assert re.search(message, errors), errors
    assert errors.startswith("cca-run: error: ")
    assert errors.count("\n") == 1
    assert {entry.name for entry in tmp_path.iterdir()} == before


WRONG = [
    [],
    ["paint"],
    ["encode"],
    ["encode", ""],
    ["encode", "{picture}", "--frobnicate"],
    ["encode", "{picture}", "--\x1b[2J\u202e"],
    ["decode", "{stream}", "-q", "-v"],
    ["encode", "{picture}", "--overwrite", "--skip-existing"],
    ["encode", "{picture}", "-o", ""],
    ["encode", "{picture}", "--model", ""],
    ["encode", "{picture}", "--precision", "fp64"],
    *(["decode", "{stream}", "--workers", text] for text in ("0", "-1", "1.5", "", "nan", "1025")),
    *(
        ["encode", "{picture}", "--max-pixels", text]
        for text in ("-1", "1e9", "9" * 5000, "\u0663")
    ),
    *(["encode", "{picture}", "--tile", text] for text in ("0", "-64", "inf", "9" * 20, "1_0")),
    *(
        ["decode", "{stream}", "--region", text]
        for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,1", "0,0,-1,1", "0,0,1,nan")
    ),
    ["decode", "{stream}", "--region=-1,0,1,1"],
    ["decode", "{stream}", "--format", "gif"],
    ["info"],
    ["info", ""],
    ["verify", "--threads", "0"],
    ["verify", "--threads", "1,"],
    ["bench", "--repeat", "9" * 30],
    ["bench", "--size", "8x8x8"],
]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], picture: Path, stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(arguments, {"picture": picture, "stream": stream}, capsys)
    assert not leftovers(picture.parent, "cat.png", "made.cca")


def test_overwriting_keeps_the_mode(picture: Path) -> None:
    coded = picture.with_suffix(".cca")
    for mode in (0o600, 0o664):
        coded.write_bytes(b"old")
        coded.chmod(mode)
        assert main(["encode", str(picture), "--overwrite", "-q"]) == 0
        assert stat.S_IMODE(coded.stat().st_mode) == mode
        assert coded.read_bytes() != b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only a superuser may give files away")
def test_overwriting_keeps_the_owner(picture: Path) -> None:
    coded = picture.with_suffix(".cca")
    coded.write_bytes(b"old")
    os.chown(coded, 1234, 4321)
    assert main(["encode", str(picture), "--overwrite", "-q"]) == 0
    assert (coded.stat().st_uid, coded.stat().st_gid) == (1234, 4321)


def test_rights_that_cannot_be_given_are_no_failure(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "fchown", refuse)
    assert main(["encode", str(picture), "-q"]) == 0
    assert main(["encode", str(picture), "-q", "--overwrite"]) == 0
    assert not leftovers(picture.parent, "cat.png", "cat.cca")


def test_data_are_on_the_disk_before_they_have_their_name(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = picture.with_suffix(".cca")
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        flushed.append((kind, coded.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    assert main(["encode", str(picture), "-q"]) == 0
    assert flushed == [("file", False), ("folder", True)]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    *,
    links: bool,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    coded = picture.with_suffix(".cca")

    def appear(_: int) -> None:
        coded.write_bytes(b"precious")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fsync", appear)
    if not links:  # as on file systems without hard links
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert main(["encode", str(picture)]) == 1
    assert "cannot be written: File exists" in capsys.readouterr().err
    assert coded.read_bytes() == b"precious"
    assert not leftovers(picture.parent, "cat.png", "cat.cca")


def test_without_hard_links_files_are_written_as_well(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert main(["encode", str(picture), "-q"]) == 0
    assert not leftovers(picture.parent, "cat.png", "cat.cca")
