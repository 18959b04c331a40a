"""Graphs on TensorRT."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cca_engines.cuda.memory import DeviceTensor
from cca_engines.engine import Engine, EngineError, OutputError, Tensor, check_inputs
from cca_engines.tensorrt.contexts import Context, Shape
from cca_engines.tensorrt.loaded import LoadedPlan, Port

if TYPE_CHECKING:
    from cca_engines.tensorrt.engine import TensorRtEngine

_CONTEXTS = 4
"""Sets of shapes for which a graph keeps a context, those run last."""


class TensorRtGraph:
    """A loaded plan and its contexts on one engine's stream."""

    def __init__(self, plan: LoadedPlan, engine: TensorRtEngine) -> None:
        self._plan = plan
        self._engine = engine
        self._contexts: OrderedDict[tuple[Shape, ...], Context] = OrderedDict()

    @property
    def inputs(self) -> Sequence[str]:
        """Input names, in the graph's order."""
        return list(self._plan.inputs)

    @property
    def outputs(self) -> Sequence[str]:
        """Output names, in the graph's order."""
        return list(self._plan.outputs)

    @property
    def identity(self) -> str:
        """The plan's hash: kernels are chosen by timing them, so each build may differ."""
        return self._plan.identity

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Put one run on the engine's stream (see `cca_engines.engine.Graph.run`)."""
        check_inputs(self, self._plan.name, inputs)
        context = self._context({name: inputs[name] for name in self._plan.inputs})
        outputs = self._places(context, into or {})
        working_memory = self._engine.working_memory(context.working_memory, self._plan.name)
        tensors = {name: inputs[name].address for name in self._plan.inputs}
        tensors |= {name: tensor.address for name, tensor in outputs.items()}
        context.run(tensors, working_memory)
        return outputs

    def twin(self, engine: Engine) -> TensorRtGraph:
        """The same plan with contexts of its own (see `cca_engines.engine.Graph.twin`)."""
        return TensorRtGraph(self._plan, cast("TensorRtEngine", engine))

    def _context(self, inputs: Mapping[str, DeviceTensor]) -> Context:
        """The context for the inputs' shapes."""
        for name, tensor in inputs.items():
            self._check_input(name, self._plan.inputs[name], tensor)
        shapes = tuple(tensor.shape for tensor in inputs.values())
        context = self._contexts.pop(shapes, None)
        if context is None:
            if len(self._contexts) == _CONTEXTS:
                self._contexts.popitem(last=False)
            named = dict(zip(inputs, shapes, strict=True))
            context = Context(self._plan, named, self._engine, record=self._engine.records)
        self._contexts[shapes] = context
        return context

    def _check_input(self, name: str, port: Port, tensor: DeviceTensor) -> None:
        graph = f"graph '{self._plan.name}'"
        if tensor.dtype != port.dtype:
            raise EngineError(f"{graph} takes '{name}' as {port.dtype}, not as {tensor.dtype}")
        if not port.takes(tensor.shape):
            raise EngineError(
                f"{graph}: its plan takes '{name}' of {list(port.smallest)} to "
                f"{list(port.largest)}, not {list(tensor.shape)}: build plans for such shapes "
                f"with cca-export --bundle BUNDLE --engine {self._engine.name} "
                "--shapes WIDTHxHEIGHT"
            )

    def _places(self, context: Context, into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A tensor for each output: from `into`, or a new one."""
        surplus = set(into) - set(context.outputs)
        if surplus:
            raise OutputError(f"graph '{self._plan.name}' has no outputs {sorted(surplus)}")
        places = {}
        for name, shape in context.outputs.items():
            dtype = self._plan.outputs[name].dtype
            place = into.get(name)
            if place is None:
                place = self._engine.empty(shape, dtype)
            elif place.shape != shape or place.dtype != dtype:
                raise OutputError(
                    f"graph '{self._plan.name}' gives {dtype} {list(shape)} as '{name}', "
                    f"expected {place.dtype} {list(place.shape)}"
                )
            places[name] = place
        return places
