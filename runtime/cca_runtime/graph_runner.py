"""The graphs of one bundle on one engine."""

from __future__ import annotations

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

    def run(self, name: str, inputs: dict[str, Tensor], watch: Stopwatch) -> dict[str, Tensor]:
        """Run graph `name` on tensors of the engine, counting the time of loading as `load`.

        Raises:
            BadInputError: The graph's file is not what the bundle's manifest describes,
                or (when it is asked for) an output is not among the graph's.
            FailureError: The engine cannot load or run it.
        """
        try:
            if name not in self._graphs:
                with watch.stage("load"):
                    model = self._bundle.read_graph(name)
                    self._graphs[name] = self._engine.load(model, name)
            return _Outputs(self._graphs[name].run(inputs), name)
        except EngineError as error:
            raise FailureError(f"engine {self._engine.name}: {error}") from error


class _Outputs(dict[str, Tensor]):
    """A graph's outputs, which a broken bundle may lack."""

    def __init__(self, outputs: dict[str, Tensor], graph: str) -> None:
        super().__init__(outputs)
        self._graph = graph

    def __missing__(self, name: str) -> Tensor:
        raise BadInputError(f"broken bundle: graph '{self._graph}' has no output '{name}'")
