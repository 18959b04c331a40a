"""The user's cache of plans that were built on first use: bounded, the latest used stay."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from cca_engines.engine import ShapeRange
from cca_engines.tensorrt.build import Plan
from cca_engines.tensorrt.plans import SUFFIX, PlanDirectory, PlanFile, PlanKey
from cca_engines.user_cache import TEMPORARY, cache_directory

CAPACITY = 4 << 30
"""Bytes of plans that are kept."""

_ABANDONED = 24 * 3600
"""Seconds after which a file that is not whole was left by a process that died."""


class PlanCache:
    """A directory of plans. Several processes may use it at a time.

    What cannot be written is not kept, which costs a build another time, and is no error.
    """

    def __init__(self, path: Path, capacity: int = CAPACITY) -> None:
        self.directory = PlanDirectory(path, private=True)
        self._capacity = capacity

    def read(self, file: PlanFile) -> bytes:
        """A plan of the cache, which counts as used now.

        Raises:
            PlanFileError: It is broken, or another process has removed it.
        """
        with contextlib.suppress(OSError):
            os.utime(file.path)
        return file.read()

    def write(self, graph: str, key: PlanKey, shapes: ShapeRange, plan: Plan) -> None:
        """Keep a plan, and remove those that were used longest ago until all fit.

        A plan larger than the cache is kept alone: it is needed now.
        """
        try:
            written = self.directory.write(graph, key, shapes, plan)
        except OSError:
            return
        self._shrink(keep=written.path)

    def _shrink(self, keep: Path) -> None:
        """Remove what is too much, but not the file just written."""
        entries = self._entries()
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._capacity:
                break
            if path != keep:
                _remove(path)
                total -= size

    def _entries(self) -> list[tuple[float, int, Path]]:
        """When each plan was used last, its size and path; abandoned files are removed."""
        entries = []
        with contextlib.suppress(OSError):
            for path in self.directory.path.iterdir():
                with contextlib.suppress(OSError):  # another process has removed it
                    status = path.stat()
                    if path.suffix == SUFFIX:
                        entries.append((status.st_mtime, status.st_size, path))
                    elif (
                        path.name.startswith(TEMPORARY)
                        and status.st_mtime < time.time() - _ABANDONED
                    ):
                        _remove(path)
        return entries


def user_plans() -> PlanCache | None:
    """The cache of this user, if there is a place for one."""
    directory = cache_directory()
    return PlanCache(directory / "plans") if directory else None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
