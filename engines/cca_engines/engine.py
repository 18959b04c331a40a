"""The engine protocol: what a backend offers, and how one is opened by name.

A value that travels between graphs is a `Tensor`: opaque to everybody but the
engine that made it, so that on a GPU it can stay on the device. `to_host` and
`to_device` are the only crossings.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Tensor: TypeAlias = Any
"""A value on an engine's device. On a CPU engine this is a numpy array."""

FINGERPRINT_BYTES = 8


class EngineError(Exception):
    """A backend is missing, or it cannot load or run a graph. One line, says what to do."""


class Graph(Protocol):
    """One loaded graph. Not safe for concurrent use; open one per thread."""

    @property
    def inputs(self) -> Sequence[str]:
        """Input names, in the graph's order."""
        ...

    @property
    def outputs(self) -> Sequence[str]:
        """Output names, in the graph's order."""
        ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the graph once.

        Args:
            inputs: One tensor of this engine for each of `inputs`, dtype and
                shape as the graph declares them.

        Returns:
            One tensor for each of `outputs`.

        Raises:
            EngineError: The backend refused the inputs or failed.
        """
        ...


class Engine(Protocol):
    """A backend, ready to load graphs."""

    @property
    def name(self) -> str:
        """The name it is opened by, for instance `onnxruntime`."""
        ...

    @property
    def description(self) -> str:
        """Everything a floating-point result may depend on, in words.

        Library and version, processor features, thread count, precision: two
        engines with equal descriptions give bit-equal results for equal graphs.
        """
        ...

    def load(self, model: bytes, name: str) -> Graph:
        """Load an ONNX model.

        Args:
            model: The serialised ONNX model.
            name: What to call it in errors.

        Raises:
            EngineError: The backend cannot load this model.
        """
        ...

    def to_device(self, array: Array) -> Tensor:
        """Make a host array available to this engine's graphs."""
        ...

    def to_host(self, tensor: Tensor) -> Array:
        """Bring a tensor of this engine to the host."""
        ...


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


# Name -> (module with `open_engine`, library it needs). The order is part of the
# stream format (`fingerprint`): append, never reorder.
_BACKENDS = {
    "onnxruntime": ("cca_engines.onnxruntime", "onnxruntime"),
}


def available_engines() -> list[str]:
    """Names of the engines whose library is installed, without importing any."""
    return [name for name, (_, library) in _BACKENDS.items() if importlib.util.find_spec(library)]


def open_engine(name: str) -> Engine:
    """Open a backend by name; the backend's library is imported here and not before.

    Raises:
        EngineError: No such engine, or its library is not installed or unusable.
    """
    if name not in _BACKENDS:
        known = ", ".join(_BACKENDS)
        raise EngineError(f"unknown engine '{name}': choose one of {known}")
    module_name, library = _BACKENDS[name]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EngineError(
            f"engine '{name}' needs {library}, which cannot be imported ({error}); "
            f"install it with: pip install {library}"
        ) from error
    engine: Engine = module.open_engine()
    return engine


def check_inputs(graph: Graph, name: str, inputs: Mapping[str, np.ndarray | Tensor]) -> None:
    """Refuse missing or surplus inputs by name.

    Raises:
        EngineError: Naming what is missing or surplus.
    """
    missing = set(graph.inputs) - set(inputs)
    surplus = set(inputs) - set(graph.inputs)
    if missing or surplus:
        raise EngineError(
            f"graph '{name}': missing inputs {sorted(missing)}, unknown inputs {sorted(surplus)}"
        )
