"""The entropy coder: round trips on every path, an independent decoder, and code lengths."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from cca_core import Decoder, Encoder, StreamError
from coding import PATHS, Group, decode, encode
from entropy_tables import INT16, KINDS, Indexes, Tables, golden_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import GOLDEN, ROOT
from references import format_reference

CONTAINER_BYTES = 32
MANY_LANES = 1  # bit of a payload's first byte
PINNED_SHA256 = "ea20649136b72524ff87a22ef2cf5459ec044140e7e22185085e85317da338d1"

DrawIndexes = Callable[[np.random.Generator, int], Indexes]


def reference_decode(payload: bytes, indexes: list[Indexes], tables: Tables) -> list[list[int]]:
    decoder, reference = format_reference.Decoder(payload), tables.reference
    groups = [decoder.group(reference, group.tolist()) for group in indexes]
    decoder.finish()
    return groups


def check_round_trip(
    groups: list[Group], tables: Tables, *, paths: tuple[str, ...] = PATHS
) -> bytes:
    """On every path, and with the slow decoder. Returns the payload."""
    core = tables.core
    indexes = [index for _, index in groups]
    payload = encode(groups, core)
    for path in paths:
        assert encode(groups, core, path) == payload
        for found, (symbols, _) in zip(decode(payload, indexes, core, path), groups, strict=True):
            np.testing.assert_array_equal(found, symbols)
    found_slowly = reference_decode(payload, indexes, tables)
    assert found_slowly == [symbols.tolist() for symbols, _ in groups]
    return payload


def random_groups(tables: Tables, seed: int, *counts: int, every: int = 60) -> list[Group]:
    """Groups of random symbols, two of so many of which are anything."""
    rng = np.random.default_rng(seed)
    indexes = [tables.indexes(rng, count) for count in counts]
    return [(tables.draw_with_escapes(rng, each, every), each) for each in indexes]


def test_paths_of_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scalar" in PATHS
    for name in ("sse9", "AVX2", "scalar "):
        monkeypatch.setenv("CCA_SIMD", name)
        for coder in (Encoder, lambda: Decoder(b"\x00\x00\x00\x01")):
            with pytest.raises(ValueError, match=f"CCA_SIMD={name} cannot be used .* scalar"):
                coder()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tables_on_every_path(kind: str) -> None:
    tables = KINDS[kind]()
    for count in (0, 1, 63, 64, 65):
        payload = check_round_trip(random_groups(tables, count, count), tables)
        assert not payload[0] & MANY_LANES
    check_round_trip(random_groups(tables, 1, 1_000, 0, 200), tables)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tables_on_64_lanes(kind: str) -> None:
    tables = KINDS[kind]()
    groups = random_groups(tables, 2, 300, 20_000, 64, 0, 5_000)
    groups += random_groups(tables, 3, 20_000, 70, every=5)
    payload = check_round_trip(groups, tables)
    assert payload[0] & MANY_LANES


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "1024 tables"])
def test_indexes_of_16_bits_mean_the_same(kind: str) -> None:
    tables = KINDS[kind]()
    core = tables.core
    groups = random_groups(tables, 3, 5_000, 700)
    wide: list[Group] = [(symbols, indexes.astype(np.uint16)) for symbols, indexes in groups]
    payload = encode(groups, core)
    assert encode(wide, core) == payload
    for found, (symbols, _) in zip(
        decode(payload, [i for _, i in wide], core), groups, strict=True
    ):
        np.testing.assert_array_equal(found, symbols)


@pytest.mark.parametrize("kind", KINDS)
def test_ends_of_every_table(kind: str) -> None:
    tables = KINDS[kind]()
    symbols, indexes = list[int](), list[int]()
    for index, (cdf, offset) in enumerate(zip(tables.cdfs, tables.offsets, strict=True)):
        highest = offset + len(cdf) - 3
        ends = [offset - 2, offset - 1, offset, highest, highest + 1, highest + 2, *INT16]
        ends = [end for end in ends if INT16[0] <= end <= INT16[1]]
        symbols += ends
        indexes += [index] * len(ends)
    group = np.array(symbols, np.int32), np.array(indexes, np.uint16)
    check_round_trip([group], tables, paths=("",))


@st.composite
def table_sets(draw: st.DrawFn) -> Tables:
    """Up to a few tables of every kind: one value and an escape, certain, sparse, near or not."""
    cuts = st.sets(st.integers(1, 65_535), min_size=1, max_size=40)
    extreme = st.sampled_from(
        [{1}, {65_535}, {1, 65_535}, {1, 2, 3}, {65_533, 65_534}, set(range(1, 300))]
    )
    small = st.integers(1, 40)
    sparse = st.builds(lambda left, right: {left, 65_535 - right, 65_535}, small, small)
    side = st.integers(1, 20_000)
    near = st.builds(
        lambda tail, side, more: {tail, tail + side, 65_535 - side - more, 65_535},
        small,
        side,
        small,
    )
    shapes = st.lists(cuts | extreme | sparse | near, min_size=1)
    cdfs = [[0, *sorted(inner), 65_536] for inner in draw(shapes)]
    offsets = [draw(st.integers(INT16[0], INT16[1] + 3 - len(cdf))) for cdf in cdfs]
    return Tables(cdfs, offsets)


@st.composite
def groups_of(draw: st.DrawFn, tables: Tables) -> list[Group]:
    def symbols_of(index: int) -> st.SearchStrategy[tuple[int, int]]:
        ranks = st.integers(-3, len(tables.cdfs[index]))
        close = ranks.map(lambda rank: int(np.clip(tables.offsets[index] + rank, *INT16)))
        return st.tuples(st.just(index), st.integers(*INT16) | close)

    pairs = st.integers(0, len(tables) - 1).flatmap(symbols_of)
    groups = list[Group]()
    for group in draw(st.lists(st.lists(pairs, max_size=60), max_size=3)):
        indexes = np.array([index for index, _ in group], np.uint8)
        groups.append((np.array([symbol for _, symbol in group], np.int32), indexes))
    return groups


@given(st.data())
@settings(deadline=None)
def test_round_trip_with_any_tables(data: st.DataObject) -> None:
    tables = data.draw(table_sets())
    check_round_trip(data.draw(groups_of(tables)), tables)


@given(st.data(), st.integers(1, 60), st.integers(0, 2**32))
@settings(deadline=None, max_examples=15)
def test_round_trip_of_many_symbols_with_any_tables(
    data: st.DataObject, hundreds: int, seed: int
) -> None:
    tables = data.draw(table_sets())
    check_round_trip(random_groups(tables, seed, 100 * hundreds, 2_000), tables)


def test_the_groups_pulled_are_those_that_were_pushed() -> None:
    tables = golden_tables("gaussian")
    core = tables.core
    groups = random_groups(tables, 4, 9_000, 2_000, 500)
    payload = encode(groups, core)
    whole = np.concatenate([indexes for _, indexes in groups])
    for cuts in ((), (9_000,), (11_000,), (8_999, 11_000), (9_000, 10_999), (2_500, 11_000)):
        with pytest.raises(StreamError):
            decode(payload, np.split(whole, cuts), core)


def test_groups_without_symbols_are_nothing() -> None:
    tables = golden_tables("gaussian")
    groups = random_groups(tables, 5, 0, 900, 0, 0, 300, 0)
    filled = [groups[1], groups[4]]
    assert check_round_trip(groups, tables) == check_round_trip(filled, tables)


def test_tables_may_change_between_groups() -> None:
    gaussian, z = golden_tables("gaussian"), golden_tables("z")
    rng = np.random.default_rng(2)
    z_indexes = np.repeat(np.arange(48, dtype=np.uint16), 20).reshape(1, 48, 4, 5)
    indexes = rng.integers(0, 64, (1, 8, 20, 30)).astype(np.uint8)
    z_symbols, symbols = z.draw(rng, z_indexes), gaussian.draw(rng, indexes)
    encoder = Encoder()
    encoder.push(z_symbols, z_indexes, z.core)
    encoder.push(symbols, indexes, gaussian.core)
    payload = encoder.finish()

    decoder = Decoder(payload)
    np.testing.assert_array_equal(decoder.pull(z_indexes, z.core), z_symbols)
    np.testing.assert_array_equal(decoder.pull(indexes, gaussian.core), symbols)
    decoder.finish()

    def pull_in_wrong_order() -> None:
        wrong = Decoder(payload)
        wrong.pull(indexes, gaussian.core)
        wrong.pull(z_indexes, z.core)
        wrong.finish()

    with pytest.raises(StreamError):
        pull_in_wrong_order()


@pytest.mark.parametrize("picture", ["astronaut", "chelsea", "coffee", "random-2groups"])
def test_symbols_of_golden_pictures(picture: str) -> None:
    tables = golden_tables("gaussian")
    with np.load(GOLDEN / f"{picture}.npz") as golden:
        ends = np.cumsum(golden["group_sizes"])[:-1]
        symbols = np.split(golden["symbols"].astype(np.int32), ends)
        indexes = np.split(golden["indexes"], ends)
        reference_bytes = golden["y_string"].size
    groups = [(s.ravel(), i.ravel()) for s, i in zip(symbols, indexes, strict=True)]
    payload = check_round_trip(groups, tables)
    assert len(payload) <= 1.003 * reference_bytes + 48


def log_normal_scales(rng: np.random.Generator, count: int) -> Indexes:
    scales = np.exp(rng.normal(np.log(0.5), 1.2, count))
    return np.searchsorted(np.geomspace(0.11, 256, 64)[:-1], scales).astype(np.uint8)


def mostly_table_0(rng: np.random.Generator, count: int) -> Indexes:
    return np.where(rng.random(count) < 0.75, 0, log_normal_scales(rng, count)).astype(np.uint8)


def uniform_indexes(rng: np.random.Generator, count: int) -> Indexes:
    return rng.integers(0, 64, count).astype(np.uint8)


DISTRIBUTIONS = [log_normal_scales, mostly_table_0, uniform_indexes]


def overhead(groups: list[Group], tables: Tables) -> tuple[float, float]:
    """Ideal bytes, and what container and coder add to them."""
    ideal = sum(tables.ideal_bytes(*group) for group in groups)
    payload = encode(groups, tables.core)
    return ideal, len(payload) + CONTAINER_BYTES - ideal


@pytest.mark.parametrize("draw_indexes", DISTRIBUTIONS)
@pytest.mark.parametrize("count", [0, 1, 10, 300, 3_000, 12_000, 40_000, 150_000, 500_000])
def test_length_is_close_to_ideal(draw_indexes: DrawIndexes, count: int) -> None:
    tables = golden_tables("gaussian")
    rng = np.random.default_rng(count)
    indexes = draw_indexes(rng, count)
    symbols = tables.draw(rng, indexes)
    ends = pairwise([0, count // 30, count // 6, count // 2, count])
    ideal, more = overhead([(symbols[a:b], indexes[a:b]) for a, b in ends], tables)
    assert CONTAINER_BYTES <= more <= 0.003 * ideal + 48


@pytest.mark.parametrize("draw_indexes", DISTRIBUTIONS)
def test_length_at_10_kilobytes(draw_indexes: DrawIndexes) -> None:
    tables = golden_tables("gaussian")
    rng = np.random.default_rng(10)
    indexes = draw_indexes(rng, 200_000)
    symbols = tables.draw(rng, indexes)
    count = int(200_000 * 10_000 / tables.ideal_bytes(symbols, indexes))
    ideal, more = overhead([(symbols[:count], indexes[:count])], tables)
    assert 9_000 <= ideal <= 11_000
    assert more <= 60


@pytest.mark.parametrize("index", range(64))
def test_length_of_each_gaussian_table_is_close_to_ideal(index: int) -> None:
    tables = golden_tables("gaussian")
    indexes = np.full(10_000, index, np.uint8)
    symbols = tables.draw(np.random.default_rng(index), indexes)
    ideal, more = overhead([(symbols, indexes)], tables)
    assert CONTAINER_BYTES <= more <= 0.003 * ideal + 48


def test_pinned_payload() -> None:
    # Fails when the format changes: then its version has to, too.
    k = np.arange(40_000)
    indexes = (k * 2_654_435_761 >> 7 & 63).astype(np.uint8)
    symbols = ((k * 40_503 >> 5) % 9 - 4).astype(np.int32)
    payload = encode([(symbols, indexes)], golden_tables("gaussian").core)
    assert payload[0] & MANY_LANES
    assert hashlib.sha256(payload).hexdigest() == PINNED_SHA256


class Recorder(format_reference.Decoder):
    """Notes each step as the page's example shows it."""

    def __init__(self, payload: bytes) -> None:
        self.steps: list[tuple[int, ...]] = []
        super().__init__(payload)

    def take(self, lane: int, precision: int, start: int, frequency: int) -> None:
        state = self.state[lane]
        super().take(lane, precision, start, frequency)
        slot = state % (1 << precision)
        self.steps.append((state, precision, slot, start, frequency, self.state[lane]))


def test_steps_of_the_example_on_the_page() -> None:
    text = (ROOT / "docs" / "spec" / "format.md").read_text()
    lines = re.findall(r"^    ((?:[0-9a-f]{2} )+) {2,}", text, re.MULTILINE)
    payload = format_reference.parse(bytes.fromhex("".join(lines))).sections["payload"]
    cdf = [0, 8_192, 53_248, 61_440, 64_512, 65_536]
    assert f"`cdf = {', '.join(map(str, cdf))}`" in text
    decoder = Recorder(payload)
    decoded = decoder.group([format_reference.Table(cdf, -1)], [0] * 6)
    decoder.finish()
    assert decoded == [0, 1, 0, 2, -4, -1]
    row = r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+), (\d+) \| .* \| `(\w+)` \|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert [tuple(int(number, 0) for number in row) for row in rows] == decoder.steps
    # Each symbol is named in the row of its last step.
    named = re.findall(r"\*\*(-?\d+)\*\*", text[text.index("## Example") :])
    assert named == ["0", "1", "0", "-1", "2", "-4"]
