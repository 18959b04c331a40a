"""Building an exact prior: what is proved, and what happens where nothing can be."""

from __future__ import annotations

import pytest
import torch
from cca_export.check import CHECK_PICTURE, load_picture
from cca_export.lower.exact import build
from cca_export.lower.exact.convert import Scaled, UnprovableLayerError, quantise
from cca_export.lower.exact.export import build_exact
from cca_export.lower.exact.gelu import REQUIRED_MARGIN, GeluConstants, gelu_constants
from cca_export.lower.exact.layers import EXACT_INTEGER, SUPPORT
from cca_export.lower.exact.normalisation import mean_is_exact
from full_size_checkpoint import random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import tiny_architecture
from torch import nn


def export_tiny() -> None:
    network = random_network(tiny_architecture((2, 3)))
    build_exact(network, {"cat": load_picture(CHECK_PICTURE)})


def test_an_unprovable_mean_fails_with_the_layers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "mean_is_exact", lambda _: False)
    with pytest.raises(UnprovableLayerError, match=r"mean_NAF_transforms\.0\.blocks\.0\.norm1"):
        export_tiny()


def test_an_unprovable_gelu_fails_with_the_layers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "gelu_constants", lambda *_: GeluConstants(1, 1, 0.5, 3.9))
    with pytest.raises(UnprovableLayerError, match=r"h_mean_s\.1: .* 3\.9 error bounds"):
        export_tiny()


def test_means_are_exact_up_to_wide_priors_and_refused_beyond() -> None:
    assert all(mean_is_exact(channels) for channels in (1, 2, 3, 48, 224, 321, 1024, 2048))
    assert not mean_is_exact(4096)
    assert not mean_is_exact(5000)


@pytest.mark.parametrize("output", range(7))
@pytest.mark.parametrize("exponent", range(-11, -2))
def test_gelus_keep_their_distance_from_rounding_boundaries(exponent: int, output: int) -> None:
    """At every pair of exponents that ranges can lead to, seen through an erf that errs."""
    constants = gelu_constants(exponent, exponent + output)
    assert constants.margin >= REQUIRED_MARGIN
    p = torch.arange(-2047, 2048, dtype=torch.float64)
    results = []
    for error in (-(2.0**-22), 0.0, 2.0**-22):
        erf = torch.erf(p * constants.erf_factor) + error
        results.append(torch.floor(p * constants.factor * (erf + 1) + constants.constant))
    for result in results:
        torch.testing.assert_close(result.clamp(-31, 224), results[1].clamp(-31, 224))
    step = 2.0 ** (exponent + output)
    ideal = torch.nn.functional.gelu(p * 2.0**exponent) / step
    assert ((results[1] - ideal).abs() <= 1.01).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.integers(-12, 12), transposed=st.booleans())
def test_no_partial_sum_reaches_the_limit(seed: int, scale: int, transposed: bool) -> None:
    """Against the worst inputs there are, and sums in the worst order, in int64."""
    generator = torch.Generator().manual_seed(seed)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(6, 4, 5, stride=2, padding=2)
    weight = torch.randn(layer.weight.shape, generator=generator) * 2.0**scale
    bias = torch.randn(4, generator=generator) * 2.0**scale
    inputs = Scaled.of(torch.randint(-6, 3, (6,), generator=generator), SUPPORT)
    integers = quantise(layer, weight, bias, inputs, torch.full((4,), -5))
    outputs = integers.weight if not transposed else integers.weight.transpose(0, 1)
    for channel, terms in enumerate(outputs):
        taps = [terms[:, y::2, x::2] for y in (0, 1) for x in (0, 1)] if transposed else [terms]
        half = 2 ** (int(integers.shift[channel]) - 1) if integers.shift[channel] >= 1 else 0
        offset = int(integers.bias[channel]) + half
        for phase in taps:
            # All terms of one sign first, each input as large as it can be.
            worst = int(phase.abs().sum()) * SUPPORT.high
            assert worst + abs(offset) <= int(integers.bound[channel]) < EXACT_INTEGER
