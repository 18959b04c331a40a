"""The numbers that exact graphs multiply by instead of dividing by the number of latents."""

from __future__ import annotations

import numpy as np
import pytest
from references.averages import average_factors
from references.averages import average_factors as exporters_average_factors


def test_averages_are_the_exporters() -> None:
    sides = [*range(1, 70), 127, 128, 129, 500, 2050, 2052, 4096]
    for height in sides:
        for width in sides:
            expected = np.array(exporters_average_factors(height, width), np.float32)
            np.testing.assert_array_equal(average_factors(height, width), expected)


def test_averages_stand_for_a_division() -> None:
    for height, width in [(4, 4), (4, 64), (48, 32), (2052, 4), (612, 428), (4096, 4096)]:
        row, coarse, reciprocal, fine = map(float, average_factors(height, width))
        product = row * coarse * reciprocal * fine * height * width
        assert product == pytest.approx(1, rel=1 / 1024)
        assert 512 < reciprocal <= 1025
        assert reciprocal == int(reciprocal)
        assert height * round(1023 * width * row) < 1 << 24
