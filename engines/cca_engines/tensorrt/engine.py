"""TensorRT and TensorRT-RTX on a GPU: an engine of plans."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

from cca_engines.backend import Backend
from cca_engines.cuda.device import Device, open_device
from cca_engines.cuda.runtime import CudaRuntime, load_runtime
from cca_engines.engine import Capabilities, Engine, EngineError, PlanOptions, Precision
from cca_engines.forked import Owned
from cca_engines.tensorrt.graph import TensorRtGraph
from cca_engines.tensorrt.loaded import LoadedPlan
from cca_engines.tensorrt.memory import PlanMemory
from cca_engines.tensorrt.module import TensorRt, load_tensorrt
from cca_engines.tensorrt.plans import SUFFIX
from cca_engines.tensorrt.provide import provide_plan

# Kernels put on the stream one by one, or repeated runs as CUDA graphs; results are the same.
_OPTIMISATIONS = ("streams", "graphs")
_DEFAULT_OPTIMISATION = "graphs"


@dataclass(frozen=True)
class _Shared:
    """What an engine's contexts have in common.

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


class TensorRtEngine(PlanMemory, Engine):
    """One of the two modules on one GPU, with a stream of its own."""

    capabilities = Capabilities(
        precisions=("float16",),
        optimisations=_OPTIMISATIONS,
        deterministic=False,
        batch=8,
        host_memory=False,
    )

    def __init__(self, shared: _Shared) -> None:
        super().__init__(shared.cuda, records=shared.records)
        self._shared = shared

    @property
    def name(self) -> str:
        """`tensorrt` or `tensorrt-rtx`."""
        return self._shared.library.name

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

    def new_context(self) -> TensorRtEngine:
        """An engine with a stream and memory of its own."""
        return TensorRtEngine(self._shared)


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


def tensorrt_backend(name: str) -> Backend:
    """How `tensorrt` or `tensorrt-rtx` is opened."""
    return Backend(TensorRtEngine.capabilities, partial(open_tensorrt, name))
