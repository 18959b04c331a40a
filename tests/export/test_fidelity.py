"""A checkpoint against what the published reference implementation computes.

With the float prior every value must be the reference's; the exact prior of the default model
may cost what it is allowed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cca_runtime
import numpy as np
import overhead
import pytest
from cca_engines import Tensor
from cca_export.exporter import ExportSettings, export_bundle
from cca_runtime.codec import Codec
from cca_runtime.metrics import psnr
from locations import DEFAULT_CHECKPOINT, GOLDEN
from numpy.typing import NDArray
from references.prior_loop import run_prior

PICTURES = ("chelsea", "coffee", "astronaut")


@pytest.fixture(scope="module", params=PICTURES)
def golden(request: pytest.FixtureRequest) -> Mapping[str, NDArray[Any]]:
    with np.load(GOLDEN / f"{request.param}.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def tables() -> Mapping[str, NDArray[Any]]:
    with np.load(GOLDEN / "tables.npz") as arrays:
        return dict(arrays)


def test_stream_is_no_longer_than_the_references_strings(
    golden: Mapping[str, NDArray[Any]], native_codec: Codec
) -> None:
    reference = golden["y_string"].size + golden["z_string"].size
    assert len(native_codec.encode(golden["image"])) <= 1.005 * reference + 48


def test_picture_is_as_good_as_the_references(
    golden: Mapping[str, NDArray[Any]], native_codec: Codec
) -> None:
    encoded = native_codec.encode_picture(golden["image"], reconstruct=True)
    decoded = native_codec.decode(encoded.data)
    assert encoded.reconstruction is not None
    np.testing.assert_array_equal(decoded, encoded.reconstruction)
    reference = np.round(golden["x_hat"].transpose(1, 2, 0) * 255).astype(np.uint8)
    difference = psnr(golden["image"], decoded) - psnr(golden["image"], reference)
    assert abs(difference) <= 0.01
    assert np.mean(decoded != reference) < 0.01


def test_indexes_and_symbols_are_the_references(
    golden: Mapping[str, NDArray[Any]], native_codec: Codec
) -> None:
    """The loop runs freely: what differs in one group goes on into the next."""
    bundle, engine = native_codec.bundle, native_codec.engine

    def run(
        name: str, inputs: dict[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        return engine.load(bundle.read_graph(name), name).run(inputs, into)

    latents = run("analysis", {"image": golden["image"][None]})
    np.testing.assert_array_equal(latents["z_symbols"][0], golden["z_symbols"])
    ends = np.cumsum([0, *bundle.group_sizes])
    coded: dict[str, list[NDArray[Any]]] = {"indexes": [], "symbols": []}

    def code_group(group: int, indexes: NDArray[np.uint8], means: Tensor) -> NDArray[np.int32]:
        y = latents["y"][:, ends[group] : ends[group + 1]]
        symbols = np.rint(y - means).astype(np.int32)
        coded["indexes"].append(indexes[0])
        coded["symbols"].append(symbols[0])
        return symbols

    y_hat = run_prior(run, engine, bundle, latents["z_symbols"], code_group)
    for name, groups in coded.items():
        assert np.mean(np.concatenate(groups) == golden[name]) >= 0.999, name
    assert np.median(np.abs(y_hat[:, 0] - golden["y_hat"])) < 1e-4


def test_container_and_coder_stay_within_their_budget(
    golden: Mapping[str, NDArray[Any]], tables: Mapping[str, NDArray[Any]]
) -> None:
    result = overhead.measure(golden, tables)
    assert result.ideal < result.stream <= result.allowed
    assert result.stream <= 1.005 * result.reference + 48


def test_exactness_costs_little_in_real_bytes_and_nothing_in_quality(
    default_codec: Codec, tmp_path: Path
) -> None:
    settings = ExportSettings(name="native", entropy="native")
    export_bundle(DEFAULT_CHECKPOINT, tmp_path / "native", settings)
    native_codec = cca_runtime.load(tmp_path / "native")
    rates, decibels = [], []
    for name in PICTURES:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            image = arrays["image"]
        exact = default_codec.encode_picture(image, reconstruct=True)
        native = native_codec.encode_picture(image, reconstruct=True)
        rates.append(len(exact.data) / len(native.data) - 1)
        assert exact.reconstruction is not None
        assert native.reconstruction is not None
        decibels.append(psnr(image, exact.reconstruction) - psnr(image, native.reconstruction))
    assert max(rates) <= 0.01
    assert np.mean(rates) <= 0.005
    assert np.mean(decibels) >= -0.01
