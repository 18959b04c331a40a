"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cca_runtime
import numpy as np
import pytest
from cca_export.exporter import ExportSettings, export_bundle
from cca_runtime.bundle import find_bundle
from cca_runtime.codec import Codec
from locations import CHECKPOINTS, GOLDEN
from numpy.typing import NDArray


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests neither find nor leave anything in the user's cache."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(directory))
        yield directory


@pytest.fixture(scope="session")
def exact_bundle() -> Path:
    """A bundle in exact mode: the default model."""
    return find_bundle(None)


@pytest.fixture(scope="session")
def native_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden pictures' checkpoint with a float prior, as the reference implementation has."""
    bundle = tmp_path_factory.mktemp("native") / "small.bundle"
    settings = ExportSettings(name="small", entropy="native")
    export_bundle(CHECKPOINTS / "cca-small.pth", bundle, settings)
    return bundle


@pytest.fixture(scope="session")
def default_codec() -> Codec:
    return cca_runtime.load()


@pytest.fixture(scope="session")
def native_codec(native_bundle: Path) -> Codec:
    return cca_runtime.load(native_bundle)


@pytest.fixture(scope="session")
def chelsea() -> NDArray[np.uint8]:
    """A photograph of 384x256 pixels: sides that need no padding."""
    with np.load(GOLDEN / "chelsea.npz") as golden:
        image: NDArray[np.uint8] = golden["image"]
    return image
