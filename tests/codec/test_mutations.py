"""Every single-bit change and every truncation of stored streams; of a large one, a sample.

The checksums find all of them. A forger writes new checksums: then the decoder of
the payload stands alone, and may give other symbols, but nothing worse.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from cca_core import (
    Decoder,
    EntropyTables,
    StreamError,
    StreamInfo,
    parse_stream,
)
from cca_engines import Tensor, open_engine
from cca_runtime.bundle import open_bundle
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from forgery import accepted_headers
from locations import ROOT
from numpy.typing import NDArray
from references.prior_loop import run_prior

STREAMS = ROOT / "tests" / "data" / "streams"
NAMES = sorted(json.loads((STREAMS / "hashes.json").read_text()))

EDGE, STRIDE = 8_000, 499  # sampling: a stream is small up to 2,000 bytes


@dataclass(frozen=True)
class Recorded:
    """A stored stream and the table indexes that the networks give for it, group by group."""

    stream: bytes
    info: StreamInfo
    payload: bytes
    groups: list[tuple[NDArray[np.uint16], EntropyTables]]

    def decode(self, payload: bytes) -> list[bytes]:
        """The symbols of each group, had the networks said the same of another payload."""
        decoder = Decoder(payload)
        symbols = [decoder.pull(indexes, tables) for indexes, tables in self.groups]
        decoder.finish()
        for group, (indexes, _) in zip(symbols, self.groups, strict=True):
            assert group.shape == indexes.shape
            assert (group == group.astype(np.int16)).all()
        return [group.tobytes() for group in symbols]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(open_bundle(STREAMS / "model.bundle"), open_engine("onnxruntime"))


@pytest.fixture(scope="module", params=NAMES)
def recorded(request: pytest.FixtureRequest, codec: Codec) -> Recorded:
    bundle, engine = codec.bundle, codec.engine
    tables = bundle.read_tables()
    stream = (STREAMS / f"{request.param}.cca").read_bytes()
    info, payload = parse_stream(stream)
    left, top, right, bottom = info.padding
    shape = (bundle.hyper_channels, (info.height + top + bottom) // 64)
    shape += ((info.width + left + right) // 64,)
    channels = np.arange(bundle.hyper_channels, dtype=np.uint16)[:, None, None]
    groups = [(np.ascontiguousarray(np.broadcast_to(channels, shape))[None], tables["z"])]
    decoder = Decoder(payload)

    def code_group(
        group: int,  # noqa: ARG001 - groups come in order
        indexes: NDArray[np.uint8],
        means: Tensor,  # noqa: ARG001 - a decoder does not need them
    ) -> NDArray[np.int32]:
        groups.append((indexes.astype(np.uint16), tables["gaussian"]))
        return decoder.pull(*groups[-1])

    z_symbols = decoder.pull(*groups[0])
    run = GraphRunner(bundle, engine).run
    run_prior(run, engine, bundle, z_symbols, code_group)
    return Recorded(stream, info, payload, groups)


def sample(count: int) -> Iterator[int]:
    """All numbers below a small count; of a large one the first, the last and some between."""
    yield from (i for i in range(count) if i < EDGE or i >= count - EDGE or i % STRIDE == 0)


def flips(data: bytes) -> Iterator[bytes]:
    """`data` with one bit changed."""
    for bit in sample(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def truncations(data: bytes) -> Iterator[bytes]:
    """`data` without its end."""
    for size in sample(len(data)):
        yield data[:size]


@pytest.mark.parametrize("mutate", [flips, truncations])
def test_every_change_of_a_stream_is_noticed(
    recorded: Recorded, mutate: Callable[[bytes], Iterator[bytes]]
) -> None:
    assert parse_stream(recorded.stream) == (recorded.info, recorded.payload)
    for changed in mutate(recorded.stream):
        with pytest.raises(StreamError):
            parse_stream(changed)


@pytest.mark.parametrize("name", ["crop-64x64", "odd-100x75", "one-pixel"])
def test_of_small_streams_nothing_is_left_out(name: str) -> None:
    stream = (STREAMS / f"{name}.cca").read_bytes()
    assert len(set(flips(stream))) == 8 * len(stream)
    assert len(set(truncations(stream))) == len(stream)


def test_what_follows_a_stream_is_noticed(recorded: Recorded) -> None:
    for value in range(256):
        with pytest.raises(StreamError, match="trailing"):
            parse_stream(recorded.stream + bytes([value]))


def count_accepted(recorded: Recorded, payloads: Iterator[bytes]) -> tuple[int, int, int]:
    """How many payloads there are, are decoded, and are decoded to the stored symbols."""
    symbols = recorded.decode(recorded.payload)
    total = accepted = same = 0
    for payload in payloads:
        total += 1
        with contextlib.suppress(StreamError):
            same += recorded.decode(payload) == symbols
            accepted += 1
    return total, accepted, same


def test_every_flipped_bit_of_a_payload_without_checksum(recorded: Recorded) -> None:
    total, accepted, same = count_accepted(recorded, flips(recorded.payload))
    assert same == 0, "there is one payload for these symbols"
    # The coder's own end check finds most of what checksums no longer do. What it cannot find are
    # other distances of symbols beyond their tables, which these streams are full of.
    assert accepted < total / 2


def test_every_truncation_of_a_payload_without_checksum(recorded: Recorded) -> None:
    _, accepted, _ = count_accepted(recorded, truncations(recorded.payload))
    assert accepted == 0


def header_size(recorded: Recorded) -> int:
    """Bytes before the header's checksum."""
    metadata = (recorded.info.icc, recorded.info.exif, recorded.info.xmp)
    sections = len(recorded.payload) + sum(len(section or b"") for section in metadata)
    return len(recorded.stream) - sections - 4


def test_every_flipped_bit_of_a_header_with_a_new_checksum(
    recorded: Recorded, codec: Codec
) -> None:
    size = header_size(recorded)
    headers = flips(recorded.stream[:size])
    accepted = accepted_headers(headers, recorded.stream[size + 4 :], codec)
    assert accepted >= 64, "any model id is as good as another, for the container"
