"""Small files that went wrong once: each comes out as the right picture, or is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cca_runtime import BadInputError
from cca_runtime.cli import main
from cca_runtime.pictures import read_picture
from locations import ROOT

CASES = ROOT / "tests" / "data" / "cases"

REFUSED = {
    "cicp_pq.png": "HDR",
    "damaged.avif": "damaged",
    "gray16_signed.tif": "signed",
    "trunc.png": "truncated",
}

NOTED = {
    "dpi.jpg": "comment",
    "exif_double_header.jpg": "EXIF",
    "exif_garbage.jpg": "EXIF",
    "exif_orient_string.jpg": "EXIF",
    "text_dpi.png": "text 'parameters'",
    "tiff_exif_gps.tif": "IPTC",
    "trunc2.jpg": "end marker",
}

NOT_BY_IMAGEMAGICK = {
    "exif_orient_string.jpg",  # it turns the picture although the orientation is a text
    "la_opaque_icc_g10.png",  # it shows the values as they are; tests of colours have this one
}

CODED = sorted({path.name for path in CASES.iterdir()} - REFUSED.keys() - {"README.md"})


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_right_picture_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInputError, match=REFUSED[name]):
        read_picture((CASES / name).read_bytes())
    assert main(["encode", str(CASES / name), "-o", str(tmp_path / "x.cca")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", CODED)
def test_notes_say_what_is_not_kept(name: str) -> None:
    notes = read_picture((CASES / name).read_bytes()).notes
    assert len(notes) == (name in NOTED), notes
    assert NOTED.get(name, "") in " ".join(notes)


@pytest.fixture(scope="module")
def imagemagick() -> str:
    """The program, if this machine has a real one."""
    for name in ("magick", "convert"):
        for folder in os.get_exec_path():
            program = shutil.which(name, path=folder)
            if program is None:
                continue
            asked = [program, "-version"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.stdout.startswith(("Version: ImageMagick 6", "Version: ImageMagick 7")):
                return program
    pytest.skip("ImageMagick is not installed")


@pytest.mark.parametrize("name", [name for name in CODED if name not in NOT_BY_IMAGEMAGICK])
def test_pixels_are_those_of_imagemagick(name: str, imagemagick: str) -> None:
    pixels = read_picture((CASES / name).read_bytes()).pixels
    settings = "-auto-orient -colorspace sRGB -alpha off -type TrueColor -depth 16 -endian LSB"
    command = [imagemagick, str(CASES / name), *settings.split(), "rgb:-"]
    out = subprocess.run(command, capture_output=True, check=False).stdout
    expected = np.frombuffer(out, "<u2").reshape(pixels.shape) / 257
    # In 16 bits: with 8, it cuts off what we round.
    assert np.abs(pixels - expected).max() <= 0.51
