"""What engines on the CPU share: graphs whose tensors are NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cca_engines.engine import Array, OutputError, Tensor


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
