"""The graphs of one bundle on one engine."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from cca_engines import Engine, EngineError, Graph, Tensor

from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError, FailureError
from cca_runtime.stopwatch import Stopwatch


class GraphRunner:
    """Runs a bundle's graphs by name; each is loaded when first needed, and kept."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._bundle = bundle
        self._engine = engine
        self._graphs: dict[str, Graph] = {}

    def load(self, names: Iterable[str], watch: Stopwatch) -> None:
        """Load several graphs at once: engines compile a graph on one thread.

        Raises:
            BadInputError: As `run`.
            FailureError: As `run`.
        """
        missing = [name for name in names if name not in self._graphs]
        if not missing:
            return
        with watch.stage("load"), ThreadPoolExecutor() as pool:
            self._graphs.update(zip(missing, pool.map(self._load, missing), strict=True))

    def run(self, name: str, inputs: dict[str, Tensor], watch: Stopwatch) -> dict[str, Tensor]:
        """Run graph `name` on tensors of the engine, counting the time of loading as `load`.

        Raises:
            BadInputError: The graph's file is not what the bundle's manifest describes,
                or (when it is asked for) an output is not among the graph's.
            FailureError: The engine cannot load or run it.
        """
        self.load([name], watch)
        try:
            return _Outputs(self._graphs[name].run(inputs), name)
        except EngineError as error:
            raise self._failure(error) from error

    def _load(self, name: str) -> Graph:
        try:
            return self._engine.load(self._bundle.read_graph(name), name)
        except EngineError as error:
            raise self._failure(error) from error

    def _failure(self, error: EngineError) -> FailureError:
        return FailureError(f"engine {self._engine.name}: {error}")


class _Outputs(dict[str, Tensor]):
    """A graph's outputs, which a broken bundle may lack."""

    def __init__(self, outputs: dict[str, Tensor], graph: str) -> None:
        super().__init__(outputs)
        self._graph = graph

    def __missing__(self, name: str) -> Tensor:
        raise BadInputError(f"broken bundle: graph '{self._graph}' has no output '{name}'")
