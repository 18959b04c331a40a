"""Streams written by an earlier version decode to the same latents for ever."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

import numpy as np
import pytest
from cca_core import Decoder, parse_stream
from cca_engines import Tensor, available_engines, open_engine
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from locations import ROOT
from numpy.typing import NDArray
from references import format_reference
from references.prior_loop import run_prior
from table_files import read_table_file

ROOMS = {"": ROOT / "tests" / "data" / "streams"}
ROOMS["steps"] = ROOMS[""] / "steps"
"""Folders with a bundle, its streams, and hashes."""

HASHES: dict[str, dict[str, dict[str, Any]]] = {
    room: json.loads((folder / "hashes.json").read_text()) for room, folder in ROOMS.items()
}
NAMES = [pytest.param((room, name), id=name) for room in ROOMS for name in HASHES[room]]


@pytest.fixture(scope="module")
def codecs() -> dict[tuple[str, str], Codec]:
    """By engine and folder."""
    found = {}
    for engine in available_engines():
        for room, folder in ROOMS.items():
            codec = Codec(open_bundle(folder / "model.bundle"), open_engine(engine))
            codec.check_engine()
            found[engine, room] = codec
    return found


def read_stream(stored: tuple[str, str]) -> bytes:
    room, name = stored
    return (ROOMS[room] / f"{name}.cca").read_bytes()


def sha256(values: NDArray[Any]) -> str:
    """Of integers in any dtype, as little-endian int32."""
    integers = np.ascontiguousarray(values, "<i4")
    np.testing.assert_array_equal(integers, values)
    return hashlib.sha256(integers.tobytes()).hexdigest()


class EntropyDecoder(Protocol):
    """What is at the other end of the coding loop; `kind` is `gaussian` or `z`."""

    def pull(self, kind: str, indexes: NDArray[np.uint8]) -> NDArray[np.int32]: ...

    def finish(self) -> None: ...


class CoreDecoder:
    def __init__(self, bundle: Bundle, data: bytes) -> None:
        self.tables = bundle.read_tables()
        self.decoder = Decoder(parse_stream(data)[1])
        self.finish = self.decoder.finish

    def pull(self, kind: str, indexes: NDArray[np.uint8]) -> NDArray[np.int32]:
        return self.decoder.pull(indexes, self.tables[kind])


class SlowDecoder:
    """Written from docs/spec/format.md and docs/spec/bundle.md alone, container and tables too."""

    def __init__(self, bundle: Bundle, data: bytes) -> None:
        sets = read_table_file((bundle.path / "tables.bin").read_bytes())
        rows = dict(zip(("gaussian", "z"), sets, strict=True))
        self.tables = {
            kind: [format_reference.Table(cdf, first) for first, cdf in rows[kind]] for kind in rows
        }
        self.decoder = format_reference.Decoder(format_reference.parse(data).sections["payload"])
        self.finish = self.decoder.finish

    def pull(self, kind: str, indexes: NDArray[np.uint8]) -> NDArray[np.int32]:
        symbols = self.decoder.group(self.tables[kind], indexes.ravel().tolist())
        return np.array(symbols, np.int32).reshape(indexes.shape)


def decode_latents(codec: Codec, data: bytes, decoder: EntropyDecoder) -> dict[str, Any]:
    """Hashes of all integers that a stream stands for, named as in `hashes.json`."""
    bundle, engine = codec.bundle, codec.engine
    info, _ = parse_stream(data)
    left, top, right, bottom = info.padding
    rows, columns = (info.height + top + bottom) // 64, (info.width + left + right) // 64
    shape = (1, bundle.hyper_channels, rows, columns)
    channels = np.arange(bundle.hyper_channels, dtype=np.uint8)[:, None, None]
    z_symbols = decoder.pull("z", np.ascontiguousarray(np.broadcast_to(channels, shape)))
    groups: list[str] = []

    def code_group(
        group: int,
        indexes: NDArray[np.uint8],
        means: Tensor,  # noqa: ARG001 - a decoder does not need them
    ) -> NDArray[np.int32]:
        symbols = decoder.pull("gaussian", indexes)
        assert group == len(groups)
        groups.append(sha256(symbols))
        return symbols

    run = GraphRunner(bundle, engine).run
    y_hat = run_prior(run, engine, bundle, z_symbols, code_group, info.step)
    decoder.finish()
    return {
        "z_symbols": sha256(z_symbols),
        "symbols": groups,
        "y_hat": sha256(128 * engine.to_host(y_hat).astype(np.float64)),
    }


@pytest.mark.parametrize("stored", NAMES)
@pytest.mark.parametrize("engine", available_engines())
def test_a_stored_stream_decodes_to_the_same_latents(
    codecs: dict[tuple[str, str], Codec], engine: str, stored: tuple[str, str]
) -> None:
    room, name = stored
    data, codec = read_stream(stored), codecs[engine, room]
    for decoder in (CoreDecoder(codec.bundle, data), SlowDecoder(codec.bundle, data)):
        found = decode_latents(codec, data, decoder)
        assert found == {key: HASHES[room][name][key] for key in found}


@pytest.mark.parametrize("stored", NAMES)
@pytest.mark.parametrize("engine", available_engines())
def test_a_stored_stream_decodes_to_a_picture_with_its_metadata(
    codecs: dict[tuple[str, str], Codec], engine: str, stored: tuple[str, str]
) -> None:
    room, name = stored
    picture = codecs[engine, room].decode_stream(read_stream(stored)).picture
    expected = HASHES[room][name]
    assert picture.pixels.shape == (expected["height"], expected["width"], 3)
    icc = hashlib.sha256(picture.icc).hexdigest() if picture.icc else None
    assert (icc, picture.exif, picture.xmp) == (expected["icc"], None, None)


@pytest.mark.parametrize("stored", NAMES)
def test_a_stored_stream_is_tied_to_its_model_alone(stored: tuple[str, str]) -> None:
    info, _ = parse_stream(read_stream(stored))
    assert (info.entropy_mode, info.fingerprint) == ("exact", None)
    assert info.model_id == open_bundle(ROOMS[stored[0]] / "model.bundle").model_id


def test_all_kinds_of_streams_are_stored() -> None:
    for room, folder in ROOMS.items():
        assert {path.stem for path in folder.glob("*.cca")} == set(HASHES[room])
    plain = HASHES[""].values()
    sizes = {(each["width"], each["height"]): each["icc"] is not None for each in plain}
    assert sizes.items() >= {(64, 64): False, (100, 75): True, (1, 1): False}.items()
    payloads = [parse_stream(path.read_bytes())[1] for path in ROOMS[""].glob("*.cca")]
    assert {payload[0] & 1 for payload in payloads} == {0, 1}, "one lane and 64"
    steps = {parse_stream(path.read_bytes())[0].step for path in ROOMS["steps"].glob("*.cca")}
    assert steps == {-128, -59, 1, 77, 127}
