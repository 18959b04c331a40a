"""Graphs on TensorRT."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

from cca_engines.cuda.memory import DeviceTensor
from cca_engines.engine import Engine, EngineError, Graph, OutputError, Tensor
from cca_engines.tensorrt.contexts import Context, Shape
from cca_engines.tensorrt.loaded import LoadedPlan, Port
from cca_engines.tensorrt.memory import PlanMemory

_CONTEXTS = 4
"""Sets of shapes for which a graph keeps a context, those run last."""


class TensorRtGraph(Graph):
    """A loaded plan and its contexts on one engine's stream.

    Its identity is the plan's hash: kernels are chosen by timing them, so each build may differ.
    """

    def __init__(self, plan: LoadedPlan, memory: PlanMemory) -> None:
        super().__init__(plan.name, list(plan.inputs), list(plan.outputs), plan.identity)
        self._plan = plan
        self._memory = memory
        self._contexts: OrderedDict[tuple[Shape, ...], Context] = OrderedDict()

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Put one run on the engine's stream (see `cca_engines.engine.Graph.run`)."""
        self.check_inputs(inputs)
        context = self._context({name: inputs[name] for name in self._plan.inputs})
        outputs = self._places(context, into or {})
        working_memory = self._memory.working_memory(context.working_memory, self.name)
        tensors = {name: inputs[name].address for name in self._plan.inputs}
        tensors |= {name: tensor.address for name, tensor in outputs.items()}
        context.run(tensors, working_memory)
        return outputs

    def new_context(self, engine: Engine) -> TensorRtGraph:
        """The same plan with contexts of its own (see `cca_engines.engine.Graph.new_context`)."""
        return TensorRtGraph(self._plan, cast("PlanMemory", engine))

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
            context = Context(self._plan, named, self._memory, record=self._memory.records)
        self._contexts[shapes] = context
        return context

    def _check_input(self, name: str, port: Port, tensor: DeviceTensor) -> None:
        graph = f"graph '{self.name}'"
        if tensor.dtype != port.dtype:
            raise EngineError(f"{graph} takes '{name}' as {port.dtype}, not as {tensor.dtype}")
        if not port.takes(tensor.shape):
            raise EngineError(
                f"{graph}: its plan takes '{name}' of {list(port.smallest)} to "
                f"{list(port.largest)}, not {list(tensor.shape)}: build plans for such shapes "
                f"with cca-export --bundle BUNDLE --engine {self._plan.library.name} "
                "--shapes WIDTHxHEIGHT"
            )

    def _places(self, context: Context, into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A tensor for each output: from `into`, or a new one."""
        surplus = set(into) - set(context.outputs)
        if surplus:
            raise OutputError(f"graph '{self.name}' has no outputs {sorted(surplus)}")
        places = {}
        for name, shape in context.outputs.items():
            dtype = self._plan.outputs[name].dtype
            place = into.get(name)
            if place is None:
                place = self._memory.empty(shape, dtype)
            elif place.shape != shape or place.dtype != dtype:
                raise OutputError(
                    f"graph '{self.name}' gives {dtype} {list(shape)} as '{name}', "
                    f"expected {place.dtype} {list(place.shape)}"
                )
            places[name] = place
        return places
