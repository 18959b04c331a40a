"""Colours come in as sRGB, or with the profile that says what they are, or not at all."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from attacks.picture_seeds import SRGB_ICC, png_chunk, with_chunks
from cca_runtime import BadInputError
from cca_runtime.pictures import Pixels, from_pil, read_picture
from icc_by_hand import gray_profile
from locations import ROOT
from numpy.typing import NDArray
from PIL import Image, ImageCms

D65 = (0.3127, 0.3290)
SRGB = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
DISPLAY_P3 = (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
BT_2020 = (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
ADOBE_RGB = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)

Floats = NDArray[np.float64]


def as_file(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


@pytest.fixture
def rgb() -> Image.Image:
    """Dull colours, which every space has."""
    y, x = np.mgrid[0:16, 0:24]
    dull = np.stack([90 + 4 * x, 100 + 5 * y, 120 + 2 * x - 2 * y], -1)
    return Image.fromarray(dull.astype(np.uint8))


def srgb_of_light(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_light(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_xyz(chromaticities: tuple[float, ...]) -> Floats:
    """The matrix from linear RGB (SMPTE RP 177)."""
    xy = np.array(chromaticities).reshape(4, 2)
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
    return columns[:, 1:] * np.linalg.solve(columns[:, 1:], columns[:, 0])


def in_srgb(light: Floats, chromaticities: tuple[float, ...]) -> Floats:
    """sRGB's values of light in another space with the same white."""
    matrix = np.linalg.inv(to_xyz(SRGB)) @ to_xyz(chromaticities)
    return srgb_of_light(light @ matrix.T)


def shown(pixels: Pixels, icc: bytes | None) -> Floats:
    """What a viewer shows, by littleCMS."""
    assert icc is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(Image.fromarray(pixels), profile, srgb)
    assert converted is not None
    return np.asarray(converted).astype(np.float64)


def gamma(value: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chromaticities(values: tuple[float, ...]) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(v * 100_000) for v in values)))


def code_points(*values: int) -> bytes:
    return png_chunk(b"cICP", bytes(values))


@pytest.mark.parametrize("exponent", [1.0, 0.5556, 0.625])
def test_a_gamma_becomes_srgb(rgb: Image.Image, exponent: float) -> None:
    picture = read_picture(with_chunks(as_file(rgb), gamma(exponent)))
    expected = srgb_of_light((np.asarray(rgb) / 255.0) ** (1 / exponent))
    assert np.abs(picture.pixels - expected).max() <= 0.51
    assert picture.icc is None


def test_a_gamma_of_16_bit_grey_loses_no_shadows() -> None:
    values = np.arange(0, 1000, 20, dtype=np.uint16)[None]
    pixels = read_picture(with_chunks(as_file(Image.fromarray(values)), gamma(1.0))).pixels
    assert np.abs(pixels[..., 0] - srgb_of_light(values / 65_535.0)).max() <= 0.51


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.45455)],
        [gamma(0.45455), chromaticities(SRGB)],
        [gamma(1.0), png_chunk(b"sRGB", b"\0")],
        [gamma(0.00001)],
        [code_points(1, 13, 0, 1), gamma(1.0)],
        [code_points(2, 2, 0, 1)],
    ],
)
def test_srgb_by_any_name_keeps_its_values(rgb: Image.Image, chunks: list[bytes]) -> None:
    picture = read_picture(with_chunks(as_file(rgb), *chunks))
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))
    assert picture.icc is None


def test_a_profile_goes_before_gamma_and_code_points_before_a_profile(rgb: Image.Image) -> None:
    data = as_file(rgb, icc_profile=SRGB_ICC)
    picture = read_picture(with_chunks(data, gamma(1.0), chromaticities(BT_2020)))
    assert picture.icc == SRGB_ICC
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))
    other = read_picture(with_chunks(data, code_points(12, 13, 0, 1))).icc
    assert other != SRGB_ICC
    assert other is not None


def test_chromaticities_become_a_profile(rgb: Image.Image) -> None:
    picture = read_picture(with_chunks(as_file(rgb), gamma(1.0), chromaticities(DISPLAY_P3)))
    expected = in_srgb(np.asarray(rgb) / 255.0, DISPLAY_P3)
    assert np.abs(shown(picture.pixels, picture.icc) - expected).max() <= 2


@pytest.mark.parametrize(
    ("primaries", "space"), [(1, SRGB), (12, DISPLAY_P3), (9, BT_2020)], ids=["srgb", "p3", "2020"]
)
@pytest.mark.parametrize("transfer", [13, 1, 4, 8])
def test_code_points_become_a_profile(
    rgb: Image.Image, primaries: int, space: tuple[float, ...], transfer: int
) -> None:
    if (primaries, transfer) == (1, 13):
        return
    picture = read_picture(with_chunks(as_file(rgb), code_points(primaries, transfer, 0, 1)))
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))
    values = np.asarray(rgb) / 255.0
    light = {
        13: srgb_light(values),
        1: np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45)),
        4: values**2.2,
        8: values,
    }[transfer]
    assert np.abs(shown(picture.pixels, picture.icc) - in_srgb(light, space)).max() <= 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((9, 16, 0, 1), "PQ"),
        ((9, 18, 0, 1), "HLG"),
        ((1, 13, 0, 0), "full range"),
        ((1, 13, 1, 1), "full range"),
        ((1, 9, 0, 1), "transfer function 9"),
        ((99, 13, 0, 1), "primaries 99"),
    ],
)
def test_colours_for_other_screens_are_refused(
    rgb: Image.Image, values: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(BadInputError, match=reason):
        read_picture(with_chunks(as_file(rgb), code_points(*values)))


def test_pil_images_say_their_colours_as_well(rgb: Image.Image) -> None:
    png, avif = as_file(rgb), as_file(rgb, "AVIF")
    srgb = b"nclx" + struct.pack(">HH", 1, 13)
    wide = with_chunks(png, code_points(12, 13, 0, 1))
    with Image.open(io.BytesIO(wide)) as image:
        assert from_pil(image).icc == read_picture(wide).icc is not None
    linear = with_chunks(png, gamma(1.0))
    with Image.open(io.BytesIO(linear)) as image:
        np.testing.assert_array_equal(from_pil(image).pixels, read_picture(linear).pixels)
    for high_range in (
        with_chunks(png, code_points(9, 16, 0, 1)),
        avif.replace(srgb, b"nclx" + struct.pack(">HH", 9, 16)),
    ):
        with Image.open(io.BytesIO(high_range)) as image, pytest.raises(BadInputError, match="PQ"):
            from_pil(image)


def test_avif_says_its_colours_as_well(rgb: Image.Image) -> None:
    data = as_file(rgb, "AVIF", quality=100, subsampling="4:4:4")
    usual = b"nclx" + struct.pack(">HH", 1, 13)
    assert usual in data
    picture = read_picture(data.replace(usual, b"nclx" + struct.pack(">HH", 12, 13)))
    expected = in_srgb(srgb_light(np.asarray(rgb) / 255.0), DISPLAY_P3)
    assert np.abs(shown(picture.pixels, picture.icc) - expected).max() <= 6
    with pytest.raises(BadInputError, match="PQ"):
        read_picture(data.replace(usual, b"nclx" + struct.pack(">HH", 9, 16)))


def test_the_profile_of_jpeg_2000_is_kept(rgb: Image.Image) -> None:
    data = as_file(rgb, "JPEG2000")
    srgb = b"colr\1\0\0" + struct.pack(">I", 16)
    at = data.index(srgb) - 4
    box = struct.pack(">I", 11 + len(SRGB_ICC)) + b"colr\2\0\0" + SRGB_ICC
    header = data.index(b"jp2h") - 4
    longer = int.from_bytes(data[header : header + 4], "big") + len(box) - 15
    parts = data[:header], struct.pack(">I", longer), data[header + 4 : at], box, data[at + 15 :]
    assert read_picture(b"".join(parts)).icc == SRGB_ICC
    lab = data[:at] + data[at:].replace(srgb, b"colr\1\0\0" + struct.pack(">I", 14), 1)
    with pytest.raises(BadInputError, match="colour space 14"):
        read_picture(lab)


def test_the_profile_of_bmp_is_kept(rgb: Image.Image) -> None:
    data = as_file(rgb, "BMP")
    pixels = data[54:]
    fifth = bytearray(124)
    fifth[:40] = struct.pack("<I", 124) + data[18:54]
    fifth[56:60] = struct.pack("<I", int.from_bytes(b"MBED", "big"))
    fifth[112:120] = struct.pack("<II", 124 + len(pixels), len(SRGB_ICC))
    start = struct.pack("<I", 14 + 124)
    picture = read_picture(data[:10] + start + bytes(fifth) + pixels + SRGB_ICC)
    assert picture.icc == SRGB_ICC
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))


def test_grey_and_alpha_go_through_a_grey_profile() -> None:
    data = (ROOT / "tests/data/cases/la_opaque_icc_g10.png").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        grey = np.asarray(image)[..., 0]
    picture = read_picture(data)
    assert np.abs(picture.pixels[..., 0] - srgb_of_light(grey / 255.0)).max() <= 1
    assert picture.icc is None


def test_16_bit_grey_goes_through_its_profile_in_16_bits() -> None:
    values = np.arange(0, 2000, 40, dtype=np.uint16)[None]
    picture = read_picture(as_file(Image.fromarray(values), icc_profile=gray_profile(1.0)))
    assert np.abs(picture.pixels[..., 0] - srgb_of_light(values / 65_535.0)).max() <= 1


def test_a_background_is_the_same_colour_in_every_space() -> None:
    clear = as_file(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))
    picture = read_picture(with_chunks(clear, code_points(12, 8, 0, 1)), "#c08040")
    assert np.abs(shown(picture.pixels, picture.icc)[0, 0] - [0xC0, 0x80, 0x40]).max() <= 3


def test_adobe_rgb_by_exif_alone_gets_a_profile(rgb: Image.Image) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65_535
    camera = {0xA001: 65_535, 0xA005: {1: "R03"}}
    exif._ifds[0x8769] = camera
    data = as_file(rgb, "JPEG", exif=exif, quality=100, subsampling=0)
    picture = read_picture(data)
    expected = in_srgb((np.asarray(rgb) / 255.0) ** (563 / 256), ADOBE_RGB)
    assert np.abs(shown(picture.pixels, picture.icc) - expected).max() <= 5


def test_uncalibrated_colours_are_noted(rgb: Image.Image) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65_535
    picture = read_picture(as_file(rgb, "JPEG", exif=exif))
    assert picture.icc is None
    assert "EXIF says that the colours are not sRGB" in picture.notes[0]
    assert not read_picture(as_file(rgb, "JPEG", exif=exif, icc_profile=SRGB_ICC)).notes


@pytest.mark.parametrize(
    ("place", "content"),
    [(12, b"link"), (16, b"CMYK"), (16, b"GRAY"), (36, b"xxxx"), (128, b"\0\0\0\0")],
)
def test_profiles_of_no_use_are_dropped_with_a_note(
    rgb: Image.Image, place: int, content: bytes
) -> None:
    icc = SRGB_ICC[:place] + content + SRGB_ICC[place + 4 :]
    picture = read_picture(as_file(rgb, icc_profile=icc))
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))
    assert picture.icc is None
    assert "ICC" in picture.notes[0]
