"""PNG files: what their ancillary chunks say, and the rest for Pillow to decode.

Pillow gives up on a picture whose text or profile is damaged or large, and does not read cICP.
So it is given the chunks that hold pixels, and everything else is read here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.guard import one_line
from cca_runtime.pictures.header import CodePoints, Gamma, Header
from cca_runtime.pictures.picture import MAX_METADATA_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}

_GREY, _RGB, _PALETTE = 0, 2, 3
_XMP = b"XML:com.adobe.xmp"
_RAW_EXIF = {b"Raw profile type exif", b"Raw profile type APP1"}
"""Where ImageMagick kept EXIF before there was a chunk for it, in hexadecimal digits."""

_METRES_AN_INCH = 0.0254


def read_png(data: bytes) -> tuple[bytes, Header]:
    """Take a PNG file apart.

    Args:
        data: The file, with its signature.

    Returns:
        A PNG of the first picture's pixels alone, and what the other chunks say.

    Raises:
        BadInputError: It has chunks that one must understand to read it, and that are unknown;
            or its colours cannot be shown on an ordinary screen.
    """
    header = Header()
    kept: list[bytes | memoryview] = [SIGNATURE]
    chunks: dict[bytes, memoryview] = {}
    damaged = set()
    for kind, body, whole, sound in _chunks(data):
        if kind in _PIXELS:
            kept.append(whole)
            chunks.setdefault(kind, body)
            continue
        if not sound:
            damaged.add(kind.decode("latin-1"))
        elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
            _read_text(kind, bytes(body), header)
        elif kind[:1].isupper():
            raise BadInputError(
                f"this PNG has a chunk '{one_line(kind.decode('latin-1'))}' that is not of the "
                "standard: convert the picture first"
            )
        else:
            chunks.setdefault(kind, body)
            if kind == b"tRNS" and _colour_type(chunks) == _PALETTE:
                kept.append(whole)
    if damaged:
        names = one_line(", ".join(sorted(damaged)))
        header.notes.append(f"damaged chunks are dropped ({names})")
    _read_key(chunks, header)
    _read_colours(chunks, header)
    _read_facts(chunks, header)
    return b"".join(kept), header


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview, bool]]:
    """Each chunk's name, body, the whole of it, and whether its checksum is right."""
    view = memoryview(data)
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        body = view[position + 8 : position + 8 + length]
        # Those with pixels are checked by who decodes them, and are worth a look when cut off.
        sound = kind in _PIXELS or (
            end <= len(data)
            and zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end - 4 : end], "big")
        )
        yield kind, body, view[position:end], sound
        if kind == b"IEND":
            return
        position = end


def _body(chunks: dict[bytes, memoryview], kind: bytes) -> bytes:
    return bytes(chunks.get(kind, b""))


def _colour_type(chunks: dict[bytes, memoryview]) -> int | None:
    size = _body(chunks, b"IHDR")
    return size[9] if len(size) >= 13 else None


def _read_key(chunks: dict[bytes, memoryview], header: Header) -> None:
    """The transparent colour of pictures without alpha: one 16-bit number a channel."""
    count = {_GREY: 1, _RGB: 3}.get(_colour_type(chunks) or 0)
    key = _body(chunks, b"tRNS")
    if count is None or not key:
        return
    if len(key) < 2 * count:
        header.notes.append("a damaged transparent colour is dropped")
        return
    depth = chunks[b"IHDR"][8]
    values = struct.unpack(f">{count}H", key[: 2 * count])
    # Pillow spreads samples of less than 8 bits over 0..255.
    spread = 255 // ((1 << depth) - 1) if depth < 8 else 1
    header.key = tuple((value & ((1 << depth) - 1)) * spread for value in values)


def _read_colours(chunks: dict[bytes, memoryview], header: Header) -> None:
    """CICP before iCCP, before sRGB, before gAMA and cHRM (PNG, third edition, 4.3)."""
    code_points = _body(chunks, b"cICP")
    if len(code_points) == 4:
        primaries, transfer, matrix, full_range = code_points
        if matrix != 0 or full_range != 1:
            raise BadInputError(
                "the PNG's samples are not RGB of full range (cICP "
                f"{primaries}/{transfer}/{matrix}/{full_range}): convert the picture first"
            )
        header.encoding = CodePoints(primaries, transfer)
        return
    if b"iCCP" in chunks:
        header.icc = _profile(_body(chunks, b"iCCP"))
        if header.icc is not None:
            return
        header.notes.append("the ICC profile is damaged and is dropped")
    if b"sRGB" in chunks:
        return
    gamma, chromaticities = _body(chunks, b"gAMA"), _body(chunks, b"cHRM")
    exponent = int.from_bytes(gamma, "big") / 100_000 if len(gamma) == 4 else None
    points = struct.unpack(">8I", chromaticities) if len(chromaticities) == 32 else None
    if exponent or points:
        xy = tuple(value / 100_000 for value in points) if points else None
        header.encoding = Gamma(exponent or None, xy)


def _profile(body: bytes) -> bytes | None:
    _, _, rest = body.partition(b"\0")
    return _inflate(rest[1:]) if rest[:1] == b"\0" else None


def _read_facts(chunks: dict[bytes, memoryview], header: Header) -> None:
    if exif := _body(chunks, b"eXIf"):
        header.exif = exif
    physical = _body(chunks, b"pHYs")
    if len(physical) == 9 and physical[8] == 1:
        across, down = struct.unpack(">II", physical[:8])
        header.dpi = across * _METRES_AN_INCH, down * _METRES_AN_INCH
    frames = _body(chunks, b"acTL")
    header.several = len(frames) == 8 and int.from_bytes(frames[:4], "big") > 1


def _read_text(kind: bytes, body: bytes, header: Header) -> None:
    key, _, rest = body.partition(b"\0")
    if kind == b"iTXt" and key == _XMP:
        compressed, (_, _, packet) = rest[:1] == b"\1", _language_and_text(rest)
        header.xmp = _inflate(packet) if compressed else packet
        if header.xmp is None:
            header.notes.append("the XMP data are damaged and are dropped")
    elif kind == b"zTXt" and key in _RAW_EXIF and header.exif is None:
        header.exif = _from_digits(_inflate(rest[1:]) or b"")
    elif key in _RAW_EXIF and header.exif is None:
        header.exif = _from_digits(rest)
    else:
        header.dropped.append(f"text '{one_line(key.decode('latin-1'))}'")


def _language_and_text(rest: bytes) -> tuple[bytes, bytes, bytes]:
    language, _, rest = rest[2:].partition(b"\0")
    keyword, _, text = rest.partition(b"\0")
    return language, keyword, text


def _from_digits(text: bytes) -> bytes | None:
    """Of a "raw profile": a line with its name, one with its length, then digits."""
    lines = text.split(b"\n", 3)
    try:
        return bytes.fromhex(lines[3].decode("ascii")) if len(lines) == 4 else None
    except ValueError:
        return None


def _inflate(data: bytes) -> bytes | None:
    """What was deflated, if it is whole and no more than metadata may be."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, MAX_METADATA_BYTES + 1)
    except zlib.error:
        return None
    return inflated if inflater.eof and len(inflated) <= MAX_METADATA_BYTES else None
