"""The codec as a whole: any size, any kind of input, and refusals."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cca_runtime
import numpy as np
import pytest
from cca_core import parse_stream, write_stream
from cca_engines import (
    Precision,
    Tensor,
    available_engines,
    fingerprint,
    open_engine,
    registry,
)
from cca_engines.onnxruntime import OnnxRuntimeEngine, OnnxRuntimeGraph
from cca_runtime import BadInputError, Decoded, FailureError, StreamError, loading
from cca_runtime.bundle import open_bundle
from cca_runtime.codec import Codec
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Picture
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from references.padding import choose_padding, crop, pad

SIZES = [(1, 1), (1, 200), (200, 1), (64, 64), (63, 65), (65, 63), (127, 129), (100, 300)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_comes_back_as_the_encoders_own_reconstruction(
    default_codec: Codec, chelsea: NDArray[np.uint8], height: int, width: int
) -> None:
    picture = np.ascontiguousarray(chelsea[20 : 20 + height, 10 : 10 + width])
    encoded = default_codec.encode_picture(picture, reconstruct=True)
    decoded = default_codec.decode(encoded.data)
    assert decoded.shape == (height, width, 3)
    assert decoded.dtype == np.uint8
    assert encoded.reconstruction is not None
    np.testing.assert_array_equal(decoded, encoded.reconstruction)
    assert psnr(picture, decoded) > 24


@given(height=st.integers(1, 500), width=st.integers(1, 500))
def test_padding_reaches_the_grid_and_is_undone(height: int, width: int) -> None:
    pixels = np.random.default_rng(height * 501 + width).integers(
        0, 256, (height, width, 3), np.uint8
    )
    padding = choose_padding(height, width)
    padded = pad(pixels, padding)
    assert padded.shape[0] % 64 == padded.shape[1] % 64 == 0
    assert max(padding) <= 32
    np.testing.assert_array_equal(crop(padded, padding), pixels)


def test_lists_are_coded_one_by_one(default_codec: Codec, chelsea: NDArray[np.uint8]) -> None:
    pictures = [chelsea[:64, :64], chelsea[:70, :50]]
    streams = default_codec.encode(pictures)
    assert streams == [default_codec.encode(picture) for picture in pictures]
    for restored, stream in zip(default_codec.decode(streams), streams, strict=True):
        np.testing.assert_array_equal(restored, default_codec.decode(stream))


def test_pil_images_arrays_and_pictures_give_the_same_stream(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    part = np.ascontiguousarray(chelsea[:80, :90])
    stream = default_codec.encode(part)
    assert default_codec.encode(Image.fromarray(part)) == stream
    assert default_codec.encode(Picture(part)) == stream
    assert default_codec.encode(chelsea[:80, :90]) == stream, "a view is no other picture"


def test_metadata_travels(default_codec: Codec, chelsea: NDArray[np.uint8]) -> None:
    icc = bytes(range(128)) * 4
    picture = Picture(chelsea[:64, :64], icc, b"Exif\0\0MM\0*", b"<x:xmpmeta/>")
    data = default_codec.encode(picture)
    restored = default_codec.decode_stream(data).picture
    assert (restored.icc, restored.exif, restored.xmp) == (icc, b"Exif\0\0MM\0*", b"<x:xmpmeta/>")
    bare = default_codec.encode(picture.pixels)
    np.testing.assert_array_equal(default_codec.decode(bare), restored.pixels)


def test_stages_are_timed(default_codec: Codec, chelsea: NDArray[np.uint8]) -> None:
    encoded = default_codec.encode_picture(chelsea, reconstruct=True)
    assert encoded.seconds.keys() >= {"analysis", "prior", "coder", "synthesis"}
    assert default_codec.decode_stream(encoded.data).seconds.keys() >= {
        "prior",
        "coder",
        "synthesis",
    }


def test_another_models_stream_is_refused_by_name(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    data = bytearray(default_codec.encode(chelsea[:64, :64]))
    info, payload = parse_stream(bytes(data))
    foreign = cca_runtime.StreamInfo(
        width=info.width,
        height=info.height,
        padding=info.padding,
        model_id=b"\x01" * 8,
        entropy_mode=info.entropy_mode,
        fingerprint=info.fingerprint,
        digests=info.digests,
    )
    with pytest.raises(BadInputError, match="made with model 0101010101010101"):
        default_codec.decode(write_stream(foreign, payload))


def test_a_native_stream_is_refused_by_another_engine_by_name(
    native_bundle: Path,
) -> None:
    codec = cca_runtime.load(native_bundle)
    own = fingerprint(codec.engine)
    other = own[:-1] + bytes([own[-1] ^ 1])
    foreign = cca_runtime.StreamInfo(
        width=64,
        height=64,
        padding=(0, 0, 0, 0),
        model_id=codec.bundle.model_id,
        entropy_mode="native",
        fingerprint=other,
    )
    with pytest.raises(BadInputError, match=f"onnxruntime with fingerprint {other.hex()}"):
        codec.decode(write_stream(foreign, b"never looked at"))


def test_a_native_stream_carries_its_engines_fingerprint(
    native_bundle: Path, chelsea: NDArray[np.uint8]
) -> None:
    codec = cca_runtime.load(native_bundle)
    info, _ = parse_stream(codec.encode(chelsea[:64, :64]))
    assert (info.entropy_mode, info.fingerprint) == ("native", fingerprint(codec.engine))


def test_an_exact_stream_carries_no_fingerprint(
    exact_bundle: Path, chelsea: NDArray[np.uint8]
) -> None:
    codec = cca_runtime.load(exact_bundle)
    info, _ = parse_stream(codec.encode(chelsea[:64, :64]))
    assert (info.entropy_mode, info.fingerprint) == ("exact", None)


def test_streams_of_the_other_mode_are_refused(
    exact_bundle: Path, chelsea: NDArray[np.uint8]
) -> None:
    codec = cca_runtime.load(exact_bundle)
    info, payload = parse_stream(codec.encode(chelsea[:64, :64]))
    foreign = cca_runtime.StreamInfo(
        width=info.width,
        height=info.height,
        padding=info.padding,
        model_id=info.model_id,
        entropy_mode="native",
        fingerprint=fingerprint(codec.engine),
    )
    with pytest.raises(BadInputError, match="mode is 'native', the model's is 'exact'"):
        codec.decode(write_stream(foreign, payload))


def y_hat_of(codec: Codec, stream: bytes, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float32]:
    """What the decoder hands to the synthesis transform."""
    seen = []
    run = GraphRunner.run

    def spy(self: GraphRunner, name: str, inputs: dict[str, Any], *rest: Any) -> dict[str, Any]:
        if name == "synthesis":
            seen.append(codec.engine.to_host(inputs["y_hat"]))
        return run(self, name, inputs, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(GraphRunner, "run", spy)
        codec.decode(stream)
    (y_hat,) = seen
    return np.asarray(y_hat)


@pytest.fixture(scope="module")
def exact_codecs(exact_bundle: Path) -> dict[str, Codec]:
    """One on each engine, with thread counts of their own."""
    bundle = open_bundle(exact_bundle)
    return {
        name: Codec(bundle, open_engine(name, threads=threads))
        for threads, name in enumerate(available_engines(), start=1)
    }


@pytest.mark.parametrize("writer", available_engines())
def test_exact_streams_decode_to_the_same_latents_on_any_engine(
    exact_codecs: dict[str, Codec],
    chelsea: NDArray[np.uint8],
    writer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (70, 130, 3), np.uint8)
    for picture in (chelsea[:200, :230], noise):
        stream = exact_codecs[writer].encode(picture)
        assert exact_codecs[writer].encode(picture) == stream, "encoding is deterministic"
        expected = y_hat_of(exact_codecs[writer], stream, monkeypatch)
        assert expected.any()
        for codec in exact_codecs.values():
            np.testing.assert_array_equal(y_hat_of(codec, stream, monkeypatch), expected)


def test_openvino_is_among_the_engines() -> None:
    if "openvino" not in available_engines():
        pytest.skip("openvino is not installed: streams were exchanged with no other engine")


def test_every_97th_byte_changed_is_an_error(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    data = default_codec.encode(chelsea)
    for position in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[position] ^= 0xA5
        with pytest.raises(StreamError) as caught:
            default_codec.decode(bytes(damaged))
        assert "\n" not in str(caught.value)


def test_a_payload_that_lies_behind_valid_checksums_is_an_error_or_a_picture(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    """Whoever forges checksums too gets wrong pixels at most."""
    info, payload = parse_stream(default_codec.encode(chelsea[:64, :64]))
    random = np.random.default_rng(5)
    refused = 0
    for _ in range(20):
        forged = bytearray(payload)
        for position in random.integers(0, len(payload), 3):
            forged[position] = random.integers(0, 256)
        try:
            assert default_codec.decode(write_stream(info, bytes(forged))).shape == (64, 64, 3)
        except StreamError:
            refused += 1
    assert refused >= 18, "the coder's own end check finds what checksums no longer do"


def test_pixel_limit(chelsea: NDArray[np.uint8], default_codec: Codec) -> None:
    codec = cca_runtime.load(max_pixels=64 * 64 - 1)
    with pytest.raises(BadInputError, match="limit of 4095 pixels"):
        codec.encode(chelsea[:64, :64])
    with pytest.raises(BadInputError, match="limit of 4095 pixels"):
        codec.decode(default_codec.encode(chelsea[:64, :64]))


def test_unknown_models_and_engines_are_named() -> None:
    with pytest.raises(BadInputError, match="no model bundle at 'nowhere'"):
        cca_runtime.load("nowhere")
    with pytest.raises(FailureError, match="unknown engine 'abacus'"):
        cca_runtime.load(engine="abacus")


def test_other_inputs_are_refused(default_codec: Codec) -> None:
    with pytest.raises(BadInputError, match="cannot encode a dict"):
        default_codec.encode({})  # type: ignore[call-overload]


def test_threads_do_not_meet(default_codec: Codec, chelsea: NDArray[np.uint8]) -> None:
    parts = [np.ascontiguousarray(chelsea[i : i + 64, : 64 + i]) for i in range(0, 60, 10)]
    expected = [default_codec.encode(part) for part in parts]
    streams: list[bytes | None] = [None] * len(parts)

    def work(index: int) -> None:
        streams[index] = default_codec.encode(parts[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert streams == expected


class BatchingEngine(OnnxRuntimeEngine):
    """The default engine, as if it were faster at three pictures at once."""

    capabilities = replace(OnnxRuntimeEngine.capabilities, batch=3)

    def __init__(self) -> None:
        super().__init__(threads=1, optimisation="all")
        self.batches: list[int] = []

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> OnnxRuntimeGraph:
        graph = super().load(model, name, precision)
        if name == "synthesis":
            run = graph.run

            def record(inputs: Mapping[str, Tensor], into: object = None) -> dict[str, Tensor]:
                assert into is None or into == {}
                self.batches.append(inputs["y_hat"].shape[1])
                return run(inputs)

            graph.run = record  # type: ignore[method-assign,assignment]
        return graph


def test_pictures_of_one_size_go_together_and_give_the_same_streams(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    engine = BatchingEngine()
    codec = Codec(default_codec.bundle, engine)
    # All of one size when padded, but for the fifth.
    sizes = [(64, 64), (60, 64), (33, 50), (64, 1), (64, 65), (64, 64), (64, 64)]
    pictures = [np.ascontiguousarray(chelsea[30 : 30 + h, 90 : 90 + w]) for h, w in sizes]
    streams = codec.encode(pictures)
    assert streams == [default_codec.encode(picture) for picture in pictures]
    for restored, stream in zip(codec.decode(streams), streams, strict=True):
        np.testing.assert_allclose(restored, default_codec.decode(stream), atol=1)
    assert sorted(engine.batches) == [1, 1, 2, 3]


def test_one_bad_stream_among_many_is_an_error_in_its_place(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    codec = Codec(default_codec.bundle, BatchingEngine())
    picture = np.ascontiguousarray(chelsea[:64, :64])
    good = default_codec.encode(picture)
    info, payload = parse_stream(good)
    # Well-formed as a container, so that only its batch finds out.
    hollow = write_stream(info, payload[: len(payload) // 2])
    results = list(codec.decode_each(iter([good, b"junk", good, hollow, good])))
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Decoded", "StreamError", "Decoded", "StreamError", "Decoded"]
    expected = default_codec.decode(good)
    for index in (0, 2, 4):
        result = results[index]
        assert isinstance(result, Decoded)
        np.testing.assert_allclose(result.picture.pixels, expected, atol=1)
    with pytest.raises(StreamError, match="payload"):
        codec.decode([good, hollow])


def test_pictures_that_cannot_be_stored_are_errors_in_their_place(default_codec: Codec) -> None:
    small = np.zeros((2, 2, 3), np.uint8)
    results = list(default_codec.encode_each([small, small.astype(np.float32), small]))
    assert [type(result).__name__ for result in results] == ["Encoded", "BadInputError", "Encoded"]


def test_auto_is_the_fastest_engine_that_works(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loading, "engines_by_speed", lambda: ["abacus", "openvino", "onnxruntime"])
    with caplog.at_level("INFO", logger="cca_runtime"):
        assert cca_runtime.load(engine="auto").engine.name == "openvino"
    assert caplog.messages == [
        "engine abacus cannot be used: unknown engine 'abacus': choose one of "
        + ", ".join(registry._BACKENDS)
    ]


def test_auto_is_the_default_engine_where_no_other_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "engines_by_speed", lambda: ["abacus", "onnxruntime"])
    assert cca_runtime.load(engine="auto").engine.name == "onnxruntime"


@pytest.mark.parametrize("workers", [0, -1])
def test_a_codec_needs_workers(workers: int) -> None:
    with pytest.raises(BadInputError, match="workers must be a whole number, 1 to 1024"):
        cca_runtime.load(workers=workers)


class SharedEngine(OnnxRuntimeEngine):
    """The default engine, counting what is shared among how many."""

    def __init__(self) -> None:
        super().__init__(threads=3, optimisation="all")
        self.shared: list[int] = []

    def concurrency(self, workers: int) -> OnnxRuntimeEngine:
        self.shared.append(workers)
        return super().concurrency(workers)


def test_pictures_at_the_same_time_share_the_cores_and_give_the_same_streams(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    engine = SharedEngine()
    codec = Codec(default_codec.bundle, engine, workers=2)
    pictures = [np.ascontiguousarray(chelsea[: 64 + 9 * i, :70]) for i in range(4)]
    expected = [default_codec.encode(picture) for picture in pictures]
    assert codec.encode(pictures[0]) == expected[0]
    assert engine.shared == []
    assert codec.encode(pictures) == expected
    assert codec.encode_picture(pictures[1], alongside=True).data == expected[1]
    for restored, stream in zip(codec.decode(expected), expected, strict=True):
        np.testing.assert_allclose(restored, default_codec.decode(stream), atol=1)
    assert engine.shared == [2]
    assert "2 threads" in engine.concurrency(2).description


class BusyEngine(OnnxRuntimeEngine):
    """One that a single thread keeps busy, counting those that are at it."""

    def __init__(self) -> None:
        super().__init__(threads=1, optimisation="all")
        self.most = 0
        self._running = 0
        self._turn = threading.Lock()

    def concurrency(self, _: int) -> None:  # type: ignore[override]
        return None

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> OnnxRuntimeGraph:
        graph = super().load(model, name, precision)
        run = graph.run

        def counted(*arguments: Any) -> dict[str, Tensor]:
            with self._turn:
                self._running += 1
                self.most = max(self.most, self._running)
            outputs = run(*arguments)
            with self._turn:
                self._running -= 1
            return outputs

        graph.run = counted  # type: ignore[method-assign]
        return graph


def test_pictures_take_turns_on_an_engine_that_one_keeps_busy(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    engine = BusyEngine()
    codec = Codec(default_codec.bundle, engine, workers=3)
    pictures = [np.ascontiguousarray(chelsea[: 64 + 9 * i, :70]) for i in range(5)]
    streams = codec.encode(pictures)
    assert streams == [default_codec.encode(picture) for picture in pictures]
    for restored, stream in zip(codec.decode(streams), streams, strict=True):
        np.testing.assert_array_equal(restored, codec.decode(stream))
    assert engine.most == 1


def test_one_worker_and_float_priors_keep_their_threads(
    default_codec: Codec, native_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    engine = SharedEngine()
    picture = np.ascontiguousarray(chelsea[:64, :64])
    Codec(default_codec.bundle, engine, workers=1).encode([picture, picture])
    codec = Codec(native_codec.bundle, engine, workers=2)
    streams = codec.encode([picture, picture])
    assert streams == [codec.encode(picture)] * 2
    assert engine.shared == []
