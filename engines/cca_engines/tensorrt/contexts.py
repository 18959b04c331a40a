"""An execution context of a loaded plan, for one stream and one set of input shapes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from cca_engines.cuda.memory import CudaMemory
from cca_engines.engine import EngineError
from cca_engines.forked import Owned
from cca_engines.tensorrt.cuda_graphs import CudaGraphs
from cca_engines.tensorrt.loaded import LoadedPlan
from cca_engines.tensorrt.messages import Messages

Shape = tuple[int, ...]


class Context:
    """Runs a plan on inputs of one set of shapes, which it keeps.

    What a CUDA graph has recorded of a context may use state that the context keeps for its
    current shapes, so a context with recordings must keep them ("CUDA Graphs" in
    TensorRT's developer guide).

    Attributes:
        outputs: The outputs' shapes.
        working_memory: Bytes it needs for what lies between its layers.
    """

    def __init__(
        self, plan: LoadedPlan, shapes: Mapping[str, Shape], memory: CudaMemory, *, record: bool
    ) -> None:
        """A context at `shapes`, by input.

        Args:
            plan: What it runs.
            shapes: Of each input.
            memory: Whose stream it works on.
            record: Whether repeated launches become CUDA graphs.

        Raises:
            EngineError: TensorRT refused.
        """
        self._plan = plan
        self._stream = memory.stream
        self._graphs = CudaGraphs(memory.runtime, memory.stream) if record else None
        context = plan.create_context()
        self._context = Owned(context, f"engine '{plan.library.name}'")
        self._bound: tuple[int, ...] | None = None
        self._has_run = False
        with plan.library.log.listen() as messages:
            for name, shape in shapes.items():
                if not context.set_input_shape(name, shape):
                    raise plan.failure(f"refuses '{name}' of shape {list(shape)}", messages)
            self.outputs = {name: tuple(context.get_tensor_shape(name)) for name in plan.outputs}
            if any(side < 0 for shape in self.outputs.values() for side in shape):
                raise plan.failure(f"does not tell its outputs' shapes, {self.outputs}", messages)
            self.working_memory: int = context.update_device_memory_size_for_shapes()

    def run(self, tensors: Mapping[str, int], working_memory: int) -> None:
        """Put one run on the stream.

        Args:
            tensors: The address of each input and output, always in the same order.
            working_memory: The address of so much memory.

        Raises:
            EngineError: TensorRT refused.
        """
        memory = (working_memory, *tensors.values())

        def enqueue() -> None:
            with self._plan.library.log.listen() as messages:
                if memory != self._bound:
                    self._bind(tensors, working_memory, messages)
                    self._bound = memory
                if not self._context.get().execute_async_v3(int(self._stream.handle)):
                    raise self._plan.failure("failed", messages)

        if self._graphs is None:
            enqueue()
        else:
            self._graphs.launch(memory, enqueue)
        if not self._has_run:
            self._has_run = True
            if self._plan.kernels is not None:  # the first run has compiled them
                self._plan.kernels.save()

    def _bind(self, tensors: Mapping[str, int], working_memory: int, messages: Messages) -> None:
        self._bound = None
        context = self._context.get()
        context.set_device_memory(working_memory, self.working_memory)
        for name, address in tensors.items():
            if not context.set_tensor_address(name, address):
                raise self._plan.failure(f"refuses the memory for '{name}'", messages)

    def __del__(self) -> None:
        # At a process's end CUDA may be gone already.
        with suppress(EngineError):
            self._stream.synchronize()  # its work may still use what goes with the context
        if self._graphs is not None:
            self._graphs.clear()
