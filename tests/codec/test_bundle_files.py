"""Files of a bundle that are no files, or lie elsewhere, or are archives of another kind."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cca_runtime import BadInputError
from cca_runtime.arrays import ArraysError, read_arrays
from cca_runtime.bundle import Bundle, open_bundle
from forgery import edit, npz
from locations import ROOT

SMALL = ROOT / "tests" / "data" / "streams" / "model.bundle"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SMALL, tmp_path / "model.bundle"))


def read_all(path: Path) -> Bundle:
    bundle = open_bundle(path)
    bundle.read_tables()
    assert bundle.conformance is not None
    bundle.conformance.read(bundle.conformance.cases)
    for name in bundle.graphs:
        bundle.read_graph(name)
    return bundle


FILES = ("manifest.json", "tables.bin", "conformance.npz", "graphs/analysis.onnx")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "link out", "link to nothing"])
def test_only_ordinary_files_inside_the_bundle_are_read(
    bundle: Path, name: str, kind: str, tmp_path: Path
) -> None:
    file = bundle / name
    content = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "link out":
        outside = tmp_path / "outside"
        outside.write_bytes(content)
        file.symlink_to(outside)
    else:
        file.symlink_to("nothing")
    with pytest.raises(BadInputError, match="broken bundle") as caught:
        read_all(bundle)
    assert str(caught.value).isprintable()


def test_links_within_a_bundle_and_to_a_bundle_are_followed(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "graphs" / "analysis.onnx"
    file.rename(bundle / "elsewhere.onnx")
    file.symlink_to("../elsewhere.onnx")
    link = tmp_path / "link"
    link.symlink_to(bundle)
    assert read_all(link).name == open_bundle(SMALL).name


def test_a_manifest_is_read_no_further_than_its_limit(bundle: Path) -> None:
    with (bundle / "manifest.json").open("ab") as stream:
        stream.truncate(1 << 40)  # a hole
    with pytest.raises(BadInputError, match="larger than 1048576"):
        open_bundle(bundle)


def test_an_architecture_needs_the_channels_alone(bundle: Path) -> None:
    needed = ("latent_channels", "hyper_channels", "group_sizes")

    def strip(manifest: dict[str, dict[str, object]]) -> None:
        manifest["architecture"] = {key: manifest["architecture"][key] for key in needed}

    edit(bundle, strip)
    stripped = open_bundle(bundle)
    assert stripped.widest_stage == stripped.latent_channels


SHAPES = {"a.symbols": (1, 2, 4, 4), "a.z_symbols": (1, 2, 1, 1)}
ARRAYS = {
    name: np.arange(np.prod(shape), dtype=np.int16).reshape(shape) for name, shape in SHAPES.items()
}


def read_small(data: bytes) -> dict[str, np.ndarray]:
    return read_arrays(data, SHAPES, SHAPES)


def packed(method: int, *more: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name in (*SHAPES, *more):
            content = io.BytesIO()
            np.save(content, ARRAYS[name] if name in ARRAYS else np.zeros(1, np.int16))
            archive.writestr(f"{name}.npy", content.getvalue())
    return out.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_arrays_come_out_of_either_kind_of_archive(method: int) -> None:
    for data in (packed(method), npz(**ARRAYS)):
        found = read_small(data)
        assert found.keys() == ARRAYS.keys()
        assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(method: int) -> None:
    with pytest.raises(ArraysError, match="neither stored nor deflated"):
        read_small(packed(method))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("more", [("other",), ("a.symbols",), ("../a.symbols",)])
def test_arrays_that_nobody_described_are_refused(more: tuple[str, ...]) -> None:
    with pytest.raises(ArraysError, match="not those of the conformance cases"):
        read_small(packed(zipfile.ZIP_STORED, *more))


@pytest.mark.parametrize("data", [packed(zipfile.ZIP_STORED), npz(**ARRAYS)], ids=["stored", "npz"])
def test_every_damage_of_an_archive_is_an_error_or_none(data: bytes) -> None:
    mutants = [data[:size] for size in range(len(data))]
    for position in range(len(data)):
        for value in (data[position] ^ 1, data[position] ^ 0x80, 0, 255):
            mutants.append(data[:position] + bytes([value]) + data[position + 1 :])
    for mutant in mutants:
        with contextlib.suppress(ArraysError):
            found = read_small(mutant)
            assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
