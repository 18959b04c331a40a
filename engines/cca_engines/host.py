"""What engines on the CPU share: their tensors are NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from cca_engines.engine import Array, EngineError, OutputError, Tensor


class HostMemory:
    """The part of an engine that is about memory (see `cca_engines.engine.Engine`)."""

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        """An array of any content."""
        try:
            return np.empty(shape, dtype)
        except MemoryError as error:
            raise EngineError(f"out of memory for a tensor of shape {list(shape)}") from error

    def rows(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        """A view of the array's rows."""
        return tensor[start:stop]

    def to_device(self, array: Array) -> Tensor:
        """The array itself, made contiguous: host memory is the device."""
        return np.ascontiguousarray(array)

    def to_host(self, tensor: Tensor) -> Array:
        """The tensor itself: host memory is the device."""
        array: Array = tensor
        return array


def deliver(
    outputs: dict[str, Array], into: Mapping[str, Tensor] | None, graph: str
) -> dict[str, Tensor]:
    """A library's own output arrays, those that have a place in `into` copied there.

    Raises:
        OutputError: An output has another shape or dtype than its place.
    """
    for name, place in (into or {}).items():
        value = outputs.get(name)
        if value is None or value.shape != place.shape or value.dtype != place.dtype:
            found = "nothing" if value is None else f"{value.dtype} {list(value.shape)}"
            raise OutputError(
                f"graph '{graph}' gives {found} as '{name}', "
                f"expected {place.dtype} {list(place.shape)}"
            )
        np.copyto(place, value)
        outputs[name] = place
    return outputs
