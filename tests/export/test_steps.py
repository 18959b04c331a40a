"""Quantisation steps as the exporter knows them."""

from __future__ import annotations

import cca_core
import numpy as np
import pytest
from cca_export import steps
from cca_export.lower.exact import build
from cca_export.lower.exact.calibration import observe_prior
from cca_export.lower.exact.convert import UnprovableLayerError
from cca_export.lower.exact.graphs import ExactPrior
from cca_export.lower.exact.latents import largest_latent, widest_step
from full_size_checkpoint import random_network
from references.quantisation_steps import numerator, symbol_range, table_indexes
from tiny_networks import tiny_architecture

CODES = range(-128, 128)
RATIO = (256 / 0.11) ** (1 / 63)


def test_steps_and_symbols_are_those_of_the_specification() -> None:
    assert list(steps.CODES) == list(CODES)
    for code in CODES:
        assert steps.numerator(code) == numerator(code)
        assert cca_core.symbol_range(code) == symbol_range(code)


@pytest.mark.parametrize("smallest_scale", [0, 15, 128])
def test_tables_are_those_of_the_specification(smallest_scale: int) -> None:
    indexes = np.arange(smallest_scale + 127, dtype=np.uint8)[None, None, None]
    for code in CODES:
        found = steps.table_indexes(indexes, code, smallest_scale)
        np.testing.assert_array_equal(found, table_indexes(indexes, smallest_scale, code))


def test_latents_stay_exact_at_every_step() -> None:
    """No sum of a symbol's distance, a mean and a prediction reaches 2^24 units of 2^-7."""
    largest = {}
    for code in CODES:
        size, (low, high) = numerator(code), symbol_range(code)
        mean, prediction = 2**21 * 2, (2 * 64 * size + 128) // 256
        largest[code] = max(-low, high) * size + mean + prediction
        assert largest[code] == largest_latent(code) < 2**24
    assert largest[widest_step()] == max(largest.values()) == 16_694_653


def test_latents_that_could_be_inexact_fail_with_the_layers_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "largest_latent", lambda _: 1 << 24)
    network = random_network(tiny_architecture((2, 3)))
    observed = observe_prior(network, [np.zeros((1, 64, 64, 3), np.uint8)])
    with pytest.raises(UnprovableLayerError, match=r"lrp_transforms\.0: latents reach 16,777,216"):
        ExactPrior(network, observed)


@pytest.mark.parametrize(("finest", "places"), [(1, 0), (0.999, 1), (0.4, 15), (1e-300, 128)])
def test_the_smallest_scale_of_a_finest_step(finest: float, places: int) -> None:
    assert steps.smallest_scale(finest) == places
    if places < 128:
        assert RATIO ** (-places / 2) <= finest < RATIO ** (-(places - 1) / 2)


def test_a_network_is_calibrated_at_both_ends_of_what_it_was_trained_for() -> None:
    assert steps.trained_codes(1) == (0,)
    assert steps.trained_codes(0.4) == (0, -60, 60)
    assert numerator(-60) / 128 == pytest.approx(0.4, rel=0.01)
    assert steps.trained_codes(1e-300) == (0, -127, 127)
