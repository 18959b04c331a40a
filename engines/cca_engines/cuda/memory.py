"""Tensors on a GPU, and the way to them and back, on one stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cca_engines.cuda.failures import OutOfMemoryError
from cca_engines.cuda.pool import Block, MemoryPool
from cca_engines.cuda.runtime import CudaRuntime
from cca_engines.engine import Array, EngineError, Tensor

_MIB = 1 << 20
_IDLE_PINNED = 256 * _MIB
"""Bytes of pinned memory kept for later: it is the whole machine's."""
_PENDING_UPLOADS = 256 * _MIB
"""Bytes of pinned memory that may wait for copies to the GPU before the host waits for them."""


class Stream:
    """A CUDA stream, destroyed with this object: work on it is done in the order asked for."""

    def __init__(self, runtime: CudaRuntime) -> None:
        self._runtime = runtime
        self.handle = runtime.create_stream()

    def synchronize(self) -> None:
        """Wait until all is done.

        Raises:
            EngineError: Some of it has failed.
        """
        if self.handle is not None:
            self._runtime.synchronize(self.handle)

    def __del__(self) -> None:
        # There is no handle if creating it failed; at a process's end CUDA may be gone already.
        with suppress(AttributeError, EngineError):
            # Of what refers to each other in a circle Python may drop this first, and then
            # memory that its work uses.
            self.synchronize()
            handle, self.handle = self.handle, None
            self._runtime.destroy_stream(handle)


@dataclass(frozen=True, eq=False)
class DeviceTensor:
    """A contiguous array in GPU memory.

    Attributes:
        address: Where its first value lies.
        shape: Its sizes.
        dtype: Of its values.
        owner: What keeps the memory alive.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, start: int, stop: int) -> DeviceTensor:
        """`self[start:stop]` in the same memory."""
        count, *rest = self.shape
        start, stop, _ = slice(start, stop).indices(count)
        row = math.prod(rest) * self.dtype.itemsize
        shape = (max(0, stop - start), *rest)
        return DeviceTensor(self.address + start * row, shape, self.dtype, self.owner)


class _PinnedBytes:
    """Lets NumPy arrays keep a pinned block: it is the base of them and of their views."""

    def __init__(self, block: Block, size: int) -> None:
        self._block = block
        self.__array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (block.address, False),
        }


class CudaMemory:
    """The part of an engine that is about memory (see `cca_engines.engine.Engine`).

    For one thread at a time. All that it asks of the GPU is on `stream`.
    """

    def __init__(self, runtime: CudaRuntime) -> None:
        """Memory of the GPU, none of it taken yet.

        Raises:
            EngineError: The GPU cannot be used.
        """
        self.runtime = runtime
        self.stream = Stream(runtime)
        _, total = runtime.memory_info()
        self._device = MemoryPool(
            runtime.allocate, _when_done(self.stream, runtime.free), limit=total // 4
        )
        self._pinned = MemoryPool(
            runtime.allocate_pinned,
            _when_done(self.stream, runtime.free_pinned),
            limit=_IDLE_PINNED,
        )
        self._uploads: list[tuple[Block, int]] = []  # what copies to the GPU have yet to read

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        """A tensor of any content on the GPU."""
        shape, dtype = tuple(shape), np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        block = self.take(size, f"a tensor of shape {list(shape)}")
        return DeviceTensor(block.address, shape, dtype, block)

    def take(self, size: int, purpose: str) -> Block:
        """GPU memory of any content, for work on `stream`.

        Args:
            size: Bytes.
            purpose: What to say it was for, if there is no room.

        Raises:
            EngineError: There is no room.
        """
        try:
            return self._device.take(size)
        except OutOfMemoryError as error:
            raise self.no_room(f"{purpose} ({_mib(size)})") from error

    def no_room(self, purpose: str) -> EngineError:
        """The error that the GPU has no room for something."""
        free, total = self.runtime.memory_info()
        return EngineError(
            f"the GPU has no room for {purpose}: {_mib(free)} of {_mib(total)} are free; "
            "end other programs that use it, or take a smaller picture"
        )

    def rows(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        """The rows in the same memory."""
        device: DeviceTensor = tensor
        return device.rows(start, stop)

    def to_device(self, array: Array) -> Tensor:
        """Copy an array to the GPU; it may change as soon as this returns."""
        tensor = self.empty(array.shape, array.dtype)
        if sum(size for _, size in self._uploads) + array.nbytes > _PENDING_UPLOADS:
            self._synchronize()
        block, values = self._pinned_array(tensor)
        np.copyto(values, array)
        self.runtime.copy_to_device(tensor.address, block.address, tensor.size, self.stream.handle)
        self._uploads.append((block, tensor.size))
        return tensor

    def to_host(self, tensor: Tensor) -> Array:
        """Wait for all that was asked for, and copy a tensor from the GPU."""
        block, values = self._pinned_array(tensor)
        self.runtime.copy_to_host(block.address, tensor.address, tensor.size, self.stream.handle)
        self._synchronize()
        return values

    def _pinned_array(self, tensor: DeviceTensor) -> tuple[Block, Array]:
        """Pinned memory, and an array in it like `tensor`, which keeps it."""
        try:
            block = self._pinned.take(tensor.size)
        except OutOfMemoryError as error:
            raise EngineError(
                f"CUDA cannot pin {_mib(tensor.size)} of main memory: "
                "end other programs, or take a smaller picture"
            ) from error
        pinned = np.asarray(_PinnedBytes(block, tensor.size))
        return block, pinned.view(tensor.dtype).reshape(tensor.shape)

    def _synchronize(self) -> None:
        self.stream.synchronize()
        self._uploads.clear()


def _when_done(stream: Stream, free: Callable[[int], None]) -> Callable[[int], None]:
    """Frees memory once a stream's work, which may use it, is done.

    To wait for the whole GPU would fail while another thread records a CUDA graph.
    """

    def free_when_done(address: int) -> None:
        stream.synchronize()
        free(address)

    return free_when_done


def _mib(size: int) -> str:
    return f"{-(-size // _MIB)} MiB"
