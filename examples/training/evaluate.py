"""Compare checkpoints with JPEG on the photographs that were held out of training.

    python -m training.evaluate RUN/model.pth [MORE.pth ...] [--pictures FILE ...]

Sizes are ideal code lengths of the real symbols, PSNR is of 8-bit pictures. JPEG
is Pillow's with optimised tables, 4:2:0 or 4:4:4, whichever is smaller at the
same PSNR. With several checkpoints, of several rates, the last column of the
summary is the Bjontegaard rate difference over the range of PSNR that they span.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from cca_export.checkpoint import CheckpointError, load_network
from cca_runtime.metrics import psnr
from PIL import Image

from training.code_length import FloatCodec
from training.curves import RIVALS, Point, curve_of, rate_difference
from training.data import HELD_OUT, MissingPictureError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--pictures", nargs="+", type=Path, metavar="FILE", help="others to use")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        codecs = {path: FloatCodec(load_network(path)) for path in options.checkpoints}
        if options.pictures:
            pictures = {p.stem: np.asarray(Image.open(p).convert("RGB")) for p in options.pictures}
        else:
            pictures = {source.name: source.load() for source in HELD_OUT}
    except (CheckpointError, MissingPictureError, OSError) as error:
        sys.exit(str(error))
    differences = []
    print(f"{'picture':16}{'checkpoint':24}{'bpp':>8}{'PSNR':>11}{'against JPEG':>15}")
    for name, pixels in pictures.items():
        others = [curve_of(pixels, variant) for variant in RIVALS["JPEG"]]
        points = []
        for path, codec in codecs.items():
            coded = codec.code(pixels)
            point = Point(coded.bits / 8, psnr(pixels, coded.pixels))
            points.append(point)
            bpp = coded.bits / (pixels.shape[0] * pixels.shape[1])
            share = rate_difference([point], others)
            label = f"{path.parent.name}/{path.name}"[-23:]
            print(f"{name:16}{label:24}{bpp:8.3f}{point.decibels:8.2f} dB{share:+15.1%}")
        differences.append(rate_difference(points, others))
        if len(points) > 1:
            print(f"{name:16}{'all, BD-rate':43}{differences[-1]:+15.1%}")
    print(f"{'mean':16}{'':43}{np.mean(differences):+15.1%}")


if __name__ == "__main__":
    main()
