"""Horizontal bars in groups, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#9aa0a6", "#1a73e8", "#188038", "#e37400", "#a142f4", "#d93025")
_WIDTH, _MARGIN, _LABELS, _VALUES = 900, 24, 150, 130
_BAR, _GAP, _HEADING = 20, 7, 34
_INK, _PAPER = "#202124", "#ffffff"


@dataclass(frozen=True)
class Bar:
    """One value.

    Attributes:
        group: Bars of one group lie together, on a scale of their own.
        name: What it is the value of; gives its colour.
        value: Its length, and what is written beside it.
        remark: Is written after that.
    """

    group: str
    name: str
    value: float
    remark: str


def draw_bars(bars: Sequence[Bar], title: str) -> Image.Image:
    """A chart of the bars, neighbours of one group together."""
    groups = [list(group) for _, group in groupby(bars, key=lambda bar: bar.group)]
    colours = dict(zip(dict.fromkeys(bar.name for bar in bars), _COLOURS, strict=False))
    height = 2 * _MARGIN + _HEADING + len(groups) * _HEADING + len(bars) * (_BAR + _GAP)
    chart = Image.new("RGB", (_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(chart)
    large, small = (ImageFont.load_default(size) for size in (18, 14))
    draw.text((_MARGIN, _MARGIN), title, _INK, large)
    top = _MARGIN + _HEADING
    for group in groups:
        longest = max(bar.value for bar in group)
        draw.text((_MARGIN, top + 10), group[0].group, _INK, small)
        top += _HEADING
        for bar in group:
            draw.text((_MARGIN + 10, top + 1), bar.name, _INK, small)
            left = _MARGIN + _LABELS
            room = _WIDTH - left - _MARGIN - _VALUES
            right = left + max(1, round(room * bar.value / longest))
            draw.rectangle((left, top, right, top + _BAR), colours[bar.name])
            text = f"{bar.value:.2f} s   {bar.remark}"
            draw.text((right + 8, top + 1), text, _INK, small)
            top += _BAR + _GAP
    return chart
