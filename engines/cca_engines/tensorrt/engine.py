"""TensorRT and TensorRT-RTX on a GPU: an engine of plans."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from cca_engines.cuda.device import Device, open_device
from cca_engines.cuda.memory import CudaMemory
from cca_engines.cuda.pool import Block
from cca_engines.cuda.runtime import CudaRuntime, load_runtime
from cca_engines.engine import Engine, EngineError, PlanOptions, Precision
from cca_engines.forked import Owned
from cca_engines.tensorrt.graph import TensorRtGraph
from cca_engines.tensorrt.loaded import LoadedPlan
from cca_engines.tensorrt.module import TensorRt, load_tensorrt
from cca_engines.tensorrt.plans import SUFFIX
from cca_engines.tensorrt.provide import provide_plan

OPTIMISATIONS = ("streams", "graphs")
PRECISIONS: tuple[Precision, ...] = ("float16",)
"""Kernels put on the stream one by one, or repeated runs as CUDA graphs; results are the same."""
_DEFAULT_OPTIMISATION = "graphs"


@dataclass(frozen=True)
class _Shared:
    """What an engine and its twins have in common.

    Attributes:
        library: The module.
        cuda: The CUDA runtime.
        device: The GPU.
        runtime: The module's `Runtime`.
        plans: Where plans lie, and what new ones have to take.
        records: Whether repeated runs become CUDA graphs.
        loading: Held while a plan is built or loaded. Kernels are chosen by timing them, which
            goes wrong while others run.
    """

    library: TensorRt
    cuda: CudaRuntime
    device: Device
    runtime: Owned[Any]
    plans: PlanOptions
    records: bool
    loading: threading.Lock


class TensorRtEngine(CudaMemory):
    """One of the two modules on one GPU, with a stream of its own.

    Attributes:
        name: `tensorrt` or `tensorrt-rtx`.
        records: Whether its graphs' repeated runs become CUDA graphs.
    """

    deterministic = False
    precision: Precision = "float16"
    batch = 8  # one small picture keeps few of a GPU's cores busy

    def __init__(self, shared: _Shared) -> None:
        super().__init__(shared.cuda)
        self.name = shared.library.name
        self.records = shared.records
        self._shared = shared
        self._working_memory: Block | None = None
        self._working_bytes = 0

    @property
    def description(self) -> str:
        """Module, GPU and driver (see `cca_engines.engine.Engine.description`)."""
        return f"{self.name} {self._shared.library.version} {self.precision}, {self._shared.device}"

    def load(
        self,
        model: bytes,
        name: str,
        precision: Precision = "float32",  # noqa: ARG002 - networks are strongly typed
    ) -> TensorRtGraph:
        """Load the plan of an ONNX model, or build it (see `cca_engines.engine.Engine.load`)."""
        shared = self._shared
        runtime = shared.runtime.get()
        with shared.loading:
            target = shared.library.target(shared.device)
            plan = provide_plan(shared.library, target, model, name, shared.plans)
            return TensorRtGraph(LoadedPlan(shared.library, runtime, plan, name), self)

    def among(self, workers: int) -> TensorRtEngine:  # noqa: ARG002
        """The engine itself: the GPU shares itself out."""
        return self

    def twin(self) -> TensorRtEngine:
        """An engine with a stream and memory of its own."""
        return TensorRtEngine(self._shared)

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


def open_tensorrt(
    name: str,
    *,
    threads: int | None = None,  # noqa: ARG001 - the GPU has its own
    optimisation: str | None = None,
    precision: Precision | None = None,  # noqa: ARG001 - there is one
    plans: PlanOptions | None = None,
) -> Engine:
    """Engine `tensorrt` or `tensorrt-rtx` (see `cca_engines.registry.open_engine`).

    Raises:
        EngineError: A module is missing, or there is no GPU, or no driver that fits.
    """
    if plans is None:
        raise EngineError(f"engine '{name}' compiles graphs and was not told for which shapes")
    library = load_tensorrt(name)
    cuda = load_runtime()
    device = open_device(cuda)
    with library.log.listen() as messages:
        runtime = library.module.Runtime(library.log.logger)
    if runtime is None:
        raise EngineError(f"{name} cannot be started: {messages.reason('it does not say why')}")
    for directory in plans.distrusted:
        if any(directory.glob(f"*{SUFFIX}")):
            plans.note(
                f"the plans in {str(directory)!a} are code, and not used unless they are trusted "
                "(--trust-plans, trust_plans=True): others are taken from the cache, or built"
            )
    records = (optimisation or _DEFAULT_OPTIMISATION) == "graphs"
    own = Owned(runtime, f"engine '{name}'")
    return TensorRtEngine(_Shared(library, cuda, device, own, plans, records, threading.Lock()))
