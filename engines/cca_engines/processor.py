"""What of the processor the results of a floating-point library may depend on."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

from cca_engines.cgroups import cpu_quota


def usable_cores() -> int:
    """Processor cores that this process may run on: what is allowed to it, and has time for it."""
    allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def processor_name() -> str:
    """The processor's model, where the system tells it; otherwise its architecture."""
    models = (line for line in _cpu_facts() if line.startswith("model name"))
    return next(models, "").partition(":")[2].strip() or platform.machine()


def instruction_set() -> str:
    """Architecture and vector extensions: libraries pick kernels, hence rounding, by them."""
    lines = _cpu_facts()
    if not lines:
        return f"{platform.machine()} {platform.processor()}"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    vector = sorted(
        flag
        for flag in flags.partition(":")[2].split()
        if flag.startswith(("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "fphp"))
    )
    return f"{platform.machine()} {' '.join(vector)}"


def _cpu_facts() -> list[str]:
    """What Linux says of its processors, line by line; nothing where it is another system."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()
