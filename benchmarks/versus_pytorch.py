r"""Every engine beside eager PyTorch with CompressAI's coder, in one run, on the same threads.

    python benchmarks/full_size_checkpoint.py full-size.pth
    cca-export --ckpt full-size.pth -o full-size.bundle
    PYTHONPATH=tests python benchmarks/versus_pytorch.py \
        --model default examples/training/default.pth \
        --model full-size.bundle full-size.pth --chart docs/images/versus-pytorch.png \
        > benchmarks/results/versus_pytorch.md

Everybody codes the same picture in turn, from pixels to a stream in memory and back, with graphs
loaded. A ratio is the median of the rounds' ratios. With one thread what counts is processor time,
which other processes cannot lengthen; with more it is wall-clock time. `driver` is what neither
engine nor coder takes, as `cca-run bench` has it.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bar_chart import Bar, draw_bars
from cca_engines.processor import processor_name, usable_cores
from cca_export.checkpoint import load_network
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.codec import Codec
from cca_runtime.pictures import Pixels
from cca_runtime.plans import plan_options
from cca_runtime.profile import DRIVER, OUTSIDE, profile
from eager_pytorch import EagerCodec
from engine_settings import engines
from gpu import picture_of
from PIL import Image

BASELINE = "eager PyTorch"
DIRECTIONS = ("encode", "decode")
STAGES = ("analysis", "prior", "synthesis", "coder", "transfer", DRIVER)


@dataclass(frozen=True)
class Subject:
    """What is timed: encodes a picture to something, and decodes that; with seconds by stage."""

    encode: Callable[[Pixels], tuple[Any, Mapping[str, float]]]
    decode: Callable[[Any], Mapping[str, float]]


@dataclass(frozen=True)
class Times:
    """What one subject takes in one direction: seconds of each round, in all and by stage."""

    total: list[float]
    stages: list[Mapping[str, float]]


def subjects_of(bundle: Bundle, checkpoint: Path, threads: int) -> dict[str, Subject]:
    eager = EagerCodec(load_network(checkpoint).requires_grad_(False))
    subjects = {
        BASELINE: Subject(lambda p: eager.encode(p[None]), lambda strings: eager.decode(strings)[1])
    }
    for name, engine in engines(threads, plan_options(bundle, trust=True)):
        codec = Codec(bundle, engine)
        codec.check_engine()
        subjects[name] = subject_of(codec)
    return subjects


def subject_of(codec: Codec) -> Subject:
    def encode(picture: Pixels) -> tuple[bytes, Mapping[str, float]]:
        encoded = codec.encode_picture(picture)
        return encoded.data, encoded.seconds

    return Subject(encode, lambda data: codec.decode_stream(data).seconds)


def time_in_turn(
    subjects: Mapping[str, Subject], picture: Pixels, rounds: int, clock: Callable[[], float]
) -> dict[tuple[str, str], Times]:
    """Times by subject and direction."""
    keys = [(name, direction) for name in subjects for direction in DIRECTIONS]
    times = {key: Times([], []) for key in keys}
    for turn in range(-1, rounds):
        for name, subject in subjects.items():
            start = clock()
            coded, encode = subject.encode(picture)
            middle = clock()
            decode = subject.decode(coded)
            end = clock()
            if turn < 0:  # loads graphs, chooses kernels
                continue
            for direction, seconds, stages in (
                ("encode", middle - start, encode),
                ("decode", end - middle, decode),
            ):
                times[name, direction].total.append(seconds)
                times[name, direction].stages.append(stages)
    return times


def ratio(baseline: Sequence[float], own: Sequence[float]) -> float:
    return statistics.median(b / o for b, o in zip(baseline, own, strict=True))


def print_times(model: str, times: Mapping[tuple[str, str], Times]) -> list[Bar]:
    """The table of one model; its bars of the chart."""
    print(f"\n## {model}: milliseconds a picture\n")
    print("| | encode | times as fast | decode | times as fast |")
    print("|---|--:|--:|--:|--:|")
    bars = []
    for name in dict.fromkeys(name for name, _ in times):
        row = f"| {name} |"
        for direction in DIRECTIONS:
            own, baseline = times[name, direction].total, times[BASELINE, direction].total
            factor, median = ratio(baseline, own), statistics.median(own)
            row += f" {1e3 * median:.0f} | {factor:.2f} |"
            bars.append(Bar(f"{model}, {direction}", name, median, f"{factor:.1f}x"))
        print(row, flush=True)
    # Encoding first.
    return sorted(bars, key=lambda bar: bar.group, reverse=True)


def print_stages(bundle: Bundle, baseline: Mapping[str, Times], options: Any) -> None:
    """Where the time goes: medians by stage, in milliseconds, and the driver's share."""
    print(f"\n### {bundle.name}: stages, milliseconds of wall-clock time\n")
    print("| | " + " | ".join(STAGES) + " | driver's share |")
    print("|---|" + "--:|" * (len(STAGES) + 1))
    for direction, times in baseline.items():
        print_stage_row(f"{BASELINE}, {direction}", times.stages)
    file = io.BytesIO()
    Image.fromarray(picture_of(options.size)).save(file, format="PPM")
    for name, engine in engines(options.threads, plan_options(bundle, trust=True)):
        measured = profile(bundle, engine, file.getvalue(), options.rounds)
        for direction, own in (("encode", measured.encode), ("decode", measured.decode)):
            print_stage_row(f"{name}, {direction}", [merged(run) for run in own])


def merged(run: Mapping[str, float]) -> dict[str, float]:
    """A profile's stages as in the table: without files, and with one prior."""
    stages = {name: seconds for name, seconds in run.items() if name not in OUTSIDE}
    names = [name for name in stages if name.startswith("prior_")]
    return {**stages, "prior": sum(stages.pop(name) for name in names)}


def print_stage_row(label: str, runs: Sequence[Mapping[str, float]]) -> None:
    cells = [
        f"{1e3 * statistics.median(run[stage] for run in runs):.1f}" if stage in runs[0] else ""
        for stage in STAGES
    ]
    share = ""
    if DRIVER in runs[0]:
        share = f"{statistics.median(run[DRIVER] / sum(run.values()) for run in runs):.1%}"
    print(f"| {label} | " + " | ".join(cells) + f" | {share} |", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--model", nargs=2, action="append", required=True, metavar=("BUNDLE", "CHECKPOINT")
    )
    parser.add_argument("--size", default="768x512", metavar="WxH", help="sides multiples of 64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--chart", type=Path, help="PNG file to draw the times to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    kind = "processor" if options.threads == 1 else "wall-clock"
    picture = picture_of(options.size)
    print("# Engines beside eager PyTorch\n")
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    print(
        f"A photograph of {options.size}, {threads}, {kind} time, {usable_cores()} cores ", end=""
    )
    print(f"of {processor_name()}, load average {os.getloadavg()[0]:.1f}. ", end="")
    print(f"PyTorch {torch.__version__}, Python {platform.python_version()}. ", end="")
    print(f"Medians of {options.rounds} rounds, everybody in turn.")
    bars = []
    for path, checkpoint in options.model:
        bundle = open_bundle(path)
        subjects = subjects_of(bundle, Path(checkpoint), options.threads)
        label = f"{bundle.name} ({bundle.manifest['parameters'] / 1e6:.1f} M parameters)"
        times = time_in_turn(subjects, picture, options.rounds, clock)
        bars += print_times(label, times)
        baseline = {direction: times[BASELINE, direction] for direction in DIRECTIONS}
        del subjects
        print_stages(bundle, baseline, options)
    if options.chart is not None:
        title = f"Seconds of {kind} time, a picture of {options.size}, {threads}"
        draw_bars(bars, title).save(options.chart, optimize=True)


if __name__ == "__main__":
    main()
