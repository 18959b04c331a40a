"""Pictures in tiles: as docs/spec/format.md says, in any order and part, on any engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cca_core
import cca_runtime
import numpy as np
import pytest
from cca_core import StreamInfo, parse_stream, write_stream
from cca_engines import Tensor, available_engines, digest, open_engine
from cca_runtime import BadInputError, StreamError, memory
from cca_runtime.bundle import open_bundle
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.host import EngineHost
from cca_runtime.metrics import psnr
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import ROOT
from numpy.typing import NDArray
from PIL import Image
from references import tile_reference
from references.padding import choose_padding, pad, pad_part
from references.tiling import FADE, MARGIN, Box, Grid, Tiling, choose_tiling

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


def tile_payloads(stream: bytes) -> list[bytes]:
    info, payload = parse_stream(stream)
    ends = np.cumsum(info.tile_sizes)
    return [payload[end - size : end] for end, size in zip(ends, info.tile_sizes, strict=True)]


def with_cut_tiles(stream: bytes, numbers: Iterable[int]) -> bytes:
    """The stream without the end of some tiles' payloads, with checksums that fit."""
    info, _ = parse_stream(stream)
    payloads = tile_payloads(stream)
    for number in numbers:
        payloads[number] = payloads[number][:-2]
    names = ("width", "height", "padding", "model_id", "entropy_mode", "fingerprint", "tiling")
    fields = {name: getattr(info, name) for name in (*names, "digests")}
    sizes = [len(payload) for payload in payloads]
    return write_stream(StreamInfo(**fields, tile_sizes=sizes), b"".join(payloads))


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
    whole: NDArray[np.uint8],
) -> None:
    """Those of its window, and of 64 pixels around that."""
    x, y, width, height = region
    others = with_cut_tiles(stream, set(range(12)) - tiles)
    part = default_codec.decode(others, region=region)
    np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])
    for number in tiles:
        row, column = divmod(number, 4)
        with pytest.raises(StreamError, match=rf"^tile in column {column}, row {row}: payload"):
            default_codec.decode(with_cut_tiles(stream, [number]), region=region)


def test_a_damaged_tile_is_named_and_spoils_no_region_without_it(
    default_codec: Codec, stream: bytes, whole: NDArray[np.uint8]
) -> None:
    info, _ = parse_stream(stream)
    start = len(stream) - sum(info.tile_sizes)
    damaged = bytearray(stream)
    damaged[start + sum(info.tile_sizes[:6]) + 10] ^= 4
    with pytest.raises(StreamError, match=r"^tile in column 2, row 1 checksum mismatch"):
        default_codec.decode(bytes(damaged))
    # With a new checksum, its own decoder still finds out.
    forged = with_cut_tiles(stream, [6])
    with pytest.raises(StreamError, match=r"^tile in column 2, row 1: payload"):
        default_codec.decode(forged)
    region = default_codec.decode(forged, region=(0, 0, 80, 290))
    np.testing.assert_array_equal(region, whole[:290, :80])


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
        digests=[0],
    )

    def fail(*_: object) -> None:
        raise AssertionError("memory for the picture")

    for step in ("upload", "allocate", "run", "download"):
        monkeypatch.setattr(EngineHost, step, fail)
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
    found: list[set[tuple[str, str]]] = []

    def spy(self: EngineHost, name: str, _: object, outputs: Mapping[str, Tensor]) -> None:
        if name.startswith("prior"):
            arrays = {key: self.engine.to_host(tensor) for key, tensor in outputs.items()}
            found[-1].add((name, digest(arrays)))

    monkeypatch.setattr(EngineHost, "ran", spy)
    for codec in exact_codecs:
        found.append(set())
        codec.decode(stream)
        # The other way round.
        found.append(set())
        for y in (299, 150, 0):
            for x in (450, 250, 150, 0):
                codec.decode(stream, region=(x, y, 1, 1))
    assert len(found[0]) == 12 * len(exact_codecs[0].bundle.prior_graphs)
    assert all(outputs == found[0] for outputs in found)


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


Pair = tuple[int, int]


def division(width: int, height: int, tiling: Tiling | None) -> tuple[Pair, Pair, Pair, Pair]:
    """Sizes of the padded picture, a window and a tile; tiles across and down."""
    picture = (width, height)
    if tiling is None:
        return picture, picture, picture, (1, 1)
    grid = Grid(width, height, tiling)
    window, tile = ((box.width, box.height) for box in (grid.window, grid.tile))
    return picture, window, tile, (grid.tiles.columns, grid.tiles.rows)


@pytest.mark.parametrize(
    ("width", "height", "tiling"),
    [
        (2048, 1024, None),
        (2049, 1024, (704, 1024, 3, 1)),  # padded to 2112, three equal windows
        (2000, 1025, (1024, 576, 2, 2)),
        (9000, 3000, (1024, 1024, 3, 3)),
        (65_535, 1, (1024, 64, 3, 1)),
    ],
)
def test_large_pictures_are_tiled_by_themselves(
    width: int, height: int, tiling: tuple[int, ...] | None
) -> None:
    left, top, right, bottom = choose_padding(height, width)
    padded = (left + width + right, top + height + bottom)
    chosen = Tiling(*tiling) if tiling else None
    by_size = cca_core.choose_division(width, height, cca_core.TILE_BY_SIZE)
    assert by_size == division(*padded, chosen)
    assert cca_core.choose_division(width, height, cca_core.TILE_NONE) == division(*padded, None)


def test_no_tiling_depends_on_memory(
    default_codec: Codec, chelsea: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Codec(default_codec.bundle, default_codec.engine)
    streams = []
    for free in (1 << 29, 1 << 45):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        streams.append(codec.encode(chelsea))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory, "free_memory", lambda: 1 << 16)
            with pytest.raises(BadInputError, match="of memory"):
                Codec(default_codec.bundle, default_codec.engine).encode(chelsea)
    assert streams[0] == streams[1]


sides = st.integers(1, 60).map(lambda count: 64 * count)


@given(width=sides, height=sides, tile=st.integers(1, 40).map(lambda count: 64 * count))
def test_a_chosen_division_is_one_that_a_stream_can_carry(
    width: int, height: int, tile: int
) -> None:
    tiling = choose_tiling(width, height, tile)
    assert cca_core.choose_division(width, height, tile) == division(width, height, tiling)
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
        digests=[0] * grid.tiles.count,
    )
    assert parse_stream(write_stream(info, b""), max_pixels=1 << 33) == (info, b"")
    assert cca_core.division_of(info) == division(width, height, tiling)
    covered = sum(
        grid.tiles.box(number).width * grid.tiles.box(number).height
        for number in range(grid.tiles.count)
    )
    assert covered == width * height


class ZeroHost:
    """Runs no graphs: all that they give is zero, but for the pixels of windows.

    Attributes:
        images: uint8 [H, W, 3], what the analysis was given, in that order.
        windows: Likewise, what the synthesis gave.
    """

    def __init__(self) -> None:
        self.images: list[NDArray[np.uint8]] = []
        self.windows: list[NDArray[np.uint8]] = []
        self._arrays: dict[int, NDArray[Any]] = {}
        self._random = np.random.default_rng(1)

    def upload(self, slot: int, array: NDArray[Any]) -> None:
        self._arrays[slot] = array
        if array.dtype == np.uint8 and array.shape[-1] == 3:
            self.images.append(array[0].copy())

    def allocate(self, slot: int, dtype: str, shape: tuple[int, ...]) -> None:
        self._arrays[slot] = np.zeros(shape, dtype)

    def run(
        self,
        graph: int,  # noqa: ARG002 - names of outputs tell enough
        inputs: list[cca_core.Binding],  # noqa: ARG002
        outputs: list[cca_core.Binding],
    ) -> None:
        for name, slot, row, dtype, shape in outputs:
            if row is None:
                self._arrays[slot] = np.zeros(shape, dtype)
            if name == "image":
                self._arrays[slot][:] = self._random.integers(0, 256, shape, np.uint8)
                self.windows.append(self._arrays[slot][0])

    def download(self, slot: int) -> NDArray[Any]:
        return self._arrays[slot]

    def free(self, slot: int) -> None:
        del self._arrays[slot]


def finish(machine: Any, host: ZeroHost) -> Any:
    """Do all steps of a machine."""
    while machine.step(0, host):
        pass
    (result,) = machine.finish()
    return result


@pytest.fixture(scope="module")
def model(default_codec: Codec) -> cca_core.Model:
    return default_codec.bundle.read_model()


@settings(deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200), side=st.sampled_from([64, 128, 192]))
def test_the_analysis_sees_parts_of_the_padded_picture(
    model: cca_core.Model, height: int, width: int, side: int
) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    padding = choose_padding(height, width)
    padded_height, padded_width, _ = pad(pixels, padding).shape
    machine = cca_core.EncoderMachine(model, [(pixels, None, None, None)], tile_side=side)
    host = ZeroHost()
    info, *_ = finish(machine, host)
    tiling = choose_tiling(padded_width, padded_height, side)
    assert info.tiling == tiling
    boxes = [Box(0, 0, padded_width, padded_height)]
    if tiling is not None:
        grid = Grid(padded_width, padded_height, tiling)
        windows = map(grid.windows.box, range(grid.windows.count))
        boxes = [grid.around(window, MARGIN) for window in windows]
    for image, box in zip(host.images, boxes, strict=True):
        np.testing.assert_array_equal(image, pad_part(pixels, padding, box))


def test_windows_are_blended_as_the_page_says(model: cca_core.Model) -> None:
    picture = (np.zeros((192, 256, 3), np.uint8), None, None, None)
    machine = cca_core.EncoderMachine(model, [picture], tile_side=64)
    _, stream, *_ = finish(machine, ZeroHost())
    host = ZeroHost()
    _, pixels, *_ = finish(cca_core.DecoderMachine(model, [stream]), host)
    grid = Grid(256, 192, Tiling(64, 64, 1, 1))
    windows = {}
    for number, seen in enumerate(host.windows):
        window = grid.windows.box(number)
        outer, inner = grid.around(window, MARGIN), grid.around(window, FADE)
        rows = slice(inner.top - outer.top, inner.bottom - outer.top)
        windows[window] = seen[rows, inner.left - outer.left : inner.right - outer.left]
    assert len(windows) == 12
    np.testing.assert_array_equal(pixels, tile_reference.blend(windows, 256, 192))


@pytest.mark.parametrize("workers", [1, 3])
def test_no_pixel_depends_on_the_order_of_windows(
    default_codec: Codec, stream: bytes, whole: NDArray[np.uint8], workers: int
) -> None:
    codec = Codec(default_codec.bundle, default_codec.engine, workers=workers)
    np.testing.assert_array_equal(codec.decode(stream), whole)


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
