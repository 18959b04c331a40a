"""Memory is asked for before it is taken, and pictures under way take turns where it is short."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cca_core import TILE_BY_SIZE, TILE_NONE, Encoder, StreamInfo, write_stream
from cca_runtime import BadInputError, free_memory, memory
from cca_runtime.codec import Codec
from cca_runtime.division import choose_division
from cca_runtime.host import EngineHost, Machine
from cca_runtime.memory import MemoryLedger, Work, needs_of
from cca_runtime.results import Decoded, Encoded
from numpy.typing import NDArray

MEBIBYTE = 1 << 20


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is free, in bytes: the list's only item."""
    there = [0]
    monkeypatch.setattr(memory, "free_memory", lambda: there[0])
    return there


def forged(codec: Codec, width: int, height: int, **fields: object) -> bytes:
    """A header that fits, and 14 KB of a payload: of a tile, or hyper-latents of a picture."""
    tiles = len(fields.get("tile_sizes", [0]))  # type: ignore[arg-type]
    info = StreamInfo(
        width=width,
        height=height,
        padding=(0, 0, -width % 64, -height % 64),
        model_id=codec.bundle.model_id,
        entropy_mode="exact",
        digests=[0] * tiles,
        **fields,  # type: ignore[arg-type]
    )
    if info.tile_sizes:
        return write_stream(info, np.random.default_rng(4).bytes(sum(info.tile_sizes)))
    # Symbols that cost next to nothing, so that the prior's first graph is run before the end.
    shape = codec.bundle.hyper_channels, -(-height // 64), -(-width // 64)
    channels = np.arange(shape[0], dtype=np.uint16)[:, None, None]
    encoder = Encoder()
    indexes = np.ascontiguousarray(np.broadcast_to(channels, shape))
    encoder.push(np.zeros(shape, np.int32), indexes, codec.bundle.read_tables()["z"])
    return write_stream(info, encoder.finish())


# A process that may take 1.5 GB more than it has when it has decoded a stream, and says by how
# much its peak grew meanwhile.
ATTACKED = """
import resource, sys
from pathlib import Path

import cca_runtime

codec = cca_runtime.load()
small, *attacks = (Path(name).read_bytes() for name in sys.argv[1:])
codec.decode(small)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 3 * (1 << 29)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for attack in attacks:
    try:
        codec.decode(attack)
    except cca_runtime.CcaError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def least_bytes(codec: Codec, width: int, height: int, tile: int = TILE_NONE) -> int:
    """What encoding a picture takes on one worker."""
    work = Work.encoding(width, height, 1, reconstruct=False, has_trials=False)
    return needs_of(codec.bundle, work, choose_division(width, height, tile), 1)[-1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_a_forged_size_takes_no_memory_that_is_not_there(
    default_codec: Codec, chelsea: NDArray[np.uint8], tmp_path: Path
) -> None:
    streams = [
        default_codec.encode(chelsea[:64, :64]),
        forged(default_codec, 8192, 8192),
        forged(default_codec, 65_535, 4096, tiling=(16_320, 4096, 1, 1), tile_sizes=[14_000] * 5),
    ]
    names = [tmp_path / str(number) for number in range(len(streams))]
    for name, stream in zip(names, streams, strict=True):
        name.write_bytes(stream)
    done = subprocess.run(
        [sys.executable, "-c", ATTACKED, *names], capture_output=True, text=True, check=True
    )
    whole, tiled, growth = done.stdout.splitlines()
    assert whole.startswith("decoding this picture of 8192x8192 in one piece takes about")
    assert whole.endswith("MB are free: it takes a machine with more")
    assert "--region" in tiled
    assert int(growth) << 10 < 50 * MEBIBYTE


def test_trials_of_a_picture_in_tiles_keep_its_latents(
    default_codec: Codec, chelsea: NDArray[np.uint8], free: list[int]
) -> None:
    def new_codec() -> Codec:
        return Codec(default_codec.bundle, default_codec.engine, tile=128, workers=1)

    plain = free[0] = least_bytes(default_codec, 384, 256, 128)
    new_codec().encode(chelsea)
    with pytest.raises(BadInputError, match="encoding this picture of 384x256 takes about"):
        new_codec().encode(chelsea, target_bpp=0.5)
    work = Work.encoding(384, 256, 1, reconstruct=False, has_trials=True)
    need = min(needs_of(default_codec.bundle, work, choose_division(384, 256, 128), 1))
    assert need >= plain + 4 * default_codec.bundle.latent_channels * (384 // 16) * (256 // 16)
    free[0] = need - 1
    with pytest.raises(BadInputError, match="encoding this picture of 384x256 takes about"):
        new_codec().encode(chelsea, target_bpp=0.5)
    free[0] = need
    new_codec().encode(chelsea, target_bpp=0.5)


# Peaks of `cca-run encode` on 3000x2000 pixels with two workers, in megabytes; the process itself
# has 136 of them.
PEAKS = {
    "plain": (False, False, 1382, 2066),
    "bpp": (False, True, 1886, 2491),
    "psnr": (True, True, 2759, 4594),
    "reconstruct": (True, False, 2261, None),
}


@pytest.mark.parametrize("kind", PEAKS)
def test_what_was_measured_is_asked_for(default_codec: Codec, kind: str) -> None:
    reconstruct, has_trials, tiled, whole = PEAKS[kind]
    work = Work.encoding(3000, 2000, 1, reconstruct=reconstruct, has_trials=has_trials)
    for tile, peak in ((TILE_BY_SIZE, tiled), (TILE_NONE, whole)):
        if peak is not None:
            division = choose_division(3000, 2000, tile)
            assert needs_of(default_codec.bundle, work, division, 2)[0] >= (peak - 136) * 10**6


def test_pictures_that_memory_has_no_room_for_are_refused_with_what_would_do(
    default_codec: Codec, chelsea: NDArray[np.uint8], free: list[int]
) -> None:
    codec = Codec(default_codec.bundle, default_codec.engine, tile=None)
    need = least_bytes(codec, 384, 256)
    free[0] = need - 1
    with pytest.raises(BadInputError, match=r"encoding .* 384x256 .* MB .* MB are free: .*--tile"):
        codec.encode(chelsea)
    free[0] = need
    stream = codec.encode(chelsea)
    with pytest.raises(BadInputError, match="encoding"):
        Codec(codec.bundle, codec.engine, tile=None).encode_picture(chelsea, reconstruct=True)
    other = Codec(codec.bundle, codec.engine)
    free[0] = need - 1
    with pytest.raises(BadInputError, match=r"decoding .* 384x256.* MB are free: .*a machine"):
        other.decode(stream)
    free[0] = need
    np.testing.assert_array_equal(other.decode(stream), default_codec.decode(stream))
    # The engine has it still.
    free[0] = 0
    np.testing.assert_array_equal(other.decode(stream), default_codec.decode(stream))


def test_where_memory_is_short_fewer_are_under_way_and_none_is_refused(
    default_codec: Codec, chelsea: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [np.ascontiguousarray(chelsea[:64, : 40 + width]) for width in range(6)]
    expected = default_codec.encode(pictures)
    at_once = {"now": 0, "most": 0}
    turn = threading.Lock()

    drive = EngineHost.drive

    def counted(self: EngineHost, machine: Machine, worker: int = 0) -> object:
        with turn:
            at_once["now"] += 1
            at_once["most"] = max(at_once.values())
        try:
            return drive(self, machine, worker)
        finally:
            with turn:
                at_once["now"] -= 1

    monkeypatch.setattr(EngineHost, "drive", counted)
    codec = Codec(default_codec.bundle, default_codec.engine, workers=3)
    there = int(1.5 * least_bytes(codec, 64, 64))
    monkeypatch.setattr(memory, "free_memory", lambda: there - codec._memory._kept)
    encoded = list(codec.encode_each(pictures))
    assert [result.data for result in encoded if isinstance(result, Encoded)] == expected
    decoded = list(codec.decode_each(expected))
    assert all(isinstance(result, Decoded) for result in decoded)
    assert at_once["most"] == 1


def test_tiles_are_fewer_at_once_where_memory_is_short(
    default_codec: Codec, chelsea: NDArray[np.uint8], free: list[int]
) -> None:
    free[0] = 1 << 40
    codec = Codec(default_codec.bundle, default_codec.engine, tile=64, workers=3)
    stream = codec.encode(chelsea)
    whole = codec.decode(stream)
    least = least_bytes(codec, 384, 256, tile=64)
    short = Codec(codec.bundle, codec.engine, tile=64, workers=3)
    free[0] = 2 * least
    np.testing.assert_array_equal(short.decode(stream), whole)
    assert short.encode(chelsea) == stream
    free[0] = least // 2
    bare = Codec(codec.bundle, codec.engine, tile=64, workers=3)
    with pytest.raises(BadInputError, match=r"decoding .* 384x256 .*--region"):
        bare.decode(stream)
    with pytest.raises(BadInputError, match=r"encoding .* 384x256 .*--tile"):
        bare.encode(chelsea)


def test_a_tiled_picture_is_granted_memory_before_its_pixels(
    default_codec: Codec, free: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it is decoded")

    monkeypatch.setattr(EngineHost, "drive", fail)
    free[0] = 600 * MEBIBYTE
    tiling = {"tiling": (1024, 1024, 1, 1), "tile_sizes": [14_000] * 256}
    stream = forged(default_codec, 65_535, 4096, **tiling)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInputError, match=r"decoding .* 65535x4096"):
        default_codec.decode(stream)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before << 10 < 50 * MEBIBYTE


def test_who_waits_is_not_overtaken_and_gets_what_others_give_back(free: list[int]) -> None:
    free[0] = 100
    ledger = MemoryLedger()
    order: list[str] = []
    waiting = threading.Event()

    def work(name: str, need: int) -> None:
        waiting.set()
        with ledger.grant([need], name, "wait"):
            order.append(name)

    with ledger.grant([60], "first", "wait"):
        large = threading.Thread(target=work, args=("large", 90))
        large.start()
        waiting.wait()
        while not ledger._queue.locked():
            pass
        small = threading.Thread(target=work, args=("small", 10))
        small.start()
        order.append("first")
    for thread in (large, small):
        thread.join(timeout=20)
    assert order == ["first", "large", "small"]


def test_what_failed_is_not_taken_for_kept(free: list[int]) -> None:
    free[0] = 100
    ledger = MemoryLedger()
    with pytest.raises(ZeroDivisionError), ledger.grant([100], "it", "wait"):
        raise ZeroDivisionError
    free[0] = 0
    refused = pytest.raises(BadInputError, match="it takes about 1 MB of memory, and 0 MB are free")
    with refused, ledger.grant([100], "it", "wait"):
        pass


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /proc and /sys, with 8 GB free and no groups."""
    for name, path in {
        "_MEMINFO": "meminfo",
        "_STATM": "statm",
        "_OWN_GROUPS": "own",
        "_GROUPS": "groups",
    }.items():
        monkeypatch.setattr(free_memory, name, tmp_path / path)
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable:  8000000 kB\n")
    (tmp_path / "statm").write_text("1000 500 0 0 0 0 0\n")
    monkeypatch.setattr(
        free_memory.resource, "getrlimit", lambda _: (free_memory.resource.RLIM_INFINITY,) * 2
    )
    return tmp_path


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_free_memory_is_the_least_that_anybody_leaves(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert free_memory.free_memory() == 8_000_000 << 10
    (system / "own").write_text("0::/outer/inner\n")
    assert free_memory.free_memory() == 8_000_000 << 10, "such groups are not to be seen"
    stat = "anon 1\ninactive_file 2000\nactive_file 300\nfile 5000\n"
    group(system / "groups/outer/inner", memory__max="max\n", memory__current="5\n")
    group(
        system / "groups/outer", memory__max="10000\n", memory__current="7000\n", memory__stat=stat
    )
    assert free_memory.free_memory() == 5300, "files in the cache make way"
    (system / "groups/outer/memory.max").write_text("3000\n")
    assert free_memory.free_memory() == 0
    (system / "own").write_text("9:cpu,cpuacct:/\n4:memory:/container\n0::/\n")
    stat = "inactive_file 9\ntotal_inactive_file 40\ntotal_active_file 2\n"
    group(
        system / "groups/memory/container",
        memory__limit_in_bytes="700\n",
        memory__usage_in_bytes="300\n",
        memory__stat=stat,
    )
    assert free_memory.free_memory() == 442
    page = free_memory.os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(free_memory.resource, "getrlimit", lambda _: (1000 * page + 99,) * 2)
    assert free_memory.free_memory() == 99


def test_where_nothing_is_known_there_is_plenty(system: Path) -> None:
    for odd in (b"\xff\n", b"MemAvailable:\n", b"MemAvailable: many\n"):
        (system / "meminfo").write_bytes(odd)
        assert free_memory.free_memory() == free_memory.PLENTY
    (system / "meminfo").unlink()
    assert free_memory.free_memory() == free_memory.PLENTY
