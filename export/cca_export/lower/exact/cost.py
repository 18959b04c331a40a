"""What exactness costs: ideal code length and PSNR of the exact prior beside the float prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cca_export.coding_runs import read_symbols, run_codec
from cca_export.graphs import CodecGraph
from cca_export.steps import table_indexes
from cca_export.tables import PRECISION, EntropyTables

_LENGTH_BITS = 5


@dataclass(frozen=True)
class ExactCost:
    """One picture at one quantisation step, with the float and with the exact prior.

    Attributes:
        picture: Its name.
        step: Code of the step.
        float_bytes: Of the latents, by their ideal code lengths.
        exact_bytes: The same.
        float_psnr: Decibels.
        exact_psnr: Decibels.
    """

    picture: str
    step: int
    float_bytes: float
    exact_bytes: float
    float_psnr: float
    exact_psnr: float

    @property
    def rate(self) -> float:
        """What the exact prior adds, as a share of the float prior's bytes."""
        return self.exact_bytes / self.float_bytes - 1


@dataclass(frozen=True)
class Coding:
    """How symbols of the latents are coded.

    Attributes:
        step: Code of the quantisation step.
        smallest_scale: Of the model (`cca_export.steps`).
        tables: The Gaussian tables.
    """

    step: int
    smallest_scale: int
    tables: EntropyTables


def exact_cost(
    name: str,
    picture: NDArray[np.uint8],
    float_graphs: Sequence[CodecGraph],
    graphs: Sequence[CodecGraph],
    coding: Coding,
) -> ExactCost:
    """Encode a picture with both priors.

    Args:
        name: What to call the picture.
        picture: uint8 [1, H, W, 3], sides multiples of 64.
        float_graphs: `codec_graphs` of the network.
        graphs: `exact_graphs` of the same network.
        coding: How symbols are coded.
    """
    float_bytes, float_psnr = _encode(picture, float_graphs, coding)
    exact_bytes, exact_psnr = _encode(picture, graphs, coding)
    return ExactCost(name, coding.step, float_bytes, exact_bytes, float_psnr, exact_psnr)


def _encode(
    picture: NDArray[np.uint8], graphs: Sequence[CodecGraph], coding: Coding
) -> tuple[float, float]:
    """Ideal bytes of the latents, and PSNR of the decoded picture in decibels."""
    bits = 0.0
    indexes: NDArray[np.uint8] | None = None
    for run in run_codec(graphs, picture, coding.step):
        if indexes is not None:
            chosen = table_indexes(indexes, coding.step, coding.smallest_scale)
            bits += code_length(read_symbols(run.inputs["symbols"]), chosen, coding.tables)
        indexes = run.outputs.get("indexes")
    error = float(np.mean((run.outputs["image"].astype(np.float64) - picture) ** 2))
    return bits / 8, 10 * math.log10(255**2 / max(error, 1e-9))


def code_length(
    symbols: NDArray[np.int64], indexes: NDArray[np.uint8], tables: EntropyTables
) -> float:
    """Sum of -log2 p under the quantised tables, in bits; escapes with their digits (format.md).

    Args:
        symbols: Of any shape.
        indexes: Of the same shape: the table of each (`table_indexes`).
        tables: What `indexes` chooses from.
    """
    index = indexes.ravel()
    escape = tables.length[index] - 2
    value = symbols.ravel() - tables.offset[index]
    escaped = (value < 0) | (value >= escape)
    slot = np.where(escaped, escape, value)
    frequency = tables.cdf[index, slot + 1] - tables.cdf[index, slot]
    # An escaped distance: five bits for the number of its binary digits, then they but the first.
    distance = np.where(value < 0, -2 * value - 1, 2 * (value - escape))[escaped]
    digits = np.floor(np.log2(np.maximum(distance, 1)))
    return float(np.sum(PRECISION - np.log2(frequency)) + np.sum(_LENGTH_BITS + digits))
