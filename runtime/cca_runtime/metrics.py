"""How far a restored picture is from its original."""

from __future__ import annotations

import math

import numpy as np

from cca_runtime.pictures import Pixels


def psnr(original: Pixels, restored: Pixels) -> float:
    """Peak signal-to-noise ratio over all samples of two uint8 pictures, in decibels.

    Args:
        original: uint8 [H, W, 3].
        restored: uint8 [H, W, 3].

    Returns:
        10 log10(255^2 / mean squared error); infinity for equal pictures.
    """
    error = original.astype(np.float64) - restored
    mean = float(np.mean(error * error))
    return math.inf if mean == 0 else 10 * math.log10(255**2 / mean)
