"""What graphs on TensorRT share on one stream: memory, and how they are launched."""

from __future__ import annotations

from cca_engines.cuda.memory import CudaMemory
from cca_engines.cuda.pool import Block
from cca_engines.cuda.runtime import CudaRuntime


class PlanMemory(CudaMemory):
    """GPU memory for plans that run one after the other.

    Attributes:
        records: Whether repeated runs become CUDA graphs.
    """

    def __init__(self, runtime: CudaRuntime, *, records: bool) -> None:
        super().__init__(runtime)
        self.records = records
        self._working_memory: Block | None = None
        self._working_bytes = 0

    def working_memory(self, size: int, graph: str) -> int:
        """The address of what graphs use between their layers.

        It is the same for all: on one stream they run one after the other.

        Args:
            size: Bytes that are needed.
            graph: The graph's name.

        Raises:
            EngineError: The GPU has no room.
        """
        if self._working_memory is None or size > self._working_bytes:
            self._working_memory = None  # so that it can be given back to make room
            self._working_memory = self.take(size, f"what graph '{graph}' computes with")
            self._working_bytes = size
        return self._working_memory.address
