"""Learning rate and batches of every training step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.data import BatchShape

_WARM_UP_STEPS = 300
_FLAT_SHARE = 0.6
_SMALL_CROPS_SHARE = 0.75
_SMALL_CROPS = BatchShape(count=8, size=128)
# Crops of 128 pixels train the global averages on less than whole pictures give them.
_LARGE_CROPS = BatchShape(count=3, size=256)


@dataclass(frozen=True)
class Schedule:
    """A training run's course, a function of the step alone.

    Attributes:
        steps: Length of the run.
        peak: Highest learning rate.
    """

    steps: int
    peak: float

    @property
    def flat_steps(self) -> int:
        """Steps that do not depend on the length of the run: up to the end of the flat part."""
        return round(self.steps * _FLAT_SHARE)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, a flat part, then half a cosine down to zero."""
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        decayed = max(0.0, (step - self.flat_steps) / (self.steps - self.flat_steps))
        return self.peak * warm_up * 0.5 * (1 + math.cos(math.pi * decayed))

    def batch_shapes(self) -> list[BatchShape]:
        """Small crops first, large ones for the rest; one entry a step."""
        small = round(self.steps * _SMALL_CROPS_SHARE)
        return [_SMALL_CROPS] * small + [_LARGE_CROPS] * (self.steps - small)
