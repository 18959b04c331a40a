"""One picture at every number of channel groups, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cca_runtime.pictures import Pixels
from PIL import Image, ImageDraw, ImageFont

_PANEL = 300
_MARGIN, _CAPTION = 10, 44
_INK, _FAINT, _PAPER = "#202124", "#5f6368", "#ffffff"


class Preview(NamedTuple):
    """What a decoder shows of the first groups alone.

    Attributes:
        groups: How many; 0 is the hyper-latents alone.
        size: Bytes of the payload that it takes.
        share: Of all bytes of the payload.
        psnr: Decibels.
        pixels: uint8 [H, W, 3].
    """

    groups: int
    size: int
    share: float
    psnr: float
    pixels: Pixels

    @property
    def title(self) -> str:
        """What it is made of."""
        if not self.groups:
            return "hyperprior only"
        return "1 group" if self.groups == 1 else f"{self.groups} groups"


def draw_series(previews: Sequence[Preview]) -> Image.Image:
    """The pictures in a row, each with its bytes and PSNR above it."""
    height, width = previews[0].pixels.shape[:2]
    panel_height = round(_PANEL * height / width)
    size = (_MARGIN + len(previews) * (_PANEL + _MARGIN), _CAPTION + panel_height + _MARGIN)
    series = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(series)
    large, small = (ImageFont.load_default(points) for points in (17, 13))
    for place, preview in enumerate(previews):
        left = _MARGIN + place * (_PANEL + _MARGIN)
        draw.text((left, 4), preview.title, _INK, large)
        figures = f"{preview.size:,} bytes ({preview.share:.0%}), {preview.psnr:.2f} dB"
        draw.text((left, 25), figures, _FAINT, small)
        image = Image.fromarray(preview.pixels)
        series.paste(
            image.resize((_PANEL, panel_height), Image.Resampling.LANCZOS), (left, _CAPTION)
        )
    return series
