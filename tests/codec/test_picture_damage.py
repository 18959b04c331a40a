"""Whatever goes wrong with a picture is that picture's error, in one line; nothing else is run."""

from __future__ import annotations

import io
import random
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks.picture_seeds import seeds
from attacks.pictures import attack
from cca_runtime import BadInputError
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.pictures import from_pil, read_picture, readable_extensions
from cca_runtime.results import Encoded
from PIL import EpsImagePlugin, Image, ImageFile, TiffImagePlugin

ERRORS = [
    struct.error("unpack requires 4 bytes"), AttributeError("x"), ZeroDivisionError(),
    OverflowError("too\nlarge"), RecursionError(), NotImplementedError("\x1b[2J"), AssertionError(),
    SyntaxError("not a picture"), UserWarning("w"), RuntimeError("r"), EOFError(), KeyError(7),
    Image.DecompressionBombError("bomb"),
]  # fmt: skip


def as_file(image: Image.Image, kind: str, **settings: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


@pytest.mark.parametrize("error", [*ERRORS, MemoryError()], ids=lambda error: type(error).__name__)
def test_whatever_a_library_raises_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    data = seeds()["JPEG"][0]
    for attempt in (lambda: read_picture(data), lambda: from_pil(Image.open(io.BytesIO(data)))):
        with pytest.raises(BadInputError) as caught:
            attempt()
        assert str(caught.value).isprintable()
        if isinstance(error, MemoryError):
            assert "not enough memory" in str(caught.value)


def test_a_truncated_pil_image_fails_alone(default_codec: Codec) -> None:
    sound = Image.new("RGB", (64, 64), "grey")
    cut = Image.open(io.BytesIO(as_file(sound, "PNG")[:-30]))
    first, second, third = default_codec.encode_each([sound, cut, sound])
    assert isinstance(second, BadInputError)
    assert isinstance(first, Encoded)
    assert isinstance(third, Encoded)
    with pytest.raises(BadInputError, match="damaged"):
        default_codec.encode(Image.open(io.BytesIO(as_file(sound, "PNG")[:-30])))


def test_warnings_of_the_library_are_neither_shown_nor_raised(
    capfd: pytest.CaptureFixture[str],
) -> None:
    tiff = bytearray(seeds()["TIFF"][0])
    at = tiff.index(struct.pack("<HH", 282, 5))
    tiff[at + 8 : at + 12] = struct.pack("<I", 1 << 30)  # a value beyond the end of the file
    with warnings.catch_warnings(action="error"):
        before = list(warnings.filters)
        read_picture(bytes(tiff))
        assert warnings.filters == before
    assert capfd.readouterr() == ("", "")


def test_libtiff_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(as_file(Image.new("L", (64, 64), 7), "TIFF", compression="tiff_deflate"))
    with Image.open(io.BytesIO(data)) as image:
        data[image.tag_v2[273][0]] ^= 0xFF
    with pytest.raises(BadInputError, match="damaged"):
        read_picture(bytes(data))
    assert capfd.readouterr() == ("", "")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"


def test_no_other_program_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {mark}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # to be looked for again
    path = tmp_path / "photo.jpg"
    path.write_bytes(EPS)
    assert main(["encode", str(path)]) == 2
    assert "not a picture" in capsys.readouterr().err
    with pytest.raises(BadInputError, match="EPS"):
        from_pil(Image.open(io.BytesIO(EPS)))
    assert not mark.exists()


def test_only_what_people_send_is_opened() -> None:
    extensions = readable_extensions()
    assert {".jpg", ".png", ".webp", ".tif", ".avif", ".jp2", ".gif", ".bmp", ".ppm"} <= extensions
    others = {".eps", ".psd", ".dds", ".blp", ".ico", ".icns", ".tga", ".fits", ".wmf", ".pdf"}
    assert not others & extensions


@pytest.mark.parametrize("kind", ["ICO", "TGA", "DDS", "ICNS"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(BadInputError, match="not a picture in a format that is opened"):
        read_picture(as_file(Image.new("RGB", (64, 64)), kind))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF"])
def test_pages_are_not_counted_and_the_first_is_right(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Image.new("RGB", (16, 16), (200, 40, 40))
    others = [Image.new("RGB", (16, 16), (10, 10, 10 * n)) for n in range(3)]
    settings = {"lossless": True, "quality": 95}
    data = as_file(first, kind, save_all=True, append_images=others, **settings)

    def count(_: object) -> int:
        raise AssertionError("pages were counted")

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "n_frames", property(count))
    picture = read_picture(data)
    assert picture.notes == ("only the first picture of the file is kept",)
    assert np.abs(picture.pixels.astype(int) - (200, 40, 40)).max() <= 6
    with Image.open(io.BytesIO(data)) as image:
        again = from_pil(image)
    assert again.notes == picture.notes
    np.testing.assert_array_equal(again.pixels, picture.pixels)


def photograph(**settings: Any) -> bytes:
    noise = np.random.default_rng(8).integers(0, 256, (40, 56, 3), np.uint8)
    return as_file(Image.fromarray(noise), "JPEG", **settings)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_is_noted(progressive: bool) -> None:
    data = photograph(progressive=progressive)
    whole = read_picture(data)
    assert not whole.notes
    cut = read_picture(data[:-2])
    assert cut.notes == ("the JPEG file lacks its end marker",)
    np.testing.assert_array_equal(cut.pixels, whole.pixels)
    np.testing.assert_array_equal(read_picture(data + b"garbage \xff\xd8").pixels, whole.pixels)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_cut_off_is_refused(progressive: bool) -> None:
    data = photograph(progressive=progressive)
    for end in (*range(len(data) - 12, len(data) - 4), *range(100, len(data) - 12, 211)):
        with pytest.raises(BadInputError):
            read_picture(data[:end])


def test_a_progressive_jpeg_cut_between_its_scans_is_refused() -> None:
    data = photograph(progressive=True)
    scans = [match.start() for match in re.finditer(b"\xff\xda", data)]
    assert len(scans) > 3
    for end in scans[1:]:
        with pytest.raises(BadInputError, match="cut off"):
            read_picture(data[:end])


@pytest.mark.parametrize("no_jp2", [False, True])
def test_a_jpeg_2000_file_that_is_cut_off_is_refused(no_jp2: bool) -> None:
    noise = np.random.default_rng(8).integers(0, 256, (40, 56, 3), np.uint8)
    layers = {"quality_layers": [20], "irreversible": True}
    data = as_file(Image.fromarray(noise), "JPEG2000", no_jp2=no_jp2, **layers)
    read_picture(data)
    for end in range(100, len(data) - 1):
        with pytest.raises(BadInputError):
            read_picture(data[:end])


@pytest.mark.parametrize("kind", sorted(seeds()))
def test_every_seed_of_the_attacks_is_sound(kind: str) -> None:
    for data in seeds()[kind]:
        read_picture(data, "white")


@pytest.mark.parametrize("kind", sorted(seeds()))
def test_what_follows_a_picture_is_ignored(kind: str) -> None:
    for data in seeds()[kind]:
        alone = read_picture(data, "white")
        followed = read_picture(data + b"\n garbage \n" * 9, "white")
        np.testing.assert_array_equal(followed.pixels, alone.pixels)
        assert followed.notes == alone.notes


def test_damaged_pictures_are_borne() -> None:
    for seed in range(400):
        attack(random.Random(seed))
