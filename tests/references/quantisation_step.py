"""The quantisation step, computed from the formulas of docs/spec/format.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATIO = (256 / 0.11) ** (1 / 63)
"""Between two neighbours among the scales of the entropy tables."""

_LAST_TABLE = 63


@dataclass(frozen=True)
class Step:
    """The step of a stream.

    Attributes:
        code: -128 to 127, in eighths of a place of the scale table.
    """

    code: int = 0

    @property
    def numerator(self) -> int:
        """The step in units of 1/128."""
        return math.floor(128 * RATIO ** (self.code / 8) + 0.5)

    @property
    def value(self) -> float:
        """The step."""
        return self.numerator / 128

    def tables(self, indexes: NDArray[np.uint8], smallest_scale: int) -> NDArray[np.uint8]:
        """The table of each symbol, by the index that a graph gives in half places."""
        shift = math.floor((self.code + 2) / 4)
        places = np.ceil((indexes.astype(np.float64) - smallest_scale - shift) / 2)
        return np.clip(places, 0, _LAST_TABLE).astype(np.uint8)
