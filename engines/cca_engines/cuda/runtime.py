"""The part of the CUDA runtime that engines use, every status checked.

`cuda.bindings.runtime` has no type information and returns (status, values...) from each
call; here calls return values, and what goes wrong is an `EngineError` that says what to do.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar, TypeAlias

from cca_engines.cuda.failures import OutOfMemoryError, describe_failure
from cca_engines.engine import EngineError
from cca_engines.forked import Origin

Handle: TypeAlias = Any
"""A stream, a captured graph or one that can be launched: opaque, `int()` gives its address."""


class CudaRuntime:
    """CUDA on the first GPU that the environment variable CUDA_VISIBLE_DEVICES leaves visible."""

    # Where it answered first. It never does in a process that was forked from there.
    _origin: ClassVar[Origin | None] = None

    def __init__(self, library: Any) -> None:
        self._library = library

    def properties(self) -> Any:
        """The GPU's `cudaDeviceProp`.

        Raises:
            EngineError: No GPU, no driver, or one that does not fit.
        """
        # Tells a missing driver from missing hardware, which asking for properties does not.
        if self._call("cudaGetDeviceCount") == 0:
            raise EngineError(describe_failure(self._library, "cudaErrorNoDevice"))
        return self._call("cudaGetDeviceProperties", 0)

    def versions(self) -> tuple[int, int]:
        """CUDA versions of driver and runtime, 1000 times the major and 10 times the minor."""
        return self._call("cudaDriverGetVersion"), self._call("cudaRuntimeGetVersion")

    def memory_info(self) -> tuple[int, int]:
        """Free bytes of GPU memory, and all."""
        free, total = self._call("cudaMemGetInfo")
        return free, total

    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the GPU.

        Raises:
            OutOfMemoryError: It has no room for them.
        """
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Give back what `allocate` gave and no work is left to use."""
        self._call("cudaFree", address)

    def allocate_pinned(self, size: int) -> int:
        """Address of `size` bytes on the host that the GPU copies from and to by itself.

        Raises:
            OutOfMemoryError: The host has no room for them, or may not pin so much.
        """
        return int(self._call("cudaHostAlloc", size, 0))

    def free_pinned(self, address: int) -> None:
        """Give back what `allocate_pinned` gave and no work is left to use."""
        self._call("cudaFreeHost", address)

    def copy_to_device(self, target: int, source: int, size: int, stream: Handle) -> None:
        """Ask for a copy of `size` bytes from pinned memory to the GPU."""
        self._copy(target, source, size, "cudaMemcpyHostToDevice", stream)

    def copy_to_host(self, target: int, source: int, size: int, stream: Handle) -> None:
        """Ask for a copy of `size` bytes from the GPU to pinned memory."""
        self._copy(target, source, size, "cudaMemcpyDeviceToHost", stream)

    def create_stream(self) -> Handle:
        """A stream that never waits for the default stream."""
        return self._call("cudaStreamCreateWithFlags", self._library.cudaStreamNonBlocking)

    def synchronize(self, stream: Handle) -> None:
        """Wait until all that was asked of a stream is done.

        Raises:
            EngineError: Some of it has failed.
        """
        self._call("cudaStreamSynchronize", stream)

    def destroy_stream(self, stream: Handle) -> None:
        """Give back what `create_stream` gave."""
        self._call("cudaStreamDestroy", stream)

    def begin_capture(self, stream: Handle) -> None:
        """From now on record what this thread asks of a stream, rather than do it."""
        mode = self._library.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: Handle) -> Handle:
        """What was recorded.

        Raises:
            EngineError: Something was asked for that cannot be recorded.
        """
        return self._call("cudaStreamEndCapture", stream)

    def instantiate(self, graph: Handle) -> Handle:
        """Make a recorded graph ready to be launched; the recording itself is given back."""
        try:
            return self._call("cudaGraphInstantiate", graph, 0)
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, executable: Handle, stream: Handle) -> None:
        """Ask for all that a graph holds."""
        self._call("cudaGraphLaunch", executable, stream)

    def destroy_executable(self, executable: Handle) -> None:
        """Give back what `instantiate` gave; a launch under way is finished first."""
        self._call("cudaGraphExecDestroy", executable)

    def _copy(self, target: int, source: int, size: int, kind: str, stream: Handle) -> None:
        direction = getattr(self._library.cudaMemcpyKind, kind)
        self._call("cudaMemcpyAsync", target, source, size, direction, stream)

    def _call(self, function: str, *arguments: Any) -> Any:
        """What a function of the library returns after its status; several values as a tuple."""
        if self._origin is not None:
            self._origin.check(
                "CUDA", "it works in none that is forked, start it by spawning, or use the CPU"
            )
        try:
            status, *values = getattr(self._library, function)(*arguments)
        except RuntimeError as error:  # from releases that load the driver's library themselves
            message = describe_failure(self._library, "cudaErrorInsufficientDriver")
            raise EngineError(message) from error
        if status == self._library.cudaError_t.cudaSuccess:
            CudaRuntime._origin = self._origin or Origin()
            return values[0] if len(values) == 1 else tuple(values)
        message = describe_failure(self._library, status.name)
        if status == self._library.cudaError_t.cudaErrorMemoryAllocation:
            raise OutOfMemoryError(message)
        raise EngineError(message)


def load_runtime() -> CudaRuntime:
    """The CUDA runtime of the package `cuda-bindings`; needs neither driver nor GPU.

    Raises:
        EngineError: The package is missing or broken.
    """
    try:
        return CudaRuntime(importlib.import_module("cuda.bindings.runtime"))
    except ImportError as error:
        raise EngineError(
            f"cuda.bindings cannot be imported ({error}); "
            "install it with: pip install cuda-bindings"
        ) from error
