"""MS-SSIM of 8-bit RGB pictures (Wang, Simoncelli & Bovik 2003), in NumPy."""

from __future__ import annotations

import numpy as np
from cca_runtime.pictures import Pixels
from numpy.typing import NDArray

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

SMALLEST_SIDE = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1

Planes = NDArray[np.float64]


def ms_ssim(original: Pixels, restored: Pixels) -> float:
    """Multi-scale structural similarity, the mean of that of the three channels; 1 for equals.

    As most implementations do it: a Gaussian window without padding, means of 2x2 pixels from one
    scale to the next, negative contrasts counted as none.

    Args:
        original: uint8 [H, W, 3], sides of at least `SMALLEST_SIDE`.
        restored: uint8 of the same shape.

    Raises:
        ValueError: The shapes differ, or a side is too small for five scales.
    """
    if original.shape != restored.shape or min(original.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"pictures of {original.shape} and {restored.shape}: MS-SSIM needs equal shapes "
            f"and sides of at least {SMALLEST_SIDE}"
        )
    first, second = (np.moveaxis(p.astype(np.float64), -1, 0) for p in (original, restored))
    product = np.ones(len(first))
    for scale, weight in enumerate(_WEIGHTS, start=1):
        luminance, contrast = _ssim_parts(first, second)
        similarity = luminance * contrast if scale == len(_WEIGHTS) else contrast
        product *= np.maximum(similarity.mean((1, 2)), 0) ** weight
        first, second = _halved(first), _halved(second)
    return float(product.mean())


def _ssim_parts(first: Planes, second: Planes) -> tuple[Planes, Planes]:
    """Luminance, and contrast times structure, of SSIM (Wang et al. 2004, equations 6 and 13)."""
    mean_1, mean_2 = _blurred(first), _blurred(second)
    variance_1 = _blurred(first * first) - mean_1 * mean_1
    variance_2 = _blurred(second * second) - mean_2 * mean_2
    covariance = _blurred(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + _C1) / (mean_1 * mean_1 + mean_2 * mean_2 + _C1)
    return luminance, (2 * covariance + _C2) / (variance_1 + variance_2 + _C2)


def _blurred(planes: Planes) -> Planes:
    """Weighted means of all windows that lie within the picture."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    for axis in (1, 2):
        windows = np.lib.stride_tricks.sliding_window_view(planes, _WINDOW, axis)
        planes = windows @ kernel
    return planes


def _halved(planes: Planes) -> Planes:
    """Means of 2x2 pixels; a side of odd length begins with a pixel of its own, beside a black."""
    planes = np.pad(planes, ((0, 0), *((side % 2, 0) for side in planes.shape[1:])))
    rows = planes[:, ::2] + planes[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
