"""Running one command over its files: errors, reports and progress."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cca_runtime.cli.files import plan_outputs, read_input, write_output
from cca_runtime.cli.inputs import STANDARD, Input
from cca_runtime.codec import Codec, load
from cca_runtime.errors import CcaError, FailureError
from cca_runtime.pipeline import run_in_order
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.tiling import BY_MEMORY

_BAR_WIDTH = 30

_AHEAD = 64
"""Files that may be done before one that takes longer: only their reports wait."""


@dataclass(frozen=True)
class Job:
    """One file to read, and the one to make of it; `-` for a standard stream."""

    source: str
    target: str


@dataclass(frozen=True)
class Result:
    """What one file became.

    Attributes:
        data: The output's bytes.
        facts: What the JSON report says, beside names and seconds.
        summary: The same as one line of text.
        seconds: Seconds by stage.
        notes: What could not be kept, one sentence each.
    """

    data: bytes
    facts: dict[str, Any]
    summary: str
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Work = Callable[[str, bytes, str], Result]
"""Does one file: (input name, its bytes, output name) to a result."""


def open_codec(options: argparse.Namespace, *, tile: int | str | None = BY_MEMORY) -> Codec:
    """The codec that `--model`, `--engine`, `--precision` and so on ask for.

    Args:
        options: Of the command.
        tile: As for `load`.
    """
    asked = {"max_pixels": options.max_pixels, "workers": options.workers}
    given = {name: value for name, value in asked.items() if value is not None}
    _log_to_stderr(options)
    codec = load(
        options.model,
        options.engine,
        precision=options.precision,
        threads=options.threads,
        trust_plans=options.trust_plans,
        tile=tile,
        **given,
    )
    if options.verbose:
        _say(f"model {codec.bundle.name} {codec.bundle.model_id.hex()} from {codec.bundle.path}")
        _say(f"engine {codec.engine.description}")
    return codec


def plan_jobs(options: argparse.Namespace, inputs: Sequence[Input], extension: str) -> list[Job]:
    """What there is to do: every input but, with `--skip-existing`, those that are done.

    Args:
        options: Of the command.
        inputs: What it was given.
        extension: Of outputs that have no other name.

    Raises:
        BadInputError: As `plan_outputs`.
        FailureError: As `plan_outputs`.
    """
    may_exist = options.overwrite or options.skip_existing
    targets = plan_outputs(inputs, options.output, extension, may_exist=may_exist)
    jobs = [Job(source.name, target) for source, target in zip(inputs, targets, strict=True)]
    if not options.skip_existing:
        return jobs
    left = [job for job in jobs if job.target == STANDARD or not Path(job.target).is_file()]
    if len(left) < len(jobs) and not options.quiet:
        _say(f"{len(jobs) - len(left)} of {len(jobs)} done before: skipped")
    return left


def run_jobs(options: argparse.Namespace, jobs: Sequence[Job], work: Work, workers: int) -> int:
    """Run `work` on every file, report each in order, and go on after errors.

    Args:
        options: Of the command.
        jobs: At least one.
        work: Called by several threads at once.
        workers: How many.

    Returns:
        0 if all went well; the error's own exit code if there was one file; 1 otherwise.
    """
    codes: list[int] = []
    progress = _Progress(len(jobs), enabled=not options.quiet and not options.verbose)

    def run(job: Job) -> _Report:
        return _run_job(options, job, work)

    progress.show(0, jobs[0].source)
    # Closed at once when interrupted: what is under way is finished, and no more is begun.
    with closing(run_in_order(run, jobs, workers, ahead=_AHEAD)) as reports:
        for job, report in zip(jobs, reports, strict=True):
            progress.clear()
            sys.stderr.write(report.notes)
            # The report makes way where the data itself goes to standard output.
            to_stdout = report.code == 0 and job.target != STANDARD
            (sys.stdout if to_stdout else sys.stderr).write(report.message)
            codes.append(report.code)
            progress.show(len(codes), jobs[min(len(codes), len(jobs) - 1)].source)
    progress.clear()
    if len(codes) == 1:
        return codes[0]
    failed = sum(map(bool, codes))
    if failed:
        _say(f"{failed} of {len(codes)} files failed")
    return 1 if failed else 0


@dataclass(frozen=True)
class _Report:
    """What to say of one file, with line ends, and its exit code."""

    code: int
    message: str = ""
    notes: str = ""


def _run_job(options: argparse.Namespace, job: Job, work: Work) -> _Report:
    """Do one file."""
    source, target = job.source, job.target
    watch = Stopwatch()
    try:
        with watch.stage("load"):
            data = read_input(source)
        result = work(source, data, target)
        with watch.stage("write"):
            write_output(target, result.data)
    except CcaError as error:
        return _Report(error.exit_code, f"cca-run: error: {_display(source)}: {error}\n")
    except MemoryError:
        failure = FailureError("not enough memory for this picture")
        return _Report(failure.exit_code, f"cca-run: error: {_display(source)}: {failure}\n")
    seconds = _merge(result.seconds, watch.seconds)
    if options.json:
        facts = {"input": source, "output": target, **result.facts}
        facts["seconds"] = {stage: round(value, 6) for stage, value in seconds.items()}
        message = json.dumps(facts) + "\n"
    else:
        stages = ", ".join(f"{stage} {value:.3f}" for stage, value in seconds.items())
        arrow = f"{_display(source)} -> {_display(target)}"
        message = f"{arrow}: {result.summary}, {sum(seconds.values()):.2f} s ({stages})\n"
    if options.quiet:
        return _Report(0, message if options.json else "")
    notes = [f"cca-run: note: {_display(source)}: {note}\n" for note in result.notes]
    return _Report(0, message, "".join(notes))


def _merge(inner: dict[str, float], outer: dict[str, float]) -> dict[str, float]:
    """Seconds of the codec and of the files around it, `load` first and `write` last."""
    seconds = {"load": outer["load"] + inner.get("load", 0.0)}
    seconds |= {stage: value for stage, value in inner.items() if stage != "load"}
    seconds["write"] = outer["write"] + inner.get("write", 0.0)
    return seconds


def _log_to_stderr(options: argparse.Namespace) -> None:
    """What the runtime has to say: that something takes long; with -v, why it chose what it did."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("cca-run: %(message)s"))
    log = logging.getLogger("cca_runtime")
    log.handlers = [handler]
    log.propagate = False
    verbosity = logging.INFO if options.verbose else logging.WARNING
    log.setLevel(logging.ERROR if options.quiet else verbosity)


def _display(name: str) -> str:
    return "(standard stream)" if name == STANDARD else name


def _say(text: str) -> None:
    sys.stderr.write(f"cca-run: {text}\n")


class _Progress:
    """One line on a terminal's standard error, only where there is more than one file."""

    def __init__(self, total: int, *, enabled: bool) -> None:
        self._total = total
        self._enabled = enabled and total > 1 and sys.stderr.isatty()

    def show(self, done: int, name: str) -> None:
        if self._enabled:
            filled = _BAR_WIDTH * done // self._total
            bar = "#" * filled + "." * (_BAR_WIDTH - filled)
            sys.stderr.write(f"\r\x1b[K[{bar}] {done}/{self._total} {_display(name)}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._enabled:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
