"""TensorRT and TensorRT-RTX: two modules with one API, and where they differ.

TensorRT times kernels on the GPU that a plan is for, so it builds only there. TensorRT-RTX
builds without a GPU what it finishes compiling on the one that runs it: its plans are portable
among GPUs of compute capability 8.0 and above (CPU-only AOT in its documentation).
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

from cca_engines.cuda.device import Device
from cca_engines.engine import EngineError
from cca_engines.failures import first_line
from cca_engines.tensorrt.messages import MessageLog

_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}

_LEAST_PORTABLE = (8, 0)
"""The least compute capability that a portable plan runs on; older GPUs need one of their own."""


@dataclass(frozen=True)
class Target:
    """The GPUs that a plan is for.

    Attributes:
        name: In words, part of a plan's fingerprint.
        compute_capability: The one to compile for; None for what the module does by itself.
    """

    name: str
    compute_capability: tuple[int, int] | None = None


PORTABLE = Target("portable")


class TensorRt:
    """One of the two modules.

    Attributes:
        name: The engine's name, `tensorrt` or `tensorrt-rtx`.
        module: The Python module.
        log: What it says.
    """

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self.module = module
        self.log = MessageLog(module)

    @property
    def version(self) -> str:
        """The module's version: plans are for exactly one."""
        return str(self.module.__version__)

    @property
    def compiles_when_run(self) -> bool:
        """Whether plans are only finished where they run: built without a GPU, for many."""
        return self.name == "tensorrt-rtx"

    def target(self, device: Device) -> Target:
        """What to build the plans for that a GPU is to run."""
        if self.compiles_when_run and device.compute_capability >= _LEAST_PORTABLE:
            return PORTABLE
        major, minor = device.compute_capability
        capability = f"compute capability {major}.{minor}"
        if self.compiles_when_run:
            return Target(capability, device.compute_capability)
        return Target(f"{device.name}, {capability}")

    def builder(self) -> Any:
        """A new `Builder`.

        Raises:
            EngineError: TensorRT finds no GPU.
        """
        with self.log.listen() as messages:
            try:
                return self.module.Builder(self.log.logger)
            except Exception as error:  # pybind11's for a constructor that gives nothing
                reason = messages.reason(first_line(error))
                raise EngineError(f"{self.name} cannot build plans here: {reason}") from error


@functools.cache
def load_tensorrt(name: str) -> TensorRt:
    """Import a module; once, for a process can have but one logger for it.

    Args:
        name: `tensorrt` or `tensorrt-rtx`.

    Raises:
        EngineError: It is not installed, or its libraries are not.
    """
    module = _MODULES[name]
    try:
        return TensorRt(name, importlib.import_module(module))
    except (ImportError, OSError) as error:
        raise EngineError(
            f"engine '{name}' needs {module}, which cannot be imported ({first_line(error)}); "
            f"install it with: pip install 'cca-codec[{name}]'"
        ) from error
