"""What exactness costs: ideal code length and PSNR of the exact prior beside the float prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cca_export.exact.calibration import run_prior
from cca_export.graphs import CodecGraph
from cca_export.tables import PRECISION, EntropyTables

_NIBBLE = 4


@dataclass(frozen=True)
class ExactCost:
    """One picture: bytes and PSNR in decibels with the float and with the exact prior."""

    picture: str
    float_bytes: float
    exact_bytes: float
    float_psnr: float
    exact_psnr: float

    @property
    def rate(self) -> float:
        """What the exact prior adds, as a share of the float prior's bytes."""
        return self.exact_bytes / self.float_bytes - 1


def exact_cost(
    name: str,
    picture: Tensor,
    float_graphs: Sequence[CodecGraph],
    graphs: Sequence[CodecGraph],
    tables: EntropyTables,
) -> ExactCost:
    """Encode a picture with both priors.

    Args:
        name: What to call the picture.
        picture: uint8 [1, H, W, 3], sides multiples of 64.
        float_graphs: `codec_graphs` of the network.
        graphs: `exact_graphs` of the same network.
        tables: The Gaussian tables.
    """
    with torch.inference_mode():
        float_bytes, float_psnr = _encode(picture, float_graphs, tables)
        exact_bytes, exact_psnr = _encode(picture, graphs, tables)
    return ExactCost(name, float_bytes, exact_bytes, float_psnr, exact_psnr)


def _encode(
    picture: Tensor, graphs: Sequence[CodecGraph], tables: EntropyTables
) -> tuple[float, float]:
    """Ideal bytes of the latents, and PSNR of the decoded picture in decibels."""
    bits = 0.0
    y_hat: list[Tensor] = []
    for outputs in run_prior(graphs, picture):
        if "y_hat" in outputs:
            y_hat.append(outputs["y_hat"])
        if "symbols" in outputs:
            bits += code_length(outputs["symbols"], outputs["indexes"], tables)
    synthesis = next(graph for graph in graphs if graph.name == "synthesis")
    decoded = synthesis.module(torch.cat(y_hat))[0]
    error = torch.mean((decoded.double() - picture.double()) ** 2).item()
    return bits / 8, 10 * math.log10(255**2 / max(error, 1e-9))


def code_length(symbols: Tensor, indexes: Tensor, tables: EntropyTables) -> float:
    """Sum of -log2 p under the quantised tables, in bits; escapes with their digits (format.md)."""
    index = indexes.numpy().ravel().astype(np.int64)
    escape = tables.length[index] - 2
    value = symbols.numpy().ravel().astype(np.int64) - tables.offset[index]
    escaped = (value < 0) | (value >= escape)
    slot = np.where(escaped, escape, value)
    frequency = tables.cdf[index, slot + 1] - tables.cdf[index, slot]
    distance = np.where(value < 0, -2 * value - 1, 2 * (value - escape))[escaped]
    digits = 1 + np.ceil(np.log2(distance + 1) / _NIBBLE)
    return float(np.sum(PRECISION - np.log2(frequency)) + _NIBBLE * np.sum(digits))
