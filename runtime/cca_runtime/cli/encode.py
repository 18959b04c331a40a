"""`cca-run encode`."""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import Any

from cca_console.console import Console
from PIL import Image

from cca_runtime.cli.existing import check_stream
from cca_runtime.cli.inputs import Kind, expand_inputs
from cca_runtime.cli.jobs import Result, Work, open_codec, plan_jobs, report_left_out, run_jobs
from cca_runtime.cli.outputs import Job, Naming
from cca_runtime.division import division_of
from cca_runtime.metrics import psnr
from cca_runtime.pictures import parse_colour, read_picture, readable_extensions
from cca_runtime.stopwatch import Stopwatch

_EXTENSION = ".cca"


def run(options: argparse.Namespace, console: Console) -> int:
    """Encode every input. Returns the exit code."""
    if options.background is not None:
        parse_colour(options.background)
    kind = Kind(readable_extensions(), "pictures", made={_EXTENSION})
    inputs = expand_inputs(options.inputs, kind)
    naming = Naming(kind.extensions, _EXTENSION)
    jobs = plan_jobs(options, console, inputs, naming, check_stream)

    def prepare() -> tuple[Work, int]:
        codec = open_codec(options, console, tile=options.tile)
        # Pillow has a limit of its own, and would refuse what --max-pixels allows.
        Image.MAX_IMAGE_PIXELS = codec.max_pixels

        def work(job: Job, data: bytes) -> Result:  # noqa: ARG001
            watch = Stopwatch()
            with watch.stage("load"):
                picture = read_picture(data, options.background, max_pixels=codec.max_pixels)
                if options.strip:
                    picture = dataclasses.replace(picture, exif=None, xmp=None)
            encoded = codec.encode_picture(
                picture, reconstruct=options.psnr, alongside=len(inputs.found) > 1
            )
            height, width = picture.pixels.shape[:2]
            size = len(encoded.data)
            metadata = sum(len(part or b"") for part in (picture.icc, picture.exif, picture.xmp))
            facts: dict[str, Any] = {
                "width": width,
                "height": height,
                "bytes": size,
                "metadata_bytes": metadata,
                "bpp": round(8 * size / (width * height), 6),
                "tiles": list(division_of(encoded.info).tiles) if encoded.info.tiling else None,
            }
            share = f" ({metadata:,} of metadata)" if metadata else ""
            summary = f"{width}x{height}, {size:,} bytes{share}, {facts['bpp']:.3f} bpp"
            if encoded.info.tiling:
                across, down = division_of(encoded.info).tiles
                summary += f", {across}x{down} tiles"
            if encoded.reconstruction is not None:
                decibels = psnr(picture.pixels, encoded.reconstruction)
                # JSON has no infinity: an exact copy is null.
                facts["psnr"] = round(decibels, 4) if math.isfinite(decibels) else None
                summary += f", {decibels:.2f} dB"
            seconds = {**encoded.seconds}
            seconds["load"] = seconds.get("load", 0.0) + watch.seconds["load"]
            return Result(encoded.data, facts, summary, seconds, encoded.notes)

        return work, codec.workers

    code = run_jobs(options, console, jobs, prepare)
    report_left_out(options, console, inputs, kind.plural)
    return code
