"""What callers of the Python API pass beside pictures and streams, checked."""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np
from cca_core import TILE_BY_SIZE, TILE_NONE

from cca_runtime.errors import BadInputError

Region: TypeAlias = tuple[int, int, int, int]
"""A part of a picture: x and y of its left upper corner, width and height, in pixels."""

BY_SIZE = "auto"
"""As a tile: tiles for large pictures."""

MOST_THREADS = 1024
"""Of an engine, and of workers."""

_TILE_GRID, _MOST_TILE = 64, 16_320


def show(value: object) -> str:
    """A value, in few letters, for an error."""
    try:
        return reprlib.repr(value)
    except Exception:  # an integer with too many digits, or a class of the caller's
        return f"({type(value).__name__})"


def whole_number(value: object, name: str, least: int, most: int | None = None) -> int:
    """A Python integer of an integer of any kind, NumPy's among them, which would wrap.

    Args:
        value: What was passed.
        name: What the caller calls it.
        least: It may be no less.
        most: It may be no more.

    Raises:
        BadInputError: It is not a whole number, or out of this range.
    """
    number = _integer(value)
    if number is None or number < least or (most is not None and number > most):
        there = f"{least} or more" if most is None else f"{least} to {most}"
        raise BadInputError(f"{name} must be a whole number, {there}, and is {show(value)}")
    return number


def real_number(value: object, name: str, least: float, most: float) -> float:
    """A Python float of a number of any kind.

    Args:
        value: What was passed.
        name: What the caller calls it.
        least: It may be no less.
        most: It may be no more.

    Raises:
        BadInputError: It is not a number, or out of this range.
    """
    number = _real(value)
    if not least <= number <= most:  # as NaN is not
        raise BadInputError(f"{name} must be a number, {least:g} to {most:g}, and is {show(value)}")
    return number


def named(value: object, name: str) -> str:
    """A text, such as the name of an engine.

    Raises:
        BadInputError: It is something else.
    """
    if not isinstance(value, str):
        raise BadInputError(f"{name} must be a name, and is {show(value)}")
    return value


def true_or_false(value: object, name: str) -> bool:
    """A switch: "no" is not to mean yes.

    Raises:
        BadInputError: It is something else.
    """
    if not isinstance(value, bool):
        raise BadInputError(f"{name} must be True or False, and is {show(value)}")
    return value


def as_region(value: object) -> Region:
    """A region of four Python integers.

    Raises:
        BadInputError: It is anything but a sequence of four whole numbers.
    """
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    found = list(map(_integer, islice(value, 5))) if several else []  # type: ignore[call-overload]
    numbers = [number for number in found if number is not None]
    if not len(numbers) == len(found) == 4:
        raise BadInputError(
            "a region must be four whole numbers (x, y, width, height), and is " + show(value)
        )
    x, y, width, height = numbers
    return x, y, width, height


def as_tile(tile: object) -> int | str | None:
    """The side of a tile, `BY_SIZE` or None.

    Raises:
        BadInputError: It is none of them.
    """
    if tile is None or (isinstance(tile, str) and tile == BY_SIZE):
        return tile
    side = _integer(tile)
    if side is None or side % _TILE_GRID or not _TILE_GRID <= side <= _MOST_TILE:
        raise BadInputError(
            f"a tile cannot have a side of {show(tile)}: give a multiple of {_TILE_GRID} up to "
            f"{_MOST_TILE}, or '{BY_SIZE}'"
        )
    return side


def tile_side(tile: int | str | None) -> int:
    """What `as_tile` gave, as the core takes it."""
    if tile is None:
        return TILE_NONE
    return TILE_BY_SIZE if isinstance(tile, str) else tile


def _integer(value: object) -> int | None:
    """None for what is no whole number; nobody means True and False by one."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _real(value: object) -> float:
    """NaN for what is no number; nobody means True and False by one."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return math.nan
