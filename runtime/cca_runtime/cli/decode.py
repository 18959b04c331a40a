"""`cca-run decode`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cca_runtime.cli.inputs import STANDARD, expand_inputs
from cca_runtime.cli.jobs import Result, open_codec, plan_jobs, run_jobs
from cca_runtime.pictures import check_extension, format_picture
from cca_runtime.stopwatch import Stopwatch


def run(options: argparse.Namespace) -> int:
    """Decode every input. Returns the exit code."""
    default = f".{options.format}"
    inputs = expand_inputs(options.inputs, {".cca"}, ".cca files")
    jobs = plan_jobs(options, inputs, default)
    for job in jobs:
        check_extension(_extension(job.target, default))
    if not jobs:
        return 0
    codec = open_codec(options)

    def work(source: str, data: bytes, target: str) -> Result:  # noqa: ARG001
        decoded = codec.decode_stream(data, region=options.region, alongside=len(inputs) > 1)
        watch = Stopwatch()
        with watch.stage("write"):
            extension = _extension(target, default)
            output, notes = format_picture(decoded.picture, extension)
        height, width = decoded.picture.pixels.shape[:2]
        facts = {"width": width, "height": height, "bytes": len(output)}
        seconds = {**decoded.seconds, **watch.seconds}
        return Result(output, facts, f"{width}x{height}", seconds, notes)

    return run_jobs(options, jobs, work, codec.workers)


def _extension(output: str, default: str) -> str:
    return default if output == STANDARD else Path(output).suffix.lower() or default
