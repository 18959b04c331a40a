"""MS-SSIM against values that pytorch-msssim 1.0.0 gives."""

from __future__ import annotations

import numpy as np
import pytest
from ms_ssim import SMALLEST_SIDE, ms_ssim
from numpy.typing import NDArray

REFERENCE = {
    ("noise", 256, 384): 0.829719,
    ("steps", 256, 384): 0.939098,
    ("steps", 251, 181): 0.953995,
    ("noise", 177, 166): 0.865912,
}
"""`ms_ssim(..., data_range=255)` on the golden picture's upper left part."""


def distorted(picture: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    if how == "steps":
        return (picture // 32 * 32 + 16).astype(np.uint8)
    noise = np.random.default_rng(0).integers(-40, 41, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("case", REFERENCE, ids=str)
def test_values_are_those_of_the_library(
    case: tuple[str, int, int], chelsea: NDArray[np.uint8]
) -> None:
    how, height, width = case
    original, restored = chelsea, distorted(chelsea, how)
    found = ms_ssim(original[:height, :width], restored[:height, :width])
    assert found == pytest.approx(REFERENCE[case], abs=3e-6)


def test_equal_pictures_are_equal(chelsea: NDArray[np.uint8]) -> None:
    assert ms_ssim(chelsea, chelsea) == pytest.approx(1)


def test_pictures_without_five_scales_are_refused(chelsea: NDArray[np.uint8]) -> None:
    small = chelsea[: SMALLEST_SIDE - 1]
    with pytest.raises(ValueError, match="at least 161"):
        ms_ssim(small, small)
    with pytest.raises(ValueError, match="equal shapes"):
        ms_ssim(chelsea, chelsea[:, :-1])
