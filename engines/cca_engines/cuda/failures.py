"""What a failure of CUDA means, and what to do about it, in one line."""

from __future__ import annotations

from typing import Any

from cca_engines.engine import EngineError

_ON_CPU = "or run on the CPU with engine onnxruntime"

_MESSAGES = {
    "cudaErrorNoDevice": (
        "no NVIDIA GPU is visible: see whether nvidia-smi lists one and CUDA_VISIBLE_DEVICES "
        f"hides it (a container needs to be started with --gpus all), {_ON_CPU}"
    ),
    "cudaErrorSystemDriverMismatch": (
        "the NVIDIA driver's kernel module and libraries are of different versions, as after an "
        "update: restart the machine"
    ),
    "cudaErrorCompatNotSupportedOnDevice": (
        "this GPU cannot run a CUDA that is newer than its driver: update the NVIDIA driver, "
        "or remove the package cuda-compat"
    ),
    "cudaErrorDevicesUnavailable": (
        "the GPU is taken by another process, or in a mode that forbids computing: see nvidia-smi"
    ),
    "cudaErrorMemoryAllocation": "out of memory",
    "cudaErrorECCUncorrectable": "the GPU's memory is faulty (an uncorrectable ECC error)",
}


class OutOfMemoryError(EngineError):
    """CUDA has no room for what was asked."""


def describe_failure(library: Any, name: str) -> str:
    """One line about a status of the CUDA runtime.

    Args:
        library: `cuda.bindings.runtime`.
        name: The status, such as `cudaErrorNoDevice`.
    """
    if name == "cudaErrorInsufficientDriver":
        return _insufficient_driver(library)
    if name in _MESSAGES:
        return _MESSAGES[name]
    _, text = library.cudaGetErrorString(getattr(library.cudaError_t, name))
    # After most of these CUDA answers nothing else in this process.
    return f"the GPU failed, start the program again: {text.decode()} ({name})"


def _insufficient_driver(library: Any) -> str:
    """The runtime says the same of an old driver and of none; the driver's version tells."""
    _, runtime = library.cudaRuntimeGetVersion()
    _, driver = library.cudaDriverGetVersion()
    if driver == 0:
        return (
            f"no NVIDIA driver is installed: install one for CUDA {format_version(runtime)} "
            f"(a container needs to be started with --gpus all), {_ON_CPU}"
        )
    return (
        f"the NVIDIA driver is for CUDA {format_version(driver)}, and cuda-bindings for CUDA "
        f"{format_version(runtime)}: update the driver, "
        f"or pip install 'cuda-bindings=={driver // 1000}.*'"
    )


def format_version(version: int) -> str:
    """`13.0` of 13000, CUDA's way to write a version as a number."""
    return f"{version // 1000}.{version % 1000 // 10}"
