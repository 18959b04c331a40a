"""ONNX Runtime on the CPU: the default engine."""

from __future__ import annotations

from collections.abc import Mapping

from cca_engines.backend import Backend
from cca_engines.engine import Capabilities, Engine, Graph, PlanOptions, Precision, Tensor
from cca_engines.failures import explain
from cca_engines.forked import Origin, Owned
from cca_engines.host import deliver
from cca_engines.privacy import unreported
from cca_engines.processor import instruction_set, usable_cores

with unreported():
    import onnxruntime as ort

_LEVELS = {
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_DEFAULT_OPTIMISATION = "all"

# Warnings about graph optimisation are for the exporter's developers, and errors arrive as
# exceptions: nothing is to be printed.
_LOG_NOTHING = 4

# Where an application has imported the library before, this is all that can be done.
ort.disable_telemetry_events()


_WHAT = "engine 'onnxruntime'"


class OnnxRuntimeGraph(Graph):
    """One ONNX Runtime session, which any number of threads may run."""

    def __init__(self, session: ort.InferenceSession, name: str) -> None:
        inputs = [value.name for value in session.get_inputs()]
        super().__init__(name, inputs, [value.name for value in session.get_outputs()])
        self._session = Owned(session, _WHAT)

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run the graph once on host arrays (see `cca_engines.engine.Graph.run`)."""
        self.check_inputs(inputs)
        session = self._session.get()
        try:
            values = session.run(self.outputs, dict(inputs))
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise explain(error, f"graph '{self.name}' failed") from error
        return deliver(dict(zip(self.outputs, values, strict=True)), into, self.name)


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime's CPU execution provider in float32, which has no state."""

    name = "onnxruntime"
    capabilities = Capabilities(optimisations=tuple(_LEVELS))

    def __init__(self, threads: int, optimisation: str) -> None:
        self._threads = threads
        self._optimisation = optimisation
        self._origin = Origin()

    @property
    def description(self) -> str:
        """Version, settings and processor (see `cca_engines.engine.Engine.description`)."""
        return (
            f"onnxruntime {ort.__version__} float32, optimisation {self._optimisation}, "
            f"{self._threads} threads, {instruction_set()}"
        )

    def load(
        self,
        model: bytes,
        name: str,
        precision: Precision = "float32",  # noqa: ARG002 - it has no other
    ) -> OnnxRuntimeGraph:
        """Load an ONNX model from memory (see `cca_engines.engine.Engine.load`)."""
        self._origin.check(_WHAT)
        options = ort.SessionOptions()
        options.log_severity_level = _LOG_NOTHING
        options.intra_op_num_threads = self._threads
        options.graph_optimization_level = _LEVELS[self._optimisation]
        # One process often holds several sessions (one a graph) that run in turn:
        # spinning workers of an idle session would steal the cores of the busy one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(
                model,
                options,
                providers=["CPUExecutionProvider"],
                # It would print to standard output that it tries the same once more.
                enable_fallback=0,
            )
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise explain(error, f"graph '{name}' cannot be loaded") from error
        return OnnxRuntimeGraph(session, name)

    def concurrency(self, workers: int) -> OnnxRuntimeEngine:
        """An engine of fewer threads: who runs a session is one of them, and shares the others."""
        threads = max(1, self._threads - workers + 1)
        return self if threads == self._threads else OnnxRuntimeEngine(threads, self._optimisation)


def open_engine(
    *,
    threads: int | None = None,
    optimisation: str | None = None,
    precision: Precision | None = None,  # noqa: ARG001 - there is one
    plans: PlanOptions | None = None,  # noqa: ARG001 - it compiles while loading
) -> OnnxRuntimeEngine:
    """The engine on this machine's CPU (see `cca_engines.registry.open_engine`)."""
    return OnnxRuntimeEngine(threads or usable_cores(), optimisation or _DEFAULT_OPTIMISATION)


BACKEND = Backend(OnnxRuntimeEngine.capabilities, open_engine)
