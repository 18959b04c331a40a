"""How much memory a picture takes, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path

from cca_runtime.bundle import Bundle

_BYTES_OF_CHANNEL = 16
"""Bytes that a transform takes for each pixel and each channel of its first stage, with room to
spare: measured at its peak, 11 to 14 (benchmarks/tiling.py)."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""What containers are held to, of versions 2 and 1."""


_SHARE = 2
"""All pictures under way take one such part of the memory there is at most."""


def most_at_once(bundle: Bundle, pixels: int) -> int:
    """How many pictures of so many pixels, padding included, memory has room for at once."""
    return total_memory() // _SHARE // (pixels * bytes_per_pixel(bundle))


def bytes_per_pixel(bundle: Bundle) -> int:
    """Most memory that an engine on a CPU takes for a pixel: a transform's, at half size."""
    architecture = bundle.manifest["architecture"]
    widest = max(architecture["analysis"]["widths"][0], architecture["synthesis"]["widths"][-1])
    return _BYTES_OF_CHANNEL * int(widest)


def total_memory() -> int:
    """Bytes of memory that this process may come to use, or 2^63 if there is no telling."""
    sizes = [_physical_memory()]
    for path in _CGROUP_LIMITS:
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(sizes)


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 1 << 63
