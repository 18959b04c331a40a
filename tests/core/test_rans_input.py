"""What the coder is given: tables, arrays and payloads that are not as they should be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from cca_core import Decoder, Encoder, EntropyTables, StreamError
from coding import PATHS, decode, decode_group, encode, encode_group
from entropy_tables import INT16, Indexes, Symbols, Tables, golden_tables
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def gaussian() -> Tables:
    return golden_tables("gaussian")


def test_finish_encodes_what_was_pushed_so_far(gaussian: Tables) -> None:
    core = gaussian.core
    indexes = np.full(9, 30, np.uint8)
    symbols = np.arange(-4, 5, dtype=np.int32)
    encoder = Encoder()
    encoder.push(symbols, indexes, core)
    assert encoder.finish() == encoder.finish() == encode_group(symbols, indexes, core)
    encoder.push(symbols, indexes, core)
    assert encoder.finish() == encode([(symbols, indexes)] * 2, core)


def test_tables_are_copied() -> None:
    cdfs = np.array([[0, 30_000, 65_536]], np.int32)
    lengths, offsets = np.array([3], np.int32), np.array([7], np.int32)
    tables = EntropyTables(cdfs, lengths, offsets)
    assert len(tables) == 1
    cdfs[:], lengths[:], offsets[:] = 0, 0, 0
    symbols, indexes = np.array([7, 7, 8], np.int32), np.zeros(3, np.uint8)
    np.testing.assert_array_equal(
        decode_group(encode_group(symbols, indexes, tables), indexes, tables), symbols
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
        ([0, 65_536, 0, 0], 2, 0, r"table 1: length 2 is not in 3\.\.4"),
        ([0, 5, 9, 65_536], -1, 0, r"table 1: length -1 is not in 3\.\.4"),
        ([0, 5, 9, 65_536], 5, 0, r"table 1: length 5 is not in 3\.\.4"),
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
    with pytest.raises(ValueError, match=r"length 65537 is not in 3\.\.65536"):
        EntropyTables(cdf, np.array([65_537], np.int32), np.array([-32_768], np.int32))


def test_more_tables_than_there_may_be() -> None:
    cdfs = np.tile(np.array([0, 9, 65_536], np.int32), (1_025, 1))
    lengths = np.full(1_025, 3, np.int32)
    assert len(EntropyTables(cdfs[1:], lengths[1:], lengths[1:])) == 1_024
    with pytest.raises(ValueError, match="more than 1024 of them"):
        EntropyTables(cdfs, lengths, lengths)


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
    decoded = decode_group(encode_group(symbols, indexes, gaussian.core), indexes, gaussian.core)
    assert decoded.shape == shape
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, symbols)


def test_no_tables_and_no_symbols() -> None:
    tables = EntropyTables(np.zeros((0, 2), np.int32), *(np.zeros(0, np.int32),) * 2)
    assert len(tables) == 0
    nothing = np.zeros(0, np.uint8)
    assert encode_group(nothing.astype(np.int32), nothing, tables) == Encoder().finish()
    with pytest.raises(ValueError, match="table index 0 is not among the 0 entropy tables"):
        Encoder().push(np.zeros(1, np.int32), np.zeros(1, np.uint8), tables)


def test_read_only_arrays(gaussian: Tables) -> None:
    symbols, indexes = np.arange(4, dtype=np.int32), np.full(4, 30, np.uint8)
    symbols.flags.writeable = indexes.flags.writeable = False
    payload = encode_group(symbols, indexes, gaussian.core)
    decoded = decode_group(payload, indexes, gaussian.core)
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
    good = np.arange(-10, 10, dtype=np.int32), np.full(20, 3, np.uint8), gaussian.core
    encoder.push(*good)
    with pytest.raises(error, match=message):
        encoder.push(symbols, indexes, gaussian.core)
    assert encoder.finish() == encode_group(*good)
    if "indexes" in message or "table index" in message:
        with pytest.raises(error, match=message):
            Decoder(encoder.finish()).pull(indexes, gaussian.core)


def test_bad_symbol_in_the_middle_leaves_no_trace(gaussian: Tables) -> None:
    core = gaussian.core
    encoder = Encoder()
    symbols, indexes = np.array([1, -900, 70_000], np.int32), np.full(3, 5, np.uint8)
    with pytest.raises(ValueError, match="symbol 70000"):
        encoder.push(symbols, indexes, core)
    encoder.push(symbols[:2], indexes[:2], core)
    assert encoder.finish() == encode_group(symbols[:2], indexes[:2], core)


COUNTS = [50, 2_000, 40_000]  # the last on 64 lanes


@pytest.mark.parametrize("count", COUNTS)
def test_every_missing_or_extra_word_is_noticed(gaussian: Tables, count: int) -> None:
    rng = np.random.default_rng(count)
    indexes = rng.integers(0, 50, count).astype(np.uint8)
    core = gaussian.core
    payload = encode_group(gaussian.draw(rng, indexes), indexes, core)
    assert payload[0] & 1 == (count == COUNTS[-1])
    for missing in {*range(1, 40), len(payload) // 2, len(payload) - 9, len(payload)}:
        with pytest.raises(StreamError):
            decode_group(payload[: max(len(payload) - missing, 0)], indexes, core)
    for extra in (b"\0", b"\0\0", b"\1\2\3\4", payload):
        with pytest.raises(StreamError):
            decode_group(payload + extra, indexes, core)
    words = len(payload) - 2 * rng.integers(1, len(payload) // 2 - 4)
    with pytest.raises(StreamError):
        decode_group(payload[:words] + payload[words + 2 :], indexes, core)


@pytest.mark.parametrize("count", COUNTS)
def test_too_few_and_too_many_groups(gaussian: Tables, count: int) -> None:
    rng = np.random.default_rng(count)
    core = gaussian.core
    encoder = Encoder()
    groups = [rng.integers(0, 50, size).astype(np.uint8) for size in (count, 1, 40)]
    for indexes in groups:
        encoder.push(gaussian.draw(rng, indexes), indexes, core)
    payload = encoder.finish()
    for pulled in range(len(groups)):
        decoder = Decoder(payload)
        for indexes in groups[:pulled]:
            decoder.pull(indexes, core)
        with pytest.raises(StreamError, match="something is left after its last symbol"):
            decoder.finish()
    decoder = Decoder(payload)
    for indexes in groups:
        decoder.pull(indexes, core)
    with pytest.raises(StreamError, match="exhausted"):
        decoder.pull(np.full(1, 20, np.uint8), core)
    for again in (decoder.finish, lambda: decoder.pull(groups[1], core)):
        with pytest.raises(StreamError, match="stopped at an earlier error"):
            again()


def outcome(payload: bytearray, indexes: Indexes, tables: EntropyTables, path: str) -> list[int]:
    """The symbols, or none if there is an error."""
    with contextlib.suppress(StreamError):
        symbols = decode_group(payload, indexes, tables, path)
        assert symbols.min() >= INT16[0]
        assert symbols.max() <= INT16[1]
        return list(symbols)
    return []


@given(st.integers(0, 2), st.data())
@settings(deadline=None, max_examples=60)
def test_damaged_payloads_are_errors_or_other_symbols_on_every_path(
    size: int, data: st.DataObject
) -> None:
    tables = golden_tables("gaussian")
    rng = np.random.default_rng(3)
    indexes = rng.integers(0, 64, (100, 4_000, 30_000)[size]).astype(np.uint8)
    symbols = tables.draw_with_escapes(rng, indexes, 60)
    payload = bytearray(encode_group(symbols, indexes, tables.core))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, 40) | st.integers(0, len(payload) - 1))
        payload[position % len(payload)] = data.draw(st.integers(0, 255))
    expected = outcome(payload, indexes, tables.core, "scalar")
    for path in PATHS:
        assert outcome(payload, indexes, tables.core, path) == expected


Step = tuple[int, int, int]  # precision, start, frequency


def raw(value: int, bits: int) -> list[Step]:
    return [(16, value << 16 - bits, 1 << 16 - bits)]


def number(value: int) -> list[Step]:
    """For values of 17 binary digits or fewer."""
    length = value.bit_length()
    digits = value - (1 << length - 1) if length > 1 else 0
    return raw(length, 5) + (raw(digits, length - 1) if length > 1 else [])


def lanes(states: Sequence[int]) -> list[Step]:
    """The first states of the lanes 63 down to 1."""
    steps = list[Step]()
    for state in states:
        high, low = state >> 16, state & 0xFFFF
        e = high.bit_length() - 1
        steps += raw(e, 4) + raw(low, 16) + (raw(high - (1 << e), e) if e else [])
    return steps


def put(steps: Sequence[Step], state: int, words: Sequence[int]) -> tuple[int, list[int]]:
    """Encodes steps before those that gave this state and these words."""
    words = list(words)
    for precision, start, frequency in reversed(steps):
        if state >= frequency << 32 - precision:
            words.insert(0, state & 0xFFFF)
            state >>= 16
        state = (state // frequency << precision) + state % frequency + start
    return state, words


def serialise(state: int, words: Sequence[int], *, many_lanes: bool) -> bytes:
    long = state >= 1 << 24
    head = bytes([many_lanes | long << 1])
    first = state.to_bytes(3 + long, "little")
    return head + first + b"".join(word.to_bytes(2, "little") for word in words)


def forge(steps: Sequence[Step], *, many_lanes: bool = False) -> bytes:
    """A payload that makes the decoder take these steps on lane 0."""
    return serialise(*put(steps, 1 << 16, []), many_lanes=many_lanes)


# Symbol -32768 in 30,000 of 2^15 slots, and an escape.
TABLE = Tables([[0, 60_000, 65_536]], [INT16[0]])
MODE: list[Step] = [(15, 0, 30_000)]
ESCAPE: list[Step] = [(15, 30_000, 2_768), (12, 0, 4_096)]
IN_PLACE = [1 << 16] * 63


def test_forged_payloads_are_otherwise_good() -> None:
    payload = forge([*ESCAPE, *number(20)])
    assert decode_group(payload, np.zeros(1, np.uint8), TABLE.core) == INT16[0] + 1 + 20 // 2


@pytest.mark.parametrize("path", PATHS)
def test_forged_lanes_are_otherwise_good(path: str) -> None:
    numbers = range(2_000, 22_000, 200)
    escapes = [step for step in ESCAPE for _ in numbers]
    steps = [*escapes, *(step for value in numbers for step in number(value))]
    state, words = put(steps, 1 << 16, [])
    last_words = [1 << 16 | word for word in words[-63:]]
    state, words = put([*number(0), *lanes(last_words)], state, words[:-63])
    payload = serialise(state, words, many_lanes=True)
    symbols = decode_group(payload, np.zeros(len(numbers), np.uint8), TABLE.core, path)
    assert symbols.tolist() == [INT16[0] + 1 + value // 2 for value in numbers]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "payload truncated: it is empty"),
        (b"\x00\x00\x00", "ends within the coder's state"),
        (b"\x02\x00\x00\x01", "ends within the coder's state"),
        (b"\x00\x00\x00\x01\x00", "ends within a word"),
        (b"\x04\x00\x00\x01", "unknown bits in its first byte"),
        (b"\x80\x00\x00\x01", "unknown bits in its first byte"),
        (b"\x00\xff\xff\x00", "a state out of range"),
        (b"\x02\xff\xff\xff\x00", "a state out of range"),
        (b"\x00\x00\x00\x01", "exhausted"),
        (forge(MODE) + b"\x00\x00", "something is left after its last symbol"),
        (forge([*MODE, *MODE]), "something is left after its last symbol"),
        (forge([*ESCAPE, *number(0xFFFF)]), "does not fit in 16 bits"),
        (forge([*ESCAPE, *number(1)]), "does not fit in 16 bits"),
        (forge([*ESCAPE, *number(0x1FFFE)]), "does not fit in 16 bits"),
        (forge([*ESCAPE, *raw(31, 5), *raw(0xFFFF, 16), *raw(0x3FFF, 14)]), "does not fit in 16"),
        (forge([*ESCAPE, *raw(17, 5)]), "exhausted"),
        (forge(number(0), many_lanes=True), "exhausted"),
        (forge([*number(0), *lanes(IN_PLACE[1:])], many_lanes=True), "exhausted"),
        (forge([*number(1), *lanes(IN_PLACE), *MODE], many_lanes=True), "something is left"),
        (forge([*number(2), *lanes(IN_PLACE), *MODE], many_lanes=True), "something is left"),
        (forge([*number(0), *lanes([1 << 17] * 63)], many_lanes=True), "a lane does not end where"),
        (forge([*number(1), *lanes(IN_PLACE)], many_lanes=True), "exhausted"),
    ],
    ids=lambda value: None if isinstance(value, str) else "payload",
)
def test_forged_payloads(payload: bytes, message: str) -> None:
    with pytest.raises(StreamError, match=message):
        decode_group(payload, np.zeros(1, np.uint8), TABLE.core)


def test_payload_is_copied(gaussian: Tables) -> None:
    symbols, indexes = np.arange(-50, 50, dtype=np.int32), np.full(100, 40, np.uint8)
    payload = bytearray(encode_group(symbols, indexes, gaussian.core))
    decoder = Decoder(payload)
    payload[:] = bytes(len(payload))
    np.testing.assert_array_equal(decoder.pull(indexes, gaussian.core), symbols)


def test_threads_cannot_get_into_one_encoder_together(gaussian: Tables) -> None:
    core = gaussian.core
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
    groups = decode(encoder.finish(), [indexes] * count, core)
    assert len(groups) == count
    assert all((group == 1).all() for group in groups)
