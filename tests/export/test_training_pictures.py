"""Folders of pictures to train on: read once, mapped, cropped as if they were in memory."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import training.pictures
from PIL import Image
from training import data
from training.data import Crops, training_crops
from training.pictures import Folder, PictureError, Pixels, decoded


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height).integers(256, size=(height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures and a file that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in enumerate([(300, 256), (256, 280)]):
        Image.fromarray(noise(*size)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_picture_is_decoded_once_and_mapped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "0.png"
    first = decoded(file, tmp_path / "cache")
    assert isinstance(first.pixels, np.memmap)
    assert not first.pixels.flags.writeable
    np.testing.assert_array_equal(first.pixels, noise(300, 256))
    monkeypatch.setattr(training.pictures, "_decode", None)
    again = decoded(file, tmp_path / "cache")
    assert again.digest == first.digest
    np.testing.assert_array_equal(again.pixels, first.pixels)


def test_a_crop_is_that_of_the_whole_picture() -> None:
    """The resampling filter reaches beyond a crop, but nothing beyond that is read."""
    picture = noise(300, 400)
    whole = Image.fromarray(picture)
    corners = [(0, 0), (400, 300), (200.3, 99.9)]
    for (right, bottom), side in itertools.product(corners, (64, 100.7, 160)):
        left, top = max(0, right - side), max(0, bottom - side)
        box = (left, top, left + side, top + side)
        expected = np.asarray(whole.resize((64, 64), Image.Resampling.LANCZOS, box))
        found = data._resized(picture, left, top, side, 64)
        # Positions are rounded once more or less.
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_weights_decide_what_is_drawn() -> None:
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in (0, 255)]
    crops = Crops(pictures, [1, 0])
    rng = np.random.default_rng(1)
    assert not np.any([crops._photograph(rng, 64) for _ in range(20)])


def test_the_digest_tells_pictures_and_weights_but_neither_folders_nor_their_order(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "TRAINING", ())
    cache, other = tmp_path / "cache", tmp_path / "other"
    other.mkdir()
    Image.fromarray(noise(260, 260)).save(other / "2.png")

    def crops(*texts: str) -> Crops:
        return training_crops([Folder.parse(text) for text in texts], cache)

    first = crops(f"{folder}=0.5", f"{other}=3")
    swapped = crops(f"{other}=3", f"{folder}=0.5")
    assert first.digest == swapped.digest
    drawn = [each.draw(np.random.default_rng(1), 128) for each in (first, swapped)]
    np.testing.assert_array_equal(*drawn)
    for different in (crops(f"{folder}=0.5", f"{other}=2"), crops(f"{folder}=0.5")):
        assert different.digest != first.digest


def test_a_folder_has_a_weight(tmp_path: Path) -> None:
    assert Folder.parse("some/where=0.5") == Folder(Path("some/where"), 0.5)
    assert Folder.parse("some/where") == Folder(Path("some/where"), 1.0)
    (tmp_path / "a=b").mkdir()
    assert Folder.parse(str(tmp_path / "a=b")) == Folder(tmp_path / "a=b", 1.0)
    for weight in ("0", "-1", "nan", "inf", "much", ""):
        with pytest.raises(PictureError, match="must be a number above 0"):
            Folder.parse(f"some/where={weight}")


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="has no pictures"):
        Folder(tmp_path).files()
    with pytest.raises(PictureError, match="cannot be read"):
        Folder(tmp_path / "none").files()


def test_unusable_pictures_are_named(folder: Path, tmp_path: Path) -> None:
    content = (folder / "0.png").read_bytes()
    unusable = {
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "short.png": content[: len(content) // 2],
        "empty.jpg": b"",
    }
    for name, found in unusable.items():
        (tmp_path / name).write_bytes(found)
    Image.fromarray(noise(255, 300)).save(tmp_path / "small.png")
    Image.fromarray(np.zeros((300, 300), np.uint16)).save(tmp_path / "deep.png")
    for name in (*unusable, "small.png", "deep.png"):
        with pytest.raises(PictureError, match=name) as error:
            decoded(tmp_path / name, tmp_path / "cache")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_cache_is_named(folder: Path, tmp_path: Path) -> None:
    decoded(folder / "0.png", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    os.truncate(kept, 1000)
    with pytest.raises(PictureError, match=r"\.npy is damaged: delete it"):
        decoded(folder / "0.png", tmp_path / "cache")
