"""Plan files, and the cache of plans."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from cca_engines import EngineError
from cca_engines.tensorrt.build import Plan
from cca_engines.tensorrt.cache import PlanCache
from cca_engines.tensorrt.plans import (
    PlanDirectory,
    PlanFileError,
    PlanKey,
    find_plan,
    read_header,
)
from cca_engines.user_cache import write_whole
from cca_export.plans import plan_shapes

SHAPES = plan_shapes([(256, 128), (320, 320)])
KEY = PlanKey("tensorrt", "10.9.0", "Software GPU, compute capability 8.9", "ab" * 32)
PLAN = Plan(b"kernels\nand weights", "float16", 7, 0.5, ())


@pytest.fixture
def directory(tmp_path: Path) -> PlanDirectory:
    return PlanDirectory(tmp_path / "engines")


# Files.


def test_a_plan_file_is_read_back(directory: PlanDirectory) -> None:
    written = directory.write("prior_0", KEY, SHAPES, PLAN)
    assert re.fullmatch(r"prior_0-[0-9a-f]{16}\.plan", written.path.name)
    (file,) = directory.files("prior_0")
    assert file == written
    assert file.read() == PLAN.data
    header = file.header
    assert (header.key, header.shapes) == (KEY, SHAPES)
    assert (header.precision, header.layers, header.size) == ("float16", 7, len(PLAN.data))
    assert list(directory.files("prior")) == []
    assert list(PlanDirectory(directory.path / "none").files("prior_0")) == []


def test_a_plan_file_is_a_line_of_json_and_the_plan(directory: PlanDirectory) -> None:
    content = directory.write("prior_0", KEY, SHAPES, PLAN).path.read_bytes()
    line, _, plan = content.partition(b"\n")
    assert plan == PLAN.data
    values = json.loads(line)
    assert values["shapes"]["latent_width"] == [4, 16, 20]
    assert values["shapes"]["batch"] == [1, 1, 8]
    assert values["engine_version"] == "10.9.0"


OTHERS = {
    "library": ("tensorrt-rtx", "is for engine tensorrt-rtx"),
    "version": ("10.8.0", "was built by tensorrt 10.8.0, this is 10.9.0"),
    "target": ("portable", f"was built for portable, this is {KEY.target}"),
    "model": ("cd" * 32, "was built from another graph"),
}


@pytest.mark.parametrize("part", OTHERS)
def test_plans_of_something_else_are_not_used(part: str, directory: PlanDirectory) -> None:
    value, why = OTHERS[part]
    other = directory.write("g", dataclasses.replace(KEY, **{part: value}), SHAPES, PLAN)
    assert find_plan([directory], "g", KEY, SHAPES) == (None, [f"{other.path} {why}"])
    own = directory.write("g", KEY, SHAPES, PLAN)
    assert own.path != other.path
    assert find_plan([directory], "g", KEY, SHAPES)[0] == own


def test_of_several_plans_the_one_for_the_shapes_is_used(
    directory: PlanDirectory, tmp_path: Path
) -> None:
    small, large = plan_shapes([(64, 64)]), plan_shapes([(4096, 4096)])
    files = [directory.write("g", KEY, shapes, PLAN) for shapes in (small, SHAPES, large)]
    for shapes, file in zip((small, SHAPES, large), files, strict=True):
        assert find_plan([directory], "g", KEY, shapes)[0] == file
    # A plan for other shapes is better than none, and the first directory's than the second's.
    second = PlanDirectory(tmp_path / "second")
    second.write("g", KEY, plan_shapes([(128, 128)]), PLAN)
    found, _ = find_plan([directory, second], "g", KEY, plan_shapes([(128, 128)]))
    assert found is not None
    assert found.path.parent == directory.path


def header(**changes: Any) -> bytes:
    """A plan file of 3 bytes with another header."""
    values: dict[str, Any] = {
        "format": "cca-plan",
        "version": 1,
        "engine": "tensorrt",
        "engine_version": "10.9.0",
        "target": "portable",
        "model": "ab" * 32,
        "precision": "float32",
        "shapes": {"batch": [1, 2, 3]},
        "layers": 1,
        "sha256": "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81",
        "bytes": 3,
    }
    values.update(changes)
    kept = {name: value for name, value in values.items() if value is not None}
    return json.dumps(kept).encode() + b"\n\x01\x02\x03"


HOSTILE = {
    "empty": b"",
    "no line": b"cca-plan",
    "no end": b"[" * 100_000,
    "nested": b"[" * 60_000 + b"\n123",
    "no json": b"\xff\xfe\n123",
    "long number": b"9" * 50_000 + b"\n",
    "array": b"[]\n123",
    "number": b"1\n123",
    "format": header(format="cca-bundle"),
    "version": header(version=2),
    "shorter": header()[:-1],
    "longer": header() + b"?",
    "negative": header(bytes=-3),
    "huge": header(bytes=1 << 60),
    "truth": header(bytes=True)[:-2],
    "fraction": header(bytes=3.0),
    "text size": header(bytes="3"),
    "missing": header(sha256=None),
    "short digest": header(sha256="00"),
    "digest": header(sha256=0),
    "model": header(model="AB" * 32),
    "target": header(target="two\nlines"),
    "engine": header(engine=["tensorrt"]),
    "precision": header(precision="float8"),
    "shapes": header(shapes=[1, 2, 3]),
    "two sizes": header(shapes={"batch": [1, 2]}),
    "descending": header(shapes={"batch": [3, 2, 1]}),
    "zero": header(shapes={"batch": [0, 1, 2]}),
    "letters": header(shapes={"batch": "123"}),
    "layers": header(layers=None),
}


def test_the_file_that_the_hostile_ones_differ_from(tmp_path: Path) -> None:
    (tmp_path / "g-0123456789abcdef.plan").write_bytes(header())
    (file,) = PlanDirectory(tmp_path).files("g")
    assert file.read() == b"\x01\x02\x03"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_a_line(kind: str, directory: PlanDirectory) -> None:
    path = directory.path / "g-0123456789abcdef.plan"
    write_whole(path, HOSTILE[kind])
    with pytest.raises(PlanFileError) as failure:
        read_header(path)
    assert "\n" not in str(failure.value)
    assert list(directory.files("g")) == []
    assert find_plan([directory], "g", KEY, SHAPES) == (None, [f"{path} {failure.value}"])


def test_what_only_looks_like_a_file_is_refused(directory: PlanDirectory) -> None:
    directory.path.mkdir()
    (directory.path / "g-0000000000000000.plan").mkdir()
    os.mkfifo(directory.path / "g-0000000000000001.plan")  # reading it would never end
    (directory.path / "g-0000000000000002.plan").symlink_to("nowhere")
    assert list(directory.files("g")) == []
    found, differences = find_plan([directory], "g", KEY, SHAPES)
    assert found is None
    reasons = [difference.split(" ", 1)[1] for difference in differences]
    assert reasons == ["is no file", "is no file", "No such file or directory"]


def test_changed_files_never_give_another_plan(directory: PlanDirectory) -> None:
    file = directory.write("g", KEY, SHAPES, PLAN)
    content = file.path.read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(2000):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        file.path.write_bytes(changed[: chance.choice([len(changed), chance.randrange(900)])])
        try:
            found = [each.read() for each in directory.files("g")]
        except PlanFileError:
            found = []
        assert found in ([], [PLAN.data])
        refused += not found
    assert refused > 1000


def test_names_that_would_leave_the_directory(directory: PlanDirectory) -> None:
    for name in ("../g", "a/b", "", "a\n", "g.plan"):
        with pytest.raises(EngineError, match="no plan file can be named after graph"):
            directory.write(name, KEY, SHAPES, PLAN)
        with pytest.raises(EngineError, match="no plan file can be named after graph"):
            list(directory.files(name))


def test_nothing_is_left_of_a_file_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "deep" / "file"
    write_whole(path, b"old")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new", b"er")
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("file", b"old")]


# The user's cache.


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path, capacity=3500)
    plan = dataclasses.replace(PLAN, data=bytes(500))  # about 1 kB with its header
    names = ["a", "b", "c", "d", "e"]
    for age, name in enumerate(names[:3]):
        cache.write(name, KEY, SHAPES, plan)
        (file,) = cache.directory.files(name)
        os.utime(file.path, (age, age))
    (file,) = cache.directory.files("a")
    assert cache.read(file) == plan.data  # so now "b" was used longest ago
    for name in names[3:]:
        cache.write(name, KEY, SHAPES, plan)
    kept = [name for name in names if list(cache.directory.files(name))]
    assert kept == ["a", "d", "e"]
    cache.write("large", KEY, SHAPES, dataclasses.replace(PLAN, data=bytes(5000)))
    assert [path.name[:5] for path in tmp_path.iterdir()] == ["large"]


def test_the_cache_removes_what_was_left_half_written(tmp_path: Path) -> None:
    now, long_ago, foreign = (tmp_path / name for name in (".new-1", ".new-2", "of others"))
    for path in (now, long_ago, foreign):
        path.write_bytes(b"?")
    os.utime(long_ago, (0, 0))
    os.utime(foreign, (0, 0))
    PlanCache(tmp_path).write("g", KEY, SHAPES, PLAN)
    assert now.exists()
    assert foreign.exists()
    assert not long_ago.exists()
