"""A plan in GPU memory: weights and kernels, which the threads of a process share."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from cca_engines.engine import EngineError
from cca_engines.forked import Owned
from cca_engines.tensorrt.jit import JitKernels
from cca_engines.tensorrt.messages import Messages
from cca_engines.tensorrt.module import TensorRt

_PROFILE = 0  # plans are built with one


@dataclass(frozen=True)
class Port:
    """An input or output of a plan.

    Attributes:
        dtype: Of its values.
        smallest: Least size of each dimension, for an input.
        largest: Greatest size, for an input.
    """

    dtype: np.dtype[Any]
    smallest: tuple[int, ...] = ()
    largest: tuple[int, ...] = ()

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an input's shape is among those that the plan was built for."""
        return len(shape) == len(self.smallest) and all(
            low <= side <= high
            for low, side, high in zip(self.smallest, shape, self.largest, strict=True)
        )


class LoadedPlan:
    """A deserialised plan and what is to be known of it.

    Attributes:
        name: The graph's name, for errors.
        identity: Its hash, 16 hexadecimal digits.
        library: The module that runs it.
        kernels: What TensorRT-RTX has compiled for it; None with TensorRT.
        inputs: By name, in the plan's order.
        outputs: Likewise.
    """

    def __init__(self, library: TensorRt, runtime: Any, plan: bytes, name: str) -> None:
        """Put a plan into GPU memory.

        Args:
            library: The module that is to run it.
            runtime: Its `Runtime`.
            plan: The serialised plan.
            name: The graph's name.

        Raises:
            EngineError: It is broken, was built by another version or for another GPU, or the
                GPU has no room for it.
        """
        self.name = name
        self.identity = hashlib.sha256(plan).hexdigest()[:16]
        self.library = library
        with library.log.listen() as messages:
            engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self.failure(f"cannot be loaded by {library.name} {library.version}", messages)
        self._engine = Owned(engine, f"engine '{library.name}'")
        self._turn = threading.Lock()
        self.kernels = None
        if library.compiles_when_run:
            self.kernels = JitKernels(library, engine, self.identity)
        self.inputs: dict[str, Port] = {}
        self.outputs: dict[str, Port] = {}
        self._read_ports(library.module, engine)

    def _read_ports(self, module: Any, engine: Any) -> None:
        for index in range(engine.num_io_tensors):
            port = engine.get_tensor_name(index)
            dtype = np.dtype(module.nptype(engine.get_tensor_dtype(port)))
            if engine.get_tensor_mode(port) == module.TensorIOMode.INPUT:
                least, _, most = engine.get_tensor_profile_shape(port, _PROFILE)
                self.inputs[port] = Port(dtype, tuple(least), tuple(most))
            else:
                self.outputs[port] = Port(dtype)

    def create_context(self) -> Any:
        """An `IExecutionContext` without working memory.

        Raises:
            EngineError: TensorRT refused, for instance for lack of memory.
        """
        engine = self._engine.get()
        if self.kernels is not None:
            settings = self.kernels.settings.get()
        else:
            settings = self.library.module.ExecutionContextAllocationStrategy.USER_MANAGED
        with self._turn, self.library.log.listen() as messages:
            context = engine.create_execution_context(settings)
        if context is None:
            raise self.failure("cannot be run", messages)
        return context

    def failure(self, what: str, messages: Messages) -> EngineError:
        """An error about this plan, with what the module said."""
        reason = messages.reason(f"{self.library.name} does not say why")
        return EngineError(f"graph '{self.name}': its plan {what}: {reason}")
