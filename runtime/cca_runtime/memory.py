"""How much memory pictures take, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path

from cca_runtime.bundle import Bundle

_TRANSFORM_BYTES = 10
"""What a transform takes for each pixel and each channel of its first stage, with some room:
measured at its peak, 5.3 on OpenVINO and on ONNX Runtime."""

_PRIOR_BYTES = 1.25
"""What the prior takes for each pixel and each latent channel: measured, 1.05 on both."""

_SHARE = 2
"""All pictures under way take one such part of the memory there is at most."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""What containers are held to, of versions 2 and 1."""


def most_at_once(bundle: Bundle, window_pixels: int, tile_pixels: int) -> int:
    """How many threads memory has room for.

    Args:
        bundle: The model.
        window_pixels: What each thread runs transforms on, margins and padding included.
        tile_pixels: What each runs the prior on, likewise.
    """
    need: float = window_pixels * _TRANSFORM_BYTES * bundle.widest_stage
    need += tile_pixels * _PRIOR_BYTES * bundle.latent_channels
    return int(total_memory() / _SHARE / need)


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
