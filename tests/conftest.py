"""Fixtures that several test files share."""

from __future__ import annotations

import cca_runtime
import numpy as np
import pytest
from cca_runtime.codec import Codec
from locations import GOLDEN
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def default_codec() -> Codec:
    return cca_runtime.load()


@pytest.fixture(scope="session")
def chelsea() -> NDArray[np.uint8]:
    """A photograph of 384x256 pixels: sides that need no padding."""
    with np.load(GOLDEN / "chelsea.npz") as golden:
        image: NDArray[np.uint8] = golden["image"]
    return image
