"""`cca-run encode`."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Collection
from typing import Any

from cca_console.console import Console
from PIL import Image

from cca_runtime.cli.existing import check_stream
from cca_runtime.cli.inputs import Kind, expand_inputs
from cca_runtime.cli.jobs import Result, Work, open_codec, plan_jobs, report_left_out, run_jobs
from cca_runtime.cli.outputs import Job, Naming
from cca_runtime.division import division_of
from cca_runtime.metrics import psnr
from cca_runtime.pictures import Picture, parse_colour, read_picture, readable_extensions
from cca_runtime.rate_control import as_rate_control
from cca_runtime.results import Encoded
from cca_runtime.stopwatch import Stopwatch

_EXTENSION = ".cca"


def run(options: argparse.Namespace, console: Console) -> int:
    """Encode every input. Returns the exit code."""
    if options.background is not None:
        parse_colour(options.background)
    as_rate_control(options.quality, options.target_bpp, options.target_size, options.target_psnr)
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
                picture = _strip(picture, options.strip)
            encoded = codec.encode_picture(
                picture,
                reconstruct=options.psnr or options.target_psnr is not None,
                alongside=len(inputs.found) > 1,
                quality=options.quality,
                target_bpp=options.target_bpp,
                target_size=options.target_size,
                target_psnr=options.target_psnr,
            )
            facts = _describe(options, picture, encoded)
            seconds = {**encoded.seconds}
            seconds["load"] = seconds.get("load", 0.0) + watch.seconds["load"]
            return Result(encoded.data, facts, _as_text(facts), seconds, encoded.notes)

        return work, codec.workers

    code = run_jobs(options, console, jobs, prepare)
    report_left_out(options, console, inputs, kind.plural)
    return code


def _strip(picture: Picture, sections: Collection[str]) -> Picture:
    left_out: dict[str, Any] = dict.fromkeys(sections)
    return dataclasses.replace(picture, **left_out)


def _describe(options: argparse.Namespace, picture: Picture, encoded: Encoded) -> dict[str, Any]:
    height, width = picture.pixels.shape[:2]
    size = len(encoded.data)
    metadata = sum(len(part or b"") for part in (picture.icc, picture.exif, picture.xmp))
    facts: dict[str, Any] = {
        "width": width,
        "height": height,
        "bytes": size,
        "metadata_bytes": metadata,
        "bpp": round(8 * (size - metadata) / (width * height), 6),
        "file_bpp": round(8 * size / (width * height), 6),
        "step": encoded.step,
        "quality": round(encoded.quality, 4),
        "trials": encoded.trials,
        "group_bytes": list(encoded.group_bytes),
        "tiles": list(division_of(encoded.info).tiles) if encoded.info.tiling else None,
    }
    if encoded.reconstruction is not None:
        decibels = psnr(picture.pixels, encoded.reconstruction)
        # JSON has no infinity: an exact copy is null.
        facts["psnr"] = round(decibels, 4) if math.isfinite(decibels) else None
    facts["target"] = _target(options, facts)
    return facts


def _target(options: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any] | None:
    """What was asked for, and what came of it."""
    for kind, asked, reached in (
        ("bpp", options.target_bpp, "bpp"),
        ("bytes", options.target_size, "bytes"),
        ("psnr", options.target_psnr, "psnr"),
    ):
        if asked is not None:
            return {"of": kind, "asked": asked, "reached": facts[reached]}
    return None


def _as_text(facts: dict[str, Any]) -> str:
    share = f" ({facts['metadata_bytes']:,} of metadata)" if facts["metadata_bytes"] else ""
    parts = [
        f"{facts['width']}x{facts['height']}",
        f"{facts['bytes']:,} bytes{share}",
        f"{facts['bpp']:.3f} bpp of pixels",
        f"{facts['file_bpp']:.3f} of the file",
        f"quality {facts['quality']:.1f}",
    ]
    if facts["target"] is not None:
        unit = {"bpp": "bpp", "bytes": "bytes", "psnr": "dB"}[facts["target"]["of"]]
        tried = "trial" if facts["trials"] == 1 else "trials"
        parts.append(f"{facts['trials']} {tried} for {facts['target']['asked']:,} {unit}")
    if facts["tiles"] is not None:
        parts.append("{}x{} tiles".format(*facts["tiles"]))
    if "psnr" in facts:
        decibels = facts["psnr"]
        parts.append(f"{math.inf if decibels is None else decibels:.2f} dB")
    return ", ".join(parts)
