"""The numbers that exact graphs multiply by instead of dividing by the number of latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cca_core import Model, PriorMachine
from cca_runtime.bundle import open_bundle
from numpy.typing import NDArray
from references.averages import average_factors


class Uploads:
    """A host that only looks at what it is given, up to the first graph."""

    def __init__(self) -> None:
        self.floats: list[NDArray[Any]] = []

    def upload(self, _slot: int, array: NDArray[Any]) -> None:
        if array.dtype == np.float32:
            self.floats.append(array.copy())

    def allocate(self, *_: object) -> None:
        """Nothing is."""

    def run(self, *_: object) -> None:
        raise AssertionError("the averages come first")

    def download(self, slot: int) -> NDArray[Any]:
        raise AssertionError(slot)

    def free(self, _slot: int) -> None:
        """Nothing is."""


def uploaded_averages(model: Model, rows: int, columns: int) -> NDArray[Any]:
    """What a machine gives to graphs for so many hyper-latents."""
    shape = (1, open_bundle().hyper_channels, rows, columns)
    latents = (1, open_bundle().latent_channels, 4 * rows, 4 * columns)
    machine = PriorMachine(model, np.zeros(shape, np.int32), symbols=np.zeros(latents, np.int32))
    host = Uploads()
    while not host.floats:
        machine.step(0, host)
    (averages,) = host.floats
    return averages


def test_the_core_gives_graphs_the_averages_of_the_specification() -> None:
    model = open_bundle().read_model()
    sides = [*range(1, 18), 31, 32, 33, 64, 125]
    for rows in sides:
        for columns in sides:
            expected = average_factors(4 * rows, 4 * columns)
            np.testing.assert_array_equal(uploaded_averages(model, rows, columns), expected)


def test_averages_stand_for_a_division() -> None:
    for height, width in [(4, 4), (4, 64), (48, 32), (2052, 4), (612, 428), (4096, 4096)]:
        row, coarse, reciprocal, fine = map(float, average_factors(height, width))
        product = row * coarse * reciprocal * fine * height * width
        assert product == pytest.approx(1, rel=1 / 1024)
        assert 512 < reciprocal <= 1025
        assert reciprocal == int(reciprocal)
        assert height * round(1023 * width * row) < 1 << 24
