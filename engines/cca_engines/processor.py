"""What of the processor the results of a floating-point library may depend on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def usable_cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def instruction_set() -> str:
    """Architecture and vector extensions: libraries pick kernels, hence rounding, by them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    vector = sorted(
        flag
        for flag in flags.partition(":")[2].split()
        if flag.startswith(("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "fphp"))
    )
    return f"{platform.machine()} {' '.join(vector)}"
