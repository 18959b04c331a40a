"""Qualities and targets: what is asked for is what comes out, compared with all that could."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cca_core
import numpy as np
import pytest
from cca_core import parse_stream
from cca_engines.onnxruntime import OnnxRuntimeEngine
from cca_runtime import BadInputError, Encoded, load
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Picture, Pixels
from locations import ROOT
from numpy.typing import NDArray
from references import tile_reference
from references.quantisation_steps import numerator

CODES = range(-128, 128)
STEPS = (-128, -61, -3, 0, 5, 64, 127)


class BatchingEngine(OnnxRuntimeEngine):
    """The default engine, as if it were faster at three pictures at once."""

    capabilities = replace(OnnxRuntimeEngine.capabilities, batch=3)


def quality_of(code: int) -> float:
    return 50 - code / 2.56


@pytest.fixture(scope="module")
def picture(chelsea: NDArray[np.uint8]) -> Pixels:
    return np.ascontiguousarray(chelsea[60:124, 130:258])


@pytest.fixture(scope="module")
def every(default_codec: Codec, picture: Pixels) -> Mapping[int, bytes]:
    """The streams of one picture at all steps."""
    return {code: default_codec.encode(picture, quality=quality_of(code)) for code in CODES}


@pytest.fixture(scope="module")
def psnrs(default_codec: Codec, picture: Pixels, every: Mapping[int, bytes]) -> dict[int, float]:
    return {code: psnr(picture, default_codec.decode(data)) for code, data in every.items()}


def payload_bytes(data: bytes) -> int:
    return len(parse_stream(data)[1])


def test_the_core_has_the_steps_of_the_page() -> None:
    for code in CODES:
        assert cca_core.quantisation_step(code) == numerator(code) / 128
        assert cca_core.step_of_quality(quality_of(code)) == code
        assert cca_core.quality_of_step(code) == quality_of(code)


def test_higher_qualities_are_better_and_larger(
    every: Mapping[int, bytes], psnrs: Mapping[int, float]
) -> None:
    places = [-128, -64, -32, 0, 32, 64, 127]
    sizes = [len(every[code]) for code in places]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 5 * sizes[-1]
    middle = [psnrs[code] for code in places[1:-1]]
    assert middle == sorted(middle, reverse=True)
    assert middle[0] > middle[-1] + 3


def test_the_stream_says_its_step(every: Mapping[int, bytes]) -> None:
    assert {code: parse_stream(data)[0].step for code, data in every.items()} == {
        code: code for code in CODES
    }


def test_without_a_flag_a_picture_is_at_the_models_own_point(
    default_codec: Codec, picture: Pixels, every: Mapping[int, bytes]
) -> None:
    assert default_codec.encode(picture) == every[0]
    encoded = default_codec.encode_picture(picture)
    assert (encoded.step, encoded.quality, encoded.trials) == (1.0, 50.0, 1)


@pytest.mark.parametrize("code", STEPS)
def test_a_slow_decoder_agrees_at_every_step(
    default_codec: Codec, picture: Pixels, every: Mapping[int, bytes], code: int
) -> None:
    encoded = default_codec.encode_picture(picture, quality=quality_of(code), reconstruct=True)
    assert encoded.data == every[code]
    assert encoded.step == numerator(code) / 128
    decoded = default_codec.decode(encoded.data)
    assert encoded.reconstruction is not None
    np.testing.assert_array_equal(decoded, encoded.reconstruction)
    slow = tile_reference.decode(default_codec, encoded.data)
    np.testing.assert_allclose(decoded, slow, atol=1)
    assert np.mean(decoded != slow) < 1e-3


def test_group_bytes_are_the_payloads(default_codec: Codec, picture: Pixels) -> None:
    for tile in (None, 64):
        codec = Codec(default_codec.bundle, default_codec.engine, tile=tile)
        encoded = codec.encode_picture(picture, quality=70)
        assert len(encoded.group_bytes) == 1 + len(codec.bundle.group_sizes)
        assert all(count >= 0 for count in encoded.group_bytes)
        assert sum(encoded.group_bytes) == payload_bytes(encoded.data)
        assert codec.decode_stream(encoded.data).group_bytes == encoded.group_bytes
        assert codec.group_bytes(encoded.data) == encoded.group_bytes


def best(sizes: Mapping[int, int], asked: int) -> int | None:
    """The size that meets a target: the largest not above it, or else the least above."""
    below = [size for size in sizes.values() if 0.99 * asked <= size <= asked]
    above = [size for size in sizes.values() if asked < size <= 1.01 * asked]
    return max(below) if below else min(above) if above else None


def test_targets_of_size_are_met_as_a_full_search_meets_them(
    default_codec: Codec, picture: Pixels, every: Mapping[int, bytes]
) -> None:
    sizes = {code: len(data) for code, data in every.items()}
    found, trials = [], []
    for asked in np.geomspace(200, max(sizes.values()), 30).astype(int).tolist():
        if best(sizes, asked) is None:
            with pytest.raises(BadInputError, match="the nearest is"):
                default_codec.encode(picture, target_size=asked)
            continue
        encoded = default_codec.encode_picture(picture, target_size=asked)
        assert encoded.data == every[encoded.info.step]
        assert 0.99 * asked <= len(encoded.data) <= 1.01 * asked
        found.append(len(encoded.data) == best(sizes, asked))
        trials.append(encoded.trials)
    assert len(found) >= 20
    # Where neighbours are in the wrong order, the next best is found.
    assert np.mean(found) > 0.8
    assert max(trials) <= 16  # lines, halves, and neighbours to both sides
    assert np.mean(trials) < 5.5


def test_targets_of_bpp_leave_metadata_out(
    default_codec: Codec, picture: Pixels, every: Mapping[int, bytes]
) -> None:
    pixels = picture.shape[0] * picture.shape[1]
    sizes = {code: len(data) for code, data in every.items()}
    asked = 8 * sizes[20] / pixels
    for source in (picture, Picture(picture, icc=b"i" * 3000)):
        encoded = default_codec.encode_picture(source, target_bpp=asked)
        size = len(encoded.data) - len(encoded.info.icc or b"")
        assert abs(size - sizes[20]) <= 0.01 * sizes[20]


def test_targets_of_size_are_of_the_file(
    default_codec: Codec, picture: Pixels, every: Mapping[int, bytes]
) -> None:
    icc, xmp = b"i" * 1500, b"x" * 400
    asked = len(every[-30]) + len(icc) + len(xmp) + 2 * 6
    data = default_codec.encode(Picture(picture, icc=icc, xmp=xmp), target_size=asked)
    assert asked * 0.99 <= len(data) <= asked
    info, _ = parse_stream(data)
    assert (info.icc, info.xmp) == (icc, xmp)


def test_targets_of_psnr_are_met_by_what_is_decoded(
    default_codec: Codec, picture: Pixels, psnrs: Mapping[int, float]
) -> None:
    for asked in np.linspace(psnrs[110], psnrs[-40], 5):
        if min(abs(value - asked) for value in psnrs.values()) > 0.04:
            continue
        encoded = default_codec.encode_picture(picture, target_psnr=asked)
        assert psnr(picture, default_codec.decode(encoded.data)) == pytest.approx(asked, abs=0.05)
        assert 1 <= encoded.trials <= 12


@pytest.mark.parametrize(
    ("target", "nearest"),
    [
        ({"target_size": 60}, 127),
        ({"target_size": 10_000_000}, -128),
        ({"target_bpp": 1e-9}, 127),
        ({"target_bpp": 1000}, -128),
    ],
)
def test_targets_out_of_reach_name_the_nearest(
    default_codec: Codec,
    picture: Pixels,
    every: Mapping[int, bytes],
    target: dict[str, Any],
    nearest: int,
) -> None:
    with pytest.raises(BadInputError) as caught:
        default_codec.encode(picture, **target)
    message = str(caught.value)
    assert message.isprintable()
    assert f"the nearest is {len(every[nearest])} bytes" in message


@pytest.mark.parametrize(("asked", "nearest"), [(5.0, 127), (70.0, -128)])
def test_decibels_out_of_reach_name_the_nearest(
    default_codec: Codec, picture: Pixels, psnrs: Mapping[int, float], asked: float, nearest: int
) -> None:
    with pytest.raises(BadInputError, match=f"the nearest is {psnrs[nearest]:.2f} dB"):
        default_codec.encode(picture, target_psnr=asked)


def test_a_target_smaller_than_header_and_metadata_says_what_they_take(
    default_codec: Codec, picture: Pixels
) -> None:
    source = Picture(picture, icc=b"i" * 5000)
    with pytest.raises(BadInputError) as caught:
        default_codec.encode(source, target_size=4000)
    named = re.search(r"([\d,]+) bytes", str(caught.value).split("nearest")[-1])
    assert named is not None, str(caught.value)
    smallest = len(default_codec.encode(source, quality=0))
    assert int(named[1].replace(",", "")) == smallest


def test_pictures_of_a_list_have_steps_of_their_own_with_a_target(
    default_codec: Codec, chelsea: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Codec(default_codec.bundle, BatchingEngine(threads=1, optimisation="all"))
    batches: list[int] = []

    def watched(model: cca_core.Model, own: list[Any], **options: Any) -> Any:
        batches.append(len(own))
        return cca_core.EncoderMachine(model, own, **options)

    monkeypatch.setattr("cca_runtime.codec.EncoderMachine", watched)
    pictures = [np.ascontiguousarray(chelsea[y : y + 64, :128]) for y in (0, 64, 128)]
    pictures.append(np.zeros((64, 128, 3), np.uint8))  # it cannot have so many bytes
    results = list(codec.encode_each(pictures, target_size=900))
    assert batches == [1] * 4
    assert isinstance(results[-1], BadInputError)
    steps = set()
    for result in results[:-1]:
        assert isinstance(result, Encoded)
        assert 891 <= len(result.data) <= 909
        steps.add(result.info.step)
    assert len(steps) > 1


def test_streams_of_several_steps_go_through_a_list(
    default_codec: Codec,
    picture: Pixels,
    every: Mapping[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codec = Codec(default_codec.bundle, BatchingEngine(threads=1, optimisation="all"))
    streams = [every[code] for code in (0, 0, 40, -40, -40, -40, 127, 127, 0)]
    batches: list[list[int]] = []

    def watched(model: cca_core.Model, own: list[bytes], **options: Any) -> Any:
        batches.append([parse_stream(data)[0].step for data in own])
        return cca_core.DecoderMachine(model, own, **options)

    monkeypatch.setattr("cca_runtime.codec.DecoderMachine", watched)
    restored = codec.decode(streams)
    assert sorted(batches) == [[-40, -40, -40], [0], [0, 0], [40], [127, 127]]
    for stream, pixels in zip(streams, restored, strict=True):
        np.testing.assert_allclose(pixels, default_codec.decode(stream), atol=1)
    assert codec.encode([picture] * 3, quality=quality_of(40)) == [every[40]] * 3


def test_tiles_share_a_step_and_meet_targets(default_codec: Codec, chelsea: Pixels) -> None:
    codec = Codec(default_codec.bundle, default_codec.engine, tile=128)
    plain = codec.encode_picture(chelsea)
    for scale in (0.6, 1.4):
        asked = round(scale * len(plain.data))
        encoded = codec.encode_picture(chelsea, target_size=asked, reconstruct=True)
        assert len(encoded.info.tile_sizes) > 1
        assert abs(len(encoded.data) - asked) <= 0.01 * asked
        at_quality = codec.encode(chelsea, quality=encoded.quality)
        assert at_quality == encoded.data
        assert encoded.reconstruction is not None
        np.testing.assert_array_equal(codec.decode(encoded.data), encoded.reconstruction)
    asked_psnr = psnr(chelsea, codec.decode(plain.data)) - 1
    data = codec.encode(chelsea, target_psnr=asked_psnr)
    assert psnr(chelsea, codec.decode(data)) == pytest.approx(asked_psnr, abs=0.05)


def test_native_models_have_qualities_as_well(native_codec: Codec, picture: Pixels) -> None:
    sizes = []
    for quality in (20, 50, 80):
        encoded = native_codec.encode_picture(picture, quality=quality, reconstruct=True)
        assert encoded.reconstruction is not None
        np.testing.assert_array_equal(native_codec.decode(encoded.data), encoded.reconstruction)
        sizes.append(len(encoded.data))
    assert sizes == sorted(sizes)
    target = (sizes[0] + sizes[1]) // 2
    assert abs(len(native_codec.encode(picture, target_size=target)) - target) <= 0.01 * target


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that run from now on."""
    names: list[str] = []
    run = GraphRunner.run

    def spy(self: GraphRunner, name: str, *rest: Any) -> Any:
        names.append(name)
        return run(self, name, *rest)

    monkeypatch.setattr(GraphRunner, "run", spy)
    return names


def test_bytes_of_groups_take_no_synthesis(
    default_codec: Codec, every: Mapping[int, bytes], ran: list[str]
) -> None:
    default_codec.group_bytes(every[0])
    assert ran == default_codec.bundle.prior_graphs


def test_analysis_runs_once_for_all_trials(
    default_codec: Codec, picture: Pixels, ran: list[str]
) -> None:
    size = len(default_codec.encode(picture, quality=61))
    ran.clear()
    encoded = default_codec.encode_picture(picture, target_size=size)
    assert encoded.trials > 1
    assert ran.count("analysis") == 1
    assert ran.count("prior_1") == encoded.trials
    assert "synthesis" not in ran


def test_a_model_of_before_steps_has_one_quality(picture: Pixels) -> None:
    old = load(ROOT / "tests" / "data" / "streams" / "model.bundle")
    plain = old.encode(picture)
    assert old.encode(picture, quality=50) == plain
    message = "model 'stored streams' has one quality alone, 50: export its checkpoint again"
    for rate in ({"quality": 49}, {"target_psnr": 30}, {"target_size": 900}, {"target_bpp": 1}):
        with pytest.raises(BadInputError, match=message):
            old.encode(picture, **rate)
        with pytest.raises(BadInputError, match=message):
            next(old.encode_each([picture], **rate))
