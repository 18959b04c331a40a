"""TensorRT-RTX compiles kernels when a plan meets a GPU and shapes; what it compiled is kept."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from cca_engines.forked import Owned
from cca_engines.tensorrt.module import TensorRt
from cca_engines.user_cache import cache_directory, read_private, write_private

_LARGEST = 64 << 20
"""Bytes kept on disk for a plan. Kernels are compiled for each set of shapes: a collection of
pictures of all sizes would fill it."""


class JitKernels:
    """The kernels compiled for one loaded plan, in memory for all contexts, and in a file.

    Attributes:
        settings: The `IRuntimeConfig` that contexts are to be created with.
    """

    def __init__(self, library: TensorRt, engine: Any, identity: str) -> None:
        """The kernels that the user's cache has, if they fit GPU, driver and version.

        Args:
            library: `tensorrt_rtx`.
            engine: The plan's `ICudaEngine`.
            identity: Of the plan.
        """
        directory = cache_directory()
        self._path = directory / "kernels" / f"{identity}.kernels" if directory else None
        module, what = library.module, f"engine '{library.name}'"
        settings = engine.create_runtime_config()
        settings.set_execution_context_allocation_strategy(
            module.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        # By default kernels for some shapes are compiled in the background and replace slower
        # ones once they are ready. Their results may differ: a picture would be coded in
        # one of two ways, and neither could be recorded as a CUDA graph for good.
        settings.dynamic_shapes_kernel_specialization_strategy = (
            module.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        cache = settings.create_runtime_cache()
        if self._path is not None:
            kernels = read_private(self._path, _LARGEST)
            if kernels is not None:
                cache.deserialize(kernels)  # refuses what does not fit
        settings.set_runtime_cache(cache)
        self.settings, self._cache = Owned(settings, what), Owned(cache, what)
        self._saved = len(self._serialise())

    def save(self) -> None:
        """Write the file if kernels were compiled since; without it they are, each time."""
        kernels = self._serialise()
        if self._path is not None and self._saved < len(kernels) <= _LARGEST:
            self._saved = len(kernels)
            with suppress(OSError):
                write_private(self._path, kernels)

    def _serialise(self) -> bytes:
        return bytes(memoryview(self._cache.get().serialize()))
