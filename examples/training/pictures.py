"""Folders of pictures to train on: each decoded once, then mapped from a file.

A crop of a mapped picture reads only the rows that it covers, and the kernel drops
what it has read when memory is short. So a folder may be larger than memory.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3], sRGB."""

SMALLEST_SIDE = 256
"""A picture must hold the largest crop."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_MODES = ("RGB", "RGBA", "L", "LA", "P")
_LARGEST_WEIGHT = 1e6


class PictureError(Exception):
    """Pictures to train on are missing or unusable. One line: which, and what to do."""


@dataclass(frozen=True)
class Folder:
    """A folder of pictures, and how often each of them is drawn, relative to all others."""

    path: Path
    weight: float = 1.0

    @staticmethod
    def parse(text: str) -> Folder:
        """Read `DIR` or `DIR=WEIGHT`.

        Raises:
            PictureError: The weight is not a positive number.
        """
        path, separator, number = text.rpartition("=")
        if not separator or Path(text).is_dir():
            return Folder(Path(text))
        try:
            weight = float(number)
        except ValueError:
            weight = 0.0
        if not 0 < weight <= _LARGEST_WEIGHT:
            raise PictureError(f"{text}: the weight {number} must be a number above 0 (DIR=WEIGHT)")
        return Folder(Path(path), weight)

    def files(self) -> list[Path]:
        """Its PNG, JPEG and WebP files by name, without those of folders inside.

        Raises:
            PictureError: The folder cannot be read or has none.
        """
        try:
            found = sorted(f for f in self.path.iterdir() if f.suffix.lower() in _SUFFIXES)
        except OSError as error:
            raise PictureError(f"{self.path} cannot be read ({error.strerror})") from error
        if not found:
            raise PictureError(f"{self.path} has no pictures ({', '.join(_SUFFIXES)})")
        return found


@dataclass(frozen=True)
class Decoded:
    """A decoded picture, and a digest of the file that it came from."""

    pixels: Pixels
    digest: str


def decoded(file: Path, cache: Path) -> Decoded:
    """Map the pixels of `file`, decoding it into the folder `cache` the first time.

    Raises:
        PictureError: The file is no picture of 8 bits a sample, or is too small.
    """
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        array = cache / f"{digest}.npy"
        if not array.exists():
            _write(_decode(file), array)
    except OSError as error:
        raise PictureError(f"{file} cannot be kept in {cache} ({error.strerror})") from error
    try:
        return Decoded(np.load(array, mmap_mode="r"), digest)
    except (OSError, ValueError) as error:
        raise PictureError(f"{array} is damaged: delete it") from error


def _decode(file: Path) -> Pixels:
    try:
        with Image.open(file) as picture:
            if picture.mode not in _MODES:
                raise PictureError(f"{file} has pixels of mode {picture.mode}: give 8-bit pictures")
            if min(picture.size) < SMALLEST_SIDE:
                width, height = picture.size
                raise PictureError(
                    f"{file} is {width}x{height}: both sides must be at least {SMALLEST_SIDE}"
                )
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"{file} is no picture or is damaged: take it out") from error


def _write(pixels: Pixels, file: Path) -> None:
    """Write a file that is never seen half done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as out:
        np.save(out, pixels)
    temporary.replace(file)
