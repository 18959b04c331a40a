"""Damaged pictures: each is read as the picture it is, or refused in one line.

`attack` makes one mutant of a small seed, feeds it to the product and checks what holds for any.
"""

from __future__ import annotations

import io
import os
import random as randomness
import struct
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from cca_runtime import BadInputError, FailureError
from cca_runtime.pictures import EXTENSIONS, Picture, format_picture, from_pil, read_picture
from PIL import Image

from attacks.picture_seeds import SRGB_ICC, XMP, exif, png_chunk, seeds

MAX_PIXELS = 1 << 20
LONGEST_SECONDS = 20.0

Mutator = Callable[[randomness.Random, bytearray], bytearray]


def attack(random: randomness.Random) -> bool:
    """Make one mutant and see that the product bears it.

    Returns:
        Whether it was read.

    Raises:
        AssertionError: It was neither read as a picture should be nor refused in one line.
        Exception: Whatever else came through.
    """
    kind = random.choice(sorted(seeds()))
    data = bytearray(random.choice(seeds()[kind]))
    own = _OF_FORMAT.get(kind, ())
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        data = random.choice((*_OF_ANY, *own, *own))(random, data)
    started = time.monotonic()
    with _silence():
        picture = _read(random, bytes(data))
        if picture is not None:
            _check(picture)
        if random.random() < 0.1:
            _write(random, picture)
    taken = time.monotonic() - started
    assert taken < LONGEST_SECONDS, f"{len(data)} bytes took {taken:.0f} s"
    return picture is not None


def _read(random: randomness.Random, data: bytes) -> Picture | None:
    background = random.choice((None, "white", "#102030"))
    image = None
    if random.random() < 0.2:
        try:
            with warnings.catch_warnings(action="ignore"):
                image = Image.open(io.BytesIO(data))
        except Exception:  # the program's own call, not the product's
            return None
    try:
        if image is not None:
            return from_pil(image, background, max_pixels=MAX_PIXELS)
        return read_picture(data, background, max_pixels=MAX_PIXELS)
    except (BadInputError, FailureError) as error:
        refusal = str(error)
    assert refusal
    assert refusal.isprintable(), f"not one line: {refusal!r}"
    return None


def _check(picture: Picture) -> None:
    pixels = picture.pixels
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 < pixels.size <= 3 * MAX_PIXELS
    assert pixels.flags.c_contiguous
    for section in (picture.icc, picture.exif, picture.xmp):
        assert section is None or (isinstance(section, bytes) and section)
    for note in picture.notes:
        assert note
        assert note.isprintable(), f"not one line: {note!r}"


def _write(random: randomness.Random, picture: Picture | None) -> None:
    """A picture goes out whatever is beside it, and comes in again as it was."""
    sections = [SRGB_ICC, exif().tobytes(), XMP]
    damaged = [bytes(_flip_bits(random, bytearray(section))) for section in sections]
    pixels = np.zeros((8, 9, 3), np.uint8) if picture is None else picture.pixels
    extension = random.choice(EXTENSIONS)
    if extension == ".webp" and max(pixels.shape) > 16_383:
        return
    data, notes = format_picture(Picture(pixels, *damaged), extension)
    assert all(note.isprintable() for note in notes)
    again = read_picture(data)
    # EXIF that one bit has changed may well turn the picture.
    assert sorted(again.pixels.shape) == sorted(pixels.shape)


@contextmanager
def _silence() -> Iterator[None]:
    """Nobody, the C libraries included, may print anything."""
    with tempfile.TemporaryFile() as caught:
        saved = [os.dup(stream) for stream in (1, 2)]
        try:
            for stream in (1, 2):
                os.dup2(caught.fileno(), stream)
            yield
        finally:
            for stream, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, stream)
                os.close(copy)
        caught.seek(0)
        printed = caught.read(1000)
    assert not printed, f"printed {printed!r}"


def _flip_bits(random: randomness.Random, data: bytearray) -> bytearray:
    for _ in range(random.choice((1, 1, 2, 8))):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return data


def _truncate(random: randomness.Random, data: bytearray) -> bytearray:
    return data[: random.randrange(len(data) + 1)]


def _set_bytes(random: randomness.Random, data: bytearray) -> bytearray:
    """Lengths, counts and sizes that lie, wherever they are."""
    width = random.choice((1, 2, 4, 8))
    if len(data) >= width:
        at = random.randrange(len(data) - width + 1)
        extremes = (0, 1, 127, 128, 255, 256, 65_535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
        value = random.choice((*extremes, len(data), random.getrandbits(8 * width)))
        order = random.choice(("little", "big"))
        data[at : at + width] = (value % (1 << (8 * width))).to_bytes(width, order)
    return data


def _move(random: randomness.Random, data: bytearray) -> bytearray:
    """Cut out, double or overwrite a part."""
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    part, at = data[first:last], random.randrange(len(data) + 1)
    how = random.randrange(3)
    if how == 0:
        return data[:first] + data[last:]
    return data[:at] + part + data[at + how * len(part) - len(part) :]


def _append(random: randomness.Random, data: bytearray) -> bytearray:
    return data + random.randbytes(random.randrange(100))


def _other_start(random: randomness.Random, data: bytearray) -> bytearray:
    other = random.choice(seeds()[random.choice(sorted(seeds()))])
    cut = random.choice((2, 4, 8, 12, 16, 32, 64))
    return bytearray(other[:cut]) + data[cut:]


def _png_chunks(random: randomness.Random, data: bytearray) -> bytearray:
    """Drop, double, swap, change or add a chunk; checksums are right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((bytes(data[at + 4 : at + 8]), bytes(data[at + 8 : at + 8 + length])))
        at += 12 + length
    if not chunks:
        return data
    index = random.randrange(len(chunks))
    kind, body = chunks[index]
    how = random.randrange(6)
    if how == 0:
        del chunks[index]
    elif how == 1:
        chunks.insert(random.randrange(len(chunks) + 1), chunks[index])
    elif how == 2:
        chunks[index] = kind, bytes(_flip_bits(random, bytearray(body)))
    elif how == 3:
        chunks[index] = kind, body[: random.randrange(len(body) + 1)]
    elif how == 4:
        chunks[index] = random.choice(chunks)[0], body
    else:
        chunks.insert(random.randrange(1, len(chunks) + 1), _new_chunk(random))
    return bytearray(data[:8]) + b"".join(png_chunk(*chunk) for chunk in chunks)


def _new_chunk(random: randomness.Random) -> tuple[bytes, bytes]:
    noise = random.randbytes(random.choice((0, 1, 2, 4, 9, 32, 100)))
    key = random.choice((b"a\x1b[31m\n", b"Raw profile type exif"))
    deflated = zlib.compress(random.choice((noise, bytes(1 << 20), SRGB_ICC)))
    kinds = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tRNS", b"PLTE", b"eXIf", b"pHYs", b"acTL")
    return random.choice(
        (
            (random.choice(kinds), noise),
            (b"cICP", bytes([random.randrange(24), random.randrange(20), 0, 1])),
            (b"gAMA", struct.pack(">I", random.choice((0, 1, 45_455, 100_000, 1 << 31)))),
            (b"cHRM", struct.pack(">8I", *(random.randrange(100_000) for _ in range(8)))),
            (b"eXIf", bytes(_exif(random, bytearray(exif().tobytes()[6:])))),
            (b"iCCP", b"x\0\0" + deflated),
            (b"zTXt", key + b"\0\0" + deflated),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + deflated),
        )
    )


def _jpeg_segments(random: randomness.Random, data: bytearray) -> bytearray:
    """Drop, double, change or add a segment before the first scan; lengths are right."""
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append((data[at + 1], bytes(data[at + 4 : at + 2 + length])))
        at += 2 + length
    if not segments:
        return data
    index = random.randrange(len(segments))
    marker, body = segments[index]
    how = random.randrange(5)
    if how == 0:
        del segments[index]
    elif how == 1:
        segments.insert(random.randrange(len(segments) + 1), segments[index])
    elif how == 2:
        segments[index] = marker, bytes(_flip_bits(random, bytearray(body)))
    elif how == 3:
        segments[index] = marker, body[: random.randrange(len(body) + 1)]
    else:
        content = b"Exif\0\0" * random.randrange(3) + _exif(random, bytearray(exif().tobytes()[6:]))
        name = random.choice((b"", b"Adobe\0\x64\0\0\0\0\2", b"JFIF\0", b"ICC_PROFILE\0\1\2"))
        added = random.choice(((0xE1, bytes(content)), (random.randrange(0xE0, 0xF0), name)))
        segments.insert(0, added)
    joined = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in segments
        if len(body) < 65_534
    )
    return bytearray(data[:2]) + joined + data[at:]


def _exif(random: randomness.Random, data: bytearray) -> bytearray:
    """EXIF data, or a TIFF file, of which one tag lies."""
    order = ">" if data[:1] == b"M" else "<"
    if len(data) < 10:
        return data
    at = struct.unpack_from(order + "I", data, 4)[0]
    if at + 2 > len(data):
        return data
    (count,) = struct.unpack_from(order + "H", data, at)
    place = at + 2 + 12 * random.randrange(max(1, count))
    if place + 12 > len(data):
        return data
    tag, kind, number, value = struct.unpack_from(order + "HHII", data, place)
    tags = (tag, 256, 258, 259, 262, 274, 277, 284, 317, 320, 338, 339, 34_665, 34_853, 34_675, 700)
    tag = random.choice((tag, tag, random.choice(tags)))
    kind = random.choice((kind, kind, random.randrange(20)))
    number = random.choice((number, number, 0, 2, 100, 1 << 31))
    value = random.choice((value, 0, 1, 2, 3, 8, at, len(data), 65_535, random.getrandbits(32)))
    struct.pack_into(order + "HHII", data, place, tag, kind, number, value)
    return data


def _boxes(random: randomness.Random, data: bytearray) -> bytearray:
    """The size or the name of a box, of files that are made of them."""
    names = (b"meta", b"iprp", b"ipco", b"ipma", b"colr", b"iloc", b"iinf", b"pitm", b"ispe",
             b"jp2h", b"ihdr", b"jp2c", b"Exif", b"mime", b"ftyp", b"moov", b"stsz")  # fmt: skip
    at = data.find(random.choice(names))
    if at >= 4:
        if random.random() < 0.7:
            data[at - 4 : at] = random.choice((0, 1, 7, 8, 9, 100, 1 << 31)).to_bytes(4, "big")
        else:
            data[at : at + 4] = random.choice(names)
    return data


_OF_ANY: tuple[Mutator, ...] = (
    _flip_bits, _flip_bits, _truncate, _set_bytes, _set_bytes, _move, _append, _other_start,
)  # fmt: skip
_OF_FORMAT: dict[str, tuple[Mutator, ...]] = {
    "PNG": (_png_chunks,) * 3,
    "JPEG": (_jpeg_segments,) * 3,
    "TIFF": (_exif,) * 4,
    "AVIF": (_boxes,) * 3,
    "JPEG2000": (_boxes,) * 3,
}
