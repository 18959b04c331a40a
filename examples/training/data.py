"""Training and held-out pictures, and random crops of the former.

Every picture ships inside scikit-image, scikit-learn or Matplotlib: nothing is
downloaded. Everything random is drawn from the generator given, so that a batch
is a function of the seed and the number of the training step alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from training.dead_leaves import dead_leaves

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3], sRGB."""

LARGEST_CROP = 256
_SMALLEST_SCALE = 0.4
_LEAVES_SHARE = 0.15


class MissingPictureError(Exception):
    """A package that ships pictures is not installed. One line."""


@dataclass(frozen=True)
class Source:
    """A picture inside an installed package.

    Attributes:
        package: Import name of the package.
        path: File inside the package.
        weight: How often it is drawn, relative to the others.
        licence: As the package or the picture's origin states it.
    """

    package: str
    path: str
    weight: float
    licence: str

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return Path(self.path).stem

    def load(self) -> Pixels:
        """Read the picture.

        Raises:
            MissingPictureError: The package or the file is not there.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise MissingPictureError(
                f"package {self.package} is not installed: it ships {self.name}"
            )
        file = Path(spec.origin).parent / self.path
        if not file.is_file():
            raise MissingPictureError(f"{file} is missing: this release of {self.package} lacks it")
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))


# Photographs are drawn most often. Textures, micrographs and star fields are nearly noise: drawn
# evenly they dominate the loss, and the model spends its capacity on them.
TRAINING = (
    Source("skimage", "data/astronaut.png", 3.0, "public domain (NASA)"),
    Source("skimage", "data/coffee.png", 3.0, "CC0 (Rachel Michetti)"),
    Source("skimage", "data/rocket.jpg", 2.0, "CC0 (SpaceX)"),
    Source("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 3.0, "public domain (US Navy)"),
    Source("skimage", "data/motorcycle_left.png", 1.5, "Middlebury stereo benchmark 2014"),
    Source("skimage", "data/motorcycle_right.png", 1.5, "Middlebury stereo benchmark 2014"),
    Source("skimage", "data/camera.png", 1.5, "CC0 (Lav Varshney)"),
    Source("skimage", "data/clock_motion.png", 0.3, "public domain (Stéfan van der Walt)"),
    Source("skimage", "data/coins.png", 0.4, "no known restrictions (Brooklyn Museum)"),
    Source("skimage", "data/retina.jpg", 0.4, "CC0 (Mikael Häggström)"),
    Source("skimage", "data/hubble_deep_field.jpg", 0.3, "public domain (NASA)"),
    Source("skimage", "data/ihc.png", 0.3, "no known restrictions (CMMI)"),
    Source("skimage", "data/brick.png", 0.3, "CC0 (CC0Textures)"),
    Source("skimage", "data/grass.png", 0.4, "CC0 (linolafett)"),
    Source("skimage", "data/gravel.png", 0.3, "CC0 (CC0Textures)"),
)

HELD_OUT = (
    Source("skimage", "data/chelsea.png", 1.0, "CC0 (Stéfan van der Walt)"),
    Source("sklearn", "datasets/images/china.jpg", 1.0, "CC BY 2.0 (danielbuechele)"),
    Source("sklearn", "datasets/images/flower.jpg", 1.0, "CC BY 2.0 (vultilion)"),
)


class Crops:
    """Random crops of pictures, augmented, and now and then a generated picture."""

    def __init__(self, pictures: Sequence[Pixels], weights: Sequence[float]) -> None:
        self._pictures = [Image.fromarray(picture) for picture in pictures]
        self._weights = np.asarray(weights) / np.sum(weights)

    def draw(self, rng: np.random.Generator, size: int) -> Pixels:
        """A crop of `size` x `size` pixels."""
        if rng.random() < _LEAVES_SHARE:
            return dead_leaves(rng, size, lambda side: self._photograph(rng, side))
        return _change_colours(rng, _turn(rng, self._photograph(rng, size)))

    def _photograph(self, rng: np.random.Generator, size: int) -> Pixels:
        """A square of a picture scaled down at random: less blur and noise, more content."""
        picture = self._pictures[rng.choice(len(self._pictures), p=self._weights)]
        smallest = min(1.0, max(_SMALLEST_SCALE, size / min(picture.size)))
        scale = 1.0 if rng.random() < 0.35 else rng.uniform(smallest, 1.0)
        side = min(size / scale, *picture.size)
        left, top = (rng.uniform(0, extent - side) for extent in picture.size)
        if scale == 1.0:
            left, top = round(left), round(top)  # an unscaled crop keeps its pixels
        box = (left, top, left + side, top + side)
        return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS, box))


def _turn(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """One of the eight flips and quarter turns."""
    turned: Pixels = np.rot90(pixels, int(rng.integers(4)))
    return turned[:, ::-1] if rng.random() < 0.5 else turned


def _change_colours(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Other light and another camera: gamma, gains, saturation, order of channels."""
    if rng.random() < 0.3:
        return pixels
    values = (pixels / np.float32(255)) ** np.float32(np.exp(rng.normal(0, 0.15)))
    values *= np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.6, 1.2))
    if rng.random() < 0.25:
        values = values[..., rng.permutation(3)]
    changed: Pixels = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return changed


@dataclass(frozen=True)
class BatchShape:
    """Crops of a batch and their side in pixels, a multiple of 64."""

    count: int
    size: int


class Batches(Dataset[Tensor]):
    """Training batches by the number of the step: float32 [N, 3, S, S] in [0, 1]."""

    def __init__(self, crops: Crops, seed: int, shapes: Sequence[BatchShape]) -> None:
        """`shapes` has one entry a step, for all steps of the schedule."""
        self._crops, self._seed, self._shapes = crops, seed, shapes

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, step: int) -> Tensor:
        """The batch of `step`, the same whenever and wherever it is asked for."""
        rng = np.random.default_rng([self._seed, step])
        shape = self._shapes[step]
        pixels = np.stack([self._crops.draw(rng, shape.size) for _ in range(shape.count)])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32) / 255


def training_crops() -> Crops:
    """Crops of all pictures in TRAINING.

    Raises:
        MissingPictureError: A picture is not installed.
    """
    return Crops([s.load() for s in TRAINING], [s.weight for s in TRAINING])
