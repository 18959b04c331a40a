"""Engines by name: which there are, which are installed, and how one is opened."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from types import ModuleType
from typing import NamedTuple

from cca_engines.engine import Engine, EngineError, PlanOptions

FINGERPRINT_BYTES = 8


class _Backend(NamedTuple):
    """Where a backend is found.

    Its module has `open_engine(*, threads, optimisation, plans)` and `OPTIMISATIONS`,
    the names of its optimisation levels: empty if it has none to choose from.
    """

    module: str
    library: str
    install: str


# The order is part of the stream format (`fingerprint`): append, never reorder.
_BACKENDS = {
    "onnxruntime": _Backend("cca_engines.onnxruntime", "onnxruntime", "cca-codec"),
    "openvino": _Backend("cca_engines.openvino", "openvino", "cca-codec[openvino]"),
}


def available_engines() -> list[str]:
    """Names of the engines whose library is installed, without importing any."""
    return [
        name for name, backend in _BACKENDS.items() if importlib.util.find_spec(backend.library)
    ]


def optimisations(name: str) -> tuple[str, ...]:
    """Optimisation levels that engine `name` offers, least first; imports its library.

    Raises:
        EngineError: No such engine, or its library is not installed or unusable.
    """
    levels: tuple[str, ...] = _import_backend(name).OPTIMISATIONS
    return levels


def open_engine(
    name: str,
    *,
    threads: int | None = None,
    optimisation: str | None = None,
    plans: PlanOptions | None = None,
) -> Engine:
    """Open a backend by name; the backend's library is imported here and not before.

    Args:
        name: One of the registry's engines; `available_engines` are installed.
        threads: Threads a graph runs on; None for one a processor core.
        optimisation: One of the engine's `optimisations`; None for its default, which
            is the fastest that computes exact graphs exactly.
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
    engine: Engine = module.open_engine(threads=threads, optimisation=optimisation, plans=plans)
    return engine


def fingerprint(engine: Engine) -> bytes:
    """Eight bytes that stand for an engine whose floating-point results repeat.

    The first byte is the backend's number in `_BACKENDS`, so that an error about a
    foreign fingerprint can still name the backend; the other seven are the
    first of the SHA-256 of the engine's description.
    """
    code = list(_BACKENDS).index(engine.name) + 1
    digest = hashlib.sha256(engine.description.encode()).digest()
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
