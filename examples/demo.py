"""Encode and decode a photograph, and set it beside JPEG at the same size.

    python examples/demo.py [PICTURE] [--output DIR]

Writes DIR/<name>.cca, DIR/<name>.png and DIR/side-by-side.png.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import cca_runtime
import numpy as np
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Pixels, format_picture, read_picture
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
MARGIN, CAPTION, DETAIL = 12, 44, 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=HERE / "chelsea.png")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR")
    options = parser.parse_args()

    # Pixels alone, without metadata: JPEG gets none either.
    original = read_picture(options.picture.read_bytes()).pixels
    start = time.perf_counter()
    codec = cca_runtime.load()
    encoded = codec.encode_picture(original)
    encode_seconds = time.perf_counter() - start
    start = time.perf_counter()
    decoded = codec.decode_stream(encoded.data).picture
    decode_seconds = time.perf_counter() - start

    jpeg = best_jpeg(original, len(encoded.data))
    start = time.perf_counter()
    jpeg_pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    jpeg_seconds = time.perf_counter() - start

    height, width = original.shape[:2]
    print(f"{options.picture.name}, {width}x{height}, model '{codec.bundle.name}'\n")
    print(f"{'':6}{'bytes':>9}{'bpp':>8}{'PSNR':>11}{'encode':>11}{'decode':>11}")
    cca_line = (len(encoded.data), psnr(original, decoded.pixels))
    jpeg_line = (len(jpeg), psnr(original, jpeg_pixels))
    times = f"{encode_seconds:>9.2f} s{decode_seconds:>9.2f} s"
    print(f"{'CCA':6}{describe(*cca_line, width * height)}{times}   (encode loads the model)")
    print(f"{'JPEG':6}{describe(*jpeg_line, width * height)}{'':11}{jpeg_seconds:>9.2f} s")

    options.output.mkdir(parents=True, exist_ok=True)
    name = options.picture.stem
    (options.output / f"{name}.cca").write_bytes(encoded.data)
    (options.output / f"{name}.png").write_bytes(format_picture(decoded, ".png").data)
    panels = [
        ("original", f"{width}x{height}", original),
        ("JPEG", caption(*jpeg_line), jpeg_pixels),
        ("CCA", caption(*cca_line), decoded.pixels),
    ]
    side_by_side(panels).save(options.output / "side-by-side.png")
    print(f"\nwrote {name}.cca, {name}.png and side-by-side.png to {options.output}/")


def describe(size: int, decibels: float, pixels: int) -> str:
    return f"{size:>9,}{8 * size / pixels:>8.3f}{decibels:>8.2f} dB"


def caption(size: int, decibels: float) -> str:
    return f"{size:,} bytes, {decibels:.2f} dB"


def best_jpeg(pixels: Pixels, budget: int) -> bytes:
    """The JPEG with the highest PSNR that is no larger than `budget` bytes, or the smallest."""
    candidates = []
    for quality in range(1, 96):
        for subsampling in ("4:2:0", "4:4:4"):
            out = io.BytesIO()
            Image.fromarray(pixels).save(
                out, "JPEG", quality=quality, subsampling=subsampling, optimize=True
            )
            candidates.append(out.getvalue())
    fitting = [data for data in candidates if len(data) <= budget]
    if not fitting:
        return min(candidates, key=len)
    return max(
        fitting,
        key=lambda data: psnr(pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))),
    )


def side_by_side(panels: list[tuple[str, str, Pixels]]) -> Image.Image:
    """Each picture under its caption, and below it a detail of its middle, enlarged."""
    height, width = panels[0][2].shape[:2]
    top, left = max(0, height // 2 - DETAIL // 2), max(0, width // 2 - DETAIL * 3 // 4)
    box = (left, top, min(width, left + DETAIL * 3 // 2), min(height, top + DETAIL))
    detail_height = round(width * (box[3] - box[1]) / (box[2] - box[0]))
    size = (
        len(panels) * (width + MARGIN) + MARGIN,
        CAPTION + height + MARGIN + detail_height + MARGIN,
    )
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for column, (title, text, pixels) in enumerate(panels):
        x = MARGIN + column * (width + MARGIN)
        draw.text((x, 6), title, fill="black", font=ImageFont.load_default(18))
        draw.text((x, 26), text, fill="dimgrey", font=ImageFont.load_default(13))
        image = Image.fromarray(pixels)
        canvas.paste(image, (x, CAPTION))
        detail = image.resize((width, detail_height), Image.Resampling.NEAREST, box)
        canvas.paste(detail, (x, CAPTION + height + MARGIN))
    return canvas


if __name__ == "__main__":
    main()
