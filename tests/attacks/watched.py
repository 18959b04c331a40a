"""Executions in a process of their own, whose crashes and endless loops are findings too."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from attacks.executions import execute

_START_SECONDS = 120.0
"""Until the first execution is over, which makes what the others mutate."""

_WARM = 50
"""Executions after which memory should not grow any more."""

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Finding:
    """An execution that neither was accepted nor refused, and what happened instead."""

    number: int
    what: str


@dataclass
class Tally:
    """What came of the executions of one kind.

    Attributes:
        executions: How many there were.
        accepted: Mutants that the product took.
        warm_bytes: Resident memory after the first executions.
        last_bytes: Resident memory at the end.
        findings: Foreign exceptions, crashes, and executions over the time limit.
    """

    executions: int = 0
    accepted: int = 0
    warm_bytes: int = 0
    last_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Mutants that the product refused."""
        return self.executions - self.accepted - len(self.findings)


@dataclass(frozen=True)
class _Report:
    accepted: bool
    foreign: str | None
    resident_bytes: int


def campaign(kind: str, seed: int, seconds: float, limit: float, most: float = math.inf) -> Tally:
    """Attack for a while.

    Args:
        kind: A module with an `attack`.
        seed: Of all executions.
        seconds: How long; begins with the end of the first execution.
        limit: Seconds that one execution may take.
        most: Executions to end after, though there be time.
    """
    tally = Tally()
    deadline = time.monotonic() + _START_SECONDS
    while tally.executions == 0 or (tally.executions < most and time.monotonic() < deadline):
        with _Child(kind, seed, tally.executions) as child:
            patience = _START_SECONDS
            while True:
                report = child.report(patience)
                if tally.executions == 0:
                    deadline = time.monotonic() + seconds
                patience = limit
                _count(tally, report)
                over = tally.executions >= most or time.monotonic() >= deadline
                if isinstance(report, str) or over:
                    break
    return tally


def _count(tally: Tally, report: _Report | str) -> None:
    number = tally.executions
    tally.executions += 1
    if isinstance(report, str):
        tally.findings.append(Finding(number, report))
        return
    tally.accepted += report.accepted
    tally.last_bytes = report.resident_bytes
    if number <= _WARM:
        tally.warm_bytes = report.resident_bytes
    if report.foreign is not None:
        tally.findings.append(Finding(number, report.foreign))


class _Child:
    """A process that executes from `first` on until it is left."""

    def __init__(self, kind: str, seed: int, first: int) -> None:
        self._reports, sender = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=_serve, args=(sender, kind, seed, first))
        self._process.start()
        sender.close()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._reports.close()

    def report(self, patience: float) -> _Report | str:
        """What came of the next execution, or why there is no report of it."""
        if not self._reports.poll(patience):
            return f"not over after {patience:g} s"
        try:
            report: _Report = self._reports.recv()
        except EOFError:
            self._process.join()
            return f"the process died with exit code {self._process.exitcode}"
        return report


def _serve(sender: Connection, kind: str, seed: int, first: int) -> None:
    with suppress(BrokenPipeError):
        for number in count(first):
            sender.send(_observed(lambda number=number: execute(kind, seed, number)))


def _observed(execution: Callable[[], bool]) -> _Report:
    accepted, foreign = False, None
    try:
        accepted = execution()
    except Exception:
        foreign = traceback.format_exc()
    return _Report(accepted, foreign, _resident_bytes())


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
