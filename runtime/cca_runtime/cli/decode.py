"""`cca-run decode`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cca_console.console import Console
from cca_core import DEFAULT_MAX_PIXELS
from PIL import Image

from cca_runtime.cli.existing import check_picture
from cca_runtime.cli.inputs import STANDARD, Kind, expand_inputs
from cca_runtime.cli.jobs import Result, Work, open_codec, plan_jobs, report_left_out, run_jobs
from cca_runtime.cli.outputs import Job, Naming
from cca_runtime.pictures import EXTENSIONS, check_extension, format_picture
from cca_runtime.stopwatch import Stopwatch

_KIND = Kind({".cca"}, ".cca files", made=EXTENSIONS)


def run(options: argparse.Namespace, console: Console) -> int:
    """Decode every input. Returns the exit code."""
    default = f".{options.format}"
    inputs = expand_inputs(options.inputs, _KIND)
    naming = Naming(_KIND.extensions, default)
    # What Pillow says when it looks at outputs that are there.
    Image.MAX_IMAGE_PIXELS = options.max_pixels or DEFAULT_MAX_PIXELS

    def check(job: Job) -> None:
        check_picture(job, options.region)

    jobs = plan_jobs(options, console, inputs, naming, check)
    for job in jobs:
        if job.error is None:
            check_extension(_extension(job.target, default))

    def prepare() -> tuple[Work, int]:
        codec = open_codec(options, console, keep_going=options.keep_going)

        def work(job: Job, data: bytes) -> Result:
            decoded = codec.decode_stream(
                data,
                region=options.region,
                groups=options.groups,
                preview=options.preview,
                alongside=len(inputs.found) > 1,
            )
            watch = Stopwatch()
            with watch.stage("write"):
                extension = _extension(job.target, default)
                output, notes = format_picture(decoded.picture, extension)
            height, width = decoded.picture.pixels.shape[:2]
            used, total = decoded.groups
            facts = {
                "width": width,
                "height": height,
                "bytes": len(output),
                "groups": used,
                "groups_of_model": total,
            }
            share = "" if used == total else f", {used} of {total} groups"
            seconds = {**decoded.seconds, **watch.seconds}
            summary = f"{width}x{height}{share}"
            return Result(output, facts, summary, seconds, (*decoded.notes, *notes))

        return work, codec.workers

    code = run_jobs(options, console, jobs, prepare)
    report_left_out(options, console, inputs, _KIND.plural)
    return code


def _extension(output: str, default: str) -> str:
    return default if output == STANDARD else Path(output).suffix.lower() or default
