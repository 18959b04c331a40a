"""What graphs that run in coding order give one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from cca_export.graphs import SYMBOL_OFFSET, CodecGraph
from numpy.typing import NDArray

Value = TypeVar("Value")
"""A NumPy array or a tensor."""


class CodingState(Generic[Value]):
    """All values known so far of one batch of pictures, by the names of graph inputs."""

    def __init__(
        self, known: Mapping[str, Value], concatenate: Callable[[list[Value]], Value]
    ) -> None:
        """Start from `known`; `concatenate` joins values along their first axis."""
        self._known = dict(known)
        self._concatenate = concatenate
        self._y_hat: list[Value] = []

    def __getitem__(self, name: str) -> Value:
        """The latest value of that name."""
        return self._known[name]

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def inputs(self, graph: CodecGraph) -> dict[str, Value]:
        """What `graph` reads. Its y_hat is that of all groups so far."""
        return {spec.name: self._input(spec.name) for spec in graph.inputs}

    def add(self, values: Mapping[str, Value]) -> None:
        """Add a graph's outputs, or the symbols of its group as `symbol_bytes`."""
        self._known |= values
        if "y_hat" in values:
            self._y_hat.append(values["y_hat"])

    def _input(self, name: str) -> Value:
        if name in ("y_hat", "previous_y_hat"):
            return self._concatenate(self._y_hat)
        return self._known[name.removeprefix("previous_")]


def symbol_bytes(symbols: NDArray[Any]) -> NDArray[np.uint8]:
    """Symbols as graphs read them.

    Args:
        symbols: Integers from -32768 to 32767, any shape.

    Returns:
        uint8 [..., 2], the little-endian bytes of symbol + 32768.
    """
    shifted = np.ascontiguousarray(symbols + SYMBOL_OFFSET, dtype="<u2")
    return shifted[..., None].view(np.uint8)
