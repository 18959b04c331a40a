"""Pictures out of nothing, for measuring on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cca_runtime.pictures import Pixels

_GREY = 110.0
_CONTRAST = 25.0
_COARSEST = 9
"""Octaves: the coarsest noise has a value every 2^9 pixels."""
_ROUGHNESS = 0.8
"""Noise of half the wavelength has this share of the amplitude."""
_COLOUR = 0.35


def photograph_like(width: int, height: int) -> Pixels:
    """Coloured noise with the spectrum of photographs, the same at every call.

    Natural pictures have about equal energy in every octave of frequency, less at the finest
    (Field 1987, "Relations between the statistics of natural images and the response properties
    of cortical cells").

    Args:
        width: Pixels.
        height: Pixels.

    Returns:
        uint8 [height, width, 3].
    """
    rng = np.random.default_rng(0)
    planes = [_noise(rng, width, height) for _ in range(4)]
    light, *colours = planes
    samples = [_GREY + _CONTRAST * (light + _COLOUR * colour) for colour in colours]
    return np.clip(np.stack(samples, axis=-1), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    total = np.zeros((height, width), np.float32)
    for octave in range(_COARSEST + 1):
        step = 1 << octave
        shape = (-(-height // step) + 1, -(-width // step) + 1)
        grid = Image.fromarray(rng.standard_normal(shape, np.float32))
        # Pillow takes the grid's outermost values for its edges: no matter for noise.
        noise = grid.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(noise) * np.float32(_ROUGHNESS ** (_COARSEST - octave))
    return total
