"""Whether there is a GPU to ask for, as the driver's own library says: no other is loaded."""

from __future__ import annotations

import ctypes

_DRIVER = "libcuda.so.1"


def has_gpu() -> bool:
    """Whether the NVIDIA driver is installed and shows this process a GPU.

    It starts the driver, so a process that was forked afterwards cannot use the GPU: start
    others by spawning them.
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    count = ctypes.c_int(0)
    # Zero is success for both; the count is of the GPUs that CUDA_VISIBLE_DEVICES leaves.
    return (
        driver.cuInit(0) == 0
        and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        and count.value > 0
    )
