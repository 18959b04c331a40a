"""What the Python API takes, and that it refuses all else in words of its own."""

from __future__ import annotations

import array
import io
import mmap
import os
import pickle
import re
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cca_runtime
import numpy as np
import pytest
from cca_engines.onnxruntime import OnnxRuntimeEngine, OnnxRuntimeGraph
from cca_runtime import BadInputError, CcaError, FailureError, Picture, StreamError
from cca_runtime.codec import Codec
from cca_runtime.errors import as_cca_error
from cca_runtime.results import Decoded, Encoded
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(scope="module")
def picture(chelsea: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(chelsea[:64, :70])


@pytest.fixture(scope="module")
def stream(default_codec: Codec, picture: NDArray[np.uint8]) -> bytes:
    return default_codec.encode(picture)


def test_bytes_come_in_any_object_that_shares_them(
    default_codec: Codec, stream: bytes, tmp_path: Path
) -> None:
    expected = default_codec.decode(stream)
    path = tmp_path / "a.cca"
    path.write_bytes(stream)
    spread = np.zeros(2 * len(stream), np.uint8)
    spread[::2] = np.frombuffer(stream, np.uint8)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for data in (
            bytearray(stream),
            memoryview(stream),
            memoryview(spread)[::2],
            spread[::2],
            array.array("B", stream),
            pickle.PickleBuffer(stream),
            mapped,
        ):
            np.testing.assert_array_equal(default_codec.decode(data), expected)


def test_paths_and_binary_files_are_read(
    default_codec: Codec, stream: bytes, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    expected = default_codec.decode(stream)
    coded, drawn = tmp_path / "a.cca", tmp_path / "a.png"
    coded.write_bytes(stream)
    Image.fromarray(picture).save(drawn)
    for name in (coded, str(coded), io.BytesIO(stream), coded.open("rb")):
        np.testing.assert_array_equal(default_codec.decode(name), expected)
        if isinstance(name, io.IOBase):
            name.close()
    for name in (drawn, str(drawn), io.BytesIO(drawn.read_bytes())):
        assert default_codec.encode(name) == stream
    assert default_codec.encode([drawn, picture, str(drawn)]) == [stream] * 3
    results = default_codec.decode_each(deque([coded, stream, str(tmp_path / "b.cca")]))
    assert [type(result).__name__ for result in results] == ["Decoded", "Decoded", "BadInputError"]


def test_a_files_transparency_is_laid_on_the_background(
    default_codec: Codec, tmp_path: Path
) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(path)
    with pytest.raises(BadInputError, match="transparent"):
        default_codec.encode(path)
    laid = default_codec.encode_picture(path, background="#00ff00").data
    plain = default_codec.encode(np.full((64, 64, 3), (0, 255, 0), np.uint8))
    assert laid == plain


class Reader:
    def __init__(self, *parts: object) -> None:
        self._parts = list(parts)

    def read(self, _: int = -1) -> object:
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return part


class Endless:
    def read(self, size: int) -> bytes:
        return bytes(size)


def test_files_that_cannot_be_read_are_named(default_codec: Codec, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    closed = io.BytesIO()
    closed.close()
    strict = Codec(default_codec.bundle, default_codec.engine, max_pixels=64 * 64)
    cases: list[tuple[Any, str]] = [
        (tmp_path / "no\nsuch", r"no\\nsuch' cannot be read: No such file"),
        ("no such", "'no such' cannot be read: No such file"),
        (os.fsdecode(b"\xff"), r"'\\xff' cannot be read"),
        ("nul\0", r"'nul\\x00' cannot be read"),
        ("x" * 5000, "cannot be read: File name too long"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "fifo", "cannot be read: not a file"),
        ("/dev/zero", "cannot be read: not a file"),
        (lambda: io.StringIO("text"), "the StringIO cannot be read: it gives no bytes"),
        (closed, "the BytesIO cannot be read: I/O operation on closed file"),
        (
            lambda: Reader(b"x", OSError(5, "Input/output error")),
            "the Reader cannot be read: Input/output",
        ),
        (lambda: Reader(KeyError("odd")), "the Reader cannot be read"),
        (Endless(), "the Endless cannot be read: it is longer than the [0-9,]+ bytes"),
    ]
    for attempt in (strict.encode, strict.decode, strict.decode_stream, strict.encode_picture):
        for source, message in cases:
            if callable(source):
                source = source()
            with pytest.raises(BadInputError, match=message) as caught:
                attempt(source)
            assert str(caught.value).isprintable()


def no_streams() -> list[Any]:
    return [
        None,
        5,
        2.5,
        True,
        {},
        {1: b""},
        set(),
        object(),
        b"".__class__,
        (byte for byte in b"abc"),
        np.array(5, np.uint8),
        np.zeros((2, 2), np.uint8),
        np.zeros(9, np.float32),
        np.zeros(9, object),
        np.array(["2020"], "M8"),
        np.ma.zeros(9, np.uint8),
        array.array("I", [1, 2]),
        Image.new("RGB", (2, 2)),
        Picture(np.zeros((2, 2, 3), np.uint8)),
    ]


def no_pictures() -> list[Any]:
    pixels = np.zeros((2, 2, 3), np.uint8)
    return [
        None,
        5,
        {},
        b"bytes",
        object(),
        np.uint8(5),
        (pixels for _ in range(2)),
        np.array(5, np.uint8),
        np.zeros(3, np.uint8),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        pixels.astype(np.float32),
        pixels.astype(np.int8),
        pixels.astype(bool),
        pixels.astype(object),
        np.zeros((2, 2), [("r", "u1")]),
        np.ma.masked_array(pixels, pixels == 0),
        Picture(None),  # type: ignore[arg-type]
        Picture([[0]]),  # type: ignore[arg-type]
        Picture(np.ma.masked_array(pixels, pixels == 0)),
        Picture(pixels, icc="text"),  # type: ignore[arg-type]
        Picture(pixels, exif=b""),
        Picture(pixels, xmp=bytes((16 << 20) + 1)),
        Picture(pixels, xmp=5),  # type: ignore[arg-type]
    ]


def test_what_is_no_stream_is_refused(default_codec: Codec, stream: bytes) -> None:
    for wrong in no_streams():
        for attempt in (default_codec.decode, default_codec.decode_stream):
            with pytest.raises(BadInputError) as caught:
                attempt(wrong)
            assert not isinstance(caught.value, StreamError), "it is no stream at all"
            assert str(caught.value).isprintable()
    results = list(default_codec.decode_each([stream, *no_streams(), stream]))
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Decoded", *["BadInputError"] * len(no_streams()), "Decoded"]


def test_what_is_no_picture_is_refused(
    default_codec: Codec, picture: NDArray[np.uint8], stream: bytes
) -> None:
    for wrong in no_pictures():
        for attempt in (default_codec.encode, default_codec.encode_picture):
            with pytest.raises(BadInputError) as caught:
                attempt(wrong)
            assert str(caught.value).isprintable()
    results = list(default_codec.encode_each([picture, *no_pictures(), picture]))
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Encoded", *["BadInputError"] * len(no_pictures()), "Encoded"]
    assert [r.data for r in results if isinstance(r, Encoded)] == [stream] * 2


def test_tensors_are_refused_with_what_would_do(default_codec: Codec) -> None:
    import torch

    tensor = torch.zeros((64, 64, 3), dtype=torch.uint8)
    with pytest.raises(BadInputError, match="cannot encode a Tensor: pass a numpy array"):
        default_codec.encode(tensor)  # type: ignore[call-overload]
    with pytest.raises(BadInputError, match="cannot decode a Tensor: pass bytes"):
        default_codec.decode(tensor)  # type: ignore[call-overload]


def test_one_where_several_are_expected_is_refused(
    default_codec: Codec, picture: NDArray[np.uint8], stream: bytes
) -> None:
    for wrong in (None, 5, "name", stream, picture, io.BytesIO(stream), Path("name"), object()):
        for attempt in (default_codec.encode_each, default_codec.decode_each):
            with pytest.raises(BadInputError, match="pass a list or a generator"):
                attempt(wrong)  # type: ignore[operator]
    coded = default_codec.encode_each(np.stack([picture, picture]))
    assert [encoded.data for encoded in coded if isinstance(encoded, Encoded)] == [stream] * 2


def test_an_array_that_repeats_itself_is_not_copied_before_its_size_is_checked(
    default_codec: Codec,
) -> None:
    endless = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (60_000, 60_000, 3))
    for large in (endless, Picture(endless), endless[:, :, 0]):
        with pytest.raises(BadInputError, match="60000x60000 is more than the limit"):
            default_codec.encode(large)


REGIONS: list[Any] = [
    (),
    (0, 0, 8),
    (0, 0, 8, 8, 8),
    (0, 0, 8.0, 8),
    (0, 0, "8", 8),
    (0, 0, None, 8),
    (0, 0, True, 8),
    (0, 0, np.bool_(True), 8),
    (0, 0, np.float32(8), 8),
    "0088",
    b"0088",
    {0: 1, 2: 3, 4: 5, 6: 7},
    {1, 2, 3, 4},
    iter((0, 0, 8, 8)),
    5,
    np.array(5),
    np.zeros((4, 4), int),
    np.zeros(4),
    object(),
    (0, 0, 0, 8),
    (-1, 0, 8, 8),
    (0, 0, 71, 8),
    (0, 0, 10**6000, 8),
    (np.int8(-128), 0, 8, 8),
    (np.uint64(2**64 - 1), 0, 8, 8),
    (np.int32(2**31 - 1), 0, np.int32(8), 8),
]


@pytest.mark.parametrize("index", range(len(REGIONS)))
def test_no_such_region(default_codec: Codec, stream: bytes, index: int) -> None:
    with pytest.raises(BadInputError, match="region") as caught:
        default_codec.decode(stream, region=REGIONS[index])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_regions_of_numpy_integers_do_not_wrap(default_codec: Codec, stream: bytes) -> None:
    whole = default_codec.decode(stream)
    for region in (
        np.array([60, 60, 8, 4], np.int8),
        [np.uint8(60), np.int8(60), np.uint8(8), np.uint64(4)],
    ):
        part = default_codec.decode(stream, region=region)  # type: ignore[call-overload]
        np.testing.assert_array_equal(part, whole[60:64, 60:68])


@pytest.mark.parametrize("background", [5, b"red", (1, 2, 3), "", "no colour", "#12", True])
def test_no_such_background(
    default_codec: Codec, picture: NDArray[np.uint8], background: Any
) -> None:
    for image in (picture, Image.new("RGBA", (9, 9))):
        with pytest.raises(BadInputError, match="colour"):
            default_codec.encode_picture(image, background=background)
    with pytest.raises(BadInputError, match="colour"):
        default_codec.encode_each([picture], background=background)


NO_NUMBERS = [None, "2", 2.0, np.float64(2), True, [], 0, -1, np.int8(-1), object()]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("workers", [*NO_NUMBERS, 1025, 10**30, 10**6000]),
        ("max_pixels", NO_NUMBERS),
        ("threads", [*NO_NUMBERS[1:], 1025, 10**6000]),
        ("tile", ["64", "AUTO", 64.0, True, [], -64, 0, 10**6000, np.array([64]), b"auto"]),
        ("trust_plans", [None, 0, 1, "no"]),
        ("engine", [None, 5, b"onnxruntime", [], object()]),
        ("precision", [5, b"float32", [], object()]),
        ("path_or_name", [5, b"default", [], object(), "", "\0", "a" * 5000, "no\nsuch"]),
    ],
)
def test_no_such_argument(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(BadInputError) as caught:
            cca_runtime.load(**{name: value})
        assert str(caught.value).isprintable()


def test_numpy_integers_are_whole_numbers() -> None:
    codec = cca_runtime.load(
        workers=np.uint8(2), max_pixels=np.int64(70_000), tile=np.int16(64), threads=np.int8(1)
    )
    assert (codec.workers, codec.max_pixels) == (2, 70_000)
    assert type(codec.workers) is type(codec.max_pixels) is int
    assert "1 threads" in codec.engine.description


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


FOREIGN: list[tuple[Exception, str]] = [
    (KeyError("odd"), "KeyError: 'odd'"),
    (RecursionError("too deep"), "RecursionError: too deep"),
    (MemoryError(), "memory"),
    (ValueError("\n two\x1b[31m\nlines"), r"ValueError: two\\x1b\[31m$"),
    (AttributeError(), "AttributeError"),
]


@pytest.mark.parametrize(("error", "message"), FOREIGN, ids=lambda case: type(case).__name__)
def test_an_exception_of_any_class_becomes_a_failure_of_one_line(
    error: Exception, message: str
) -> None:
    failure = as_cca_error(error)
    assert isinstance(failure, FailureError)
    assert failure.__cause__ is error
    assert re.search(message, str(failure))
    assert str(as_cca_error(MuteError())) == (
        "internal error, please report it: MuteError: (no message)"
    )
    known = StreamError("known")
    assert as_cca_error(known) is known


class FailingEngine(OnnxRuntimeEngine):
    """Raises `error` at a picture or latents of so many pixels across."""

    def __init__(self, error: BaseException, width: int) -> None:
        super().__init__(threads=1, optimisation="all")
        self._error, self._width = error, width

    def load(self, *arguments: Any) -> OnnxRuntimeGraph:
        graph = super().load(*arguments)
        run = graph.run

        def failing(inputs: Any, into: Any = None) -> Any:
            widths = {"image": -2, "y_hat": -1}
            for name, axis in widths.items():
                if name in inputs and inputs[name].shape[axis] == self._width:
                    raise self._error
            return run(inputs, into)

        graph.run = failing  # type: ignore[method-assign]
        return graph


@pytest.mark.parametrize(("error", "message"), FOREIGN, ids=lambda case: type(case).__name__)
def test_whatever_goes_wrong_with_one_item_is_its_failure(
    default_codec: Codec, chelsea: NDArray[np.uint8], error: Exception, message: str
) -> None:
    codec = Codec(default_codec.bundle, FailingEngine(error, 128))
    pictures = [np.ascontiguousarray(chelsea[:64, :width]) for width in (64, 128, 192)]
    first, failed, last = codec.encode_each(pictures)
    expected = default_codec.encode(pictures)
    for result, data in ((first, expected[0]), (last, expected[2])):
        assert isinstance(result, Encoded)
        assert result.data == data
    assert isinstance(failed, FailureError)
    assert failed.__cause__ is error
    assert str(failed).isprintable()
    with pytest.raises(FailureError, match=message):
        codec.encode(pictures[1])
    decoder = Codec(default_codec.bundle, FailingEngine(error, 8))
    kinds = [type(result) for result in decoder.decode_each(expected)]
    assert kinds == [Decoded, FailureError, Decoded]
    with pytest.raises(FailureError, match=message):
        decoder.decode(expected[1])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=type)
def test_interruptions_pass(
    default_codec: Codec, chelsea: NDArray[np.uint8], error: BaseException
) -> None:
    codec = Codec(default_codec.bundle, FailingEngine(error, 128))
    picture = np.ascontiguousarray(chelsea[:64, :128])
    for attempt in (codec.encode, lambda picture: list(codec.encode_each([picture]))):
        with pytest.raises(type(error)):
            attempt(picture)


def test_a_picture_that_cannot_be_unpacked_is_an_error_in_its_place(
    default_codec: Codec, picture: NDArray[np.uint8], stream: bytes
) -> None:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    truncated = Image.open(io.BytesIO(file.getvalue()[:500]))
    first, failed, last = default_codec.encode_each([picture, truncated, picture])
    assert isinstance(failed, CcaError)
    for result in (first, last):
        assert isinstance(result, Encoded)
        assert result.data == stream


def test_what_the_callers_generator_raises_is_the_callers(
    default_codec: Codec, picture: NDArray[np.uint8]
) -> None:
    def pictures() -> Iterator[NDArray[np.uint8]]:
        yield picture
        raise LookupError("mine")

    for method in (default_codec.encode_each, default_codec.decode_each):
        with pytest.raises(LookupError, match="mine"):
            list(method(pictures()))  # type: ignore[operator]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cca")]


def test_endless_generators_are_taken_a_few_ahead_and_closing_ends_them(
    default_codec: Codec, picture: NDArray[np.uint8], stream: bytes
) -> None:
    taken = 0

    def repeat(item: Any) -> Iterator[Any]:
        nonlocal taken
        while True:
            taken += 1
            yield item

    several: list[tuple[Callable[..., Any], Any]] = [
        (default_codec.encode_each, picture),
        (default_codec.decode_each, stream),
    ]
    for method, item in several:
        taken = 0
        results = method(repeat(item))
        for _ in range(3):
            next(results)
        results.close()
        assert taken <= 3 + default_codec.workers
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("cca")]


def test_a_list_that_failed_leaves_no_work_behind(
    default_codec: Codec, picture: NDArray[np.uint8]
) -> None:
    with pytest.raises(BadInputError) as kept:
        default_codec.encode([picture.astype(float), *[picture] * 8])
    assert kept.value
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cca")]


@pytest.mark.parametrize("kind", [CcaError, BadInputError, StreamError, FailureError])
def test_errors_travel_between_processes_and_are_printable(kind: type[CcaError]) -> None:
    error = kind("a\nb\x1b[2J \udcff \u202e é")
    assert str(error) == r"a\nb\x1b[2J \xff \u202e é"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)


def test_temporary_files_are_files(default_codec: Codec, stream: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(stream)
        file.seek(0)
        default_codec.decode(file)
