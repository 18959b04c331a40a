"""Running one command over its files: errors, reports and progress."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from cca_console.console import Console
from cca_console.text import json_line, reason

from cca_runtime.arguments import BY_SIZE
from cca_runtime.cli.existing import Check, find_remaining
from cca_runtime.cli.failures import explain_failure
from cca_runtime.cli.inputs import STANDARD, Inputs
from cca_runtime.cli.outputs import Job, Naming, plan_outputs
from cca_runtime.cli.reading import read_input
from cca_runtime.cli.writing import write_output
from cca_runtime.codec import Codec
from cca_runtime.errors import FailureError
from cca_runtime.loading import load
from cca_runtime.pipeline import run_in_order
from cca_runtime.stopwatch import Stopwatch

_BAR_WIDTH = 30

_AHEAD = 64
"""Files that may be done before one that takes longer: only their reports wait."""

_NAMED = 3
"""Files left out that are named, of however many."""


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


Work = Callable[[Job, bytes], Result]
"""Does one file, of which it gets the bytes."""


def open_codec(
    options: argparse.Namespace,
    console: Console,
    *,
    tile: int | str | None = BY_SIZE,
    keep_going: bool = False,
) -> Codec:
    """The codec that `--model`, `--engine`, `--precision` and so on ask for.

    Args:
        options: Of the command.
        console: Where the runtime's own messages go.
        tile: As for `load`.
        keep_going: As for `load`.
    """
    asked = {"max_pixels": options.max_pixels, "workers": options.workers}
    given = {name: value for name, value in asked.items() if value is not None}
    _log_to(console, options)
    codec = load(
        options.model,
        options.engine,
        precision=options.precision,
        threads=options.threads,
        trust_plans=options.trust_plans,
        tile=tile,
        keep_going=keep_going,
        **given,
    )
    if options.verbose:
        console.say(
            f"model {codec.bundle.name} {codec.bundle.model_id.hex()} from {codec.bundle.path}"
        )
        console.say(f"engine {codec.engine.description}")
    return codec


def plan_jobs(
    options: argparse.Namespace, console: Console, inputs: Inputs, naming: Naming, check: Check
) -> list[Job]:
    """What there is to do: every input but, with `--skip-existing`, those that are done.

    Args:
        options: Of the command.
        console: Where to say what is skipped, and what is not although it exists.
        inputs: What it was given.
        naming: What outputs are called.
        check: What a whole output is.

    Raises:
        BadInputError: As `plan_outputs`.
        FailureError: As `plan_outputs`.
    """
    may_exist = options.overwrite or options.skip_existing
    jobs = plan_outputs(inputs.found, options.output, naming, may_exist=may_exist)
    if not options.skip_existing:
        return [replace(job, replaces=options.overwrite) for job in jobs]
    remaining = find_remaining(jobs, check)
    if not options.quiet:
        for job, fault in remaining.faults.items():
            console.say(f"note: '{job.target}' is there, but not whole: done again ({fault})")
        if skipped := len(jobs) - len(remaining.jobs):
            console.say(f"{skipped} of {len(jobs)} done before: skipped")
    return [replace(job, replaces=job in remaining.faults) for job in remaining.jobs]


def run_jobs(
    options: argparse.Namespace,
    console: Console,
    jobs: Sequence[Job],
    prepare: Callable[[], tuple[Work, int]],
) -> int:
    """Do every file, report each in order, and go on after errors.

    Args:
        options: Of the command.
        console: Where to report.
        jobs: Any number; those with an error are reported only.
        prepare: Gives what does one file, to be called by several threads at once, and how
            many. Is asked only if there is something to do.

    Returns:
        0 if all went well; the error's own exit code if there was one file; 1 otherwise.
    """
    if not jobs:
        return 0
    work, workers = prepare() if any(job.error is None for job in jobs) else (_nothing, 1)
    codes: list[int] = []
    progress = _Progress(
        console, len(jobs), enabled=not options.quiet and not options.verbose and len(jobs) > 1
    )

    def run(job: Job) -> _Report:
        return _run_job(options, console, job, work)

    progress.show(0, jobs[0].source)
    with closing(run_in_order(run, jobs, workers, ahead=_AHEAD)) as reports:
        for job, report in zip(jobs, reports, strict=True):
            for message in report.messages:
                console.say(message)
            # The report makes way where the data itself goes to standard output.
            if report.line is not None and job.target == STANDARD:
                console.remark(report.line)
            elif report.line is not None:
                console.report(report.line)
            codes.append(report.code)
            progress.show(len(codes), jobs[min(len(codes), len(jobs) - 1)].source)
    console.clear()
    if len(codes) == 1:
        return codes[0]
    failed = sum(map(bool, codes))
    if failed:
        console.say(f"{failed} of {len(codes)} files failed")
    return 1 if failed else 0


def report_left_out(
    options: argparse.Namespace, console: Console, inputs: Inputs, plural: str
) -> None:
    """Say which files of folders were passed over.

    Args:
        options: Of the command.
        console: Where to say it.
        inputs: What it was given.
        plural: What the others are called.
    """
    count = len(inputs.left_out)
    if not count or options.quiet:
        return
    named = ", ".join(f"'{name}'" for name in inputs.left_out[:_NAMED])
    more = f" ... and {count - _NAMED} more" if count > _NAMED else ""
    files = "file" if count == 1 else "files"
    console.say(f"{count} {files} left out, not {plural} by name: {named}{more}")


@dataclass(frozen=True)
class _Report:
    """What to say of one file, and its exit code."""

    code: int
    line: str | None = None
    messages: tuple[str, ...] = ()


def _run_job(options: argparse.Namespace, console: Console, job: Job, work: Work) -> _Report:
    """Do one file. Whatever goes wrong with it is its failure alone."""
    watch = Stopwatch()
    source = _display(job.source)
    try:
        if job.error is not None:
            raise job.error
        with watch.stage("load"):
            data = read_input(job.source, options.max_pixels)
        result = work(job, data)
        with watch.stage("write"):
            _write(console, job, result.data)
        line = _describe(options, job, result, _merge(result.seconds, watch.seconds))
    except BrokenPipeError:  # whoever read standard output has enough, and knows why
        return _Report(FailureError.exit_code)
    except Exception as error:
        code, message = explain_failure(console, error)
        return _Report(code, messages=(f"error: {source}: {message}",))
    if options.quiet:
        return _Report(0, line if options.json else None)
    return _Report(0, line, tuple(f"note: {source}: {note}" for note in result.notes))


def _nothing(job: Job, data: bytes) -> Result:  # noqa: ARG001
    raise AssertionError("only jobs with errors")


def _write(console: Console, job: Job, data: bytes) -> None:
    if job.target != STANDARD:
        write_output(job.target, data, replace=job.replaces)
        return
    try:
        console.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FailureError(f"standard output cannot be written: {reason(error)}") from error


def _describe(
    options: argparse.Namespace, job: Job, result: Result, seconds: dict[str, float]
) -> str:
    if options.json:
        names = {"input": job.source, "output": job.target}
        rounded = {stage: round(value, 6) for stage, value in seconds.items()}
        return json_line({**names, **result.facts, "seconds": rounded})
    stages = ", ".join(f"{stage} {value:.3f}" for stage, value in seconds.items())
    arrow = f"{_display(job.source)} -> {_display(job.target)}"
    return f"{arrow}: {result.summary}, {sum(seconds.values()):.2f} s ({stages})"


def _merge(inner: dict[str, float], outer: dict[str, float]) -> dict[str, float]:
    """Seconds of the codec and of the files around it, `load` first and `write` last."""
    seconds = {"load": outer["load"] + inner.get("load", 0.0)}
    seconds |= {stage: value for stage, value in inner.items() if stage != "load"}
    seconds["write"] = outer["write"] + inner.get("write", 0.0)
    return seconds


class _Handler(logging.Handler):
    """Prints what is logged as the command's own messages."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.say(record.getMessage())


def _log_to(console: Console, options: argparse.Namespace) -> None:
    """What the runtime has to say: that something takes long; with -v, why it chose what it did."""
    log = logging.getLogger("cca_runtime")
    log.handlers = [_Handler(console)]
    log.propagate = False
    verbosity = logging.INFO if options.verbose else logging.WARNING
    log.setLevel(logging.ERROR if options.quiet else verbosity)


def _display(name: str) -> str:
    return "(standard stream)" if name == STANDARD else name


class _Progress:
    """One line on a terminal's standard error."""

    def __init__(self, console: Console, total: int, *, enabled: bool) -> None:
        self._console = console
        self._total = total
        self._enabled = enabled

    def show(self, done: int, name: str) -> None:
        if self._enabled:
            filled = _BAR_WIDTH * done // self._total
            bar = "#" * filled + "." * (_BAR_WIDTH - filled)
            self._console.progress(f"[{bar}] {done}/{self._total} {_display(name)}")
