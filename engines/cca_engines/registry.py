"""Engines by name: which there are, which are installed, and how one is opened."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from cca_engines.cuda.driver import has_gpu
from cca_engines.engine import Engine, EngineError, PlanOptions, Precision

FINGERPRINT_BYTES = 8

DEFAULT_ENGINE = "onnxruntime"
"""The engine that is always installed."""


class _Backend(NamedTuple):
    """Where a backend is found.

    Its module has `open_engine(*, threads, optimisation, precision, plans)` and
    `OPTIMISATIONS`, the names of its optimisation levels, empty if it has none to choose
    from; and `PRECISIONS`, the default first.

    Attributes:
        module: The name of its module.
        library: The package that it needs.
        install: What to install for that.
        on_gpu: Whether it runs on an NVIDIA GPU.
    """

    module: str
    library: str
    install: str
    on_gpu: bool = False


# The order is part of the stream format (`fingerprint`): append, never reorder.
_BACKENDS = {
    "onnxruntime": _Backend("cca_engines.onnxruntime", "onnxruntime", "cca-codec"),
    "openvino": _Backend("cca_engines.openvino", "openvino", "cca-codec[openvino]"),
    "tensorrt": _Backend(
        "cca_engines.tensorrt.standard", "tensorrt", "cca-codec[tensorrt]", on_gpu=True
    ),
    "tensorrt-rtx": _Backend(
        "cca_engines.tensorrt.rtx", "tensorrt_rtx", "cca-codec[tensorrt-rtx]", on_gpu=True
    ),
    "cuda": _Backend(
        "cca_engines.onnxruntime_cuda", "onnxruntime", "onnxruntime-gpu[cuda,cudnn]", on_gpu=True
    ),
}

_BY_SPEED = ("tensorrt", "tensorrt-rtx", "cuda", "openvino", DEFAULT_ENGINE)


def available_engines() -> list[str]:
    """Names of the engines that should open on this machine, without importing any library.

    Those whose library is installed and, for engines on a GPU, only if there is one.
    """
    installed = _installed()
    if any(_BACKENDS[name].on_gpu for name in installed) and not _can_use_gpu():
        return [name for name in installed if not _BACKENDS[name].on_gpu]
    return installed


def _installed() -> list[str]:
    return [name for name, backend in _BACKENDS.items() if _is_installed(name, backend)]


def _can_use_gpu() -> bool:
    has_bindings = importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings")
    return has_bindings is not None and has_gpu()


def _is_installed(name: str, backend: _Backend) -> bool:
    spec = importlib.util.find_spec(backend.library)
    if spec is None or name != "cuda":
        return spec is not None
    # One module of two packages, onnxruntime and onnxruntime-gpu: the one installed last has
    # written this file, and only the one for CUDA names a version of it.
    return any(
        b"cuda_version" in file.read_bytes()
        for place in spec.submodule_search_locations or ()
        for file in Path(place).glob("capi/build_and_package_info.py")
    )


def engines_by_speed() -> list[str]:
    """Engines whose library is installed, those that are likely to be faster first.

    That there is no GPU for one is said by opening it. The last works anywhere.
    """
    installed = _installed()
    return [name for name in _BY_SPEED if name in installed]


def optimisations(name: str) -> tuple[str, ...]:
    """Optimisation levels that engine `name` offers, least first; imports its library.

    Raises:
        EngineError: No such engine, or its library is not installed or unusable.
    """
    levels: tuple[str, ...] = _import_backend(name).OPTIMISATIONS
    return levels


def precisions(name: str) -> tuple[Precision, ...]:
    """What engine `name` computes in where it need not be exact, the default first.

    A processor may lack one of them, which opening it will say.

    Raises:
        EngineError: As `optimisations`.
    """
    choice: tuple[Precision, ...] = _import_backend(name).PRECISIONS
    return choice


def open_engine(
    name: str,
    *,
    threads: int | None = None,
    optimisation: str | None = None,
    precision: Precision | None = None,
    plans: PlanOptions | None = None,
) -> Engine:
    """Open a backend by name; the backend's library is imported here and not before.

    Args:
        name: One of the registry's engines; `available_engines` are installed.
        threads: Threads a graph runs on; None for one a processor core that the process may use.
        optimisation: One of the engine's `optimisations`; None for its default, which
            is the fastest that computes exact graphs exactly.
        precision: What graphs that need not be exact are computed in; None for the engine's
            default.
        plans: Where compiled plans lie, for engines that compile graphs.

    Raises:
        EngineError: No such engine or setting, or the library is not installed or unusable.
    """
    module = _import_backend(name)
    if threads is not None and threads < 1:
        raise EngineError(f"engine '{name}' cannot run on {threads} threads: give 1 or more")
    if optimisation is not None and optimisation not in module.OPTIMISATIONS:
        known = ", ".join(module.OPTIMISATIONS)
        raise EngineError(
            f"engine '{name}' has no optimisation level '{optimisation}': "
            + (f"choose one of {known}" if known else "it has none to choose from")
        )
    if precision is not None and precision not in module.PRECISIONS:
        raise EngineError(
            f"engine '{name}' does not compute in {precision}, only in "
            f"{' or '.join(module.PRECISIONS)}"
        )
    engine: Engine = module.open_engine(
        threads=threads, optimisation=optimisation, precision=precision, plans=plans
    )
    return engine


def fingerprint(engine: Engine, identities: Iterable[str] = ()) -> bytes:
    """Eight bytes that stand for an engine whose floating-point results repeat.

    The first byte is the backend's number in `_BACKENDS`, so that an error about a
    foreign fingerprint can still name the backend; the other seven are the first of
    the SHA-256 of the engine's description and, a line each, the `identities` of graphs.
    """
    code = list(_BACKENDS).index(engine.name) + 1
    digest = hashlib.sha256("\n".join([engine.description, *identities]).encode()).digest()
    return bytes([code]) + digest[: FINGERPRINT_BYTES - 1]


def fingerprint_backend(value: bytes) -> str:
    """The backend's name that `fingerprint` wrote into its first byte, or `unknown backend`."""
    names = list(_BACKENDS)
    code = value[0] if value else 0
    return names[code - 1] if 1 <= code <= len(names) else "unknown backend"


def _import_backend(name: str) -> ModuleType:
    if name not in _BACKENDS:
        known = ", ".join(_BACKENDS)
        raise EngineError(f"unknown engine '{name}': choose one of {known}")
    backend = _BACKENDS[name]
    try:
        return importlib.import_module(backend.module)
    except ImportError as error:
        raise EngineError(
            f"engine '{name}' needs {backend.library}, which cannot be imported ({error}); "
            f"install it with: pip install '{backend.install}'"
        ) from error
