"""Entropy tables, integer for integer those of the published implementation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from cca_export.checkpoint import load_network
from cca_export.families.cca.network import FactorisedPrior
from cca_export.tables import (
    MAX_TABLE_SYMBOLS,
    EntropyTables,
    TableError,
    gaussian_tables,
    hyper_latent_tables,
    quantise_pmf,
    scale_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import CHECKPOINTS, GOLDEN
from numpy.typing import NDArray

ONE = 1 << 16


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN / "tables.npz") as arrays:
        return dict(arrays)


def assert_equal(tables: EntropyTables, cdf: Any, length: Any, offset: Any) -> None:
    for ours, reference in ((tables.cdf, cdf), (tables.length, length), (tables.offset, offset)):
        assert ours.dtype == np.int32
        np.testing.assert_array_equal(ours, reference)


def test_scales_are_the_references(golden: dict[str, NDArray[Any]]) -> None:
    np.testing.assert_array_equal(scale_table().numpy(), golden["scale_table"])


def test_gaussian_tables_are_the_references(golden: dict[str, NDArray[Any]]) -> None:
    names = ("gaussian_cdf", "gaussian_length", "gaussian_offset")
    assert_equal(gaussian_tables(), *(golden[name] for name in names))


def test_hyper_latent_tables_are_the_references(golden: dict[str, NDArray[Any]]) -> None:
    prior = load_network(CHECKPOINTS / "cca-small.pth").z_entropy_bottleneck
    np.testing.assert_array_equal(prior.medians.flatten().numpy(), golden["z_medians"])
    names = ("z_cdf", "z_length", "z_offset")
    assert_equal(hyper_latent_tables(prior), *(golden[name] for name in names))


def test_tables_are_those_that_a_checkpoint_brings_along() -> None:
    file = CHECKPOINTS / "random-2groups.pth"
    state = torch.load(file, weights_only=True)["state_dict"]
    tables = hyper_latent_tables(load_network(file).z_entropy_bottleneck)
    stored = "module.z_entropy_bottleneck."
    names = ("_quantized_cdf", "_cdf_length", "_offset")
    assert_equal(tables, *(state[stored + name].numpy() for name in names))


def assert_codable(tables: EntropyTables) -> None:
    for cdf, length in zip(tables.cdf, tables.length, strict=True):
        assert cdf[0] == 0
        assert cdf[length - 1] == ONE
        assert (np.diff(cdf[:length]) > 0).all()
        assert not cdf[length:].any()


def test_every_symbol_of_every_table_can_be_coded() -> None:
    assert_codable(gaussian_tables())
    assert_codable(hyper_latent_tables(random_prior(seed=1)))


def transcribed_rule(pmf: list[float]) -> list[int]:
    """The published quantiser, one step at a time on the cumulative, as slowly as it is written."""
    scaled = []
    for p in pmf:
        exact = p * ONE
        whole = math.floor(exact)
        scaled.append(whole + 1 if exact - whole >= 0.5 else whole)
    total = sum(scaled)
    cumulative = [0]
    for count in scaled:
        cumulative.append(cumulative[-1] + count * ONE // total)
    cumulative[-1] = ONE
    for i in range(len(pmf)):
        if cumulative[i] != cumulative[i + 1]:
            continue
        best, best_frequency = -1, ONE + 1
        for j in range(len(pmf)):
            frequency = cumulative[j + 1] - cumulative[j]
            if 1 < frequency < best_frequency:
                best, best_frequency = j, frequency
        if best < i:
            for j in range(best + 1, i + 1):
                cumulative[j] -= 1
        else:
            for j in range(i + 1, best + 1):
                cumulative[j] += 1
    return cumulative


PROBABILITIES = st.lists(
    st.one_of(
        st.floats(0, 1, width=32),
        st.floats(0, 2**-14, width=32),
        st.integers(0, 9).map(lambda k: k * 2.0**-17),  # exact halves of a frequency, and ties
        st.just(0.0),
    ),
    min_size=2,
    max_size=60,
).filter(lambda pmf: sum(math.floor(p * ONE + 0.5) for p in pmf) > 0)


@settings(max_examples=300, deadline=None)
@given(PROBABILITIES)
def test_quantiser_follows_the_published_rule(pmf: list[float]) -> None:
    assert quantise_pmf(np.array(pmf, np.float32)).tolist() == transcribed_rule(pmf)


def test_quantiser_feeds_thousands_of_starving_symbols() -> None:
    pmf = np.zeros(3000, np.float32)
    pmf[1000:1400] = 1 / 400
    assert quantise_pmf(pmf).tolist() == transcribed_rule(pmf.tolist())


@pytest.mark.parametrize(
    "pmf", [[0.5, -0.1], [0.5, math.nan], [math.inf, 0.5], [0.0, 0.0], [1.0] * ONE]
)
def test_quantiser_refuses_what_is_no_distribution(pmf: list[float]) -> None:
    with pytest.raises(TableError, match="probabilities"):
        quantise_pmf(np.array(pmf, np.float32))


def random_prior(seed: int) -> FactorisedPrior:
    torch.manual_seed(seed)
    prior = FactorisedPrior(6, (3, 2)).requires_grad_(False)
    for parameter in (*prior.matrices, *prior.biases, *prior.factors):
        parameter.uniform_(-1, 1)
    prior.quantiles.copy_(torch.tensor([-7.0, 0.0, 9.0]) + torch.randn(6, 1, 3))
    return prior


def test_medians_that_lie_outside_their_quantiles_give_small_tables() -> None:
    prior = random_prior(seed=2)
    prior.quantiles[0, 0] = torch.tensor([5.0, 0.0, -5.0])
    tables = hyper_latent_tables(prior)
    assert tables.length[0] == 3
    assert tables.offset[0] == 0
    assert_codable(tables)


@pytest.mark.parametrize("reach", [MAX_TABLE_SYMBOLS, 1e9, 3e38])
def test_absurd_quantiles_are_refused_without_allocating_for_them(reach: float) -> None:
    prior = random_prior(seed=3)
    prior.quantiles[4, 0] = torch.tensor([-reach, 0.0, reach])
    with pytest.raises(TableError, match="channel 4"):
        hyper_latent_tables(prior)
