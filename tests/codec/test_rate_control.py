"""What may be asked of the encoder: one quality or one target, and nothing that is no number."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cca_runtime import BadInputError
from cca_runtime.codec import Codec
from cca_runtime.rate_control import RateControl, as_rate_control
from numpy.typing import NDArray

ARGUMENTS = ("quality", "target_bpp", "target_size", "target_psnr")

NO_NUMBERS: list[Any] = [
    "50",
    b"50",
    True,
    False,
    np.bool_(True),
    math.nan,
    math.inf,
    -math.inf,
    np.float32("nan"),
    -1,
    -0.001,
    5j,
    [50],
    np.array([50.0]),
    Decimal(50),
    object(),
]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_is_no_number_is_refused(name: str) -> None:
    values = NO_NUMBERS + ([20000.0] if name == "target_size" else [10**400])
    for value in values:
        with pytest.raises(BadInputError, match=rf"^{name} must be a (whole )?number, ") as caught:
            as_rate_control(**{name: value})
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "value"),
    [("quality", 100.001), ("target_size", 0), ("target_bpp", 1001), ("target_psnr", 201)],
)
def test_values_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(BadInputError, match=rf"^{name} must be a (whole )?number, "):
        as_rate_control(**{name: value})


@pytest.mark.parametrize("name", ["target_bpp", "target_psnr"])
def test_targets_of_nothing_are_refused(name: str) -> None:
    for value in (0, 0.0, np.float32(0), -0.0):
        with pytest.raises(BadInputError, match=f"^{name} must be above 0$"):
            as_rate_control(**{name: value})


@pytest.mark.parametrize("pair", list(itertools.combinations(ARGUMENTS, 2)))
def test_two_at_once_are_refused(
    pair: tuple[str, str], default_codec: Codec, chelsea: NDArray[np.uint8]
) -> None:
    asked: dict[str, Any] = dict.fromkeys(pair, 40)
    message = f"^give {pair[0]} or {pair[1]}, not both"
    with pytest.raises(BadInputError, match=message):
        default_codec.encode(chelsea, **asked)
    with pytest.raises(BadInputError, match=message):
        default_codec.encode_picture(chelsea, **asked)
    with pytest.raises(BadInputError, match=message):  # before any picture is taken
        default_codec.encode_each([chelsea], **asked)


def test_numbers_of_any_kind_are_numbers() -> None:
    for value in (75, 75.0, np.uint8(75), np.float32(75), np.float64(75), Fraction(75)):
        assert as_rate_control(quality=value) == RateControl(step=-64)
        assert as_rate_control(target_psnr=value) == RateControl(psnr=75.0)
    assert as_rate_control(target_size=np.uint16(50_000)) == RateControl(size=50_000)
    assert as_rate_control() == RateControl(step=0)


@pytest.mark.parametrize(
    ("quality", "step"), [(0, 127), (100, -128), (50, 0), (50.19, 0), (50.2, -1), (49.8, 1)]
)
def test_the_step_of_a_quality(quality: float, step: int) -> None:
    """As docs/spec/format.md says: an eighth of a place of the scale table each 1 / 2.56."""
    assert as_rate_control(quality=quality).step == step
