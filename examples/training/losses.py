"""What a training step is judged by, and the table of it that a run keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Losses:
    """Means over the pictures of one step, or of several.

    Attributes:
        loss: What is minimised, without the CCA loss.
        bits_per_pixel: Rate, hyper-latents included.
        mean_squared_error: On the scale of 0 to 255.
        group: Bits per pixel of each channel group.
        saved: Bits per pixel that the context of each group saves; empty without CCA loss.
    """

    loss: float
    bits_per_pixel: float
    mean_squared_error: float
    group: tuple[float, ...] = ()
    saved: tuple[float, ...] = ()

    def columns(self) -> dict[str, float]:
        """One row of the table: values by the names of their columns."""
        row = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                row |= {f"{field.name}_{number}": each for number, each in enumerate(value)}
            else:
                row[field.name] = value
        return row


def mean(losses: Sequence[Losses]) -> Losses:
    """Of several steps of one run."""
    of_fields = ([getattr(each, field.name) for each in losses] for field in fields(Losses))
    loss, rate, error, group, saved = (np.mean(values, 0).tolist() for values in of_fields)
    return Losses(loss, rate, error, tuple(group), tuple(saved))
