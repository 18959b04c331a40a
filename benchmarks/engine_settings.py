"""The engines to compare: every one installed, in each of its precisions."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from cca_engines import (
    Engine,
    EngineError,
    PlanOptions,
    available_engines,
    open_engine,
    precisions,
)


def engines(
    threads: int | None = None, plans: PlanOptions | None = None
) -> Iterator[tuple[str, Engine]]:
    """Engines by name and precision; those that do not work here are named on standard error.

    Args:
        threads: As for `open_engine`.
        plans: As for `open_engine`.
    """
    for name in available_engines():
        for precision in precisions(name):
            try:
                engine = open_engine(name, threads=threads, precision=precision, plans=plans)
            except EngineError as error:
                print(f"{name}, {precision}: {error}", file=sys.stderr)
                continue
            yield f"{name}, {precision}", engine
