"""Engines by name: which there are, which are installed, and how one is opened.

Those of this package are listed here; others register themselves (`cca_engines.backend`).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cca_engines.backend import Backend
from cca_engines.cuda.driver import has_gpu
from cca_engines.engine import Engine, EngineError, PlanOptions, Precision
from cca_engines.failures import first_line
from cca_engines.third_party import registrations

FINGERPRINT_BYTES = 8

DEFAULT_ENGINE = "onnxruntime"
"""The engine that is always installed."""


class _BuiltIn(NamedTuple):
    """Where a backend of this package is found.

    Attributes:
        code: Its number in fingerprints, which are part of streams: never change or reuse one.
        module: The name of its module, which has a `BACKEND`.
        library: The package that it needs.
        install: What to install for that.
        on_gpu: Whether it runs on an NVIDIA GPU.
    """

    code: int
    module: str
    library: str
    install: str
    on_gpu: bool = False


_BACKENDS = {
    "onnxruntime": _BuiltIn(1, "cca_engines.onnxruntime", "onnxruntime", "cca-codec"),
    "openvino": _BuiltIn(2, "cca_engines.openvino", "openvino", "cca-codec[openvino]"),
    "tensorrt": _BuiltIn(
        3, "cca_engines.tensorrt.standard", "tensorrt", "cca-codec[tensorrt]", on_gpu=True
    ),
    "tensorrt-rtx": _BuiltIn(
        4, "cca_engines.tensorrt.rtx", "tensorrt_rtx", "cca-codec[tensorrt-rtx]", on_gpu=True
    ),
    "cuda": _BuiltIn(
        5, "cca_engines.onnxruntime_cuda", "onnxruntime", "onnxruntime-gpu[cuda,cudnn]", on_gpu=True
    ),
}

_OTHER = 0
"""The first byte of the fingerprint of a third party's engine."""

_BY_SPEED = ("tensorrt", "tensorrt-rtx", "cuda", "openvino", DEFAULT_ENGINE)


def available_engines() -> list[str]:
    """Names of the engines that should open on this machine, without importing any library.

    Those whose library is installed and, for engines on a GPU, only if there is one; and
    `third_party_engines`.
    """
    installed = _installed()
    if any(_BACKENDS[name].on_gpu for name in installed) and not _can_use_gpu():
        installed = [name for name in installed if not _BACKENDS[name].on_gpu]
    return installed + third_party_engines()


def third_party_engines() -> list[str]:
    """Names of the engines that other packages register, without importing any of them."""
    return sorted(registrations().keys() - _BACKENDS.keys())


def _installed() -> list[str]:
    return [name for name, backend in _BACKENDS.items() if _is_installed(name, backend)]


def _can_use_gpu() -> bool:
    has_bindings = importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings")
    return has_bindings is not None and has_gpu()


def _is_installed(name: str, backend: _BuiltIn) -> bool:
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
    """This package's engines whose library is installed, those likely to be faster first.

    That there is no GPU for one is said by opening it. The last works anywhere.
    """
    installed = _installed()
    return [name for name in _BY_SPEED if name in installed]


def optimisations(name: str) -> tuple[str, ...]:
    """Optimisation levels that engine `name` offers, least first; imports its library.

    Raises:
        EngineError: No such engine, or its library is not installed or unusable.
    """
    return _load_backend(name).capabilities.optimisations


def precisions(name: str) -> tuple[Precision, ...]:
    """What engine `name` computes in where it need not be exact, the default first.

    A processor may lack one of them, which opening it will say.

    Raises:
        EngineError: As `optimisations`.
    """
    return _load_backend(name).capabilities.precisions


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
    backend = _load_backend(name)
    levels, choice = backend.capabilities.optimisations, backend.capabilities.precisions
    if threads is not None and threads < 1:
        raise EngineError(f"engine '{name}' cannot run on {threads} threads: give 1 or more")
    if optimisation is not None and optimisation not in levels:
        known = ", ".join(levels)
        raise EngineError(
            f"engine '{name}' has no optimisation level '{optimisation}': "
            + (f"choose one of {known}" if known else "it has none to choose from")
        )
    if precision is not None and precision not in choice:
        raise EngineError(
            f"engine '{name}' does not compute in {precision}, only in {' or '.join(choice)}"
        )
    try:
        engine = backend.open(
            threads=threads, optimisation=optimisation, precision=precision, plans=plans
        )
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(
            f"engine '{name}' cannot be opened, with {type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(engine, Engine) or engine.name != name:
        raise EngineError(f"engine '{name}' gives something else when it is opened: {engine!a}")
    return engine


def fingerprint(engine: Engine, identities: Iterable[str] = ()) -> bytes:
    """Eight bytes that stand for an engine whose floating-point results repeat.

    The first byte is the backend's code, so that an error about a foreign fingerprint can still
    name the backend; the other seven are the first of the SHA-256 of the engine's description
    and, a line each, the `identities` of graphs. Engines of third parties share a first byte of
    zero, and their name is hashed before all that.
    """
    built_in = _BACKENDS.get(engine.name)
    lines = [engine.description, *identities]
    if built_in is None:
        lines.insert(0, engine.name)
    digest = hashlib.sha256("\n".join(lines).encode()).digest()
    code = _OTHER if built_in is None else built_in.code
    return bytes([code]) + digest[: FINGERPRINT_BYTES - 1]


def fingerprint_backend(value: bytes) -> str:
    """The engine that gave a fingerprint, in words: its name, if it is one of this package."""
    if value[0] == _OTHER:
        return "another engine"
    names = {backend.code: name for name, backend in _BACKENDS.items()}
    return names.get(value[0], "unknown backend")


def _load_backend(name: str) -> Backend:
    """What opens an engine, imported now.

    Raises:
        EngineError: There is none, or it cannot be imported.
    """
    built_in = _BACKENDS.get(name)
    if built_in is None:
        others = registrations()
        if name not in others:
            known = ", ".join([*_BACKENDS, *sorted(others.keys() - _BACKENDS.keys())])
            raise EngineError(f"unknown engine '{name}': choose one of {known}")
        return others[name].load()
    try:
        backend: Backend = importlib.import_module(built_in.module).BACKEND
    except ImportError as error:
        raise EngineError(
            f"engine '{name}' needs {built_in.library}, which cannot be imported ({error}); "
            f"install it with: pip install '{built_in.install}'"
        ) from error
    return backend
