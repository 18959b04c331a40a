"""`cca-run bench`."""

from __future__ import annotations

import argparse
import io
import platform
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from cca_console.console import Console
from cca_console.text import json_line
from cca_core import DEFAULT_MAX_PIXELS
from cca_engines.processor import processor_name, usable_cores
from PIL import Image

from cca_runtime.cli.reading import read_input
from cca_runtime.errors import BadInputError
from cca_runtime.generated import photograph_like
from cca_runtime.loading import load
from cca_runtime.pictures import check_size
from cca_runtime.profile import DRIVER, OUTSIDE, Profile, profile
from cca_runtime.rate_control import as_rate_control

_SIZE = (768, 512)
_MIB = 1 << 20


def run(options: argparse.Namespace, console: Console) -> int:
    """Time a model on an engine. Returns the exit code."""
    as_rate_control(options.quality)  # before anything takes time
    picture = _picture(options)
    codec = load(
        options.model,
        options.engine,
        precision=options.precision,
        threads=options.threads,
        trust_plans=options.trust_plans,
    )
    measured = profile(codec.bundle, codec.engine, picture, options.repeat, options.quality)
    facts = {
        "model": codec.bundle.name,
        "model_id": codec.bundle.model_id.hex(),
        "entropy_mode": codec.bundle.entropy_mode,
        "engine": codec.engine.description,
        "processor": processor_name(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "picture": options.picture or "generated",
        **_as_facts(measured),
    }
    for line in [json_line(facts)] if options.json else _as_text(facts):
        console.report(line)
    return 0


def _picture(options: argparse.Namespace) -> bytes:
    """A picture file's bytes."""
    if options.picture is not None:
        if options.size is not None:
            raise BadInputError("give a picture or --size, not both: a picture has its own size")
        return read_input(options.picture)
    width, height = options.size or _SIZE
    check_size(width, height, DEFAULT_MAX_PIXELS)
    file = io.BytesIO()
    Image.fromarray(photograph_like(width, height)).save(file, format="PNG")
    return file.getvalue()


def _as_facts(measured: Profile) -> dict[str, Any]:
    megabytes = 3 * measured.width * measured.height / 1e6
    return {
        "width": measured.width,
        "height": measured.height,
        "megabytes": megabytes,
        "stream_bytes": measured.stream_bytes,
        "step": measured.step,
        "quality": round(measured.quality, 4),
        "repeat": len(measured.encode),
        "load_seconds": measured.load,
        "peak_memory_bytes": measured.peak_memory,
        "encode": _summary(measured.encode, megabytes),
        "decode": _summary(measured.decode, megabytes),
    }


def _summary(runs: Sequence[dict[str, float]], megabytes: float) -> dict[str, Any]:
    """Quantiles of seconds by stage and in total, MB/s of pixels, and the driver's share."""
    totals = [sum(run.values()) for run in runs]
    codec = [
        total - sum(run[stage] for stage in OUTSIDE)
        for total, run in zip(totals, runs, strict=True)
    ]
    shares = [run[DRIVER] / own for run, own in zip(runs, codec, strict=True)]
    return {
        "stages": {stage: _quantiles([run[stage] for run in runs], megabytes) for stage in runs[0]},
        "total": _quantiles(totals, megabytes),
        "driver_share": float(np.median(shares)),
    }


def _quantiles(seconds: Sequence[float], megabytes: float) -> dict[str, float]:
    low, median, high = (float(value) for value in np.percentile(seconds, (5, 50, 95)))
    speed = megabytes / max(median, 1e-9)  # a stage may take no time that a clock can tell
    return {"median": median, "p5": low, "p95": high, "mb_per_s": speed}


def _as_text(facts: dict[str, Any]) -> list[str]:
    lines = [
        f"model {facts['model']} {facts['model_id']}, {facts['entropy_mode']}",
        f"engine {facts['engine']}",
        f"on {facts['processor']}, {facts['cores']} cores, {facts['system']}",
        f"picture {facts['picture']}, {facts['width']}x{facts['height']} "
        f"({facts['megabytes']:.2f} MB of pixels), {facts['stream_bytes']:,} bytes coded "
        f"at quality {facts['quality']:.1f}",
        f"graphs loaded in {facts['load_seconds']:.2f} s, at most "
        f"{facts['peak_memory_bytes'] / _MIB:,.0f} MiB of main memory, "
        f"{facts['repeat']} runs after a first one",
    ]
    for direction in ("encode", "decode"):
        lines += ["", *_table(direction, facts[direction])]
    return lines


def _table(direction: str, summary: dict[str, Any]) -> Iterator[str]:
    yield f"{direction:<12}{'median':>12}{'p5':>10}{'p95':>10}{'share':>9}{'MB/s':>10}"
    total = summary["total"]
    for stage, row in [*summary["stages"].items(), ("total", total)]:
        yield (
            f"{stage:<12}{1e3 * row['median']:>9.2f} ms{1e3 * row['p5']:>10.2f}"
            f"{1e3 * row['p95']:>10.2f}{row['median'] / total['median']:>9.1%}"
            f"{row['mb_per_s']:>10.1f}"
        )
    yield f"driver: {summary['driver_share']:.1%} of the time without reading and writing files"
