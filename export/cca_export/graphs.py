"""What a codec's graphs are: modules with named inputs and outputs, whatever the network.

How a network is cut into graphs is its family's (`cca_export.families`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SYMBOL_OFFSET = 1 << 15
"""What is added to a symbol before its two bytes are taken."""


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output: numpy dtype name, and sizes or names of dynamic sizes."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


STEP = TensorSpec("step", "float32", (1,))
"""The quantisation step D, which is a multiple of 2^-7."""


@dataclass(frozen=True)
class CodecGraph:
    """One graph: a module whose `forward` takes `inputs` and returns `outputs`, in order.

    The outputs of an exact graph are the same values on every engine.
    """

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    exact: bool = False


def symbols_of(symbol_bytes: Tensor) -> Tensor:
    """A group's symbols from their bytes: accelerators have no integers of 16 bits.

    Args:
        symbol_bytes: uint8 [N, s, h, w, 2], the little-endian bytes of symbol + 32768.

    Returns:
        float32 [N, s, h, w], exactly.
    """
    # As for pictures, the cast comes first. Engines sum a short last axis slowly.
    values = symbol_bytes.to(torch.float32)
    return values[..., 0] + (values[..., 1] * 256 - SYMBOL_OFFSET)
