"""The graphs of one bundle on one engine."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cca_engines import Engine, EngineError, Graph, OutputError, Precision, Tensor
from cca_engines.failures import explain, is_of_memory
from cca_engines.forked import Origin

from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError, CcaError, FailureError
from cca_runtime.stopwatch import Stopwatch


class GraphRunner:
    """Runs a bundle's graphs by name; each is loaded when first needed, and kept.

    Several threads may load graphs at a time, and one at a time may run them.
    """

    def __init__(self, bundle: Bundle, engine: Engine, original: GraphRunner | None = None) -> None:
        self._bundle = bundle
        self._engine = engine
        self._original = original
        self._origin = Origin()
        self._graphs: dict[str, Graph] = {}
        self._turn = threading.Lock()

    @property
    def names(self) -> Sequence[str]:
        """Of all graphs, in the order of their numbers in the core's steps."""
        return list(self._bundle.graphs)

    def new_context(self, engine: Engine) -> GraphRunner:
        """The same graphs for another thread, which are still loaded only once.

        Args:
            engine: A context of this one's engine.
        """
        return GraphRunner(self._bundle, engine, self)

    def load(self, names: Iterable[str], watch: Stopwatch) -> None:
        """Load several graphs at once: engines compile a graph on one thread.

        Raises:
            BadInputError: As `run`.
            FailureError: As `run`.
        """
        names = list(names)
        with engine_failures(self._engine):
            self._origin.check(f"engine '{self._engine.name}'")
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
        if self._engine.capabilities.deterministic:
            return []
        names = list(names)
        self.load(names, Stopwatch())
        return [self._graphs[name].identity for name in names]

    def run(
        self, name: str, inputs: dict[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run graph `name` on tensors of the engine, loading it if it is not there.

        Outputs that `into` has a place for are written there.

        Raises:
            BadInputError: The graph's file is not what the bundle's manifest describes, or the
                graph has other outputs than that says.
            FailureError: The engine cannot load or run it.
        """
        self.load([name], Stopwatch())
        with engine_failures(self._engine):
            try:
                return self._graphs[name].run(inputs, into)
            except OutputError as error:
                raise BadInputError(f"broken bundle: {error}") from error

    def _obtain(self, names: Sequence[str]) -> list[Graph]:
        if self._original is not None:
            self._original.load(names, Stopwatch())
            loaded = self._original._graphs
            with engine_failures(self._engine):
                return [loaded[name].new_context(self._engine) for name in names]
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._load, names))

    def _load(self, name: str) -> Graph:
        exact = name in self._bundle.exact_graphs
        precision: Precision = "float32" if exact else self._engine.precision
        model = self._bundle.read_graph(name, precision)
        with engine_failures(self._engine):
            graph = self._engine.load(model, name, precision)
        _check_names(name, graph.outputs, self._bundle.outputs[name])
        return graph


def _check_names(graph: str, names: Sequence[str], expected: Sequence[str]) -> None:
    """Refuse a graph that gives more than the manifest says, less, or something else."""
    if sorted(names) == sorted(expected):
        return
    missing, surplus = sorted({*expected} - {*names}), sorted({*names} - {*expected})
    if missing:
        raise BadInputError(f"broken bundle: graph '{graph}' has no output '{missing[0]}'")
    odd = surplus[0] if surplus else next(name for name in names if names.count(name) > 1)
    raise BadInputError(f"broken bundle: graph '{graph}' has an output {odd!a} too many")


@contextmanager
def engine_failures(engine: Engine) -> Iterator[None]:
    """Turns what goes wrong in an engine into a failure that names it.

    Raises:
        FailureError: The engine cannot do something that was asked of it inside, or something
            went wrong that nobody foresaw.
    """
    try:
        yield
    except EngineError as error:
        message = str(error)
        named = message.startswith(f"engine '{engine.name}'")
        raise FailureError(message if named else f"engine {engine.name}: {message}") from error
    except CcaError:
        raise
    except Exception as error:
        what = f"engine {engine.name} failed"
        if not is_of_memory(error):
            what += f" unexpectedly, with {type(error).__name__}"
        raise FailureError(str(explain(error, what))) from error
