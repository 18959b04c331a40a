"""The graphs of one bundle on one engine."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cca_engines import Engine, EngineError, Graph, Precision, Tensor

from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError, FailureError
from cca_runtime.stopwatch import Stopwatch


class GraphRunner:
    """Runs a bundle's graphs by name; each is loaded when first needed, and kept.

    Several threads may load graphs at a time, and one at a time may run them.
    """

    def __init__(self, bundle: Bundle, engine: Engine, original: GraphRunner | None = None) -> None:
        self._bundle = bundle
        self._engine = engine
        self._original = original
        self._graphs: dict[str, Graph] = {}
        self._turn = threading.Lock()

    def twin(self, engine: Engine) -> GraphRunner:
        """The same graphs for another thread, which are still loaded only once.

        Args:
            engine: A twin of this one's engine.
        """
        return GraphRunner(self._bundle, engine, self)

    def load(self, names: Iterable[str], watch: Stopwatch) -> None:
        """Load several graphs at once: engines compile a graph on one thread.

        Raises:
            BadInputError: As `run`.
            FailureError: As `run`.
        """
        names = list(names)
        if all(name in self._graphs for name in names):
            return
        with watch.stage("load"), self._turn:
            missing = [name for name in names if name not in self._graphs]
            self._graphs.update(zip(missing, self._obtain(missing), strict=True))

    def identities(self, names: Iterable[str]) -> list[str]:
        """What each graph's results depend on beside the engine's description.

        Raises:
            BadInputError: As `run`.
            FailureError: As `run`.
        """
        if self._engine.deterministic:
            return []
        names = list(names)
        self.load(names, Stopwatch())
        return [self._graphs[name].identity for name in names]

    def run(
        self,
        name: str,
        inputs: dict[str, Tensor],
        into: Mapping[str, Tensor] | None = None,
        *,
        watch: Stopwatch,
    ) -> dict[str, Tensor]:
        """Run graph `name` on tensors of the engine, counting the time of loading as `load`.

        Outputs that `into` has a place for are written there.

        Raises:
            BadInputError: The graph's file is not what the bundle's manifest describes,
                or (when it is asked for) an output is not among the graph's.
            FailureError: The engine cannot load or run it.
        """
        self.load([name], watch)
        with engine_failures(self._engine):
            return _Outputs(self._graphs[name].run(inputs, into), name)

    def _obtain(self, names: Sequence[str]) -> list[Graph]:
        if self._original is not None:
            self._original.load(names, Stopwatch())
            loaded = self._original._graphs
            with engine_failures(self._engine):
                return [loaded[name].twin(self._engine) for name in names]
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._load, names))

    def _load(self, name: str) -> Graph:
        exact = name in self._bundle.exact_graphs
        precision: Precision = "float32" if exact else self._engine.precision
        model = self._bundle.read_graph(name, precision)
        with engine_failures(self._engine):
            return self._engine.load(model, name, precision)


@contextmanager
def engine_failures(engine: Engine) -> Iterator[None]:
    """Turns what goes wrong in an engine into a failure that names it.

    Raises:
        FailureError: The engine cannot do something that was asked of it inside.
    """
    try:
        yield
    except EngineError as error:
        raise FailureError(f"engine {engine.name}: {error}") from error


class _Outputs(dict[str, Tensor]):
    """A graph's outputs, which a broken bundle may lack."""

    def __init__(self, outputs: dict[str, Tensor], graph: str) -> None:
        super().__init__(outputs)
        self._graph = graph

    def __missing__(self, name: str) -> Tensor:
        raise BadInputError(f"broken bundle: graph '{self._graph}' has no output '{name}'")
