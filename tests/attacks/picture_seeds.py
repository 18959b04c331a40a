"""Small sound pictures of every format that is opened, to be damaged."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='r' xmlns:tiff='t'>"
    b"<rdf:Description tiff:Orientation='6'/></rdf:RDF></x:xmpmeta>"
)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its right length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks, right behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def exif() -> Image.Exif:
    """EXIF data with every directory."""
    data = Image.Exif()
    data[0x0112] = 6
    data[0x010F] = "Maker"
    data[0x011A], data[0x011B], data[0x0128] = 300.0, 200.0, 2
    camera = data.get_ifd(0x8769)
    camera[0xA001], camera[0xA002], camera[0xA003] = 65535, 24, 16
    camera[0x927C] = b"maker note" * 5
    data.get_ifd(0x8825)[0x0001] = "N"
    return data


@cache
def seeds() -> dict[str, list[bytes]]:
    """Files by Pillow's name of their format."""
    y, x = np.mgrid[0:16, 0:24]
    rgb = Image.fromarray(np.stack([10 * x, 15 * y, 99 + 3 * x - 2 * y], -1).astype(np.uint8))
    grey = rgb.convert("L")
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) << 8) + 77)
    alpha = rgb.convert("RGBA")
    alpha.putalpha(grey)
    palette = rgb.quantize(16)
    beside = {"exif": exif(), "icc_profile": SRGB_ICC}
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    text.add_text("Author", "me", zip=True)

    def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
        out = io.BytesIO()
        image.save(out, kind, **settings)
        return out.getvalue()

    def two_frames(kind: str, **settings: object) -> bytes:
        first, second = rgb.copy(), rgb.rotate(180)  # Pillow remembers how it saved the last time
        return saved(first, kind, save_all=True, append_images=[second], **settings)

    gamma = png_chunk(b"gAMA", struct.pack(">I", 100_000))
    points = png_chunk(b"cHRM", struct.pack(">8I", *range(10_000, 90_000, 10_000)))
    code_points = png_chunk(b"cICP", bytes([12, 13, 0, 1]))
    return {
        "PNG": [
            saved(rgb, "PNG", pnginfo=text, dpi=(300, 300), **beside),
            saved(deep, "PNG", transparency=1234),
            saved(palette, "PNG", transparency=3),
            saved(alpha, "PNG"),
            two_frames("PNG"),
            with_chunks(saved(rgb, "PNG"), gamma, points),
            with_chunks(saved(grey.convert("LA"), "PNG"), code_points),
        ],
        "JPEG": [
            saved(rgb, "JPEG", xmp=XMP, comment=b"hello", dpi=(300, 300), **beside),
            saved(rgb, "JPEG", progressive=True),
            saved(grey, "JPEG"),
            saved(rgb.convert("CMYK"), "JPEG"),
            two_frames("MPO"),
        ],
        "TIFF": [
            saved(rgb, "TIFF", dpi=(300, 300), **beside),
            two_frames("TIFF", compression="tiff_lzw"),
            saved(deep, "TIFF", compression="tiff_deflate"),
            saved(rgb.convert("CMYK"), "TIFF"),
            saved(rgb.convert("YCbCr"), "TIFF"),
            saved(rgb.convert("1"), "TIFF", compression="group4"),
            saved(palette, "TIFF"),
            saved(alpha, "TIFF"),
            saved(rgb, "TIFF", compression="jpeg"),
            saved(rgb, "TIFF", big_tiff=True),
        ],
        "WEBP": [
            saved(rgb, "WEBP", xmp=XMP, **beside),
            saved(alpha, "WEBP", lossless=True),
            two_frames("WEBP"),
        ],
        "AVIF": [saved(rgb, "AVIF", xmp=XMP, **beside), two_frames("AVIF")],
        "JPEG2000": [
            saved(rgb, "JPEG2000"),
            saved(deep, "JPEG2000"),
            saved(alpha, "JPEG2000", no_jp2=True),
        ],
        "GIF": [saved(palette, "GIF", comment=b"hello"), two_frames("GIF")],
        "BMP": [saved(rgb, "BMP"), saved(palette, "BMP"), saved(alpha, "BMP")],
        "PPM": [
            saved(rgb, "PPM"),
            saved(deep, "PPM"),
            saved(rgb.convert("1"), "PPM"),
            b"P3\n# plain\n3 2\n99\n" + b" ".join(b"%d" % v for v in range(18)),
            b"P6\n3 2\n1000\n" + bytes(range(36)),
        ],
    }
