"""How much of the processor Linux's control groups leave to this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_MOUNT = "sys/fs/cgroup"


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Cores' worth of time that the process may take; None if it is not limited.

    The least of its own group's and of all above it, of version 2 and 1.

    Args:
        root: Where `proc` and `sys` are mounted.
    """
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Directories of the process's groups that may have a limit, and of those above."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the path may be the host's: then only the mount itself is there.
        own = PurePosixPath(path.lstrip("/"))
        for mount in (controllers, "cpu") if controllers else ("", "unified"):
            for group in (own, *own.parents):
                if ".." not in group.parts:
                    yield root / _MOUNT / mount / group


def _quota(group: Path) -> float | None:
    """A group's own limit, in cores."""
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # nothing there, or "max"
        return None
    return cores if cores > 0 else None  # -1 is no limit


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
