"""Pictures of every kind come in as the right upright 8-bit RGB, and go out as they were."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from cca_runtime.errors import BadInputError
from cca_runtime.pictures import (
    EXTENSIONS,
    Picture,
    format_picture,
    from_array,
    from_pil,
    read_picture,
)
from icc_by_hand import gray_profile
from numpy.typing import NDArray
from PIL import Image, ImageCms

SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = 0x0112


def as_file(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


@pytest.fixture
def rgb() -> Image.Image:
    """A small picture in which no two rows, columns or channels are alike."""
    y, x = np.mgrid[0:20, 0:30]
    return Image.fromarray(np.stack([8 * x, 12 * y, 100 + 3 * x - 2 * y], -1).astype(np.uint8))


def test_rgb_comes_in_unchanged(rgb: Image.Image) -> None:
    for kind in ("PNG", "PPM", "TIFF", "BMP"):
        np.testing.assert_array_equal(read_picture(as_file(rgb, kind)).pixels, np.asarray(rgb))


def test_grey_becomes_equal_channels(rgb: Image.Image) -> None:
    grey = rgb.convert("L")
    pixels = read_picture(as_file(grey)).pixels
    np.testing.assert_array_equal(pixels, np.repeat(np.asarray(grey)[..., None], 3, axis=2))


def test_black_and_white_becomes_0_and_255(rgb: Image.Image) -> None:
    pixels = read_picture(as_file(rgb.convert("1"))).pixels
    assert set(np.unique(pixels)) == {0, 255}


def test_palette_comes_in_as_its_colours(rgb: Image.Image) -> None:
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    np.testing.assert_array_equal(
        read_picture(as_file(palette)).pixels, np.asarray(palette.convert("RGB"))
    )


def test_16_bit_grey_is_scaled_and_rounded() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    expected = np.round(values / 257.0).astype(np.uint8)
    for kind in ("PNG", "TIFF"):
        pixels = read_picture(as_file(Image.fromarray(values), kind)).pixels
        np.testing.assert_array_equal(pixels[..., 0], expected)


def test_more_than_16_bits_and_floats_are_refused() -> None:
    deep = Image.fromarray(np.array([[0, 1 << 20]], np.int32))
    with pytest.raises(BadInputError, match="16 bits"):
        read_picture(as_file(deep, "TIFF"))
    with pytest.raises(BadInputError, match="floating-point"):
        read_picture(as_file(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_and_not_kept(rgb: Image.Image, orientation: int) -> None:
    # Independent of Pillow's transposition: each orientation by numpy, from the EXIF standard.
    upright: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a),
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = "Maker"
    picture = read_picture(as_file(rgb, exif=exif))
    np.testing.assert_array_equal(picture.pixels, upright[orientation](np.asarray(rgb)))
    kept = Image.Exif()
    assert picture.exif is not None
    kept.load(picture.exif)
    assert kept.get(0x010F) == "Maker"
    assert kept.get(ORIENTATION, 1) == 1


def test_cmyk_without_profile_is_converted() -> None:
    cmyk = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    np.testing.assert_array_equal(read_picture(as_file(cmyk, "TIFF")).pixels[0, 0], [255, 0, 0])


def test_lab_is_converted_to_srgb() -> None:
    # CIE Lab (50, 0, 0) is the sRGB grey of luminance 0.184: 119 of 255.
    lab = Image.new("LAB", (4, 4), (128, 128, 128))
    pixels = from_pil(lab).pixels
    assert np.abs(pixels.astype(int) - 119).max() <= 2


def test_grey_with_a_linear_profile_is_converted_to_srgb(rgb: Image.Image) -> None:
    grey = rgb.convert("L")
    linear = gray_profile(gamma=1.0)
    pixels = read_picture(as_file(grey, icc_profile=linear)).pixels
    light = np.asarray(grey) / 255.0
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(pixels - expected[..., None]).max() <= 2
    assert read_picture(as_file(grey, icc_profile=linear)).icc is None


def test_rgb_keeps_its_values_and_its_profile(rgb: Image.Image) -> None:
    picture = read_picture(as_file(rgb, icc_profile=SRGB_ICC))
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))
    assert picture.icc == SRGB_ICC


def test_a_damaged_profile_is_dropped_with_a_note(rgb: Image.Image) -> None:
    picture = read_picture(as_file(rgb, icc_profile=b"x" * 200))
    assert picture.icc is None
    assert any("ICC" in note for note in picture.notes)


def with_alpha(rgb: Image.Image, mode: str) -> Image.Image:
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray(np.tile(np.array([0, 255], np.uint8), (20, 15))))
    return rgba.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused_without_a_background(rgb: Image.Image, mode: str) -> None:
    data = as_file(with_alpha(rgb, mode))
    with pytest.raises(BadInputError, match="--background"):
        read_picture(data)
    pixels = read_picture(data, "#ff8000").pixels
    np.testing.assert_array_equal(pixels[0, 0], [255, 128, 0])
    opaque = np.asarray(rgb.convert(mode.removesuffix("A") or "RGB").convert("RGB"))
    np.testing.assert_array_equal(pixels[:, 1::2], opaque[:, 1::2])


def test_palette_transparency_is_refused_without_a_background() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    data = as_file(palette, transparency=1)
    with pytest.raises(BadInputError, match="--background"):
        read_picture(data)
    np.testing.assert_array_equal(read_picture(data, "blue").pixels[0, 0], [0, 0, 255])


def test_opaque_alpha_is_dropped(rgb: Image.Image) -> None:
    np.testing.assert_array_equal(
        read_picture(as_file(rgb.convert("RGBA"))).pixels, np.asarray(rgb)
    )


def test_only_the_first_frame_is_kept_and_a_note_says_so(rgb: Image.Image) -> None:
    data = as_file(rgb, "TIFF", save_all=True, append_images=[rgb.rotate(180)])
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, np.asarray(rgb))
    assert picture.notes == ("only the first picture of the file is kept",)


def test_unreadable_data_is_one_clear_error(rgb: Image.Image) -> None:
    with pytest.raises(BadInputError, match="0 bytes"):
        read_picture(b"")
    with pytest.raises(BadInputError, match="not a picture"):
        read_picture(b"no picture at all")
    png = as_file(rgb)
    for cut in range(len(png) - 24):  # behind the pixels: two checksums and PNG's end mark
        with pytest.raises(BadInputError) as caught:
            read_picture(png[:cut])
        assert "\n" not in str(caught.value)


def test_size_limits() -> None:
    with pytest.raises(BadInputError, match="65535"):
        from_array(np.zeros((1, 65_536, 3), np.uint8))
    with pytest.raises(BadInputError, match="max_pixels"):
        read_picture(as_file(Image.new("RGB", (20, 20))), max_pixels=399)


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 4, 4), (4,), (2, 4, 4, 3), (4, 4, 2)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError):
        from_array(np.zeros(shape, np.uint8))


def test_arrays_of_other_types_are_refused() -> None:
    with pytest.raises(BadInputError, match="float32"):
        from_array(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_pictures_go_out_with_their_metadata(rgb: Image.Image, extension: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    picture = Picture(np.asarray(rgb), SRGB_ICC, exif.tobytes(), xmp)
    again = read_picture(format_picture(picture, extension).data)
    if extension in {".jpg", ".jpeg"}:
        assert np.abs(again.pixels.astype(int) - picture.pixels).mean() < 2
    else:
        np.testing.assert_array_equal(again.pixels, picture.pixels)
    if extension != ".ppm":
        assert again.icc == SRGB_ICC
        assert again.xmp == xmp
        kept = Image.Exif()
        kept.load(again.exif or b"")
        assert kept[0x010F] == "Maker"


def test_a_format_that_cannot_hold_the_picture_says_so() -> None:
    wide = Picture(np.zeros((1, 20_000, 3), np.uint8))
    with pytest.raises(BadInputError, match="another format"):
        format_picture(wide, ".webp")
    with pytest.raises(BadInputError, match="choose one of"):
        format_picture(wide, ".gif")
