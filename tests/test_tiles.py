"""Pictures in tiles: as docs/format.md says, in any order and part, on any engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cca_runtime
import numpy as np
import pytest
from cca_core import StreamInfo, parse_stream, write_stream
from cca_engines import available_engines, open_engine
from cca_runtime import BadInputError, StreamError, memory
from cca_runtime.bundle import open_bundle
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.metrics import psnr
from hypothesis import given
from hypothesis import strategies as st
from locations import ROOT
from numpy.typing import NDArray
from PIL import Image
from references import tile_reference
from references.blending import Canvas
from references.padding import choose_padding, pad, pad_part
from references.part_coder import PartCoder
from references.tiling import FADE, Grid, Tiling, choose_tiling

SIDE = 128


@pytest.fixture(scope="module")
def chelsea() -> NDArray[np.uint8]:
    """All of the photograph, 451 x 300 pixels: padded, 512 x 320."""
    return np.array(Image.open(ROOT / "examples" / "chelsea.png").convert("RGB"))


@pytest.fixture(scope="module")
def tiling_codec(default_codec: Codec) -> Codec:
    return Codec(default_codec.bundle, default_codec.engine, tile=SIDE)


@pytest.fixture(scope="module")
def stream(tiling_codec: Codec, chelsea: NDArray[np.uint8]) -> bytes:
    """Four times three tiles."""
    return tiling_codec.encode(chelsea)


@pytest.fixture(scope="module")
def whole(default_codec: Codec, stream: bytes) -> NDArray[np.uint8]:
    return default_codec.decode(stream)


def test_a_tiled_picture_comes_back_as_the_encoders_own_reconstruction(
    tiling_codec: Codec, chelsea: NDArray[np.uint8], stream: bytes, whole: NDArray[np.uint8]
) -> None:
    encoded = tiling_codec.encode_picture(chelsea, reconstruct=True)
    assert encoded.data == stream, "encoding is deterministic"
    assert encoded.info.tiling == (128, 128, 1, 1)
    assert len(encoded.info.tile_sizes) == 12
    assert encoded.reconstruction is not None
    np.testing.assert_array_equal(encoded.reconstruction, whole)


def test_tiles_look_as_good_as_the_whole_and_have_no_seam(
    default_codec: Codec, chelsea: NDArray[np.uint8], stream: bytes, whole: NDArray[np.uint8]
) -> None:
    untiled = default_codec.decode(default_codec.encode(chelsea))
    # Even where tiles are a hundredth of their usual size.
    assert psnr(chelsea, whole) > psnr(chelsea, untiled) - 0.05
    left, top, _, _ = parse_stream(stream)[0].padding
    seams = np.zeros(chelsea.shape[:2], bool)
    for seam in range(SIDE, 512, SIDE):
        seams[:, seam - left - 4 : seam - left + 4] = True
        seams[seam - top - 4 : seam - top + 4] = True

    def excess(restored: NDArray[np.uint8]) -> float:
        error = np.mean((chelsea.astype(float) - restored) ** 2, axis=2)
        return float(error[seams].mean() / error[~seams].mean())

    assert excess(whole) < 1.05 * excess(untiled)


def test_a_slow_decoder_agrees(
    default_codec: Codec, stream: bytes, whole: NDArray[np.uint8]
) -> None:
    """It is written from the page: the symbols are equal, and the pixels but for rounding."""
    decoded = tile_reference.decode(default_codec, stream)
    np.testing.assert_allclose(decoded, whole, atol=1)
    assert np.mean(decoded != whole) < 1e-3


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 451, 300),
        (97, 0, 2, 300),
        (0, 111, 451, 30),
        (81, 101, 300, 190),
        (98, 118, 1, 1),
        (450, 299, 1, 1),
        (114, 134, 96, 96),
    ],
)
def test_a_region_is_that_part_of_the_whole(
    default_codec: Codec, stream: bytes, whole: NDArray[np.uint8], region: tuple[int, ...]
) -> None:
    x, y, width, height = region
    part = default_codec.decode(stream, region=(x, y, width, height))
    np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_a_region_of_a_picture_in_one_piece(
    default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    stream = default_codec.encode(chelsea[:70, :100])
    restored = default_codec.decode(stream)
    part = default_codec.decode(stream, region=(5, 60, 90, 10))
    np.testing.assert_array_equal(part, restored[60:70, 5:95])


@pytest.mark.parametrize(
    "region",
    [(-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 0, 5), (0, 0, 5, 0), (447, 0, 5, 1), (0, 300, 1, 1)],
)
def test_a_region_outside_is_refused(
    default_codec: Codec, stream: bytes, region: tuple[int, int, int, int]
) -> None:
    with pytest.raises(BadInputError, match="is not in the picture, which has 451x300 pixels"):
        default_codec.decode(stream, region=region)


def test_a_region_is_of_one_stream(default_codec: Codec, stream: bytes) -> None:
    with pytest.raises(BadInputError, match="one by one"):
        default_codec.decode([stream], region=(0, 0, 1, 1))  # type: ignore[call-overload]


def record_payloads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What tiles are decoded from now on."""
    seen: list[bytes] = []
    read = PartCoder.read

    def spy(self: PartCoder, payloads: list[bytes], *rest: Any) -> Any:
        seen.extend(payloads)
        return read(self, payloads, *rest)

    monkeypatch.setattr(PartCoder, "read", spy)
    return seen


def tile_payloads(stream: bytes) -> list[bytes]:
    info, payload = parse_stream(stream)
    ends = np.cumsum(info.tile_sizes)
    return [payload[end - size : end] for end, size in zip(ends, info.tile_sizes, strict=True)]


@pytest.mark.parametrize(
    ("region", "tiles"),
    [
        # The padding is 30 on the left and 10 at the top. Tile 5 is 128 to 256 across and down.
        ((140, 160, 1, 1), {0, 1, 2, 4, 5, 6, 8, 9, 10}),
        ((0, 0, 20, 20), {0, 1, 4, 5}),
        ((440, 280, 5, 5), {6, 7, 10, 11}),
    ],
)
def test_only_tiles_that_a_region_takes_are_decoded(
    default_codec: Codec,
    stream: bytes,
    region: tuple[int, int, int, int],
    tiles: set[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of its window, and of 64 pixels around that."""
    seen = record_payloads(monkeypatch)
    default_codec.decode(stream, region=region)
    payloads = tile_payloads(stream)
    assert sorted(seen) == sorted(payloads[number] for number in tiles)


def test_a_damaged_tile_is_named_and_spoils_no_region_without_it(
    default_codec: Codec, stream: bytes, whole: NDArray[np.uint8]
) -> None:
    info, _ = parse_stream(stream)
    payloads = tile_payloads(stream)
    start = len(stream) - sum(info.tile_sizes)
    damaged = bytearray(stream)
    damaged[start + sum(info.tile_sizes[:6]) + 10] ^= 4
    with pytest.raises(StreamError, match=r"^tile in column 2, row 1 checksum mismatch"):
        default_codec.decode(bytes(damaged))
    # With a new checksum, its own decoder still finds out.
    payloads[6] = payloads[6][:-2]
    sizes = [len(payload) for payload in payloads]
    forged = write_stream(with_tiles(info, sizes), b"".join(payloads))
    with pytest.raises(StreamError, match=r"^tile in column 2, row 1: payload"):
        default_codec.decode(forged)
    region = default_codec.decode(forged, region=(0, 0, 80, 290))
    np.testing.assert_array_equal(region, whole[:290, :80])


def with_tiles(info: StreamInfo, sizes: list[int]) -> StreamInfo:
    names = ("width", "height", "padding", "model_id", "entropy_mode", "fingerprint", "tiling")
    return StreamInfo(**{name: getattr(info, name) for name in names}, tile_sizes=sizes)


def test_empty_tiles_are_refused_before_anything_is_allocated(
    default_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = 65_472
    info = StreamInfo(
        width=side,
        height=side,
        padding=(0, 0, 0, 0),
        model_id=default_codec.bundle.model_id,
        entropy_mode="exact",
        tiling=(16_320, 16_320, 5, 5),
        tile_sizes=[9],
    )

    def fail(*_: object) -> None:
        raise AssertionError("memory for the picture")

    monkeypatch.setattr(Canvas, "__init__", fail)
    generous = Codec(default_codec.bundle, default_codec.engine, max_pixels=1 << 33)
    with pytest.raises(StreamError, match="tile in column 0, row 0: payload exhausted"):
        generous.decode(write_stream(info, b"\0\0\0\1\0\0\0\0\0"))


@pytest.fixture(scope="module")
def exact_codecs(exact_bundle: Path) -> list[Codec]:
    """One on each engine, with thread counts and numbers of workers of their own."""
    bundle = open_bundle(exact_bundle)
    return [
        Codec(bundle, open_engine(name, threads=threads), tile=SIDE, workers=workers)
        for name in available_engines()
        for threads, workers in ((1, 3), (2, 1))
    ]


def test_symbols_are_the_same_on_every_engine_and_in_every_order(
    exact_codecs: list[Codec], chelsea: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = exact_codecs[0].encode(chelsea)
    found: list[dict[bytes, NDArray[np.float32]]] = []
    read = PartCoder.read

    def spy(self: PartCoder, payloads: list[bytes], *rest: Any) -> Any:
        y_hat = read(self, payloads, *rest)
        found[-1][payloads[0]] = self.to_host(y_hat).copy()
        return y_hat

    monkeypatch.setattr(PartCoder, "read", spy)
    for codec in exact_codecs:
        found.append({})
        codec.decode(stream)
        # The other way round.
        found.append({})
        for y in (299, 150, 0):
            for x in (450, 250, 150, 0):
                codec.decode(stream, region=(x, y, 1, 1))
    for y_hats in found:
        assert y_hats.keys() == found[0].keys() == set(tile_payloads(stream))
        for payload, y_hat in y_hats.items():
            np.testing.assert_array_equal(y_hat, found[0][payload])


def test_native_streams_have_tiles_as_well(native_bundle: Path, chelsea: NDArray[np.uint8]) -> None:
    codec = cca_runtime.load(native_bundle, tile=SIDE)
    encoded = codec.encode_picture(chelsea[:200, :200], reconstruct=True)
    assert encoded.info.fingerprint
    np.testing.assert_array_equal(codec.decode(encoded.data), encoded.reconstruction)


def test_tiled_and_other_pictures_go_through_a_list(
    default_codec: Codec, tiling_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    pictures = [chelsea[:64, :64], chelsea[:200, :150], chelsea[:200, :150]]
    streams = tiling_codec.encode(pictures)
    streams.append(default_codec.encode(pictures[1]))
    assert [parse_stream(s)[0].tiling is None for s in streams] == [True, False, False, True]
    for restored, stream in zip(tiling_codec.decode(streams), streams, strict=True):
        np.testing.assert_array_equal(restored, default_codec.decode(stream))


def test_metadata_travel(tiling_codec: Codec, chelsea: NDArray[np.uint8]) -> None:
    picture = cca_runtime.Picture(chelsea[:64, :150], exif=b"Exif\0\0MM\0*", xmp=b"<x/>")
    restored = tiling_codec.decode_stream(tiling_codec.encode(picture)).picture
    assert (restored.exif, restored.xmp) == (picture.exif, picture.xmp)


@pytest.mark.parametrize("tile", [0, 32, -64, 100, 16_384, "large"])
def test_no_such_tile(tile: int | str) -> None:
    with pytest.raises(BadInputError, match="a multiple of 64 up to 16320, or 'auto'"):
        cca_runtime.load(tile=tile)


def test_pictures_are_tiled_where_memory_is_short(
    default_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "total_memory", lambda: 64 << 20)
    for tile, tiled in (("auto", True), (None, False)):
        codec = Codec(default_codec.bundle, default_codec.engine, tile=tile)
        small, large = codec._choose_tiling(64, 128), codec._choose_tiling(3000, 9000)
        assert small is None
        assert (large == (1024, 1024, 3, 3)) == tiled
    monkeypatch.setattr(memory, "total_memory", lambda: 64 << 40)
    codec = Codec(default_codec.bundle, default_codec.engine)
    assert codec._choose_tiling(3000, 9000) is None


sides = st.integers(1, 60).map(lambda count: 64 * count)


@given(width=sides, height=sides, tile=st.integers(1, 40).map(lambda count: 64 * count))
def test_a_chosen_division_is_one_that_a_stream_can_carry(
    width: int, height: int, tile: int
) -> None:
    tiling = choose_tiling(width, height, tile)
    if tiling is None:
        assert max(width, height) <= min(1024, tile)
        return
    grid = Grid(width, height, tiling)
    assert tiling.window_width * tiling.columns < tile + 64 * tiling.columns
    info = StreamInfo(
        width=width,
        height=height,
        padding=(0, 0, 0, 0),
        model_id=bytes(8),
        entropy_mode="exact",
        tiling=tiling,
        tile_sizes=[0] * grid.tiles.count,
    )
    assert parse_stream(write_stream(info, b""), max_pixels=1 << 33) == (info, b"")
    covered = sum(
        grid.tiles.box(number).width * grid.tiles.box(number).height
        for number in range(grid.tiles.count)
    )
    assert covered == width * height


@given(height=st.integers(1, 200), width=st.integers(1, 200), data=st.data())
def test_a_part_of_a_padded_picture(height: int, width: int, data: st.DataObject) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    padding = choose_padding(height, width)
    padded = pad(pixels, padding)
    left = data.draw(st.integers(0, padded.shape[1] - 1))
    top = data.draw(st.integers(0, padded.shape[0] - 1))
    right = data.draw(st.integers(left + 1, padded.shape[1]))
    bottom = data.draw(st.integers(top + 1, padded.shape[0]))
    part = pad_part(pixels, padding, (left, top, right, bottom))
    np.testing.assert_array_equal(part, padded[top:bottom, left:right])


@pytest.mark.parametrize("shuffle", [lambda row: row, lambda row: row[::-1]])
def test_windows_are_blended_as_the_page_says(
    shuffle: Callable[[list[Any]], list[Any]],
) -> None:
    grid = Grid(256, 192, Tiling(128, 64, 1, 1))
    random = np.random.default_rng(1)
    pixels = {}
    for number in range(grid.windows.count):
        box = grid.around(grid.windows.box(number), FADE)
        pixels[grid.windows.box(number)] = random.integers(
            0, 256, (box.height, box.width, 3), np.uint8
        )
    canvas = Canvas(grid, grid.picture)
    for row in grid.windows_for(grid.picture):
        canvas.add_row(shuffle([(window, pixels[window]) for window in row]))
    expected = tile_reference.blend(pixels, 256, 192)
    np.testing.assert_array_equal(canvas.pixels, expected)


def test_the_command_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    chelsea: NDArray[np.uint8],
    stream: bytes,
    whole: NDArray[np.uint8],
) -> None:
    picture, coded, part = (tmp_path / name for name in ("a.png", "a.cca", "part.png"))
    Image.fromarray(chelsea).save(picture)
    assert main(["encode", str(picture), "--tile", str(SIDE)]) == 0
    assert coded.read_bytes() == stream
    assert main(["decode", str(coded), "-o", str(part), "--region", "100,120,60,50"]) == 0
    np.testing.assert_array_equal(np.array(Image.open(part)), whole[120:170, 100:160])
    capsys.readouterr()
    assert main(["info", "--json", str(coded)]) == 0
    tiles = json.loads(capsys.readouterr().out)["tiles"]
    sides = {f"{kind}{side}": SIDE for kind in ("", "window_") for side in ("width", "height")}
    assert tiles == {"across": 4, "down": 3, **sides}
    assert main(["info", str(coded)]) == 0
    assert "across 4, down 3" in capsys.readouterr().out
    assert main(["decode", str(coded), "--overwrite", "--region", "400,0,60,50"]) == 2
    assert "is not in the picture" in capsys.readouterr().err
    assert main(["encode", str(picture), "--overwrite", "--tile", "100"]) == 2
    assert "a tile cannot have a side of 100" in capsys.readouterr().err
    assert main(["encode", str(picture), "--overwrite", "--tile", "none"]) == 0
    assert parse_stream(coded.read_bytes())[0].tiling is None
