"""How an engine is opened: what a backend's module gives the registry.

A package of somebody else registers an engine by an entry point of the group `cca_engines`. The
entry point's name is the engine's, and its value says where a `Backend` is:

    [project.entry-points.cca_engines]
    toy = "cca_toy_engine:BACKEND"

    class ToyEngine(Engine):
        name = "toy"
        ...

    BACKEND = Backend(Capabilities(), open_toy)

From then on `cca-run --engine toy` opens it, and `cca-run verify` compares it with the others.
The module is imported when the engine is opened, and not before. `auto` passes over it: nobody
has measured how fast it is.

A stream in native mode names the engine that can decode it by eight bytes. Those of a
registered engine are a zero and a hash of its name, its description and what its graphs'
identities say (`cca_engines.fingerprint`). Change the description when results may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cca_engines.engine import Capabilities, Engine, PlanOptions, Precision


class Opening(Protocol):
    """A function that opens an engine."""

    def __call__(
        self,
        *,
        threads: int | None,
        optimisation: str | None,
        precision: Precision | None,
        plans: PlanOptions | None,
    ) -> Engine:
        """The engine; None stands for its default.

        Args:
            threads: Threads a graph runs on, 1 or more.
            optimisation: One of the capabilities' `optimisations`.
            precision: One of the capabilities' `precisions`.
            plans: Where compiled plans lie, for engines that compile graphs.

        Raises:
            EngineError: It cannot be used here, and what to do about it.
        """
        ...


@dataclass(frozen=True)
class Backend:
    """An engine that can be opened.

    Attributes:
        capabilities: What it offers, the same as those of the engine that is opened.
        open: Opens it.
    """

    capabilities: Capabilities
    open: Opening
