"""A slow decoder of streams, written from docs/format.md alone and sharing no code with the core.

Every deviation from the page is an `AssertionError` or `IndexError`.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SECTIONS = ("payload", "icc", "exif", "xmp")


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@dataclass
class Stream:
    width: int
    height: int
    padding: tuple[int, ...]
    model_id: bytes
    fingerprint: bytes | None
    sections: dict[str, bytes] = field(default_factory=dict)


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        assert self.position + count <= len(self.data)
        self.position += count
        return self.data[self.position - count : self.position]

    def leb128(self) -> int:
        value = 0
        for i in range(5):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                assert byte != 0 or i == 0
                assert value < 1 << 32
                return value
        raise AssertionError("six bytes")


def parse(data: bytes) -> Stream:
    source = Bytes(data)
    assert source.take(4) == bytes.fromhex("89434341")
    version, flags = source.take(2)
    assert version == 1
    assert flags < 16
    model_id = source.take(8)
    width, height, *padding = struct.unpack("<HH4B", source.take(8))
    left, top, right, bottom = padding
    assert width > 0
    assert height > 0
    assert (width + left + right) % 64 == 0
    assert (height + top + bottom) % 64 == 0
    fingerprint = source.take(8) if flags & 1 else None
    present = [name for bit, name in enumerate(SECTIONS) if bit == 0 or flags >> bit & 1]
    entries = {name: (source.leb128(), *struct.unpack("<I", source.take(4))) for name in present}
    computed = crc32c(data[: source.position])
    assert struct.unpack("<I", source.take(4)) == (computed,)
    stream = Stream(width, height, tuple(padding), model_id, fingerprint)
    for name, (length, checksum) in entries.items():
        assert name == "payload" or 1 <= length <= 1 << 24
        stream.sections[name] = source.take(length)
        assert crc32c(stream.sections[name]) == checksum
    assert source.position == len(data)
    return stream


@dataclass
class Table:
    cdf: Sequence[int]
    offset: int

    @property
    def n(self) -> int:
        return len(self.cdf) - 2


class Decoder:
    def __init__(self, payload: bytes) -> None:
        head = payload[0]
        assert head < 32
        self.lanes = 1 << (head & 3)
        body = 2 + (head >> 2)
        assert len(payload) >= body
        assert payload[body - 1] != 0
        assert (len(payload) - body) % 4 == 0
        self.words = [word for (word,) in struct.iter_unpack("<I", payload[body:])]
        self.state = [int.from_bytes(payload[1:body], "little")] + [0] * (self.lanes - 1)
        assert 1 << (28 if self.words or self.lanes > 1 else 16) <= self.state[0] < 1 << 60
        self.alone_from = 0
        self.position = 0
        self.alone = self.lanes == 1
        self.unread = list(range(1, self.lanes))
        if not self.alone:
            self.alone_from = self.number(0)
            for lane in reversed(self.unread):
                self.state[lane] = self.number(0)
                assert self.state[lane] >= 1 << 28

    def take(self, lane: int, start: int, frequency: int) -> None:
        state = self.state[lane]
        self.state[lane] = frequency * (state >> 16) + (state & 0xFFFF) - start
        self.refill(lane)

    def refill(self, lane: int) -> None:
        if self.state[lane] >= 1 << 28:
            return
        if self.words:
            self.state[lane] = self.state[lane] << 32 | self.words.pop(0)
        else:
            assert self.alone, "exhausted"
            if self.unread:
                word = self.state[self.unread.pop()] - (1 << 32)
                assert 0 <= word < 1 << 32
                self.state[lane] = self.state[lane] << 32 | word
            assert self.state[lane] >= 1 << 16, "exhausted"

    def nibble(self, lane: int) -> int:
        value = (self.state[lane] & 0xFFFF) >> 12
        self.take(lane, value * 4096, 4096)
        return value

    def number(self, lane: int) -> int:
        nibbles = [self.nibble(lane) for _ in range(self.nibble(lane))]
        assert not nibbles or nibbles[-1] != 0
        return sum(nibble << 4 * i for i, nibble in enumerate(nibbles))

    def symbol(self, table: Table) -> int:
        self.alone = self.lanes == 1 or self.position >= self.alone_from
        lane = 0 if self.alone else self.position % self.lanes
        self.position += 1
        slot = self.state[lane] & 0xFFFF
        i = bisect_right(table.cdf, slot) - 1
        self.take(lane, table.cdf[i], table.cdf[i + 1] - table.cdf[i])
        if i < table.n:
            return table.offset + i
        distance = self.number(lane)
        assert distance < 1 << 20
        if distance % 2:
            value = table.offset - (distance + 1) // 2
        else:
            value = table.offset + table.n + distance // 2
        assert -32768 <= value <= 32767
        return value

    def symbols(self, tables: Sequence[Table], indexes: Sequence[int]) -> Iterator[int]:
        return (self.symbol(tables[index]) for index in indexes)

    def finish(self) -> None:
        assert not self.words
        assert not self.unread
        assert self.position >= self.alone_from
        assert self.state[0] == 1 << 16
