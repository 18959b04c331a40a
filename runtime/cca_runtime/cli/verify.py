"""`cca-run verify`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cca_console.console import Console
from cca_console.text import json_line
from cca_engines import EngineError, available_engines, open_engine, optimisations

from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.cli.failures import explain_failure
from cca_runtime.conformance import Verification, conformance_of, verify
from cca_runtime.errors import BadInputError, FailureError

_ALL = "all"


@dataclass(frozen=True)
class _Setting:
    """One way to set an engine up: a row of the matrix."""

    engine: str
    optimisation: str | None
    threads: int

    def __str__(self) -> str:
        level = f" {self.optimisation}" if self.optimisation else ""
        return f"{self.engine}{level}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class _Row:
    """What came of one setting: a verification, or why there is none."""

    setting: _Setting
    verification: Verification
    error: str | None = None

    @property
    def passed(self) -> bool:
        return self.error is None and not self.verification.mismatches


def run(options: argparse.Namespace, console: Console) -> int:
    """Compare engines with a bundle's conformance vectors. Returns the exit code."""
    bundle = open_bundle(options.bundle)
    conformance_of(bundle)  # refuse a native bundle before any engine is opened
    engines = available_engines() if options.engine == _ALL else [options.engine]
    rows = []
    for setting in _settings(engines, options.threads, alone=options.engine != _ALL):
        console.progress(str(setting))
        rows.append(_verify(console, bundle, setting))
    report = [json_line(_as_facts(bundle, rows))] if options.json else _as_text(bundle, rows)
    for line in report:
        console.report(line)
    return 0 if all(row.passed for row in rows) else 1


def _settings(engines: Sequence[str], threads: Sequence[int], *, alone: bool) -> Iterator[_Setting]:
    for engine in engines:
        try:
            levels = optimisations(engine)
        except EngineError as error:
            if alone:
                raise FailureError(str(error)) from error
            levels = ()  # its row is to say so, and the others have theirs
        for level in levels or (None,):
            for count in threads:
                yield _Setting(engine, level, count)


def _verify(console: Console, bundle: Bundle, setting: _Setting) -> _Row:
    try:
        engine = open_engine(
            setting.engine, threads=setting.threads, optimisation=setting.optimisation
        )
        return _Row(setting, verify(bundle, engine))
    except EngineError as error:
        return _Row(setting, Verification(), str(error))
    except BadInputError:  # the bundle is broken, for every setting
        raise
    except Exception as error:
        return _Row(setting, Verification(), explain_failure(console, error)[1])


def _as_facts(bundle: Bundle, rows: Sequence[_Row]) -> dict[str, Any]:
    return {
        "bundle": str(bundle.path),
        "model_id": bundle.model_id.hex(),
        "passed": all(row.passed for row in rows),
        "values": _compared(rows),
        "rows": [
            {
                "engine": row.setting.engine,
                "optimisation": row.setting.optimisation,
                "threads": row.setting.threads,
                "passed": row.passed,
                "values": row.verification.compared,
                "mismatches": [
                    {
                        "graph": mismatch.graph,
                        "case": mismatch.case,
                        "values": mismatch.values,
                        "differing": mismatch.differing,
                    }
                    for mismatch in row.verification.mismatches
                ],
                "error": row.error,
            }
            for row in rows
        ],
    }


def _as_text(bundle: Bundle, rows: Sequence[_Row]) -> list[str]:
    graphs = bundle.prior_graphs
    table = [["", *graphs], *([str(row.setting), *_cells(row, graphs)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"model {bundle.name} {bundle.model_id.hex()}, values equal to the exporter's:", ""]
    for first, *cells in table:
        columns = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *columns]))
    lines += ["", *_complaints(rows)]
    return [*lines, _total(rows)]


def _cells(row: _Row, graphs: Sequence[str]) -> list[str]:
    wrong = {mismatch.graph for mismatch in row.verification.mismatches}
    compared = row.verification.compared
    return ["MISMATCH" if name in wrong else f"{compared.get(name, 0):,}" for name in graphs]


def _complaints(rows: Sequence[_Row]) -> Iterator[str]:
    for row in rows:
        if row.error:
            yield f"{row.setting}: {row.error}"
        for mismatch in row.verification.mismatches:
            yield f"{row.setting}: {mismatch}"


def _total(rows: Sequence[_Row]) -> str:
    compared = f"{_compared(rows):,} values compared"
    failed = sum(not row.passed for row in rows)
    return (
        f"{compared}, {failed} of {len(rows)} settings FAILED"
        if failed
        else f"{compared}, 0 differ"
    )


def _compared(rows: Sequence[_Row]) -> int:
    return sum(sum(row.verification.compared.values()) for row in rows)
