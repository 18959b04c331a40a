"""Memory that is handed out again and again: to ask CUDA for it takes long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from cca_engines.cuda.failures import OutOfMemoryError
from cca_engines.engine import EngineError

_ALIGNMENT = 512
"""What CUDA aligns to; sizes are rounded up to it."""


class _Memory:
    """Idle blocks, and what becomes of them.

    Python drops what refers to each other in any order, so a pool may go before its blocks.
    """

    def __init__(self, free: Callable[[int], None]) -> None:
        self.idle: dict[int, list[int]] = {}  # sizes, the one last asked for at the end
        self.free = free
        self.abandoned = False

    def trim(self, limit: int) -> None:
        """Give idle blocks back until no more than `limit` bytes are idle."""
        idle_bytes = sum(size * len(idle) for size, idle in self.idle.items())
        for size, idle in list(self.idle.items()):
            while idle_bytes > limit:
                try:
                    address = idle.pop()
                except IndexError:  # the last, or taken by another thread that dropped a block
                    break
                self.free(address)
                idle_bytes -= size


class Block:
    """Memory at `address`, the holder's until nobody refers to this object."""

    def __init__(self, memory: _Memory, idle: list[int], address: int) -> None:
        self._memory = memory
        self._idle = idle
        self.address = address

    def __del__(self) -> None:
        # Runs wherever Python drops the last reference, even while a stream is being captured:
        # to append to a list needs no lock, and CUDA is not asked unless the engine is gone.
        self._idle.append(self.address)
        if self._memory.abandoned:
            with suppress(EngineError):
                self._memory.trim(0)


class MemoryPool:
    """Blocks by their exact size, so that what repeats finds the memory that it had before.

    Of idle blocks of a size, that with the lowest address is taken. Where memory lies then
    depends only on what is in use, and a loop that asks for the same sizes and drops them
    all gets the same addresses each time: those that its CUDA graphs were captured with.

    A block that is idle for Python may still be read by work that a stream has yet to do. It
    is safe to hand out again for work on the same stream, and for no other.
    """

    def __init__(
        self, allocate: Callable[[int], int], free: Callable[[int], None], limit: int
    ) -> None:
        """A pool without memory.

        Args:
            allocate: Gives the address of so many bytes, or raises `OutOfMemoryError`.
            free: Waits until the GPU no longer works on it, and takes it back.
            limit: Bytes that may lie idle; when there are more and none fit, those of sizes
                not asked for the longest are given back.
        """
        self._allocate = allocate
        self._memory = _Memory(free)
        self._limit = limit

    def take(self, size: int) -> Block:
        """A block of at least `size` bytes, of any content.

        Raises:
            OutOfMemoryError: There is no room, with nothing left idle.
        """
        size = -(-max(size, 1) // _ALIGNMENT) * _ALIGNMENT
        sizes = self._memory.idle
        idle = sizes[size] = sizes.pop(size, [])
        if idle:
            address = min(idle)
            idle.remove(address)
        else:
            address = self._obtain(size)
        return Block(self._memory, idle, address)

    def _obtain(self, size: int) -> int:
        self._memory.trim(self._limit)
        try:
            return self._allocate(size)
        except OutOfMemoryError:
            self._memory.trim(0)
            return self._allocate(size)

    def __del__(self) -> None:
        self._memory.abandoned = True
        # At a process's end CUDA may be gone already, and its memory with it.
        with suppress(EngineError):
            self._memory.trim(0)
