"""A slow decoder of streams, written from docs/spec/format.md alone, with no code of the core.

Every deviation from the page is an `AssertionError` or `IndexError`.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import Literal, TypeVar

SECTIONS = ("payload", "icc", "exif", "xmp")

Bin = int | Literal["far", "escape"]
T = TypeVar("T")


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@dataclass
class Tile:
    left: int
    top: int
    width: int
    height: int
    payload: bytes = b""


@dataclass
class Stream:
    width: int
    height: int
    padding: tuple[int, ...]
    model_id: bytes
    step: int
    fingerprint: bytes | None
    tiles: list[Tile]
    digests: list[int]
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
    assert version == 3
    assert flags < 32
    model_id = source.take(8)
    width, height, *padding = struct.unpack("<HH4B", source.take(8))
    left, top, right, bottom = padding
    assert width > 0
    assert height > 0
    assert (width + left + right) % 64 == 0
    assert (height + top + bottom) % 64 == 0
    (step,) = struct.unpack("b", source.take(1))
    fingerprint = source.take(8) if flags & 1 else None
    tiles = (
        divide(width + left + right, height + top + bottom, *source.take(4)) if flags & 16 else []
    )
    present = [name for bit, name in enumerate(SECTIONS) if bit == 0 or flags >> bit & 1]
    if tiles:
        present[:1] = [f"tile {number}" for number in range(len(tiles))]
    entries, digests = {}, []
    for name in present:
        entries[name] = (source.leb128(), *struct.unpack("<I", source.take(4)))
        if name not in SECTIONS[1:] and not flags & 1:
            digests += struct.unpack("<I", source.take(4))
    computed = crc32c(data[: source.position])
    assert struct.unpack("<I", source.take(4)) == (computed,)
    stream = Stream(width, height, tuple(padding), model_id, step, fingerprint, tiles, digests)
    for name, (length, checksum) in entries.items():
        assert name not in SECTIONS[1:] or 1 <= length <= 1 << 24
        stream.sections[name] = source.take(length)
        assert crc32c(stream.sections[name]) == checksum
    assert source.position == len(data)
    for number, tile in enumerate(tiles):
        tile.payload = stream.sections.pop(f"tile {number}")
    assert sum(len(tile.payload) for tile in tiles) < 1 << 32
    return stream


def divide(
    width: int, height: int, window_width: int, window_height: int, columns: int, rows: int
) -> list[Tile]:
    """The tiles of a padded picture ("Tiles" on the page)."""
    assert min(window_width, window_height, columns, rows) > 0
    assert window_width * 64 < width or window_height * 64 < height
    assert (columns - 1) * window_width * 64 < width
    assert (rows - 1) * window_height * 64 < height
    across, down = columns * window_width * 64, rows * window_height * 64
    return [
        Tile(left, top, min(across, width - left), min(down, height - top))
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]


def digest(latents: Iterable[float]) -> int:
    """The digest of y_hat ("Digest" on the page): latents in the order channel, row, column."""
    total = 0
    for position, latent in enumerate(latents):
        units = latent * 128
        assert units == int(units)
        spread = position * 0x9E3779B1 & 0xFFFFFFFF
        total += int(units) * ((spread ^ spread >> 15) | 1)
    return total & 0xFFFFFFFF


def mirrored(
    plane: list[list[T]], width: int, height: int, tile: Tile, scale: int
) -> list[list[T]]:
    """A tile's symbols of one channel, extended where the picture goes on.

    `plane` has its rows, and `scale` symbols stand for a hyper-latent.
    """

    def extend(items: list[T], before: bool, after: bool) -> list[T]:
        first = items[:scale][::-1] if before else []
        return [*first, *items, *(items[-scale:][::-1] if after else [])]

    right, bottom = tile.left + tile.width < width, tile.top + tile.height < height
    rows = [extend(row, tile.left > 0, right) for row in plane]
    return extend(rows, tile.top > 0, bottom)


@dataclass
class Interval:
    bin: Bin
    start: int
    frequency: int


def intervals(sizes: dict[Bin, int]) -> list[Interval]:
    """Side by side from 0, in the order given; those of no size are left out."""
    ends = accumulate(sizes.values())
    pairs = zip(sizes.items(), ends, strict=True)
    return [Interval(which, end - size, size) for (which, size), end in pairs if size]


def holding(slot: int, among: list[Interval]) -> Interval:
    return among[bisect_right(among, slot, key=lambda interval: interval.start) - 1]


class Table:
    """A table of the model and the coder's rounded form of it ("Coding tables" on the page)."""

    def __init__(self, cdf: Sequence[int], offset: int) -> None:
        self.offset = offset
        *values, self.escape = [after - before for before, after in pairwise(cdf)]
        for self.low_bits in range(17):
            self.make_bins(values, 1 << self.low_bits)
            self.make_first_step()
            self.make_second_step()
            if self.first >= -96 and self.last <= 95:
                return

    def make_bins(self, values: list[int], size: int) -> None:
        bins = [sum(values[i : i + size]) for i in range(0, len(values), size)]
        most = max(bins)
        modes = [i for i, frequency in enumerate(bins) if frequency == most]
        self.mode_bin = modes[(len(modes) - 1) // 2]
        self.frequency = {i - self.mode_bin: frequency for i, frequency in enumerate(bins)}

    def make_first_step(self) -> None:
        mode, left, right = (self.frequency.get(b, 0) for b in (0, -1, 1))
        fitting = [p for p in range(12, 17) if 65536 - mode >> 16 - p < 4096]
        self.precision = max(fitting, default=12)
        total = 1 << self.precision

        def scale(frequency: int) -> int:
            return max(1, (frequency * total + 32768) // 65536)

        less, more = sorted((left, right))
        near = far = 0
        if less > 0 and (more - less) * 16 <= more:
            near, far = scale(less), scale(65536 - mode - left - right)
        else:
            far = scale(65536 - mode)
        far = min(far, total - 1 - 2 * near)
        self.mode = total - 2 * near - far
        self.first_step = intervals({0: self.mode, -1: near, 1: near, "far": far})
        self.near = {-1, 1} if near else set[int]()

    def make_second_step(self) -> None:
        far = {b: f for b, f in self.frequency.items() if b != 0 and b not in self.near}
        everything = sum(far.values()) + self.escape
        escape = self.escape
        bins = deque(sorted(self.frequency))
        while bins[0] in far and far[bins[0]] * 16384 < everything:
            escape += far.pop(bins.popleft())
        while bins[-1] in far and far[bins[-1]] * 16384 < everything:
            escape += far.pop(bins.pop())
        self.first, self.last = bins[0], bins[-1]
        if not far:
            self.second_step = intervals({"escape": 4096})
            return
        escape = min(max(escape * 4096 // everything, 1), 4096 - len(far))
        shared = 4096 - len(far) - escape
        of_all_live = sum(far.values())
        slots: dict[Bin, int] = {}
        before = 0
        for b in sorted(far):
            after = before + far[b]
            slots[b] = 1 + after * shared // of_all_live - before * shared // of_all_live
            before = after
        self.second_step = intervals({**slots, "escape": escape})

    @property
    def could_be_sparse(self) -> bool:
        return self.precision == 16 and self.low_bits == 0 and self.mode >= 65472

    @property
    def rare(self) -> int:
        return 65536 - self.mode

    def lowest_value(self, b: int) -> int:
        return self.offset + ((self.mode_bin + b) << self.low_bits)

    def escaped_value(self, number: int) -> int:
        if number % 2:
            return self.lowest_value(self.first) - (number + 1) // 2
        return self.lowest_value(self.last + 1) + number // 2


def sparse_count(tables: Sequence[Table]) -> int:
    """How many tables of a set are sparse: these are the first ones."""
    ordinary = (i for i, table in enumerate(tables) if not table.could_be_sparse)
    return min(16, next(ordinary, len(tables)))


# A unit on a lane takes a step whenever it is asked for its next value; the last is its result.
Unit = Callable[[int], Iterator[T]]


def single_step(step: Callable[[int], T]) -> Unit[T]:
    def unit(lane: int) -> Iterator[T]:
        yield step(lane)

    return unit


class Decoder:
    """Takes groups of symbols out of a payload ("Payload" on the page)."""

    def __init__(self, payload: bytes) -> None:
        head = payload[0]
        assert head < 4
        self.lanes = 64 if head & 1 else 1
        body = 5 if head & 2 else 4
        assert len(payload) >= body
        assert payload[body - 1] != 0
        assert (len(payload) - body) % 2 == 0
        self.words = deque[int](word for (word,) in struct.iter_unpack("<H", payload[body:]))
        self.state = [int.from_bytes(payload[1:body], "little")] + [0] * (self.lanes - 1)
        self.other_lanes = list(range(1, self.lanes))
        self.units = 0
        self.alone_from = 0
        self.alone = self.lanes == 1
        if not self.alone:
            self.alone_from = self.rest(0, self.raw(0, 5))
            for lane in reversed(self.other_lanes):
                e = self.raw(0, 4)
                low = self.raw(0, 16)
                high = (1 << e) + (self.raw(0, e) if e else 0)
                self.state[lane] = high << 16 | low

    def take(self, lane: int, precision: int, start: int, frequency: int) -> None:
        state = self.state[lane]
        slot = state % (1 << precision)
        assert start <= slot < start + frequency
        state = frequency * (state >> precision) + slot - start
        self.state[lane] = state if state >= 1 << 16 else state << 16 | self.next_word()

    def next_word(self) -> int:
        if self.words:
            return self.words.popleft()
        assert self.alone, "exhausted"
        assert self.other_lanes, "exhausted"
        state = self.state[self.other_lanes.pop()]
        assert 1 << 16 <= state < 1 << 17
        return state - (1 << 16)

    def raw(self, lane: int, bits: int) -> int:
        value = self.state[lane] % (1 << 16) >> 16 - bits
        self.take(lane, 16, value << 16 - bits, 1 << 16 - bits)
        return value

    def rest(self, lane: int, length: int) -> int:
        if length == 0:
            return 0
        bits, value, done = length - 1, 0, 0
        while done < bits:
            count = min(16, bits - done)
            value += self.raw(lane, count) << done
            done += count
        return (1 << bits) + value

    def step(self, lane: int, precision: int, among: list[Interval]) -> Bin:
        interval = holding(self.state[lane] % (1 << precision), among)
        self.take(lane, precision, interval.start, interval.frequency)
        return interval.bin

    def run(self, units: Sequence[Unit[T]]) -> list[T]:
        """The results of a run's units, round by round."""
        results: list[T] = []
        while len(results) < len(units):
            count = min(self.lanes, len(units) - len(results))
            if self.units < self.alone_from:
                count = min(count, self.alone_from - self.units)
            else:
                self.alone, count = True, 1
            begun = [units[len(results) + lane](lane) for lane in range(count)]
            firsts = [next(unit) for unit in begun]
            results += [[first, *unit][-1] for first, unit in zip(firsts, begun, strict=True)]
            self.units += count
        return results

    def sparse_unit(self, tables: Sequence[Table]) -> Unit[list[Bin]]:
        def unit(lane: int) -> Iterator[list[Bin]]:
            bins: list[Bin] = []
            while len(bins) < len(tables):
                left = tables[len(bins) :]
                modes = 65536 - sum(table.rare for table in left)
                slot = self.state[lane] % (1 << 16)
                if slot < modes:
                    self.take(lane, 16, 0, modes)
                    bins += [0] * len(left)
                else:
                    place = slot - modes
                    modes_before = 0
                    while place >= left[modes_before].rare:
                        place -= left[modes_before].rare
                        modes_before += 1
                    table = left[modes_before]
                    interval = holding(table.mode + place, table.first_step)
                    number = table.mode + place - interval.start
                    self.take(lane, 16, slot - number, interval.frequency)
                    bins += [0] * modes_before + [interval.bin]
                yield bins

        return unit

    def first_step(self, table: Table) -> Unit[Bin]:
        return single_step(lambda lane: self.step(lane, table.precision, table.first_step))

    def second_step(self, table: Table) -> Unit[Bin]:
        return single_step(lambda lane: self.step(lane, 12, table.second_step))

    def low_bits(self, table: Table) -> Unit[int]:
        return single_step(lambda lane: self.raw(lane, table.low_bits))

    def number(self, lane: int) -> Iterator[int]:
        length = self.raw(lane, 5)
        yield length
        yield self.rest(lane, length)

    def group(self, tables: Sequence[Table], indexes: Sequence[int]) -> list[int]:
        """Decodes a group, `indexes` being the table of each of its symbols."""
        of = [tables[index] for index in indexes]
        first_ordinary = sparse_count(tables)
        sparse = [i for i, index in enumerate(indexes) if index < first_ordinary]
        ordinary = [i for i, index in enumerate(indexes) if index >= first_ordinary]
        bins: dict[int, Bin] = {}
        low: dict[int, int] = {}

        blocks = [sparse[i : i + 64] for i in range(0, len(sparse), 64)]
        in_blocks = self.run([self.sparse_unit([of[i] for i in block]) for block in blocks])
        bins.update(zip(sparse, chain.from_iterable(in_blocks), strict=True))
        firsts = self.run([self.first_step(of[i]) for i in ordinary])
        bins.update(zip(ordinary, firsts, strict=True))

        far = [i for i in sparse + ordinary if bins[i] == "far"]
        others = set(ordinary).difference(far)
        bins.update(zip(far, self.run([self.second_step(of[i]) for i in far]), strict=True))

        binned = [i for i in ordinary if of[i].low_bits > 0 and i in others]
        low.update(zip(binned, self.run([self.low_bits(of[i]) for i in binned]), strict=True))

        tails = [i for i in far if bins[i] == "escape" or of[i].low_bits > 0]
        units = [self.number if bins[i] == "escape" else self.low_bits(of[i]) for i in tails]
        low.update(zip(tails, self.run(units), strict=True))

        values = [value_of(of[i], bins[i], low.get(i, 0)) for i in range(len(indexes))]
        assert all(-32768 <= value <= 32767 for value in values)
        return values

    def finish(self) -> None:
        assert not self.words
        assert not self.other_lanes
        assert self.units >= self.alone_from
        assert self.state[0] == 1 << 16


def value_of(table: Table, which: Bin, low: int) -> int:
    if which == "escape":
        return table.escaped_value(low)
    assert which != "far"
    return table.lowest_value(which) + low
