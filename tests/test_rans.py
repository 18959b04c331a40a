"""The entropy coder: round trips, an independent decoder, code lengths, and hostile input."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import format_reference
import numpy as np
import pytest
from cca_runtime._core import Decoder, Encoder, EntropyTables, StreamError
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import GOLDEN
from numpy.typing import NDArray

Symbols = NDArray[np.int32]
Indexes = NDArray[np.uint8] | NDArray[np.uint16]
INT16 = (-32_768, 32_767)
PINNED_SHA256 = "410277924cb71484717725a310ce4490a245a382644fa509d1a35579993b5f9d"


@dataclass
class Tables:
    """Tables for the core, the reference decoder, and the code length."""

    cdfs: list[list[int]]
    offsets: list[int]

    @classmethod
    def golden(cls, kind: str) -> Tables:
        with np.load(GOLDEN / "tables.npz") as file:
            rows = zip(file[f"{kind}_cdf"], file[f"{kind}_length"], strict=True)
            return cls(
                [row[:length].tolist() for row, length in rows], file[f"{kind}_offset"].tolist()
            )

    def core(self) -> EntropyTables:
        cdfs = np.zeros((len(self.cdfs), max(map(len, self.cdfs))), np.int32)
        for row, cdf in zip(cdfs, self.cdfs, strict=True):
            row[: len(cdf)] = cdf
        lengths = np.array([len(cdf) for cdf in self.cdfs], np.int32)
        return EntropyTables(cdfs, lengths, np.array(self.offsets, np.int32))

    def reference(self) -> list[format_reference.Table]:
        pairs = zip(self.cdfs, self.offsets, strict=True)
        return [format_reference.Table(cdf, offset) for cdf, offset in pairs]

    def draw(self, rng: np.random.Generator, indexes: Indexes) -> Symbols:
        """Symbols with the tables' own statistics; the escape becomes the nearest symbol."""
        slots = rng.integers(0, 65_536, indexes.shape)
        symbols = np.empty(indexes.shape, np.int32)
        for index in np.unique(indexes):
            here = indexes == index
            cdf = self.cdfs[index]
            interval = np.searchsorted(cdf, slots[here], side="right") - 1
            symbols[here] = self.offsets[index] + np.minimum(interval, len(cdf) - 3)
        return symbols

    def ideal_bytes(self, symbols: Symbols, indexes: Indexes) -> float:
        """Code length of symbols inside the tables."""
        bits = 0.0
        for index in np.unique(indexes):
            frequencies = np.diff(self.cdfs[index]).astype(np.float64)
            ranks = symbols[indexes == index] - self.offsets[index]
            assert ranks.min() >= 0
            assert ranks.max() < len(frequencies) - 1
            bits -= np.log2(frequencies[ranks] / 65_536).sum()
        return bits / 8


def encode(symbols: Symbols, indexes: Indexes, tables: EntropyTables) -> bytes:
    encoder = Encoder()
    encoder.push(symbols, indexes, tables)
    return encoder.finish()


def decode(payload: bytes | bytearray, indexes: Indexes, tables: EntropyTables) -> Symbols:
    decoder = Decoder(payload)
    symbols = decoder.pull(indexes, tables)
    decoder.finish()
    return symbols


def reference_decode(payload: bytes, indexes: Indexes, tables: Tables) -> list[int]:
    decoder = format_reference.Decoder(payload)
    symbols = list(decoder.symbols(tables.reference(), indexes.ravel().tolist()))
    decoder.finish()
    return symbols


def lane_count(payload: bytes) -> int:
    return 1 << (payload[0] & 3)


@pytest.fixture(scope="module")
def gaussian() -> Tables:
    return Tables.golden("gaussian")


@st.composite
def table_sets(draw: st.DrawFn) -> Tables:
    """Tables of every kind: nothing but an escape, certain, uniform, ragged."""
    cuts = st.sets(st.integers(1, 65_535), max_size=40)
    extreme = st.sampled_from(
        [set[int](), {1}, {65_535}, {1, 65_535}, {1, 2, 3}, {65_533, 65_534}, set(range(1, 300))]
    )
    cdfs = [[0, *sorted(inner), 65_536] for inner in draw(st.lists(cuts | extreme, min_size=1))]
    offsets = [draw(st.integers(INT16[0], INT16[1] + 3 - len(cdf))) for cdf in cdfs]
    return Tables(cdfs, offsets)


@given(table_sets(), st.booleans(), st.data())
@settings(deadline=None)
def test_round_trip_with_any_tables(tables: Tables, wide: bool, data: st.DataObject) -> None:
    pairs = data.draw(
        st.lists(
            st.integers(0, len(tables.cdfs) - 1).flatmap(
                lambda index: st.tuples(
                    st.just(index),
                    st.integers(*INT16)
                    | st.integers(-3, len(tables.cdfs[index])).map(
                        lambda rank: int(np.clip(tables.offsets[index] + rank, *INT16))
                    ),
                )
            ),
            max_size=60,
        )
    )
    chosen = [index for index, _ in pairs]
    indexes: Indexes = np.array(chosen, np.uint16) if wide else np.array(chosen, np.uint8)
    symbols = np.array([symbol for _, symbol in pairs], np.int32)
    payload = encode(symbols, indexes, tables.core())
    np.testing.assert_array_equal(decode(payload, indexes, tables.core()), symbols)
    assert reference_decode(payload, indexes, tables) == symbols.tolist()


@pytest.mark.parametrize("kind", ["gaussian", "z"])
def test_ends_of_every_golden_table(kind: str) -> None:
    tables = Tables.golden(kind)
    symbols, indexes = [], []
    for index, (cdf, offset) in enumerate(zip(tables.cdfs, tables.offsets, strict=True)):
        highest = offset + len(cdf) - 3
        ends = [offset, highest, offset - 1, highest + 1, offset - 2, highest + 2, *INT16]
        symbols += ends
        indexes += [index] * len(ends)
    shape = (2, 4, -1)
    symbol_array = np.array(symbols, np.int32).reshape(shape)
    index_array = np.array(indexes, np.uint8).reshape(shape)
    payload = encode(symbol_array, index_array, tables.core())
    np.testing.assert_array_equal(decode(payload, index_array, tables.core()), symbol_array)
    assert reference_decode(payload, index_array, tables) == symbols


def test_largest_table() -> None:
    tables = Tables([[*range(65_535), 65_536]], [INT16[0]])
    symbols = np.array([*INT16, INT16[1] - 1, 0, 12_345] * 3, np.int32)
    indexes = np.zeros(symbols.size, np.uint8)
    payload = encode(symbols, indexes, tables.core())
    np.testing.assert_array_equal(decode(payload, indexes, tables.core()), symbols)


@pytest.mark.parametrize(
    ("count", "lanes"), [(0, 1), (1, 1), (3000, 1), (8_000, 2), (12_000, 4), (20_000, 8)]
)
@pytest.mark.parametrize("odd", [0, 1, 5])
def test_every_lane_count_agrees_with_the_reference(
    gaussian: Tables, count: int, lanes: int, odd: int
) -> None:
    rng = np.random.default_rng(count + odd)
    indexes = rng.integers(16, 40, count + odd).astype(np.uint8)
    symbols = gaussian.draw(rng, indexes)
    symbols[::50] = rng.integers(*INT16, symbols[::50].size)
    payload = encode(symbols, indexes, gaussian.core())
    assert lane_count(payload) == lanes
    np.testing.assert_array_equal(decode(payload, indexes, gaussian.core()), symbols)
    assert reference_decode(payload, indexes, gaussian) == symbols.tolist()


@given(st.lists(st.integers(0, 20_000), max_size=4), st.lists(st.integers(0, 20_000), max_size=4))
@settings(deadline=None, max_examples=20)
def test_pieces_do_not_matter(pushes: list[int], pulls: list[int]) -> None:
    tables = Tables.golden("gaussian")
    core = tables.core()
    rng = np.random.default_rng(1)
    indexes = rng.integers(0, 64, 20_000).astype(np.uint8)
    symbols = tables.draw(rng, indexes)
    encoder = Encoder()
    for part in np.split(np.arange(indexes.size), sorted(pushes)):
        encoder.push(symbols[part], indexes[part], core)
    payload = encoder.finish()
    assert payload == encode(symbols, indexes, core)
    decoder = Decoder(payload)
    for part in np.split(np.arange(indexes.size), sorted(pulls)):
        np.testing.assert_array_equal(decoder.pull(indexes[part], core), symbols[part])
    decoder.finish()


def test_tables_may_change_between_pushes(gaussian: Tables) -> None:
    z = Tables.golden("z")
    rng = np.random.default_rng(2)
    z_indexes = np.repeat(np.arange(48, dtype=np.uint16), 20).reshape(1, 48, 4, 5)
    indexes = rng.integers(0, 64, (1, 8, 20, 30)).astype(np.uint8)
    z_symbols, symbols = z.draw(rng, z_indexes), gaussian.draw(rng, indexes)
    encoder = Encoder()
    encoder.push(z_symbols, z_indexes, z.core())
    encoder.push(symbols, indexes, gaussian.core())
    payload = encoder.finish()

    decoder = Decoder(payload)
    np.testing.assert_array_equal(decoder.pull(z_indexes, z.core()), z_symbols)
    np.testing.assert_array_equal(decoder.pull(indexes, gaussian.core()), symbols)
    decoder.finish()

    def pull_in_wrong_order() -> None:
        wrong = Decoder(payload)
        wrong.pull(indexes, gaussian.core())
        wrong.pull(z_indexes, z.core())
        wrong.finish()

    with pytest.raises(StreamError):
        pull_in_wrong_order()


@pytest.mark.parametrize("count", [0, 1, 10, 300, 3_000, 30_000, 300_000])
@pytest.mark.parametrize("indexes_to", [8, 64])
def test_length_is_close_to_ideal(gaussian: Tables, count: int, indexes_to: int) -> None:
    rng = np.random.default_rng(count)
    indexes = rng.integers(0, indexes_to, count).astype(np.uint8)
    symbols = gaussian.draw(rng, indexes)
    size = len(encode(symbols, indexes, gaussian.core()))
    ideal = gaussian.ideal_bytes(symbols, indexes)
    assert ideal <= size <= 1.001 * ideal + 5


def test_pinned_payload(gaussian: Tables) -> None:
    # Fails when the format changes: then its version has to, too.
    k = np.arange(40_000)
    indexes = (k * 2_654_435_761 >> 7 & 63).astype(np.uint8)
    symbols = ((k * 40_503 >> 5) % 9 - 4).astype(np.int32)
    payload = encode(symbols, indexes, gaussian.core())
    assert lane_count(payload) == 8
    assert hashlib.sha256(payload).hexdigest() == PINNED_SHA256


def test_finish_encodes_what_was_pushed_so_far(gaussian: Tables) -> None:
    core = gaussian.core()
    indexes = np.full(9, 30, np.uint8)
    symbols = np.arange(-4, 5, dtype=np.int32)
    encoder = Encoder()
    encoder.push(symbols, indexes, core)
    assert encoder.finish() == encoder.finish() == encode(symbols, indexes, core)
    encoder.push(symbols, indexes, core)
    assert encoder.finish() == encode(np.tile(symbols, 2), np.tile(indexes, 2), core)


def test_tables_are_copied() -> None:
    cdfs = np.array([[0, 30_000, 65_536]], np.int32)
    lengths, offsets = np.array([3], np.int32), np.array([7], np.int32)
    tables = EntropyTables(cdfs, lengths, offsets)
    assert len(tables) == 1
    cdfs[:], lengths[:], offsets[:] = 0, 0, 0
    symbols, indexes = np.array([7, 7, 8], np.int32), np.zeros(3, np.uint8)
    np.testing.assert_array_equal(
        decode(encode(symbols, indexes, tables), indexes, tables), symbols
    )


@pytest.mark.parametrize(
    ("cdf", "length", "offset", "message"),
    [
        ([0, 5, 5, 65_536], 4, 0, "table 1: the CDF does not increase at entry 2"),
        ([0, 5, 4, 65_536], 4, 0, "table 1: the CDF does not increase at entry 2"),
        ([0, 70_000, 65_536, 0], 3, 0, "table 1: the CDF does not increase at entry 2"),
        ([-1, 5, 9, 65_536], 4, 0, "table 1: the CDF runs from -1 to 65536"),
        ([0, 5, 9, 65_535], 4, 0, "table 1: the CDF runs from 0 to 65535"),
        ([0, 5, 65_536, 0], 4, 0, "table 1: the CDF runs from 0 to 0"),
        ([0, 5, 9, 65_536], 1, 0, r"table 1: length 1 is not in 2\.\.4"),
        ([0, 5, 9, 65_536], -1, 0, r"table 1: length -1 is not in 2\.\.4"),
        ([0, 5, 9, 65_536], 5, 0, r"table 1: length 5 is not in 2\.\.4"),
        ([0, 5, 9, 65_536], 4, 32_767, r"table 1: its symbols 32767\.\.32768"),
        ([0, 5, 9, 65_536], 4, -32_769, r"table 1: its symbols -32769\.\.-32768"),
        ([0, 5, 9, 65_536], 4, 2**31 - 1, "table 1: its symbols"),
    ],
)
def test_hostile_tables(cdf: list[int], length: int, offset: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EntropyTables(
            np.array([[0, 1, 2, 65_536], cdf], np.int32),
            np.array([4, length], np.int32),
            np.array([0, offset], np.int32),
        )


def test_table_longer_than_any_may_be() -> None:
    cdf = np.arange(65_537, dtype=np.int32)[None]
    with pytest.raises(ValueError, match=r"length 65537 is not in 2\.\.65536"):
        EntropyTables(cdf, np.array([65_537], np.int32), np.array([-32_768], np.int32))


def test_tables_of_wrong_shape_or_type() -> None:
    cdfs = np.array([[0, 1, 65_536]], np.int32)
    one, two = np.array([3], np.int32), np.array([3, 3], np.int32)
    with pytest.raises(ValueError, match=r"cdfs must be \[T, L\]"):
        EntropyTables(cdfs[0], one, one)
    with pytest.raises(ValueError, match=r"cdfs must be \[T, L\]"):
        EntropyTables(cdfs, two, one)
    with pytest.raises(TypeError, match="lengths must hold int32"):
        EntropyTables(cdfs, one.astype(np.int64), one)


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), ()])
def test_empty_and_scalar_arrays(gaussian: Tables, shape: tuple[int, ...]) -> None:
    symbols, indexes = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    decoded = decode(encode(symbols, indexes, gaussian.core()), indexes, gaussian.core())
    assert decoded.shape == shape
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, symbols)


def test_no_tables_and_no_symbols() -> None:
    tables = EntropyTables(np.zeros((0, 2), np.int32), *(np.zeros(0, np.int32),) * 2)
    assert len(tables) == 0
    nothing = np.zeros(0, np.uint8)
    assert encode(nothing.astype(np.int32), nothing, tables) == Encoder().finish()
    with pytest.raises(ValueError, match="table index 0 is not among the 0 entropy tables"):
        Encoder().push(np.zeros(1, np.int32), np.zeros(1, np.uint8), tables)


def test_read_only_arrays(gaussian: Tables) -> None:
    symbols, indexes = np.arange(4, dtype=np.int32), np.full(4, 30, np.uint8)
    symbols.flags.writeable = indexes.flags.writeable = False
    payload = encode(symbols, indexes, gaussian.core())
    decoded = decode(payload, indexes, gaussian.core())
    np.testing.assert_array_equal(decoded, symbols)
    decoded += 1  # the result is the caller's own


@pytest.mark.parametrize(
    ("symbols", "indexes", "error", "message"),
    [
        (np.zeros(4, np.int64), np.zeros(4, np.uint8), TypeError, "symbols must hold int32"),
        (np.zeros(4, ">i4"), np.zeros(4, np.uint8), TypeError, "symbols must hold int32"),
        (np.zeros(4, np.float32), np.zeros(4, np.uint8), TypeError, "symbols must hold int32"),
        (np.zeros(4, np.int32), np.zeros(4, np.int8), TypeError, "must hold uint8 or uint16"),
        (np.zeros(4, np.int32), np.zeros(4, np.int32), TypeError, "must hold uint8 or uint16"),
        ([0, 0], np.zeros(2, np.uint8), TypeError, "symbols must be an array or .*, not list"),
        (np.zeros(8, np.int32)[::2], np.zeros(4, np.uint8), ValueError, "symbols must be C-contig"),
        (np.zeros(4, np.int32), np.zeros(8, np.uint8)[::2], ValueError, "indexes must be C-contig"),
        (np.zeros((2, 2), np.int32), np.zeros(4, np.uint8), ValueError, "differ in shape"),
        (np.zeros(4, np.int32), np.full(4, 64, np.uint8), ValueError, "table index 64 is not"),
        (np.zeros(4, np.int32), np.full(4, 700, np.uint16), ValueError, "table index 700 is not"),
        (np.full(4, 32_768, np.int32), np.zeros(4, np.uint8), ValueError, "symbol 32768 does"),
        (np.full(4, -(2**31), np.int32), np.zeros(4, np.uint8), ValueError, "symbol -2147483648"),
    ],
)
def test_arrays_the_coder_refuses(
    gaussian: Tables, symbols: Symbols, indexes: Indexes, error: type[Exception], message: str
) -> None:
    encoder = Encoder()
    good = np.arange(-10, 10, dtype=np.int32), np.full(20, 3, np.uint8), gaussian.core()
    encoder.push(*good)
    with pytest.raises(error, match=message):
        encoder.push(symbols, indexes, gaussian.core())
    assert encoder.finish() == encode(*good)
    if "indexes" in message or "table index" in message:
        with pytest.raises(error, match=message):
            Decoder(encoder.finish()).pull(indexes, gaussian.core())


def test_bad_symbol_in_the_middle_leaves_no_trace(gaussian: Tables) -> None:
    core = gaussian.core()
    encoder = Encoder()
    symbols, indexes = np.array([1, -900, 70_000], np.int32), np.full(3, 5, np.uint8)
    with pytest.raises(ValueError, match="symbol 70000"):
        encoder.push(symbols, indexes, core)
    encoder.push(symbols[:2], indexes[:2], core)
    assert encoder.finish() == encode(symbols[:2], indexes[:2], core)


@pytest.mark.parametrize("count", [50, 2_000, 20_000])
def test_every_missing_or_extra_word_is_noticed(gaussian: Tables, count: int) -> None:
    rng = np.random.default_rng(count)
    indexes = rng.integers(10, 50, count).astype(np.uint8)
    core = gaussian.core()
    payload = encode(gaussian.draw(rng, indexes), indexes, core)
    for missing in {*range(1, 40), len(payload) // 2, len(payload) - 9, len(payload)}:
        with pytest.raises(StreamError):
            decode(payload[: max(len(payload) - missing, 0)], indexes, core)
    for extra in (b"\0", b"\0\0\0\0", b"\1\2\3\4", payload):
        with pytest.raises(StreamError):
            decode(payload + extra, indexes, core)
    words = len(payload) - 4 * rng.integers(1, len(payload) // 4 - 2)
    with pytest.raises(StreamError):
        decode(payload[:words] + payload[words + 4 :], indexes, core)


@pytest.mark.parametrize("count", [50, 2_000, 20_000])
def test_too_few_and_too_many_pulls(gaussian: Tables, count: int) -> None:
    rng = np.random.default_rng(count)
    indexes = rng.integers(10, 50, count).astype(np.uint8)
    core = gaussian.core()
    payload = encode(gaussian.draw(rng, indexes), indexes, core)
    for pulled in (0, 1, count // 2, count - 1):
        decoder = Decoder(payload)
        decoder.pull(indexes[:pulled], core)
        with pytest.raises(StreamError, match="does not end where the picture does"):
            decoder.finish()
    decoder = Decoder(payload)
    decoder.pull(indexes, core)
    with pytest.raises(StreamError, match="exhausted"):
        decoder.pull(np.full(1, 20, np.uint8), core)
    for again in (decoder.finish, lambda: decoder.pull(indexes[:0], core)):
        with pytest.raises(StreamError, match="stopped at an earlier error"):
            again()


@given(st.integers(0, 2), st.data())
@settings(deadline=None, max_examples=60)
def test_no_payload_does_worse_than_a_stream_error(size: int, data: st.DataObject) -> None:
    tables = Tables.golden("gaussian")
    rng = np.random.default_rng(3)
    indexes = rng.integers(0, 64, (100, 4_000, 20_000)[size]).astype(np.uint8)
    payload = bytearray(encode(tables.draw(rng, indexes), indexes, tables.core()))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, 40) | st.integers(0, len(payload) - 1))
        payload[position % len(payload)] = data.draw(st.integers(0, 255))
    with contextlib.suppress(StreamError):
        symbols = decode(payload, indexes, tables.core())
        assert symbols.min() >= INT16[0]
        assert symbols.max() <= INT16[1]


Step = tuple[int, int]


def forge(steps: Sequence[Step], lanes: int = 1) -> bytes:
    """A payload that makes the decoder take these intervals (start, frequency) on lane 0."""
    state, words = 1 << 16, list[int]()
    for start, frequency in reversed(steps):
        if state >= frequency << 44:
            words.insert(0, state & 0xFFFFFFFF)
            state >>= 32
        state = (state // frequency << 16) + state % frequency + start
    first = state.to_bytes((state.bit_length() + 7) // 8, "little")
    head = bytes([lanes.bit_length() - 1 | len(first) - 1 << 2])
    return head + first + b"".join(word.to_bytes(4, "little") for word in words)


def nibbles(*values: int) -> list[Step]:
    return [(value << 12, 4096) for value in values]


CERTAIN = Tables([[0, 65_535, 65_536]], [-32_768])
ESCAPE = [(65_535, 1)]


def test_forged_payloads_are_otherwise_good() -> None:
    payload = forge([*ESCAPE, *nibbles(2, 4, 1)])
    assert decode(payload, np.zeros(1, np.uint8), CERTAIN.core()) == -32_767 + 0x14 // 2


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "payload truncated: it is empty"),
        (b"\x08\x00\x00", "ends within the coder's state"),
        (b"\x08\x00\x00\x01\x00", "ends within a word"),
        (b"\x20\x00\x00\x01", "unknown bits in its first byte"),
        (b"\x08\x01\x00\x00", "a state out of range"),
        (b"\x04\xff\xff", "a state out of range"),
        (b"\x0c\x00\x00\x01\x00", "a state out of range"),
        (b"\x08\x00\x00\x01" + bytes(4), "a state out of range"),
        (b"\x1c" + bytes(7) + b"\x10", "a state out of range"),
        (b"\x09\x00\x00\x01", "a state out of range"),
        (forge([*ESCAPE, *nibbles(6, 0, 0, 0, 0, 0, 1)]), "too many digits"),
        (forge([*ESCAPE, *nibbles(15)]), "too many digits"),
        (forge([*ESCAPE, *nibbles(2, 4, 0)]), "starts with a zero digit"),
        (forge([*ESCAPE, *nibbles(1, 0)]), "starts with a zero digit"),
        (forge([*ESCAPE, *nibbles(1, 1)]), "an escaped symbol does not fit in 16 bits"),
        (forge([*ESCAPE, *nibbles(5, 15, 15, 15, 15, 15)]), "does not fit in 16 bits"),
        (forge([*ESCAPE, *nibbles(2, 1)]), "exhausted"),
        (forge(nibbles(1, 0, *range(15)), lanes=2), "starts with a zero digit"),
        (forge(nibbles(1, 1, 2, 1, 1, *range(15)), lanes=2), "a state out of range"),
        (forge(nibbles(0, 8, *[1] * 8, 0), lanes=2), "exhausted"),
        (
            forge([*nibbles(0, 8, *[0] * 7, 1), *ESCAPE], lanes=2),
            "a lane does not end where it began",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "payload",
)
def test_forged_payloads(payload: bytes, message: str) -> None:
    with pytest.raises(StreamError, match=message):
        decode(payload, np.zeros(1, np.uint8), CERTAIN.core())


def test_payload_is_copied(gaussian: Tables) -> None:
    symbols, indexes = np.arange(-50, 50, dtype=np.int32), np.full(100, 40, np.uint8)
    payload = bytearray(encode(symbols, indexes, gaussian.core()))
    decoder = Decoder(payload)
    payload[:] = bytes(len(payload))
    np.testing.assert_array_equal(decoder.pull(indexes, gaussian.core()), symbols)


def test_threads_cannot_get_into_one_encoder_together(gaussian: Tables) -> None:
    core = gaussian.core()
    symbols, indexes = np.ones(100_000, np.int32), np.full(100_000, 10, np.uint8)
    encoder, pushed, refused = Encoder(), [], []

    def work() -> None:
        for _ in range(5):
            try:
                encoder.push(symbols, indexes, core)
                pushed.append(1)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pushed) + len(refused) == 20
    assert set(refused) <= {"this coder is at work in another thread"}
    count = len(pushed)
    decoded = decode(encoder.finish(), np.tile(indexes, count), core)
    assert decoded.size == count * symbols.size
    assert (decoded == 1).all()
