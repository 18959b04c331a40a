"""Bundles are outside input: whatever is wrong with one is named in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cca_runtime.bundle import find_bundle, open_bundle
from cca_runtime.errors import BadInputError, FailureError
from cca_runtime.loading import load
from forgery import arrays_of, edit, npz, put_file, unloadable_graph
from table_files import read_table_file, write_table_file


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_bundle(None), tmp_path / "copy"))


def test_the_shipped_model_opens_by_name_and_is_small() -> None:
    bundle = open_bundle("default")
    assert bundle.model_id == open_bundle(None).model_id
    assert sum(f.stat().st_size for f in bundle.path.rglob("*") if f.is_file()) < 16e6


def test_a_copied_bundle_is_the_same_model(bundle: Path) -> None:
    assert open_bundle(bundle).model_id == open_bundle(None).model_id


MANIFEST_ERRORS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "other format": (lambda m: m.update(format="zip"), "'format'"),
    "older version": (lambda m: m.update(version=1), "version 1 is not supported.*export"),
    "newer version": (lambda m: m.update(version=6), "version 6 is not supported"),
    "version as text": (lambda m: m.update(version="1"), "'version'"),
    "other mode": (lambda m: m.update(entropy_mode="psychic"), "neither exact nor native"),
    "no graphs": (lambda m: m.pop("graphs"), "'graphs'"),
    "missing graph": (lambda m: m["graphs"].pop("prior_1"), "prior_1"),
    "unknown graph": (
        lambda m: m["graphs"].update(prior_9={}),
        "others than analysis, synthesis and one for each entry of 'coding'",
    ),
    "path outside": (
        lambda m: m["graphs"]["prior_0"].update(file="../../etc/passwd"),
        "no usable path",
    ),
    "absolute path": (
        lambda m: m["graphs"]["prior_0"].update(file="/tmp/prior_0.onnx"),
        "no usable path",
    ),
    "tables elsewhere": (lambda m: m["tables"].update(file="t/tables.bin"), "not tables.bin"),
    "line as name": (lambda m: m.update(name="a\nb"), "'name' has control characters"),
    "bad digest": (lambda m: m["graphs"]["analysis"].update(sha256="00"), "SHA-256"),
    "huge graph": (
        lambda m: m["graphs"]["analysis"].update(bytes=1 << 40),
        "'bytes' is 10995",
    ),
    "no coding": (lambda m: m.pop("coding"), "'coding' is missing"),
    "groups": (lambda m: m["coding"][0].update(channels=1), "prior_0.*'means' of its channel"),
    "negative group": (lambda m: m["coding"][0].update(channels=-1), "'channels' is -1"),
    "boolean group": (lambda m: m["coding"][0].update(channels=True), "'channels' .* no integer"),
    "half a group": (
        lambda m: m["coding"][0].update(positions="even"),
        "of no coded channel",
    ),
    "other half": (lambda m: m["coding"][0].update(positions="left"), "neither even nor odd"),
    "exact without vectors": (
        lambda m: (m.update(entropy_mode="exact"), m.pop("conformance", None)),
        "'conformance' is missing",
    ),
    "other identity": (lambda m: m.update(model_id="00" * 8), "'model_id' is not"),
}


@pytest.mark.parametrize("case", MANIFEST_ERRORS)
def test_manifest_errors_are_named(bundle: Path, case: str) -> None:
    change, message = MANIFEST_ERRORS[case]
    edit(bundle, change)
    with pytest.raises(BadInputError, match=message) as caught:
        open_bundle(bundle)
    assert "\n" not in str(caught.value)


@pytest.fixture
def exact_copy(tmp_path: Path, exact_bundle: Path) -> Path:
    return Path(shutil.copytree(exact_bundle, tmp_path / "exact"))


def change_case(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda m: m["conformance"]["cases"][1].update(fields)


VECTOR_ERRORS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "list": (lambda m: m.update(conformance=[]), "'conformance' is missing"),
    "no cases": (lambda m: m["conformance"].update(cases=[]), "no conformance case is marked fast"),
    "none fast": (
        lambda m: [case.update(fast=False) for case in m["conformance"]["cases"]],
        "no conformance case is marked fast",
    ),
    "many cases": (
        lambda m: m["conformance"].update(cases=m["conformance"]["cases"] * 20),
        "the limit is 64",
    ),
    "same name": (
        lambda m: m["conformance"].update(cases=m["conformance"]["cases"][:1] * 2),
        "same name",
    ),
    "case is no object": (lambda m: m["conformance"]["cases"].append(7), "'name'"),
    "path as name": (change_case(name="../../x"), "unusable name"),
    "line as name": (change_case(name="a\nb"), "unusable name"),
    "path outside": (
        lambda m: m["conformance"].update(file="/etc/x.npz"),
        "not conformance.npz",
    ),
    "huge file": (lambda m: m["conformance"].update(bytes=1 << 30), "'bytes' is 1073741824"),
    "huge picture": (change_case(latent_height=1 << 13, latent_width=1 << 13), "more than"),
    "huge batch": (change_case(batch=1 << 20), "'batch' is 1048576"),
    "negative size": (change_case(latent_height=-4), "'latent_height' is -4"),
    "odd size": (change_case(latent_width=6), "multiples of 4"),
    "boolean size": (change_case(batch=True), "'batch' is missing"),
    "fast as number": (change_case(fast=1), "'fast' is missing"),
    "no digests": (change_case(digests={}), "'prior_0' is missing"),
    "digest is no hash": (
        lambda m: m["conformance"]["cases"][1]["digests"].update(prior_0="x"),
        "'prior_0' is no SHA-256",
    ),
}


@pytest.mark.parametrize("case", VECTOR_ERRORS)
def test_errors_in_conformance_vectors_are_named(exact_copy: Path, case: str) -> None:
    change, message = VECTOR_ERRORS[case]
    edit(exact_copy, change)
    with pytest.raises(BadInputError, match=message) as caught:
        open_bundle(exact_copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "case", ["garbage", "missing", "floats", "objects", "shape", "bomb", "step"]
)
def test_bad_conformance_inputs_are_an_error(exact_copy: Path, case: str) -> None:
    arrays = arrays_of(exact_copy / "conformance.npz")
    name = next(iter(arrays))
    if case == "missing":
        del arrays[name]
    elif case == "floats":
        arrays[name] = arrays[name].astype(np.float64)
    elif case == "objects":
        arrays[name] = np.array([{}], dtype=object)
    elif case == "shape":
        arrays[name] = arrays[name][:, :-1]
    elif case == "bomb":
        arrays[name] = np.zeros(10_000_000, np.int16)
    elif case == "step":  # symbols that no stream with the case's step can hold
        edit(exact_copy, change_case(step=127, fast=True))
        changed = open_bundle(exact_copy).conformance.cases[1].name  # type: ignore[union-attr]
        arrays[f"{changed}.symbols"].flat[0] = 32767
    data = b"garbage" if case == "garbage" else npz(**arrays)
    put_file(exact_copy, "conformance", data)
    reason = {"bomb": "unpacks to", "step": "not from -13842 to 13842"}.get(case, "")
    with pytest.raises(BadInputError, match=rf"conformance\.npz: .*{reason}") as caught:
        load(exact_copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, "\xff", "null", '{"a": 1, "a": 1}', '{"a": NaN}']
)
def test_a_manifest_that_is_no_object_is_an_error(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInputError, match="broken bundle"):
        open_bundle(bundle)


def test_a_directory_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not a model bundle"):
        open_bundle(tmp_path)


def test_a_changed_or_missing_file_is_an_error(bundle: Path) -> None:
    graph = bundle / "graphs" / "synthesis.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    with pytest.raises(BadInputError, match=r"synthesis\.onnx: not the file"):
        open_bundle(bundle).read_graph("synthesis")
    graph.unlink()
    with pytest.raises(BadInputError, match="No such file"):
        open_bundle(bundle).read_graph("synthesis")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


TABLE_ERRORS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "short": (lambda d: d[:4], "no entropy tables"),
    "npz": (lambda _: npz(gaussian_cdf=np.zeros(4)), "no entropy tables"),
    "version": (lambda d: d[:4] + u32(2) + d[8:], "version 2 are not supported"),
    "cut": (lambda d: d[:-2], "truncated"),
    "longer": (lambda d: d + b"\0", "trailing bytes"),
    "second set missing": (lambda d: d[: -len(d) // 2], "hyper-latent|gaussian"),
    "no tables": (lambda d: d[:8] + u32(0) + d[12:], "0 tables"),
    "more tables than bytes": (lambda d: d[:8] + u32(1024) + d[12:100], "truncated"),
    "huge count": (lambda d: d[:8] + u32(1 << 31) + d[12:], "2147483648 tables"),
    "widths": (lambda d: d[:-2] + b"\xff\xff", "hyper-latent entropy table 47"),
    "large symbols": (lambda d: d[:12] + b"\xff\x7f" + d[14:], "do not fit in 16 bits"),
}


@pytest.mark.parametrize("case", TABLE_ERRORS)
def test_bad_tables_are_an_error(bundle: Path, case: str) -> None:
    change, message = TABLE_ERRORS[case]
    put_file(bundle, "tables", change((bundle / "tables.bin").read_bytes()))
    with pytest.raises(BadInputError, match=rf"tables\.bin: .*({message})") as caught:
        open_bundle(bundle).read_tables()
    assert "\n" not in str(caught.value)


def test_tables_of_another_number_of_channels_are_an_error(bundle: Path) -> None:
    gaussian, hyper_latents = read_table_file((bundle / "tables.bin").read_bytes())
    put_file(bundle, "tables", write_table_file([gaussian, hyper_latents[:-1]]))
    with pytest.raises(BadInputError, match=r"tables\.bin: .*47 hyper-latent channels, .* 48"):
        open_bundle(bundle).read_model()


def test_a_graph_that_is_no_graph_is_one_clear_error(bundle: Path) -> None:
    put_file(bundle, "prior_0", b"no ONNX at all")
    with pytest.raises(BadInputError, match=r"prior_0\.onnx: no ONNX model") as caught:
        load(bundle).encode(np.zeros((8, 8, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_a_graph_that_no_engine_loads_is_one_clear_failure(bundle: Path) -> None:
    put_file(bundle, "prior_0", unloadable_graph())
    with pytest.raises(FailureError, match="prior_0") as caught:
        load(bundle).encode(np.zeros((8, 8, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_a_graph_in_anothers_place_is_one_clear_failure(bundle: Path) -> None:
    put_file(bundle, "prior_1", (bundle / "graphs" / "synthesis.onnx").read_bytes())
    with pytest.raises((FailureError, BadInputError), match="prior_1") as caught:
        load(bundle).encode(np.zeros((8, 8, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_a_graph_without_an_output_is_one_clear_error(bundle: Path) -> None:
    model = onnx.load_model(bundle / "graphs" / "analysis.onnx")
    del model.graph.output[:1]
    put_file(bundle, "analysis", model.SerializeToString())
    with pytest.raises(BadInputError, match="graph 'analysis' has no output 'y'"):
        load(bundle).encode(np.zeros((8, 8, 3), np.uint8))
