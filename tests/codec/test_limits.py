"""What a stream or picture claims is refused at a limit, before it costs any memory."""

from __future__ import annotations

import io
import json
import math
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cca_core
import numpy as np
import pytest
from cca_core import (
    DEFAULT_MAX_PIXELS,
    Encoder,
    EntropyTables,
    LimitError,
    StreamInfo,
    could_hold,
    parse_stream,
    write_stream,
)
from cca_runtime import BadInputError, StreamError
from cca_runtime.bundle import find_bundle
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.pictures import from_pil, read_picture
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

MEBIBYTE = 1 << 20
LARGEST_SIDE = 65_535


def header(width: int, height: int, **fields: Any) -> StreamInfo:
    """For a picture of the default model, padded on the right and at the bottom."""
    model_id = json.loads((find_bundle(None) / "manifest.json").read_text())["model_id"]
    known: dict[str, Any] = {
        "width": width,
        "height": height,
        "padding": (0, 0, -width % 64, -height % 64),
        "model_id": bytes.fromhex(model_id),
        "entropy_mode": "exact",
        "digests": [0],
    }
    return StreamInfo(**(known | fields))


def test_the_default_limit_is_a_square_of_16384_pixels() -> None:
    assert DEFAULT_MAX_PIXELS == 1 << 28
    parse_stream(write_stream(header(16_384, 16_384), b"payload"))
    with pytest.raises(LimitError, match="16384x16385 is more than the limit of 268435456 pixels"):
        parse_stream(write_stream(header(16_384, 16_385), b"payload"))


@pytest.mark.parametrize("padding", [(0, 0, 28, 14), (0, 0, 220, 206), (28, 142, 0, 0)])
def test_padding_counts_since_it_is_decoded_like_the_rest(padding: tuple[int, ...]) -> None:
    stream = write_stream(header(100, 50, padding=padding), b"payload")
    left, top, right, bottom = padding
    pixels = (100 + left + right) * (50 + top + bottom)
    parse_stream(stream, max_pixels=pixels)
    with pytest.raises(LimitError, match=f"raise max_pixels to {pixels}"):
        parse_stream(stream, max_pixels=pixels - 1)


def test_the_largest_picture_there_is_can_be_allowed() -> None:
    largest = header(LARGEST_SIDE, LARGEST_SIDE, padding=(255, 255, 194, 194))
    info, _ = parse_stream(write_stream(largest, b"payload"), max_pixels=65_984**2)
    assert info == largest
    with pytest.raises(LimitError):
        parse_stream(write_stream(largest, b"payload"), max_pixels=65_984**2 - 1)


def test_damage_is_reported_before_size() -> None:
    damaged = bytearray(write_stream(header(LARGEST_SIDE, LARGEST_SIDE), b"payload"))
    damaged[16] ^= 1
    with pytest.raises(cca_core.StreamError, match="damaged") as caught:
        parse_stream(damaged)
    assert not isinstance(caught.value, LimitError)


def test_a_refusal_names_the_limit_that_would_do(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    picture = chelsea[:100, :90]
    stream = default_codec.encode(picture)
    strict = Codec(default_codec.bundle, default_codec.engine, max_pixels=1)
    for attempt in (lambda: strict.encode(picture), lambda: strict.decode(stream)):
        strict.max_pixels = 1
        with pytest.raises(BadInputError, match="limit of 1 pixels") as caught:
            attempt()
        assert "--max-pixels" in str(caught.value)
        assert not isinstance(caught.value, StreamError), "the stream is not damaged"
        enough = re.search(r"max_pixels.* to (\d+)", str(caught.value))
        assert enough
        strict.max_pixels = int(enough[1]) - 1
        with pytest.raises(BadInputError, match="max_pixels"):
            attempt()
        strict.max_pixels = int(enough[1])
        attempt()


def test_any_whole_number_is_a_limit(default_codec: Codec, chelsea: NDArray[np.uint8]) -> None:
    generous = Codec(default_codec.bundle, default_codec.engine, max_pixels=10**30)
    stream = generous.encode(chelsea[:64, :64])
    np.testing.assert_array_equal(generous.decode(stream), default_codec.decode(stream))


def test_info_describes_a_picture_of_any_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "large.cca"
    path.write_bytes(write_stream(header(LARGEST_SIDE, LARGEST_SIDE), b"payload"))
    assert main(["info", "--json", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"]) == (LARGEST_SIDE, LARGEST_SIDE)
    assert main(["decode", str(path)]) == 2
    assert re.search(r"max_pixels to 4294967296.*--max-pixels", capsys.readouterr().err)


def huge_png(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    parts = (chunk(b"IHDR", size), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_pictures_are_refused_before_they_are_unpacked(
    default_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the picture was unpacked")

    data = huge_png(9_000, 9_000)
    with Image.open(io.BytesIO(data)) as image:
        monkeypatch.setattr(type(image), "load", fail)
        strict = Codec(default_codec.bundle, default_codec.engine, max_pixels=1000)
        for attempt in (
            lambda: strict.encode(image),
            lambda: from_pil(image, max_pixels=1000),
            lambda: read_picture(data, max_pixels=1000),
        ):
            with pytest.raises(BadInputError, match=rf"--max-pixels\) to {9_024**2}"):
                attempt()


def test_the_tool_refuses_what_pillow_would_unpack(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # restored when the test ends
    path = tmp_path / "bomb"
    path.write_bytes(huge_png(60_000, 60_000))
    assert main(["encode", str(path), "--max-pixels", "100000000"]) == 2
    message = capsys.readouterr().err
    assert "--max-pixels" in message
    assert message.count("\n") == 1


# A process of its own, which may not allocate more than `allowance` once the codec has decoded
# a first stream, and reports by how much the memory in use peaked.
MEASURE = """
import resource, sys
from pathlib import Path

import cca_core
import cca_runtime

limit, allowance, warm, *forged = sys.argv[1:]
codec = cca_runtime.load(max_pixels=int(limit))
codec.decode(Path(warm).read_bytes())
streams = [Path(name).read_bytes() for name in forged]


def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + int(allowance),) * 2)
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before = memory("VmRSS")
for stream in streams:
    try:
        codec.decode(stream)
    except cca_runtime.BadInputError as error:
        print(error)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("limit", "message"),
    [(DEFAULT_MAX_PIXELS, "more than the limit"), (1 << 33, "payload")],
)
def test_a_forged_size_costs_less_than_10_megabytes(
    limit: int,
    message: str,
    tmp_path: Path,
    default_codec: Codec,
    chelsea: NDArray[np.uint8],
) -> None:
    honest = default_codec.encode(chelsea[:64, :64])
    _, payload = parse_stream(honest)
    noise = np.random.default_rng(4).integers(0, 256, 20_000, np.uint8).tobytes()
    payloads = {"honest": payload, "noise": payload[:1] + noise, "zeros": payload[:9] + bytes(4000)}
    (tmp_path / "warm.cca").write_bytes(honest)
    names = []
    for name, forged in payloads.items():
        for width, height in ((LARGEST_SIDE, LARGEST_SIDE), (LARGEST_SIDE, 30_000)):
            path = tmp_path / f"{name}-{height}.cca"
            path.write_bytes(write_stream(header(width, height), forged))
            names.append(path)
    command = [sys.executable, "-c", MEASURE, str(limit), str(10 * MEBIBYTE)]
    done = subprocess.run(
        [*command, tmp_path / "warm.cca", *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *errors, growth = done.stdout.splitlines()
    assert len(errors) == len(names)
    assert all(message in error for error in errors), errors
    assert int(growth) < 10 * MEBIBYTE


def two_symbol_tables(*modes: int) -> EntropyTables:
    """Symbols 0 and 1, where 0 has as many of the 65,536 slots as given."""
    cdfs = [[0, mode, 65_535, 65_536] for mode in modes]
    count = len(modes)
    return EntropyTables(
        np.array(cdfs, np.int32), np.full(count, 4, np.int32), np.zeros(count, np.int32)
    )


@given(
    st.lists(st.integers(1, 65_534), min_size=1, max_size=8),
    st.integers(1, 4_000),
)
def test_no_payload_of_an_encoder_is_taken_for_too_small(modes: list[int], count: int) -> None:
    tables = two_symbol_tables(*modes)
    # The likelier symbol each time: the smallest payload that there can be.
    likeliest = [0 if mode > 65_535 // 2 else 1 for mode in modes]
    symbols = np.repeat(np.array(likeliest, np.int32), count)
    indexes = np.repeat(np.arange(len(modes), dtype=np.uint8), count)
    encoder = Encoder()
    encoder.push(symbols, indexes, tables)
    assert could_hold(len(encoder.finish()), tables, count)


def test_a_payload_is_too_small_at_a_quarter_of_its_size() -> None:
    tables = two_symbol_tables(40_000, 50_000, 60_000, 65_000)
    count = 40_000
    bits = count * sum(-math.log2(mode / 65_536) for mode in (40_000, 50_000, 60_000, 65_000))
    assert could_hold(int(bits / 8), tables, count)
    assert not could_hold(int(bits / 8 / 4), tables, count)
    assert not could_hold(0, tables, count)
    assert could_hold(0, two_symbol_tables(65_534), 1 << 20), "nearly certain symbols cost nothing"
