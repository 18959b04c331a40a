"""Running one command over its files: errors, reports and progress."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cca_runtime.cli.files import STANDARD, read_input, write_output
from cca_runtime.codec import Codec, load
from cca_runtime.errors import CcaError, FailureError
from cca_runtime.pipeline import run_in_order
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.tiling import BY_MEMORY

_BAR_WIDTH = 30


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
    """The codec that `--model`, `--engine` and `--max-pixels` ask for; `tile` as for `load`."""
    limit = {} if options.max_pixels is None else {"max_pixels": options.max_pixels}
    _log_to_stderr(options)
    codec = load(options.model, options.engine, tile=tile, **limit)
    if options.verbose:
        _say(f"model {codec.bundle.name} {codec.bundle.model_id.hex()} from {codec.bundle.path}")
        _say(f"engine {codec.engine.description}")
    return codec


def run_jobs(options: argparse.Namespace, outputs: Sequence[str], work: Work, workers: int) -> int:
    """Run `work` on every input, report each in order, and go on after errors.

    Args:
        options: Of the command.
        outputs: One for each input.
        work: Called by several threads at once.
        workers: How many.

    Returns:
        0 if all went well; the error's own exit code if there was one file; 1 otherwise.
    """
    inputs: list[str] = options.inputs
    codes: list[int] = []
    progress = _Progress(len(inputs), enabled=not options.quiet and not options.verbose)
    files = list(zip(inputs, outputs, strict=True))

    def run(file: tuple[str, str]) -> _Report:
        return _run_job(options, *file, work)

    progress.show(0, inputs[0])
    for (_, target), report in zip(files, run_in_order(run, files, workers), strict=True):
        progress.clear()
        sys.stderr.write(report.notes)
        # The report makes way where the data itself goes to standard output.
        to_stdout = report.code == 0 and target != STANDARD
        (sys.stdout if to_stdout else sys.stderr).write(report.message)
        codes.append(report.code)
        progress.show(len(codes), inputs[min(len(codes), len(inputs) - 1)])
    progress.clear()
    if len(codes) == 1:
        return codes[0]
    return 1 if any(codes) else 0


@dataclass(frozen=True)
class _Report:
    """What to say of one file, with line ends, and its exit code."""

    code: int
    message: str = ""
    notes: str = ""


def _run_job(options: argparse.Namespace, source: str, target: str, work: Work) -> _Report:
    """Do one file."""
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
