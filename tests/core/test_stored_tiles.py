"""A stored stream in tiles: decodes to the same latents for ever, and no change goes unnoticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from cca_core import StreamError, parse_stream, write_stream
from cca_engines import Tensor, available_engines, open_engine
from cca_runtime import BadInputError, FailureError
from cca_runtime.bundle import open_bundle
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.host import EngineHost
from forgery import accepted_headers
from locations import ROOT
from references import format_reference, tile_reference
from references.mirroring import mirroring_of
from references.tiling import Grid
from table_files import read_table_file

STREAMS = ROOT / "tests" / "data" / "streams"
STREAM = (STREAMS / "tiled" / "six-150x100.cca").read_bytes()
Y_HATS: list[str] = json.loads((STREAMS / "tiled" / "y_hat.json").read_text())
INFO, PAYLOAD = parse_stream(STREAM)
HEADER = len(STREAM) - len(PAYLOAD) - 4


@pytest.fixture(scope="module", params=available_engines())
def codec(request: pytest.FixtureRequest) -> Codec:
    return Codec(open_bundle(STREAMS / "model.bundle"), open_engine(request.param))


def digest(y_hat: Any) -> str:
    integers = 128 * np.asarray(y_hat).astype(np.float64)
    return hashlib.sha256(np.ascontiguousarray(integers, "<i4").tobytes()).hexdigest()


def test_it_is_in_six_tiles() -> None:
    assert INFO.tiling == (64, 64, 1, 1)
    assert len(INFO.tile_sizes) == len(set(Y_HATS)) == 6


def test_each_tile_decodes_to_the_same_latents(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Grid.of(INFO)
    found: list[str] = []
    groups: list[Any] = []

    def spy(self: EngineHost, name: str, _: object, outputs: Mapping[str, Tensor]) -> None:
        if "y_hat" in outputs:
            groups.append(self.engine.to_host(outputs["y_hat"]).copy())
        if name == codec.bundle.prior_graphs[-1]:
            mirroring = mirroring_of(grid.tiles.box(len(found)), grid.picture)
            found.append(digest(mirroring.inner(np.concatenate(groups), 4)))
            groups.clear()

    monkeypatch.setattr(EngineHost, "ran", spy)
    in_order = Codec(codec.bundle, codec.engine, workers=1)
    assert in_order.decode(STREAM).shape == (100, 150, 3)
    assert found == Y_HATS


def test_a_slow_decoder_gets_the_same_latents(codec: Codec) -> None:
    sets = read_table_file((STREAMS / "model.bundle" / "tables.bin").read_bytes())
    tables = [[format_reference.Table(cdf, first) for first, cdf in rows] for rows in sets]
    run = GraphRunner(codec.bundle, codec.engine).run
    tiles = format_reference.parse(STREAM).tiles
    y_hats = [tile_reference.decode_tile(codec, run, tables, tile, 192, 128, 0) for tile in tiles]
    assert [digest(y_hat) for y_hat in y_hats] == Y_HATS


def test_every_flipped_bit_and_every_truncation_is_noticed() -> None:
    for bit in range(8 * len(STREAM)):
        changed = bytearray(STREAM)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            parse_stream(changed)
    for size in range(len(STREAM)):
        with pytest.raises(StreamError):
            parse_stream(STREAM[:size])
    with pytest.raises(StreamError, match="trailing"):
        parse_stream(STREAM + b"?")


def test_every_flipped_bit_of_a_header_with_a_new_checksum() -> None:
    codec = Codec(open_bundle(STREAMS / "model.bundle"), open_engine("onnxruntime"))
    flipped = (
        (int.from_bytes(STREAM[:HEADER], "little") ^ 1 << bit).to_bytes(HEADER, "little")
        for bit in range(8 * HEADER)
    )
    accepted = accepted_headers(flipped, STREAM[HEADER + 4 :], codec)
    assert accepted >= 64, "any model id is as good as another, for the container"


def test_a_changed_tile_with_a_new_checksum_changes_no_other() -> None:
    """Whoever forges checksums gets an error that names the tile, or other pixels there."""
    bundle, engine = open_bundle(STREAMS / "model.bundle"), open_engine("onnxruntime")
    codec, obstinate = Codec(bundle, engine), Codec(bundle, engine, keep_going=True)
    whole = codec.decode(STREAM)
    start = sum(INFO.tile_sizes[:5])
    refusals = []
    for position in range(start, len(PAYLOAD), 3):
        forged = bytearray(PAYLOAD)
        forged[position] ^= 16
        stream = write_stream(INFO, bytes(forged))
        with pytest.raises((BadInputError, FailureError)) as caught:
            codec.decode(stream)
        refusals.append(str(caught.value))
        try:
            assert obstinate.decode(stream).shape == whole.shape
        except BadInputError as error:
            if str(error) != refusals[-1]:
                raise
        # The first window sees tiles 0, 1, 3 and 4, and so does nothing of tile 5.
        region = codec.decode(stream, region=(0, 0, 20, 20))
        np.testing.assert_array_equal(region, whole[:20, :20])
    assert refusals
    assert all(refusal.startswith("tile in column 2, row 1: ") for refusal in refusals)
