"""Pictures of the first channel groups, of whole files and of files that were cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cca_core import parse_stream
from cca_runtime import BadInputError, Decoded, StreamError
from cca_runtime.codec import Codec
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Picture, Pixels
from numpy.typing import NDArray
from references import tile_reference


@pytest.fixture(scope="module")
def picture(chelsea: NDArray[np.uint8]) -> Pixels:
    return np.ascontiguousarray(chelsea[40:136, 100:220])


@pytest.fixture(scope="module")
def total(default_codec: Codec) -> int:
    return len(default_codec.bundle.group_sizes)


@pytest.fixture(scope="module", params=[50, 85])
def stream(request: pytest.FixtureRequest, default_codec: Codec, picture: Pixels) -> bytes:
    return default_codec.encode(Picture(picture, icc=b"profile"), quality=request.param)


@pytest.fixture(scope="module")
def tiled(default_codec: Codec, chelsea: NDArray[np.uint8]) -> bytes:
    codec = Codec(default_codec.bundle, default_codec.engine, tile=64)
    return codec.encode(np.ascontiguousarray(chelsea[:120, :180]))


def close(shown: Pixels, expected: Pixels) -> None:
    np.testing.assert_allclose(shown, expected, atol=1)
    assert np.mean(shown != expected) < 1e-3


def test_a_slow_decoder_agrees_on_every_number_of_groups(
    default_codec: Codec, stream: bytes, total: int
) -> None:
    for groups in range(total + 1):
        decoded = default_codec.decode_stream(stream, groups=groups)
        close(decoded.picture.pixels, tile_reference.decode(default_codec, stream, groups))
        assert decoded.groups == (groups, total)
        assert decoded.notes == ()
        assert decoded.picture.icc == b"profile"


def test_a_slow_decoder_agrees_on_tiles(default_codec: Codec, tiled: bytes, total: int) -> None:
    for groups in (0, 2, total):
        shown = default_codec.decode(tiled, groups=groups)
        close(shown, tile_reference.decode(default_codec, tiled, groups))


def test_more_groups_are_better(
    default_codec: Codec, picture: Pixels, stream: bytes, total: int
) -> None:
    decibels = [
        psnr(picture, default_codec.decode(stream, groups=groups)) for groups in range(total + 1)
    ]
    assert decibels == sorted(decibels)
    assert decibels[0] > 12
    np.testing.assert_array_equal(
        default_codec.decode(stream, groups=total), default_codec.decode(stream)
    )


def test_regions_and_lists_have_previews(default_codec: Codec, stream: bytes, tiled: bytes) -> None:
    for data in (stream, tiled):
        shown = default_codec.decode(data, groups=1)
        part = default_codec.decode(data, groups=1, region=(10, 20, 70, 60))
        np.testing.assert_array_equal(part, shown[20:80, 10:80])
    lists = default_codec.decode([stream, tiled, stream], groups=1)
    np.testing.assert_array_equal(lists[0], default_codec.decode(stream, groups=1))
    np.testing.assert_array_equal(lists[1], default_codec.decode(tiled, groups=1))


NO_GROUPS: list[Any] = [-1, 1.0, "1", True, 10**30, [], object()]


def test_no_such_groups(default_codec: Codec, stream: bytes, total: int) -> None:
    for groups in [*NO_GROUPS, total + 1]:
        message = f"^groups must be a whole number, 0 to {total}, and is "
        with pytest.raises(BadInputError, match=message):
            default_codec.decode(stream, groups=groups)
        with pytest.raises(BadInputError, match=message):
            default_codec.decode_each([stream], groups=groups)
    with pytest.raises(BadInputError, match=r"^preview must be True or False"):
        default_codec.decode(stream, preview="yes")  # type: ignore[call-overload]


def test_a_cut_stream_is_refused_unless_a_preview_is_asked_for(
    default_codec: Codec, stream: bytes
) -> None:
    for groups in (None, 0, 1):
        with pytest.raises(StreamError, match="truncated"):
            default_codec.decode(stream[:-1], groups=groups)


def preview_of(codec: Codec, data: bytes) -> Decoded | StreamError:
    try:
        return codec.decode_stream(data, preview=True)
    except StreamError as error:
        return error


def header_bytes(stream: bytes) -> int:
    info, payload = parse_stream(stream)
    sections = (info.icc, info.exif, info.xmp)
    return len(stream) - len(payload) - sum(len(section or b"") for section in sections)


def test_wherever_a_stream_is_cut_its_whole_groups_are_shown(
    default_codec: Codec, stream: bytes, total: int
) -> None:
    start = header_bytes(stream)
    by_groups = [default_codec.decode(stream, groups=groups) for groups in range(total + 1)]
    shown = [-1]
    for length in [*range(0, start, 7), *range(start, len(stream) - 20, 41), len(stream) - 1]:
        result = preview_of(default_codec, stream[:length])
        if isinstance(result, StreamError):
            assert str(result).isprintable()
            shown.append(-1)
            continue
        assert length > start
        np.testing.assert_array_equal(result.picture.pixels, by_groups[result.groups.used])
        assert result.groups.total == total
        assert "the file is cut" in " ".join(result.notes)
        shown.append(result.groups.used)
    assert shown == sorted(shown), "the longer, the more groups"
    assert shown[-1] == total, "all but the profile is there"
    assert set(shown) >= set(range(-1, total + 1))


def test_the_groups_of_a_cut_stream_are_those_that_its_bytes_hold(
    default_codec: Codec, picture: Pixels, total: int
) -> None:
    encoded = default_codec.encode_picture(picture)
    start = len(encoded.data) - sum(encoded.group_bytes)
    for groups in range(total + 1):
        end = start + sum(encoded.group_bytes[: groups + 1])
        decoded = default_codec.decode_stream(encoded.data[: end + 8], preview=True)
        assert decoded.groups.used >= groups
        if groups:
            before = default_codec.decode_stream(
                encoded.data[: end - max(8, encoded.group_bytes[groups] // 2)], preview=True
            )
            assert before.groups.used < groups


def test_a_preview_of_a_whole_stream_is_the_picture(
    default_codec: Codec, stream: bytes, tiled: bytes, total: int
) -> None:
    for data in (stream, tiled):
        decoded = default_codec.decode_stream(data, preview=True)
        np.testing.assert_array_equal(decoded.picture.pixels, default_codec.decode(data))
        assert decoded.groups == (total, total)
        assert decoded.notes == ()


def test_a_cut_stream_can_be_asked_for_fewer_groups_than_it_has(
    default_codec: Codec, stream: bytes
) -> None:
    cut = stream[: len(stream) * 3 // 4]
    decoded = default_codec.decode_stream(cut, groups=0, preview=True)
    assert decoded.groups.used == 0
    (note,) = decoded.notes
    assert "bytes short: the hyper-latents alone are shown" in note
    np.testing.assert_array_equal(decoded.picture.pixels, default_codec.decode(stream, groups=0))


def test_a_preview_of_a_stream_cut_in_its_header_is_an_error(
    default_codec: Codec, stream: bytes
) -> None:
    for length in (0, 1, 4, 20, 30):
        with pytest.raises(StreamError):
            default_codec.decode(stream[:length], preview=True)


def test_damage_is_no_cut(default_codec: Codec, stream: bytes) -> None:
    damaged = bytearray(stream)
    damaged[-40] ^= 0x55
    with pytest.raises(StreamError, match="checksum"):
        default_codec.decode(bytes(damaged), preview=True)


def test_tiles_of_a_cut_stream_never_crash(default_codec: Codec, tiled: bytes, total: int) -> None:
    whole = default_codec.decode(tiled)
    results = [preview_of(default_codec, tiled[:length]) for length in range(0, len(tiled), 97)]
    shown = [result for result in results if not isinstance(result, StreamError)]
    assert shown
    for result in shown:
        assert result.picture.pixels.shape == whole.shape
        assert result.groups.used <= total
        assert "the file is cut" in " ".join(result.notes)


def test_several_previews_at_once(default_codec: Codec, stream: bytes, tiled: bytes) -> None:
    streams = [stream, stream[:-50], stream[:10], tiled]
    results = list(default_codec.decode_each(streams, preview=True))
    assert isinstance(results[2], StreamError)
    for data, result in zip(streams, results, strict=True):
        if result is not results[2]:
            assert not isinstance(result, Exception)
            np.testing.assert_array_equal(
                result.picture.pixels, default_codec.decode(data, preview=True)
            )
