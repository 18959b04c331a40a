"""Which GPU there is, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from cca_engines.cuda.failures import format_version
from cca_engines.cuda.runtime import CudaRuntime


@dataclass(frozen=True)
class Device:
    """The first GPU that CUDA_VISIBLE_DEVICES leaves visible.

    Attributes:
        name: Its vendor's name, for instance `NVIDIA GeForce RTX 4070`.
        compute_capability: Major and minor version of its instruction set.
        memory: Bytes of GPU memory, free or not.
        driver: The newest CUDA that its driver runs, for instance `13.0`.
        runtime: The CUDA of `cuda-bindings`.
    """

    name: str
    compute_capability: tuple[int, int]
    memory: int
    driver: str
    runtime: str

    def __str__(self) -> str:
        """All that kernels, and so results, may depend on."""
        major, minor = self.compute_capability
        return (
            f"{self.name} (compute capability {major}.{minor}), "
            f"driver for CUDA {self.driver}, CUDA {self.runtime}"
        )


def open_device(runtime: CudaRuntime) -> Device:
    """Look at the GPU.

    Raises:
        cca_engines.EngineError: No GPU, no driver, or one that does not fit.
    """
    properties = runtime.properties()
    driver, own = runtime.versions()
    return Device(
        name=properties.name.split(b"\0", 1)[0].decode(errors="replace").strip(),
        compute_capability=(properties.major, properties.minor),
        memory=properties.totalGlobalMem,
        driver=format_version(driver),
        runtime=format_version(own),
    )
