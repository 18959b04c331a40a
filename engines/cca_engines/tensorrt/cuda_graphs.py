"""Launches recorded as CUDA graphs: one call for all the kernels of a graph of the model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from cca_engines.cuda.memory import Stream
from cca_engines.cuda.runtime import CudaRuntime, Handle
from cca_engines.engine import EngineError

_CAPACITY = 8
"""Launches remembered, the latest. While pictures of one size are coded each way takes one; it
takes more while tensors of something else are alive, which shift those of the codec about."""


@dataclass
class _Launch:
    """What is known of launching on certain memory."""

    recording: Handle | None = None
    refused: bool = False


class CudaGraphs:
    """The recordings of one execution context at one set of input shapes.

    A recording holds addresses, so it is good for exactly the memory it was made with. What is
    launched for the first time is not recorded: most memory of a program that runs once is
    never seen again. The second time it is, after it has run, since what a context does in its
    first run may be such that it cannot be recorded.
    """

    def __init__(self, runtime: CudaRuntime, stream: Stream) -> None:
        self._runtime = runtime
        self._stream = stream
        self._launches: OrderedDict[Hashable, _Launch] = OrderedDict()

    def launch(self, memory: Hashable, enqueue: Callable[[], None]) -> None:
        """Put a context's work on the stream, through its recording if there is one.

        Args:
            memory: The addresses of all that the work reads and writes.
            enqueue: Puts it there without one.

        Raises:
            EngineError: The work was refused.
        """
        known = self._launches.get(memory)
        if known is not None and known.recording is not None:
            self._runtime.launch(known.recording, self._stream.handle)
        else:
            enqueue()
            if known is not None and not known.refused:
                known.recording = self._record(enqueue)
                known.refused = known.recording is None
        self._remember(memory, known or _Launch())

    def _remember(self, memory: Hashable, launch: _Launch) -> None:
        self._launches[memory] = launch
        self._launches.move_to_end(memory)
        if len(self._launches) > _CAPACITY:
            _, forgotten = self._launches.popitem(last=False)
            self._destroy(forgotten)

    def _record(self, enqueue: Callable[[], None]) -> Handle | None:
        """What `enqueue` puts on the stream, ready to launch; None if it cannot be recorded."""
        stream = self._stream.handle
        try:
            self._runtime.begin_capture(stream)
            try:
                enqueue()
            finally:  # or the stream would go on recording
                graph = self._runtime.end_capture(stream)
            return self._runtime.instantiate(graph)
        except EngineError:
            return None

    def clear(self) -> None:
        """Forget all recordings."""
        for launch in self._launches.values():
            with suppress(EngineError):  # at a process's end CUDA may be gone already
                self._destroy(launch)
        self._launches.clear()

    def _destroy(self, launch: _Launch) -> None:
        if launch.recording is not None:
            self._runtime.destroy_executable(launch.recording)
