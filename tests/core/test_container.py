"""The container: what it writes is what docs/spec/format.md says, and nothing else is accepted."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cca_core import (
    Encoder,
    EntropyTables,
    StreamError,
    StreamInfo,
    parse_stream,
    write_stream,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from locations import ROOT
from references import format_reference

PLAIN: dict[str, Any] = {
    "width": 100,
    "height": 50,
    "padding": (14, 7, 14, 7),
    "model_id": bytes.fromhex("0011223344556677"),
    "entropy_mode": "exact",
    "digests": [0x04030201],
}
FULL = PLAIN | {
    "entropy_mode": "native",
    "fingerprint": b"onnxrt-1",
    "digests": [],
    "icc": b"profile",
    "exif": b"Exif" * 50,
    "xmp": b"<x/>",
}
TILED = PLAIN | {"tiling": (64, 64, 1, 1), "tile_sizes": [30, 10], "digests": [7, 1 << 31]}
PAYLOAD = bytes(range(40))
FIELDS = ("width", "height", "padding", "model_id", "fingerprint", "digests")
HEADER = 23  # bytes before the section table in exact mode
ENTRY = 9  # bytes there of a short payload: length, checksum and digest


@st.composite
def padded_sides(draw: st.DrawFn) -> tuple[int, int, int]:
    """A side and the pixels added before and after it."""
    side = draw(st.integers(1, 65_535))
    before = draw(st.integers(0, 192))
    return side, before, -(side + before) % 64


metadata = st.none() | st.binary(min_size=1, max_size=300)


@given(
    padded_sides(),
    padded_sides(),
    st.binary(min_size=8, max_size=8),
    st.none() | st.binary(min_size=8, max_size=8),
    st.tuples(metadata, metadata, metadata),
    st.binary(max_size=300),
    st.integers(0, (1 << 32) - 1),
)
def test_round_trip_agrees_with_the_reference(
    horizontal: tuple[int, int, int],
    vertical: tuple[int, int, int],
    model_id: bytes,
    fingerprint: bytes | None,
    sections: tuple[bytes | None, bytes | None, bytes | None],
    payload: bytes,
    digest: int,
) -> None:
    width, left, right = horizontal
    height, top, bottom = vertical
    icc, exif, xmp = sections
    info = StreamInfo(
        width=width,
        height=height,
        padding=(left, top, right, bottom),
        model_id=model_id,
        entropy_mode="exact" if fingerprint is None else "native",
        fingerprint=fingerprint,
        digests=[digest] if fingerprint is None else [],
        icc=icc,
        exif=exif,
        xmp=xmp,
    )
    stream = write_stream(info, payload)
    assert parse_stream(stream, max_pixels=1 << 33) == (info, payload)

    reference = format_reference.parse(stream)
    for name in FIELDS:
        assert getattr(reference, name) == getattr(info, name)
    expected = {"payload": payload, "icc": icc, "exif": exif, "xmp": xmp}
    assert reference.sections == {k: v for k, v in expected.items() if v is not None}


@given(padded_sides(), padded_sides(), st.data())
def test_tiles_agree_with_the_reference(
    horizontal: tuple[int, int, int], vertical: tuple[int, int, int], data: st.DataObject
) -> None:
    width, left, right = horizontal
    height, top, bottom = vertical
    sides = (width + left + right, height + top + bottom)
    windows, counts = [], []
    for side in sides:
        windows.append(64 * data.draw(st.integers(max(1, side // 640), 255)))
        counts.append(data.draw(st.integers(1, min(255, -(-side // windows[-1])))))
    assume(windows[0] < sides[0] or windows[1] < sides[1])
    across, down = (window * count for window, count in zip(windows, counts, strict=True))
    tiles = [
        (x, y, min(across, sides[0] - x), min(down, sides[1] - y))
        for y in range(0, sides[1], down)
        for x in range(0, sides[0], across)
    ]
    payloads = [bytes([number % 256] * (number % 3)) for number in range(len(tiles))]
    info = StreamInfo(
        **PLAIN
        | {
            "width": width,
            "height": height,
            "padding": (left, top, right, bottom),
            "tiling": (*windows, *counts),
            "tile_sizes": [len(payload) for payload in payloads],
            "digests": [number * 0x01020304 % (1 << 32) for number in range(len(tiles))],
        },
        xmp=b"<x/>",
    )
    stream = write_stream(info, b"".join(payloads))
    assert parse_stream(stream, max_pixels=1 << 33) == (info, b"".join(payloads))
    reference = format_reference.parse(stream)
    assert [(t.left, t.top, t.width, t.height) for t in reference.tiles] == tiles
    assert [tile.payload for tile in reference.tiles] == payloads
    assert reference.digests == info.digests
    assert reference.sections == {"xmp": b"<x/>"}


def test_example_of_the_specification() -> None:
    text = (ROOT / "docs" / "spec" / "format.md").read_text()
    lines = re.findall(r"^    ((?:[0-9a-f]{2} )+) {2,}", text, re.MULTILINE)
    tables = EntropyTables(
        np.array([[0, 8192, 53248, 61440, 64512, 65536]], np.int32),
        np.array([6], np.int32),
        np.array([-1], np.int32),
    )
    encoder = Encoder()
    encoder.push(np.array([0, 1, 0, 2, -4, -1], np.int32), np.zeros(6, np.uint8), tables)
    assert write_stream(StreamInfo(**PLAIN), encoder.finish()) == bytes.fromhex("".join(lines))


@pytest.mark.parametrize(
    ("fields", "size", "overhead"),
    [
        (PLAIN, 128, 37),
        (PLAIN, 16_383, 37),
        (PLAIN, 16_384, 38),
        (PLAIN | {"entropy_mode": "native", "fingerprint": bytes(8), "digests": []}, 4_000, 41),
    ],
)
def test_overhead(fields: dict[str, Any], size: int, overhead: int) -> None:
    assert len(write_stream(StreamInfo(**fields), bytes(size))) == size + overhead


def test_checksum_is_crc32c() -> None:
    assert format_reference.crc32c(b"123456789") == 0xE3069283
    # Every length from 0 to 24 takes another path through the eight-byte steps.
    for size in range(25):
        stream = write_stream(StreamInfo(**PLAIN), PAYLOAD[:size])
        assert format_reference.parse(stream).sections["payload"] == PAYLOAD[:size]


@pytest.mark.parametrize("fields", [PLAIN, FULL, TILED])
def test_every_truncation_is_refused(fields: dict[str, Any]) -> None:
    stream = write_stream(StreamInfo(**fields), PAYLOAD)
    for size in range(len(stream)):
        with pytest.raises(StreamError, match=r"truncated|it is empty"):
            parse_stream(stream[:size])


@pytest.mark.parametrize("fields", [PLAIN, FULL, TILED])
def test_every_flipped_bit_is_refused(fields: dict[str, Any]) -> None:
    stream = write_stream(StreamInfo(**fields), PAYLOAD)
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            parse_stream(damaged)


@given(st.data())
def test_no_input_does_worse_than_a_stream_error(data: st.DataObject) -> None:
    stream = bytearray(write_stream(StreamInfo(**FULL), PAYLOAD))
    for _ in range(data.draw(st.integers(0, 4))):
        stream[data.draw(st.integers(0, 80))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(StreamError):
        parse_stream(reseal(bytes(stream)))


def reseal(stream: bytes, header: int = 74) -> bytes:
    """Give a forged header of so many bytes the checksum that makes it believed."""
    checksum = struct.pack("<I", format_reference.crc32c(stream[:header]))
    return stream[:header] + checksum + stream[header + 4 :]


def forge(at: int, new: bytes, old: int = 1) -> bytes:
    """The plain stream with `old` header bytes replaced, checksum and all."""
    stream = write_stream(StreamInfo(**PLAIN), PAYLOAD)
    return reseal(stream[:at] + new + stream[at + old :], HEADER + ENTRY + len(new) - old)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"\xff\xd8\xff\xe0" * 20, "not a CCA stream: it does not begin with 89 43 43 41"),
        (b"", "not a CCA stream: it is empty"),
        (forge(4, b"\x04"), r"version 4 is not supported by this decoder \(knows 3\)"),
        (forge(4, b"\x02"), "version 2 is not supported"),
        (forge(4, b"\x01"), "version 1 is not supported"),
        (forge(5, b"\x20"), "unsupported flag"),
        (forge(5, b"\x80"), "unsupported flag"),
        (forge(14, b"\x00\x00", 2), "invalid header: width is 0"),
        (forge(16, b"\x00\x00", 2), "invalid header: height is 0"),
        (forge(18, b"\x0f"), r"invalid header: width 100 with padding 15 \+ 14 is not a multiple"),
        (forge(19, b"\x08"), r"invalid header: height 50 with padding 8 \+ 7 is not a multiple"),
        (forge(HEADER, b"\xa8\x00"), "invalid section length"),
        (forge(HEADER, b"\xff\xff\xff\xff\x1f"), "invalid section length"),
        (forge(HEADER, b"\x80\x80\x80\x80\x80\x01"), "invalid section length"),
        (forge(HEADER, b"\xff\xff\xff\xff\x0f"), "truncated: the payload has 4294967295 bytes"),
        (forge(HEADER, b"\x29"), "truncated: the payload has 41 bytes from byte 36"),
        (forge(HEADER, b"\x27"), "payload checksum mismatch: the file is damaged"),
        (forge(HEADER + 1, b"\x00"), "payload checksum mismatch: the file is damaged"),
        (forge(6, b"\x00")[:-1], "truncated"),
        (write_stream(StreamInfo(**PLAIN), PAYLOAD) + b"??", "trailing bytes .*: 2"),
        (write_stream(StreamInfo(**FULL), PAYLOAD)[:-1] + b"?", "XMP checksum mismatch"),
    ],
    ids=lambda value: None if isinstance(value, str) else "stream",
)
def test_each_violation_has_its_own_message(stream: bytes, message: str) -> None:
    with pytest.raises(StreamError, match=message):
        parse_stream(stream)


@pytest.mark.parametrize(
    ("at", "new", "message"),
    [
        (0, b"\x00", "invalid header: a tile or a window has no size"),
        (1, b"\x00", "invalid header: a tile or a window has no size"),
        (2, b"\x00", "invalid header: a tile or a window has no size"),
        (3, b"\x00", "invalid header: a tile or a window has no size"),
        (3, b"\x02", "invalid header: 2 windows along a tile's height: the picture has 1"),
        (4, b"\x1d", r"tile in column 0, row 0 checksum mismatch: the file is damaged"),
        (13, b"\x09", r"tile in column 1, row 0 checksum mismatch: the file is damaged"),
        (13, b"\xff\xff\xff\xff\x0f", "truncated: the tile in column 1, row 0 has 4294967295"),
    ],
)
def test_each_violation_of_tiles_has_its_own_message(at: int, new: bytes, message: str) -> None:
    stream = write_stream(StreamInfo(**TILED), PAYLOAD)
    forged = stream[: HEADER + at] + new + stream[HEADER + at + 1 :]
    with pytest.raises(StreamError, match=message):
        parse_stream(reseal(forged, HEADER + 4 + 2 * ENTRY + len(new) - 1))


@pytest.mark.parametrize(
    ("tiling", "entries", "message"),
    [
        (b"\x02\x01\x01\x01", 1, "a picture in one window is not tiled"),
        (b"\x01\x01\x03\x01", 1, "3 windows along a tile's width: the picture has 2"),
        (b"\xff\xff\xff\xff", 1, "255 windows along a tile's width: the picture has 1"),
    ],
)
def test_a_division_that_makes_no_sense_is_refused(
    tiling: bytes, entries: int, message: str
) -> None:
    """One entry for each tile that the header claims, so that nothing else is wrong."""
    stream = write_stream(StreamInfo(**TILED), PAYLOAD)
    start = HEADER + 4
    table = stream[start : start + ENTRY * entries]
    forged = stream[:HEADER] + tiling + table + stream[start + 2 * ENTRY :]
    with pytest.raises(StreamError, match=message):
        parse_stream(reseal(forged, start + ENTRY * entries))


def test_a_claim_of_a_million_tiles_is_as_short_as_its_header() -> None:
    stream = bytearray(write_stream(StreamInfo(**TILED), PAYLOAD))
    stream[14:22] = struct.pack("<HH4B", 65_535, 65_535, 0, 0, 1, 1)
    with pytest.raises(StreamError, match="truncated: the header ends at byte"):
        parse_stream(bytes(stream))


@pytest.mark.parametrize("length", [b"\x00", b"\x81\x80\x80\x08"])
def test_metadata_size_limits(length: bytes) -> None:
    stream = write_stream(StreamInfo(**PLAIN, xmp=b"x"), PAYLOAD)
    entry = HEADER + ENTRY
    forged = stream[:entry] + length + stream[entry + 1 :]
    with pytest.raises(StreamError, match="XMP metadata must have 1 to 16777216 bytes"):
        parse_stream(reseal(forged, entry + 4 + len(length)))


def test_largest_metadata_round_trips() -> None:
    info = StreamInfo(**PLAIN, exif=bytes(1 << 24))
    assert parse_stream(write_stream(info, PAYLOAD)) == (info, PAYLOAD)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"height": 65_536}, r"height 65536 is not in 0\.\.65535"),
        ({"width": -1}, "width -1"),
        ({"padding": (14, 7, 13, 7)}, "width 100 .* multiple of 64"),
        ({"padding": (14, 7, 14, 263)}, "padding 263"),
        ({"model_id": b"short"}, "model_id must have 8 bytes, not 5"),
        ({"step": 128}, "step 128 is not in -128..127"),
        ({"digests": []}, "0 digests: the stream takes 1"),
        ({"digests": [1, 2]}, "2 digests: the stream takes 1"),
        ({"entropy_mode": "native", "fingerprint": bytes(8)}, "1 digests: the stream takes 0"),
        ({"entropy_mode": "native"}, "fingerprint"),
        ({"fingerprint": bytes(8)}, "fingerprint"),
        ({"entropy_mode": "native", "fingerprint": bytes(9)}, "fingerprint must have 8 bytes"),
        ({"entropy_mode": "fast"}, "entropy_mode must be 'native' or 'exact', not 'fast'"),
        ({"icc": b""}, "ICC metadata of 0 bytes"),
        ({"xmp": bytes((1 << 24) + 1)}, "XMP metadata of 16777217 bytes"),
        ({"tile_sizes": [40]}, "tile_sizes belong to a tiling"),
        ({"tiling": (64, 64, 1, 1), "tile_sizes": [40]}, "sizes of 1 tiles: the picture has 2"),
        ({"tiling": (128, 64, 1, 1), "tile_sizes": [40]}, "a picture in one window"),
        ({"tiling": (96, 64, 1, 1), "tile_sizes": [40]}, "window width 96"),
        ({"tiling": (64, 64, 256, 1), "tile_sizes": [40]}, r"columns of a tile 256 is not in 0"),
    ],
)
def test_a_header_that_no_stream_can_carry(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamInfo(**(PLAIN | fields))


@pytest.mark.parametrize("size", [39, 41])
def test_a_payload_that_is_not_that_of_its_tiles(size: int) -> None:
    with pytest.raises(ValueError, match="more bytes than the"):
        write_stream(StreamInfo(**TILED), bytes(size))


def test_info_is_a_value() -> None:
    info = StreamInfo(**FULL)
    assert info == StreamInfo(**FULL)
    assert info != StreamInfo(**(FULL | {"icc": None}))
    tiled = StreamInfo(**TILED)
    assert (tiled.tiling, tiled.tile_sizes) == (TILED["tiling"], TILED["tile_sizes"])
    assert tiled != StreamInfo(**PLAIN)
    assert (info.tiling, info.tile_sizes) == (None, [])
    assert info != "info"
    assert {name: getattr(info, name) for name in FULL} == FULL
    assert repr(info).startswith("<StreamInfo 100x50 padding=(14, 7, 14, 7)")
    for name in FULL:
        with pytest.raises(AttributeError):
            setattr(info, name, getattr(info, name))
    with pytest.raises(TypeError, match="unhashable"):
        hash(info)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like_objects(kind: Callable[[bytes], bytes | bytearray | memoryview]) -> None:
    info = StreamInfo(**PLAIN)
    stream = write_stream(info, kind(PAYLOAD))
    assert parse_stream(kind(stream)) == (info, PAYLOAD)


def test_not_bytes() -> None:
    with pytest.raises(TypeError, match="data must be an array or bytes-like, not str"):
        parse_stream("stream")  # type: ignore[arg-type]
