"""Samples of every depth and kind become the right 8 bits, or are refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from attacks.picture_seeds import png_chunk, with_chunks
from cca_runtime import BadInputError
from cca_runtime.pictures import read_picture
from numpy.typing import NDArray
from PIL import Image

LEVELS = np.array([[0, 1, 128, 129, 255, 256, 257, 32_768, 65_406, 65_407, 65_535]], np.uint16)
"""Where rounding to 8 bits is not cutting off, among others."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSIGNED, SIGNED = 1, 2


def tiff(
    samples: bytes, width: int, bits: int, *, channels: int = 1, order: str = "<", **tags: int
) -> bytes:
    """A TIFF of one row and one strip, from the TIFF 6.0 specification."""
    entries = {
        256: width, 257: 1, 258: bits, 259: 1, 262: tags.get("photometric", BLACK_IS_ZERO),
        273: 0, 277: channels, 278: 1, 279: len(samples), 284: tags.get("planes", 1),
        339: tags.get("kind", UNSIGNED),
    }  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    places = b""
    if channels > 1:
        places = struct.pack(f"{order}{channels}H", *[bits] * channels)
        entries[258] = start
    entries[273] = start + len(places)
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, value in entries.items():
        count = channels if tag == 258 else 1
        if count > 1 or tag in (256, 257, 273, 279):
            kind = 3 if tag == 258 else 4
            data += struct.pack(order + "HHII", tag, kind, count, value)
        else:
            data += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    return data + bytes(4) + places + samples


def png(values: NDArray[np.uint16], colour_type: int) -> bytes:
    """A PNG of 16 bits, from its specification; Pillow cannot write most of them."""
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    size = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = png_chunk(b"IHDR", size), png_chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def in_8_bits(values: NDArray[np.uint16], maximum: int = 65_535) -> NDArray[np.uint8]:
    return np.floor(values.astype(np.float64) * 255 / maximum + 0.5).astype(np.uint8)


@pytest.mark.parametrize("order", "<>")
def test_16_bit_grey_of_both_byte_orders(order: str) -> None:
    data = tiff(LEVELS.astype(order + "u2").tobytes(), LEVELS.size, 16, order=order)
    np.testing.assert_array_equal(read_picture(data).pixels[..., 0], in_8_bits(LEVELS))


def test_12_bit_grey_is_as_bright_as_it_should_be() -> None:
    values = np.array([[0, 1, 8, 9, 2048, 4087, 4088, 4095]], np.uint16)
    # Two samples in three bytes.
    bits = "".join(f"{value:012b}" for value in values[0])
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    pixels = read_picture(tiff(packed, values.size, 12)).pixels
    np.testing.assert_array_equal(pixels[..., 0], in_8_bits(values, 4095))


def test_16_bit_white_is_zero_is_turned_over() -> None:
    data = tiff(LEVELS.astype("<u2").tobytes(), LEVELS.size, 16, photometric=WHITE_IS_ZERO)
    np.testing.assert_array_equal(read_picture(data).pixels[..., 0], in_8_bits(65_535 - LEVELS))


@pytest.mark.parametrize("bits", [8, 16])
def test_signed_samples_are_refused(bits: int) -> None:
    with pytest.raises(BadInputError, match="signed"):
        read_picture(tiff(bytes(8), 4, bits, kind=SIGNED))


def test_32_bits_are_refused_however_small_the_numbers() -> None:
    with pytest.raises(BadInputError, match="16 bits"):
        read_picture(tiff(bytes(16), 4, 32))


def test_16_bit_planes_are_refused() -> None:
    data = tiff(bytes(24), 4, 16, channels=3, photometric=RGB, planes=2)
    with pytest.raises(BadInputError, match="planes"):
        read_picture(data)


@pytest.mark.parametrize("order", "<>")
def test_16_bit_colours_in_tiff_are_rounded(order: str) -> None:
    values = np.stack([LEVELS, LEVELS[:, ::-1], 65_535 - LEVELS], -1)
    samples = values.astype(order + "u2").tobytes()
    data = tiff(samples, LEVELS.size, 16, channels=3, order=order, photometric=RGB)
    np.testing.assert_array_equal(read_picture(data).pixels, in_8_bits(values))


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 1), (6, 3)])
def test_16_bit_png_is_rounded(colour_type: int, channels: int) -> None:
    colours = np.stack([LEVELS, LEVELS[:, ::-1], 65_535 - LEVELS], -1)[..., :channels]
    opaque = np.full_like(LEVELS, 65_535)[..., None]
    values = np.concatenate([colours, opaque], -1) if colour_type & 4 else colours
    pixels = read_picture(png(values, colour_type)).pixels
    np.testing.assert_array_equal(pixels[..., :channels], in_8_bits(colours))


def test_a_transparent_colour_is_compared_in_16_bits() -> None:
    grey = np.array([[1000, 1001, 2000]], np.uint16)
    data = with_chunks(png(grey, 0), png_chunk(b"tRNS", struct.pack(">H", 1001)))
    with pytest.raises(BadInputError, match="--background"):
        read_picture(data)
    expected = in_8_bits(grey)
    expected[0, 1] = 255
    np.testing.assert_array_equal(read_picture(data, "white").pixels[..., 0], expected)
    colours = np.repeat(grey[..., None], 3, 2)
    key = png_chunk(b"tRNS", struct.pack(">3H", 1001, 1001, 1001))
    pixels = read_picture(with_chunks(png(colours, 2), key), "red").pixels
    np.testing.assert_array_equal(pixels[0, 1], [255, 0, 0])
    np.testing.assert_array_equal(pixels[0, ::2], in_8_bits(colours)[0, ::2])


def test_a_transparent_colour_that_is_not_there_changes_nothing() -> None:
    data = with_chunks(png(LEVELS, 0), png_chunk(b"tRNS", struct.pack(">H", 12_345)))
    np.testing.assert_array_equal(read_picture(data).pixels[..., 0], in_8_bits(LEVELS))


def test_a_transparent_colour_of_4_bits() -> None:
    size = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", size), png_chunk(b"tRNS", struct.pack(">H", 5))]
    chunks += [png_chunk(b"IDAT", zlib.compress(b"\0\x05\xf5")), png_chunk(b"IEND", b"")]
    pixels = read_picture(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), "red").pixels
    np.testing.assert_array_equal(pixels[0, 1], [255, 0, 0])
    np.testing.assert_array_equal(pixels[0, 2], [255, 255, 255])
    np.testing.assert_array_equal(pixels[0, 3], [255, 0, 0])


@pytest.mark.parametrize("scale", [1, 257])
def test_colour_maps_of_8_and_16_bits(scale: int) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    out = io.BytesIO()
    palette.save(out, "TIFF")
    data = out.getvalue()
    with Image.open(io.BytesIO(data)) as image:
        levels = image.tag_v2[320]
    packed = struct.pack(f"<{len(levels)}H", *levels)
    smaller = struct.pack(f"<{len(levels)}H", *(level // 256 * scale for level in levels))
    assert packed in data
    pixels = read_picture(data.replace(packed, smaller)).pixels
    np.testing.assert_array_equal(pixels[0], [[10, 20, 30], [200, 100, 50]])


def test_deep_colours_of_jpeg_2000_are_refused() -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(out, "JPEG2000", no_jp2=True)
    data = bytearray(out.getvalue())
    data[42:51:3] = bytes([15]) * 3  # SIZ: 16 bits a sample
    with pytest.raises(BadInputError, match="16 bits a sample"):
        read_picture(bytes(data))


@pytest.mark.parametrize("maximum", [1, 5, 99, 255, 1000, 65_535])
def test_ppm_of_any_maximum(maximum: int) -> None:
    values = np.linspace(0, maximum, 12).astype(np.uint16).reshape(1, 4, 3)
    raw = values.astype(">u2" if maximum > 255 else np.uint8).tobytes()
    pixels = read_picture(b"P6\n4 1\n%d\n" % maximum + raw).pixels
    assert np.abs(pixels - values * 255.0 / maximum).max() <= 0.5
    plain = b" ".join(b"%d" % value for value in values.ravel())
    np.testing.assert_array_equal(read_picture(b"P3 4 1 %d " % maximum + plain).pixels, pixels)
