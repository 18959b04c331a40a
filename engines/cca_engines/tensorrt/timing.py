"""How long kernels took on a GPU, kept from build to build.

Most of building with TensorRT is timing: a second build, for other shapes or another model,
takes a fraction of the first one's time, and more often chooses the same kernels.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from cca_engines.tensorrt.module import Target, TensorRt
from cca_engines.user_cache import cache_directory, read_private, write_private

_LARGEST = 256 << 20
"""Bytes that are read at most; caches have a few MiB."""


class TimingCache:
    """A file of times. Where it cannot be read or written, kernels are merely timed again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def attach(self, config: Any) -> Any:
        """Let a build with this `IBuilderConfig` use the file's times.

        Returns:
            The `ITimingCache` that it uses and adds to, which must outlive the build.
        """
        times = config.create_timing_cache(self._read())
        # What is no such file gives none; times of another GPU or version are refused.
        if times is None or not config.set_timing_cache(times, False):
            times = config.create_timing_cache(b"")
            config.set_timing_cache(times, False)
        return times

    def keep(self, times: Any) -> None:
        """Write what `attach` gave, after the build."""
        with contextlib.suppress(OSError):
            write_private(self._path, bytes(times.serialize()))

    def _read(self) -> bytes:
        return read_private(self._path, _LARGEST) or b""


def user_timing(library: TensorRt, target: Target) -> TimingCache | None:
    """The user's file of times for a GPU; None for a module that takes none, or without a place."""
    directory = cache_directory()
    if library.compiles_when_run or directory is None:
        return None
    name = hashlib.sha256(f"{library.version} {target.name}".encode()).hexdigest()[:16]
    return TimingCache(directory / "timing" / f"{library.name}-{name}.times")
