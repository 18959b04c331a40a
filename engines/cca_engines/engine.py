"""The engine protocol: what a backend offers.

A value that travels between graphs is a `Tensor`: opaque to everybody but the
engine that made it, so that on a GPU it can stay on the device. `to_host` and
`to_device` are the only crossings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Tensor: TypeAlias = Any
"""A value on an engine's device. On a CPU engine this is a numpy array."""


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

        Library and version, processor features, thread count, optimisation level,
        precision: two engines with equal descriptions give bit-equal results for
        equal graphs.
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


def first_line(error: Exception) -> str:
    """What a library's exception says first; the rest is its stack and source lines."""
    return str(error).strip().split("\n", maxsplit=1)[0]
