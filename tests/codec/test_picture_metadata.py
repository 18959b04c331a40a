"""What travels beside the pixels: EXIF, XMP, resolution; and the notes that say what does not."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from attacks.picture_seeds import SRGB_ICC, XMP, png_chunk, seeds, with_chunks
from cca_runtime.pictures import Picture, format_picture, from_pil, read_picture
from locations import ROOT
from PIL import Image, PngImagePlugin

CASES = ROOT / "tests" / "data" / "cases"
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT = 0x0112, 0x011A, 0x011B, 0x0128
CAMERA, GPS, ACROSS, DOWN = 0x8769, 0x8825, 0xA002, 0xA003


def as_file(image: Image.Image, kind: str, **settings: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def parsed(exif: bytes | None) -> Image.Exif:
    """By Pillow, which has no part in writing it."""
    assert exif is not None
    result = Image.Exif()
    result.load(exif)
    return result


def camera_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = orientation, "Maker"
    exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[UNIT] = 300.0, 200.0, 2
    exif[256], exif[257] = 30, 20
    camera = exif.get_ifd(CAMERA)
    camera[ACROSS], camera[DOWN], camera[0x927C] = 30, 20, b"maker note"
    exif.get_ifd(GPS)[1] = "N"
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_exif_says_what_an_upright_picture_is(kind: str, orientation: int) -> None:
    sent = camera_exif(orientation)
    picture = read_picture(as_file(Image.new("RGB", (30, 20)), kind, exif=sent))
    size = (20, 30) if orientation == 6 else (30, 20)
    assert picture.pixels.shape[1::-1] == size
    exif = parsed(picture.exif)
    assert ORIENTATION not in exif
    assert (256 in exif, 257 in exif) == (False, False)
    camera = exif.get_ifd(CAMERA)
    assert (camera[ACROSS], camera[DOWN]) == size
    assert camera[0x927C] == b"maker note"
    assert exif.get_ifd(GPS)[1] == "N"
    resolutions = (200, 300) if orientation == 6 else (300, 200)
    assert (exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[UNIT]) == (*resolutions, 2)
    assert not picture.notes


def test_tiff_is_turned_once() -> None:
    turned = Image.new("RGB", (30, 20))
    turned.putpixel((0, 0), (255, 0, 0))
    picture = read_picture(as_file(turned, "TIFF", exif=camera_exif(6)))
    assert picture.pixels.shape == (30, 20, 3)
    np.testing.assert_array_equal(picture.pixels[0, -1], [255, 0, 0])
    exif = parsed(picture.exif)
    assert (exif[X_RESOLUTION], exif[Y_RESOLUTION]) == (200, 300)
    assert not {ORIENTATION, 256, 257, 273, 279} & set(exif)


def test_exif_and_gps_of_tiff_are_kept_without_what_is_the_files_own() -> None:
    picture = read_picture((CASES / "tiff_exif_gps.tif").read_bytes())
    with Image.open(CASES / "tiff_exif_gps.tif") as image:
        sent = image.getexif()
        gps, camera = dict(sent.get_ifd(GPS)), dict(sent.get_ifd(CAMERA))
    exif = parsed(picture.exif)
    assert gps
    assert dict(exif.get_ifd(GPS)) == gps
    assert dict(exif.get_ifd(CAMERA)) == camera
    assert (exif[0x010F], exif[0x0110], exif[0x013B]) == ("Canon", "X1", "Me")
    assert not {256, 258, 259, 262, 273, 277, 279, 700, 33723} & set(exif)
    assert picture.xmp is not None
    assert b"Hallo" in picture.xmp


def test_a_thumbnail_is_not_kept() -> None:
    exif = camera_exif(6).tobytes()
    thumbnail = as_file(Image.new("RGB", (8, 8)), "JPEG")
    # Behind the data comes another directory: JPEGInterchangeFormat and its length.
    second = struct.pack(">HHHIIHHIII", 2, 513, 4, 1, 0, 514, 4, 1, len(thumbnail), 0)
    count = int.from_bytes(exif[14:16], "big")
    link = 16 + 12 * count
    linked = exif[:link] + (len(exif) - 6).to_bytes(4, "big") + exif[link + 4 :]
    data = as_file(Image.new("RGB", (30, 20)), "JPEG", exif=linked + second + thumbnail)
    picture = read_picture(data)
    assert thumbnail not in (picture.exif or b"")
    assert parsed(picture.exif).get_ifd(CAMERA)[ACROSS] == 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_resolution_is_kept_and_written(kind: str, extension: str) -> None:
    picture = read_picture(as_file(Image.new("RGB", (30, 20)), kind, dpi=(300, 200)))
    exif = parsed(picture.exif)
    assert (exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[UNIT]) == (300, 200, 2)
    out = format_picture(picture, extension)
    assert not out.notes
    with Image.open(io.BytesIO(out.data)) as image:
        image.info.pop("exif", None)
        assert np.allclose(image.info["dpi"], (300, 200), atol=0.1)


def test_what_everybody_takes_for_granted_costs_no_bytes() -> None:
    assert read_picture(as_file(Image.new("RGB", (3, 2)), "JPEG", dpi=(72, 72))).exif is None


def test_xmp_does_not_turn_the_picture_again() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    element = XMP.replace(b" tiff:Orientation='6'/>", b"><tiff:Orientation>6</tiff:Orientation>")
    for packet in (XMP, element):
        picture = read_picture(as_file(Image.new("RGB", (9, 4)), "JPEG", exif=exif, xmp=packet))
        assert picture.pixels.shape == (9, 4, 3)
        assert picture.xmp is not None
        assert b"Orientation" not in picture.xmp
        assert b"x:xmpmeta" in picture.xmp


def test_one_note_names_all_that_is_left_out() -> None:
    text = PngImagePlugin.PngInfo()
    for key in ("Author", "parameters"):
        text.add_text(key, "x", zip=True)
    assert read_picture(as_file(Image.new("RGB", (3, 2)), "PNG", pnginfo=text)).notes == (
        "left out: text 'Author', text 'parameters'",
    )
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0"
    jpeg = as_file(Image.new("RGB", (3, 2)), "JPEG", comment=b"x")
    segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    picture = read_picture(jpeg[:2] + segment + jpeg[2:])
    assert picture.notes == ("left out: IPTC, comment",)


def test_names_that_a_file_chooses_cannot_control_a_terminal() -> None:
    png = as_file(Image.new("RGB", (3, 2)), "PNG")
    key = b"\x1b[31m\nred" + bytes(range(128, 160))
    (note,) = read_picture(with_chunks(png, png_chunk(b"tEXt", key[:79] + b"\0x"))).notes
    assert note.isprintable()


DAMAGED_EXIF = {
    "garbage": b"garbage!" * 5,
    "two headers": b"Exif\0\0Exif\0\0" + camera_exif(6).tobytes()[6:],
    "orientation is a text": b"II*\0\x08\0\0\0\1\0\x12\1\2\0\2\0\0\0006\0\0\0\0\0\0\0",
    "value beyond the end": b"II*\0\x08\0\0\0\1\0\x0f\1\2\0\xff\xff\0\0\xff\0\0\0\0\0\0\0",
    "directory beyond the end": b"II*\0\xff\xff\xff\x7f",
    "points to itself": b"II*\0\x08\0\0\0\1\0\x69\x87\2\0\1\0\0\0\x08\0\0\0\0\0\0\0",
    "unknown type": b"II*\0\x08\0\0\0\1\0\x0f\1\x63\0\1\0\0\0\0\0\0\0\0\0\0\0",
    "too many entries": b"MM\0*\0\0\0\x08\xff\xff" + bytes(40),
}


@pytest.mark.parametrize("name", DAMAGED_EXIF)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_of_a_sound_picture_is_a_note(
    name: str, kind: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    rgb = Image.fromarray(np.arange(600, dtype=np.uint8).reshape(10, 20, 3))
    sound = read_picture(as_file(rgb, kind, lossless=True)).pixels
    exif = b"Exif\0\0" + DAMAGED_EXIF[name]
    data = as_file(rgb, kind, lossless=True, exif=exif)
    recwarn.clear()
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, sound)
    assert picture.notes == ("the EXIF data are damaged: only what can be read is kept",)
    with Image.open(io.BytesIO(data)) as image:
        recwarn.clear()
        assert from_pil(image).pixels.shape == sound.shape
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_damaged_exif_of_avif_is_a_note() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    data = as_file(Image.new("RGB", (30, 20), "teal"), "AVIF", exif=exif)
    assert b"MM\0*" in data
    picture = read_picture(data.replace(b"MM\0*", b"garb"))
    np.testing.assert_array_equal(picture.pixels, read_picture(data).pixels)
    assert picture.notes == ("the EXIF data are damaged and are dropped",)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("xmp", [b"\xff\xfe<\0x\0", b"<x\0/>", b"no markup"])
def test_damaged_xmp_of_a_sound_picture_is_a_note(kind: str, xmp: bytes) -> None:
    picture = read_picture(as_file(Image.new("RGB", (3, 2)), kind, xmp=xmp))
    assert picture.notes == ("the XMP data are damaged and are dropped",)
    assert picture.xmp is None


@pytest.mark.parametrize("kind", ["iCCP", "zTXt", "iTXt", "eXIf", "tEXt", "gAMA", "cICP", "pHYs"])
def test_damaged_chunks_of_a_sound_png_are_a_note(kind: str) -> None:
    png = seeds()["PNG"][3]
    chunk = bytearray(png_chunk(kind.encode(), b"x\0\0broken"))
    chunk[-1] ^= 1
    picture = read_picture(with_chunks(png, bytes(chunk)), "white")
    assert picture.notes == (f"damaged chunks are dropped ({kind})",)


def test_png_may_have_a_profile_of_more_than_a_megabyte() -> None:
    # Noise behind the last tag, which deflate cannot shrink.
    noise = np.random.default_rng(3).integers(0, 256, 3 << 20, np.uint8).tobytes()
    large = (len(SRGB_ICC) + len(noise)).to_bytes(4, "big") + SRGB_ICC[4:] + noise
    picture = read_picture(as_file(Image.new("RGB", (3, 2)), "PNG", icc_profile=large))
    assert picture.icc == large


def test_a_profile_that_unpacks_without_end_is_dropped() -> None:
    large = as_file(Image.new("RGB", (3, 2)), "PNG", icc_profile=bytes(40 << 20))
    assert len(large) < 1 << 20
    picture = read_picture(large)
    assert picture.icc is None
    assert picture.notes == ("the ICC profile is damaged and is dropped",)


def test_changes_that_a_program_made_to_a_pil_image_are_kept() -> None:
    with Image.open(io.BytesIO(as_file(Image.new("RGB", (3, 2)), "JPEG"))) as image:
        image.getexif()[0x010F] = "Maker"
        assert parsed(from_pil(image).exif)[0x010F] == "Maker"


SECTIONS = {"icc": SRGB_ICC + bytes(17 << 20), "exif": bytes(70_000), "xmp": b"<x>" + b" " * 70_000}


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".ppm"])
@pytest.mark.parametrize("name", SECTIONS)
def test_what_a_format_cannot_hold_is_left_out_with_a_note(extension: str, name: str) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    sections = dict(SECTIONS)
    sections["exif"] = camera_exif(1).tobytes()[:-10] + bytes(70_000)
    out = format_picture(Picture(pixels, **{name: sections[name]}), extension)
    fits = name != "icc" and extension in {".png", ".webp"}
    assert bool(out.notes) != fits
    assert all(name.upper() in note for note in out.notes)
    assert read_picture(out.data).pixels.shape == pixels.shape


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".ppm"])
@pytest.mark.parametrize("garbage", [b"\xff\xfe\0garbage", b"\0" * 200, b"x" * 200])
def test_damaged_metadata_of_a_stream_never_break_writing(extension: str, garbage: bytes) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    out = format_picture(Picture(pixels, garbage, garbage, garbage), extension)
    assert len(out.notes) == 3
    again = read_picture(out.data)
    assert (again.icc, again.exif, again.xmp, again.notes) == (None, None, None, ())


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
def test_exif_as_other_encoders_may_store_it_is_kept(extension: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    bare = exif.tobytes().removeprefix(b"Exif\0\0")
    written = format_picture(Picture(np.zeros((8, 8, 3), np.uint8), exif=bare), extension)
    assert written.notes == ()
    with Image.open(io.BytesIO(written.data)) as image:
        assert image.getexif()[0x010F] == "Maker"
