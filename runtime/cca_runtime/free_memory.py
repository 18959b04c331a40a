"""How much memory this process may still take."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

PLENTY = 1 << 63
"""Bytes, where there is no telling."""

_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


class _Files(NamedTuple):
    """What a version of Linux' control groups calls its files, and the entries in the last."""

    limit: str
    usage: str
    cached: tuple[str, ...]


_VERSION_1 = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
)
_VERSION_2 = _Files("memory.max", "memory.current", ("active_file", "inactive_file"))


def free_memory() -> int:
    """Bytes that the machine, the process's control groups and its own limit leave to it."""
    return max(0, min(_of_machine(), _of_groups(), _of_process()))


def _of_machine() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return PLENTY


def _of_groups() -> int:
    return min((_of_group(folder, files) for folder, files in _groups()), default=PLENTY)


def _groups() -> Iterator[tuple[Path, _Files]]:
    """The process's groups and those around them, each of which may have a limit.

    In a container the names may be the host's: then its root is the one that is found.
    """
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            root, files = _GROUPS, _VERSION_2
        elif "memory" in controllers.split(","):
            root, files = _GROUPS / "memory", _VERSION_1
        else:
            continue
        group = PurePosixPath(name.lstrip("/"))
        for folder in (group, *group.parents):
            yield root / folder, files


def _of_group(folder: Path, files: _Files) -> int:
    try:
        limit = int((folder / files.limit).read_text())
        usage = int((folder / files.usage).read_text())
        entries = map(str.split, (folder / "memory.stat").read_text().splitlines())
        # Files that the system keeps a copy of make way for whoever asks.
        cached = sum(int(value) for name, value in entries if name in files.cached)
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return PLENTY
    return limit - usage + cached


def _of_process() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return PLENTY
    try:
        pages = int(_STATM.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return limit
    return limit - pages * os.sysconf("SC_PAGE_SIZE")
