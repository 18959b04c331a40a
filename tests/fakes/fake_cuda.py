"""A GPU in software: the part of `cuda.bindings.runtime` that the engines use, and strict.

GPU memory is host memory, at its own addresses. Whatever is asked of a stream is put off
until somebody waits for the stream, so a test in which a wait is missing reads wrong data; all
memory holds rubbish when it is handed out. What a GPU would do silently or fatally raises here:
`Misuse` for memory that is not allocated, freed too early or exceeded, and for handles that are
not alive.
"""

# The names are the library's.
# ruff: noqa: N801, N802, N815

from __future__ import annotations

import enum
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 512
_RUBBISH = 0xCB


class Misuse(BaseException):
    """The program did what no program may do; no `except Exception` hides it."""


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorDevicesUnavailable = 46
    cudaErrorNoDevice = 100
    cudaErrorECCUncorrectable = 214
    cudaErrorIllegalAddress = 700
    cudaErrorSystemDriverMismatch = 803
    cudaErrorCompatNotSupportedOnDevice = 804
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


Work = Callable[[], None]


class _Handle:
    """Something with an address, as the library's handles have."""

    _numbers = itertools.count(0x5000)

    def __init__(self) -> None:
        self.number = next(self._numbers)

    def __int__(self) -> int:
        return self.number


class _Stream(_Handle):
    def __init__(self) -> None:
        super().__init__()
        self.queue: list[Work] = []
        self.recording: list[Work] | None = None
        self.recorder: int | None = None  # thread
        self.spoilt = False


class _Graph(_Handle):
    def __init__(self, work: list[Work]) -> None:
        super().__init__()
        self.work = work


@dataclass
class _Arena:
    """Memory of one kind, handed out from the lowest address that is free."""

    kind: str
    size: int
    taken: dict[int, int] = field(default_factory=dict)  # offset: size

    def __post_init__(self) -> None:
        self._bytes = np.empty(self.size + _ALIGNMENT, np.uint8)
        self._base = -(-self._bytes.ctypes.data // _ALIGNMENT) * _ALIGNMENT

    def allocate(self, size: int) -> int | None:
        offset = 0
        for start, length in sorted(self.taken.items()):
            if start - offset >= size:
                break
            offset = -(-(start + length) // _ALIGNMENT) * _ALIGNMENT
        if offset + size > self.size:
            return None
        self.taken[offset] = size
        self.view(self._base + offset, size)[:] = _RUBBISH
        return self._base + offset

    def free(self, address: int) -> None:
        if address - self._base not in self.taken:
            raise Misuse(f"{self.kind} memory at {address:#x} is freed and was not allocated")
        self.view(address, self.taken[address - self._base])[:] = _RUBBISH
        del self.taken[address - self._base]

    def holds(self, address: int) -> bool:
        return 0 <= address - self._base < self.size

    def view(self, address: int, size: int) -> NDArray[np.uint8]:
        offset = address - self._base
        if not any(
            start <= offset and offset + size <= start + length
            for start, length in self.taken.items()
        ):
            raise Misuse(f"{size} bytes of {self.kind} memory at {address:#x} are not allocated")
        first = address - self._bytes.ctypes.data
        return self._bytes[first : first + size]


class FakeCuda:
    """Stands in for the module `cuda.bindings.runtime`.

    Attributes:
        devices: GPUs that there are.
        driver: CUDA version of the driver, 0 for none.
        failures: The status that the next call of a function returns, by its name.
        calls: Names of the functions called, in order.
    """

    cudaError_t = cudaError_t
    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode
    cudaStreamNonBlocking = 1

    def __init__(self, memory: int = 256 << 20) -> None:
        self.devices = 1
        self.driver = 13000
        self.failures: dict[str, cudaError_t] = {}
        self.calls: list[str] = []
        self.device_memory = _Arena("GPU", memory)
        self.pinned_memory = _Arena("pinned", memory)
        self.streams: dict[int, _Stream] = {}
        self.graphs: dict[int, _Graph] = {}
        self.executables: dict[int, _Graph] = {}
        self._lock = threading.RLock()

    def leftovers(self) -> dict[str, int]:
        """What has not been given back."""
        counts = {
            "GPU memory": len(self.device_memory.taken),
            "pinned memory": len(self.pinned_memory.taken),
            "streams": len(self.streams),
            "graphs": len(self.graphs),
            "executables": len(self.executables),
        }
        return {name: count for name, count in counts.items() if count}

    def view(self, address: int, size: int) -> NDArray[np.uint8]:
        """GPU memory, if it is allocated."""
        return self.device_memory.view(address, size)

    def enqueue(self, stream: Any, work: Work) -> None:
        """Put work on a stream, or into the graph that is being recorded of it."""
        found = self._stream(stream)
        if found.recording is not None:
            found.recording.append(work)
        else:
            found.queue.append(work)

    def is_recording(self, stream: Any) -> bool:
        """Whether a stream records its work."""
        return self._stream(stream).recording is not None

    def spoil(self, stream: Any) -> None:
        """Do something that cannot be recorded."""
        self._stream(stream).spoilt = True

    # The library's functions.

    def cudaGetErrorString(self, status: cudaError_t) -> tuple[Any, ...]:
        return cudaError_t.cudaSuccess, f"text of {status.name}".encode()

    def cudaRuntimeGetVersion(self) -> tuple[Any, ...]:
        return cudaError_t.cudaSuccess, 13000

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:
        return cudaError_t.cudaSuccess, self.driver

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        if self.driver < 13000:
            return cudaError_t.cudaErrorInsufficientDriver, None
        if self.devices == 0:
            return cudaError_t.cudaErrorNoDevice, None
        return self._answer("cudaGetDeviceCount", lambda: self.devices)

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, ...]:
        if not 0 <= device < self.devices:
            raise Misuse(f"there is no device {device}")
        properties = SimpleNamespace(
            name=b"Software GPU", major=8, minor=9, totalGlobalMem=self.device_memory.size
        )
        return self._answer("cudaGetDeviceProperties", lambda: properties)

    def cudaMemGetInfo(self) -> tuple[Any, ...]:
        free = self.device_memory.size - sum(self.device_memory.taken.values())
        return cudaError_t.cudaSuccess, free, self.device_memory.size

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._allocate("cudaMalloc", self.device_memory, size)

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        return self._free("cudaFree", self.device_memory, address)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        assert flags == 0
        return self._allocate("cudaHostAlloc", self.pinned_memory, size)

    def cudaFreeHost(self, address: int) -> tuple[Any, ...]:
        return self._free("cudaFreeHost", self.pinned_memory, address)

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: cudaMemcpyKind, stream: Any
    ) -> tuple[Any, ...]:
        up = kind is cudaMemcpyKind.cudaMemcpyHostToDevice
        to, of = self.device_memory, self.pinned_memory
        if not up:
            to, of = of, to

        def copy() -> None:
            to.view(target, size)[:] = of.view(source, size)

        to.view(target, size), of.view(source, size)  # must be there now and when it is done
        return self._answer("cudaMemcpyAsync", lambda: self.enqueue(stream, copy), none=True)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        assert flags == self.cudaStreamNonBlocking

        def create() -> _Stream:
            stream = _Stream()
            self.streams[int(stream)] = stream
            return stream

        return self._answer("cudaStreamCreateWithFlags", create)

    def cudaStreamDestroy(self, stream: Any) -> tuple[Any, ...]:
        with self._lock:
            if self._stream(stream).queue:
                raise Misuse("a stream is destroyed that has work to do")
            del self.streams[int(stream)]
        return self._answer("cudaStreamDestroy", lambda: None, none=True)

    def cudaStreamSynchronize(self, stream: Any) -> tuple[Any, ...]:
        with self._lock:
            found = self._stream(stream)
            if found.recording is not None:
                found.spoilt = True
                return cudaError_t.cudaErrorStreamCaptureUnsupported, None
            self._run(found)
        return self._answer("cudaStreamSynchronize", lambda: None, none=True)

    def cudaStreamBeginCapture(self, stream: Any, mode: cudaStreamCaptureMode) -> tuple[Any, ...]:
        assert mode is cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        found = self._stream(stream)
        if found.recording is not None:
            raise Misuse("the stream records already")
        found.recording, found.recorder, found.spoilt = [], threading.get_ident(), False
        return self._answer("cudaStreamBeginCapture", lambda: None, none=True)

    def cudaStreamEndCapture(self, stream: Any) -> tuple[Any, ...]:
        found = self._stream(stream)
        if found.recording is None or found.recorder != threading.get_ident():
            raise Misuse("the stream records nothing, or on another thread")
        graph = _Graph(found.recording)
        found.recording = found.recorder = None
        if found.spoilt:
            return cudaError_t.cudaErrorStreamCaptureInvalidated, None
        self.graphs[int(graph)] = graph
        return self._answer("cudaStreamEndCapture", lambda: graph)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, ...]:
        assert flags == 0

        def instantiate() -> _Graph:
            executable = _Graph(list(self.graphs[int(graph)].work))
            self.executables[int(executable)] = executable
            return executable

        return self._answer("cudaGraphInstantiate", instantiate)

    def cudaGraphDestroy(self, graph: Any) -> tuple[Any, ...]:
        del self.graphs[int(graph)]
        return self._answer("cudaGraphDestroy", lambda: None, none=True)

    def cudaGraphLaunch(self, executable: Any, stream: Any) -> tuple[Any, ...]:
        if int(executable) not in self.executables:
            raise Misuse("a graph is launched that is not alive")
        for work in self.executables[int(executable)].work:
            self.enqueue(stream, work)
        return self._answer("cudaGraphLaunch", lambda: None, none=True)

    def cudaGraphExecDestroy(self, executable: Any) -> tuple[Any, ...]:
        if self.executables.pop(int(executable), None) is None:
            raise Misuse("a graph is destroyed that is not alive")
        return self._answer("cudaGraphExecDestroy", lambda: None, none=True)

    def _allocate(self, function: str, arena: _Arena, size: int) -> tuple[Any, ...]:
        with self._lock:
            for stream in self.streams.values():
                if stream.recorder == threading.get_ident():
                    stream.spoilt = True
                    return cudaError_t.cudaErrorStreamCaptureUnsupported, None
            if function in self.failures:
                return self.failures.pop(function), None
            self.calls.append(function)
            address = arena.allocate(size)
        if address is None:
            return cudaError_t.cudaErrorMemoryAllocation, None
        return cudaError_t.cudaSuccess, address

    def _free(self, function: str, arena: _Arena, address: int) -> tuple[Any, ...]:
        if any(each.recorder == threading.get_ident() for each in self.streams.values()):
            raise Misuse("memory is freed while this thread records")
        return self._answer(function, lambda: arena.free(address), none=True)

    def _answer(
        self, function: str, act: Callable[[], Any], *, none: bool = False
    ) -> tuple[Any, ...]:
        with self._lock:
            self.calls.append(function)
            if function in self.failures:
                status = self.failures.pop(function)
                return (status,) if none else (status, None)
            value = act()
        return (cudaError_t.cudaSuccess,) if none else (cudaError_t.cudaSuccess, value)

    def _stream(self, stream: Any) -> _Stream:
        if int(stream) not in self.streams:
            raise Misuse(f"stream {int(stream):#x} is not alive")
        return self.streams[int(stream)]

    @staticmethod
    def _run(stream: _Stream) -> None:
        queue, stream.queue = stream.queue, []
        for work in queue:
            work()
