"""One engine as the host of the core's machines: it runs graphs, and knows no more.

A machine (`cca_core.EncoderMachine` and so on) says step by step which graph to run on which
tensors. Everything else of the codec happens inside the machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from cca_engines import Engine, Tensor
from numpy.typing import NDArray

from cca_runtime.errors import BadInputError
from cca_runtime.graph_runner import GraphRunner, engine_failures

if TYPE_CHECKING:
    from cca_core import Binding

_STAGES = {"analysis": "analysis", "synthesis": "synthesis"}
"""Where the time of a graph counts; that of all others is the prior's."""

_CODER = "coder"


class Machine(Protocol):
    """What encoder, decoder and prior have in common."""

    def step(self, worker: int, host: EngineHost, /) -> bool:
        """Do a worker's next step. False when all is done."""
        ...

    def waited(self, worker: int, /) -> float:
        """Seconds that a worker has waited for the others."""
        ...


class EngineHost:
    """Does the steps of one worker of a machine; for one thread at a time."""

    def __init__(self, engine: Engine, graphs: GraphRunner) -> None:
        self.engine = engine
        self.graphs = graphs
        self._names: Sequence[str] = graphs.names
        self._tensors: dict[int, Tensor] = {}
        self._seconds: dict[str, float] = {}
        self._stage = "prior"

    def new_context(self) -> EngineHost:
        """A host for another thread, with the same graphs.

        Raises:
            FailureError: The engine has no room for another.
        """
        with engine_failures(self.engine):
            engine = self.engine.new_context()
        return EngineHost(engine, self.graphs.new_context(engine))

    def drive(self, machine: Machine, worker: int = 0) -> Mapping[str, float]:
        """Do all of a worker's steps.

        Returns:
            Seconds by stage: those of graphs and their tensors, and `coder`, the core's own.

        Raises:
            cca_core's errors: As the machine's `step` does.
            BadInputError: A graph gives something else than the manifest says.
            FailureError: The engine failed.
        """
        start = time.perf_counter()
        self._seconds = {}
        try:
            while machine.step(worker, self):
                pass
        finally:
            self._tensors.clear()
        elapsed = time.perf_counter() - start
        own = {_CODER: elapsed - machine.waited(worker) - sum(self._seconds.values())}
        return self._seconds | own

    def upload(self, slot: int, array: NDArray[Any]) -> None:
        """As `cca_core.Host`."""
        start = time.perf_counter()
        with engine_failures(self.engine):
            self._tensors[slot] = self.engine.to_device(array)
        self._count(start)

    def allocate(self, slot: int, dtype: str, shape: tuple[int, ...]) -> None:
        """As `cca_core.Host`."""
        start = time.perf_counter()
        with engine_failures(self.engine):
            self._tensors[slot] = self.engine.empty(shape, np.dtype(dtype))
        self._count(start)

    def run(self, graph: int, inputs: list[Binding], outputs: list[Binding]) -> None:
        """As `cca_core.Host`."""
        name = self._names[graph]
        self._stage = _STAGES.get(name, "prior")
        start = time.perf_counter()
        values = {binding[0]: self._bound(binding) for binding in inputs}
        into = {binding[0]: self._bound(binding) for binding in outputs if binding[2] is not None}
        given = self.graphs.run(name, values, into)
        for output, slot, row, dtype, shape in outputs:
            tensor = given[output]
            if tensor.dtype != dtype or tuple(tensor.shape) != shape:
                raise BadInputError(
                    f"broken bundle: graph '{name}' gives '{output}' as {tensor.dtype} "
                    f"{list(tensor.shape)}, expected {dtype} {list(shape)}"
                )
            if row is None:
                self._tensors[slot] = tensor
        self.ran(name, values, given)
        self._count(start)

    def ran(self, name: str, inputs: dict[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        """Called after each graph; for those who look at what graphs compute."""

    def download(self, slot: int) -> NDArray[Any]:
        """As `cca_core.Host`."""
        start = time.perf_counter()
        with engine_failures(self.engine):
            array = np.ascontiguousarray(self.engine.to_host(self._tensors[slot]))
        self._count(start)
        return array

    def free(self, slot: int) -> None:
        """As `cca_core.Host`."""
        del self._tensors[slot]

    def _bound(self, binding: Binding) -> Tensor:
        _, slot, row, _, shape = binding
        tensor = self._tensors[slot]
        return tensor if row is None else self.engine.rows(tensor, row, row + shape[0])

    def _count(self, start: float) -> None:
        elapsed = time.perf_counter() - start
        self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + elapsed
