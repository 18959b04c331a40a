"""OpenVINO on the CPU, in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cca_engines.backend import Backend
from cca_engines.engine import (
    Capabilities,
    Engine,
    EngineError,
    Graph,
    PlanOptions,
    Precision,
    Tensor,
)
from cca_engines.failures import explain
from cca_engines.forked import Owned, Turns
from cca_engines.host import deliver
from cca_engines.privacy import unreported
from cca_engines.processor import instruction_set, usable_cores

with unreported():
    import openvino as ov

_HINTS: Mapping[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}

# Threads that hand inputs over at the same time have been seen to wait for each other for ever,
# inside OpenVINO's conversion of arrays. One request keeps all cores busy anyway. Its workers look
# for more to do for some milliseconds; a child of a fork in which one did so never ended.
_TURN = Turns(rest=0.2)

_WHAT = "engine 'openvino'"


class OpenVinoGraph(Graph):
    """One compiled model with one inference request."""

    def __init__(self, compiled: Owned[ov.CompiledModel], name: str) -> None:
        inputs = [port.any_name for port in compiled.get().inputs]
        super().__init__(name, inputs, [port.any_name for port in compiled.get().outputs])
        self._compiled = compiled
        self._request = Owned(compiled.get().create_infer_request(), _WHAT)

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run the graph once on host arrays (see `cca_engines.engine.Graph.run`)."""
        self.check_inputs(inputs)
        request = self._request.get()
        try:
            with _TURN:
                # Outputs are copied: the request writes the next ones into the same memory.
                values = request.infer(dict(inputs), share_inputs=True)
        except Exception as error:  # OpenVINO raises plain RuntimeError and TypeError
            raise explain(error, f"graph '{self.name}' failed") from error
        outputs = {name: values[index] for index, name in enumerate(self.outputs)}
        return deliver(outputs, into, self.name)

    def new_context(self, engine: Engine) -> OpenVinoGraph:  # noqa: ARG002
        """A request of its own on the same compiled model."""
        return OpenVinoGraph(self._compiled, self.name)


class OpenVinoEngine(Engine):
    """OpenVINO's CPU plugin, which decides by itself how to optimise. Only requests have state."""

    name = "openvino"
    capabilities = Capabilities(precisions=tuple(_HINTS))

    def __init__(self, threads: int, precision: Precision) -> None:
        """Take a number of threads.

        Raises:
            EngineError: The processor does not have this precision.
        """
        self._precision = precision
        self._threads = threads
        self._core = Owned(ov.Core(), _WHAT)
        if precision == "bfloat16" and "BF16" not in self._processor_features:
            raise EngineError(
                f"this processor does not compute in {precision}: leave the precision out"
            )

    @property
    def precision(self) -> Precision:
        """The one that it was opened with."""
        return self._precision

    @property
    def _processor_features(self) -> Sequence[str]:
        """What the processor can compute in, and other features, by OpenVINO's names."""
        # OpenVINO emulates bfloat16 on processors with AVX-512 alone, more slowly than float32.
        found: Sequence[str] = self._core.get().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return found

    @property
    def description(self) -> str:
        """Version, settings and processor (see `cca_engines.engine.Engine.description`)."""
        return (
            f"openvino {ov.__version__} {self.precision}, {self._threads} threads, "
            f"{instruction_set()}"
        )

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> OpenVinoGraph:
        """Load an ONNX model from memory (see `cca_engines.engine.Engine.load`)."""
        settings = {
            # Without these, what the processor has decides.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            # It would keep what it prepares for each size of picture, thousands of them, and
            # never give it back. Sizes that repeat are no faster for it.
            "CPU_RUNTIME_CACHE_CAPACITY": 0,
        }
        core = self._core.get()
        try:
            with _TURN.alongside():
                compiled = core.compile_model(core.read_model(model, b""), "CPU", settings)
        except Exception as error:  # OpenVINO raises plain RuntimeError and TypeError
            raise explain(error, f"graph '{name}' cannot be loaded") from error
        return OpenVinoGraph(Owned(compiled, _WHAT), name)

    def concurrency(self, workers: int) -> None:
        """None: its graphs keep all threads busy, and in streams of fewer are no faster."""


def open_engine(
    *,
    threads: int | None = None,
    optimisation: str | None = None,  # noqa: ARG001 - it has no levels
    precision: Precision | None = None,
    plans: PlanOptions | None = None,  # noqa: ARG001 - it compiles while loading
) -> OpenVinoEngine:
    """The engine on this machine's CPU (see `cca_engines.registry.open_engine`).

    Raises:
        EngineError: The processor does not have this precision.
    """
    return OpenVinoEngine(threads or usable_cores(), precision or "float32")


BACKEND = Backend(OpenVinoEngine.capabilities, open_engine)
