"""Training and held-out pictures, and random crops of the former.

What is named here ships inside scikit-image, scikit-learn or Matplotlib: nothing is
downloaded. Everything random is drawn from the generator given, so that a batch is
a function of the pictures, the seed and the number of the training step alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from training.dead_leaves import dead_leaves
from training.pictures import Folder, PictureError, Pixels, decoded

_LANCZOS_REACH = 3  # pixels of the result
_SMALLEST_SCALE = 0.4
_LEAVES_SHARE = 0.15


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
            PictureError: The package or the file is not there.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise PictureError(f"package {self.package} is not installed: it ships {self.name}")
        file = Path(spec.origin).parent / self.path
        if not file.is_file():
            raise PictureError(f"{file} is missing: this release of {self.package} lacks it")
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))


# Photographs are drawn most often. Textures, micrographs and star fields are nearly noise: drawn
# evenly they dominate the loss, and the model spends its capacity on them.
TRAINING = (
    Source("skimage", "data/astronaut.png", 3.0, "public domain (NASA)"),
    Source("skimage", "data/coffee.png", 3.0, "CC0 (Rachel Michetti)"),
    Source("skimage", "data/rocket.jpg", 2.0, "CC0 (SpaceX)"),
    Source("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 3.0, "public domain (US Navy)"),
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
    """Random crops of pictures, augmented, and now and then a generated picture.

    Attributes:
        digest: Of the pictures and their weights, as hexadecimal digits.
    """

    def __init__(
        self, pictures: Sequence[Pixels], weights: Sequence[float], digest: str = ""
    ) -> None:
        self._pictures = pictures
        self._weights = np.asarray(weights) / np.sum(weights)
        self.digest = digest

    def draw(self, rng: np.random.Generator, size: int) -> Pixels:
        """A crop of `size` x `size` pixels."""
        if rng.random() < _LEAVES_SHARE:
            return dead_leaves(rng, size, lambda side: self._photograph(rng, side))
        return _change_colours(rng, _turn(rng, self._photograph(rng, size)))

    def _photograph(self, rng: np.random.Generator, size: int) -> Pixels:
        """A square of a picture scaled down at random: less blur and noise, more content."""
        picture = self._pictures[rng.choice(len(self._pictures), p=self._weights)]
        extents = picture.shape[1], picture.shape[0]
        smallest = min(1.0, max(_SMALLEST_SCALE, size / min(extents)))
        scale = 1.0 if rng.random() < 0.35 else rng.uniform(smallest, 1.0)
        side = min(size / scale, *extents)
        left, top = (rng.uniform(0, extent - side) for extent in extents)
        if scale == 1.0:
            left, top = round(left), round(top)  # an unscaled crop keeps its pixels
        return _resized(picture, left, top, side, size)


def _resized(picture: Pixels, left: float, top: float, side: float, size: int) -> Pixels:
    """A square scaled to `size`, from the pixels that the filter reaches and no others."""
    margin = math.ceil(_LANCZOS_REACH * max(1.0, side / size))
    x, y = max(0, math.floor(left) - margin), max(0, math.floor(top) - margin)
    reached = picture[y : math.ceil(top + side) + margin, x : math.ceil(left + side) + margin]
    near = Image.fromarray(np.ascontiguousarray(reached))
    # Rounding may put the far edges a hair outside the picture.
    right, bottom = min(left - x + side, near.width), min(top - y + side, near.height)
    box = (left - x, top - y, right, bottom)
    return np.asarray(near.resize((size, size), Image.Resampling.LANCZOS, box))


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


def training_crops(folders: Sequence[Folder] = (), cache: Path = Path()) -> Crops:
    """Crops of all pictures in TRAINING and in `folders`, which are decoded into `cache`.

    Raises:
        PictureError: A picture cannot be had.
    """
    pictures, weights = [s.load() for s in TRAINING], [s.weight for s in TRAINING]
    digests = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    for folder in folders:
        for file in folder.files():
            found = decoded(file, cache)
            pictures.append(found.pixels)
            weights.append(folder.weight)
            digests.append(found.digest)
    drawn = sorted(zip(digests, weights, strict=True))
    order = sorted(range(len(pictures)), key=digests.__getitem__)
    return Crops(
        [pictures[i] for i in order],
        [weights[i] for i in order],
        hashlib.sha256(repr(drawn).encode()).hexdigest()[:16],
    )
