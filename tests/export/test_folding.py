"""Folding changes operators, not the function: in float64 the difference is rounding."""

from __future__ import annotations

import pytest
import torch
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import NafBlock
from cca_export.lower.folding import FoldedNafBlock, SubPixelConvolution, folded
from full_size_checkpoint import random_network
from tiny_networks import tiny_architecture
from torch import nn

ROUNDING = 1e-12


def randomised(module: nn.Module, seed: int) -> nn.Module:
    """Nothing is 0 or 1, as gains and norms are in a network that was not trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.double))
    return module.requires_grad_(False)


@pytest.mark.parametrize(("width", "mean"), [(1, 0.0), (6, 0.0), (17, 30.0)])
def test_a_naf_block_is_the_same_function(width: int, mean: float) -> None:
    block = randomised(NafBlock(width), width)
    x = mean + torch.randn(2, width, 7, 5, dtype=torch.double)
    folded_block = FoldedNafBlock(block).double()  # type: ignore[arg-type]
    expected = block(x)
    torch.testing.assert_close(folded_block(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("channels", [(1, 1), (5, 3), (4, 9)])
@pytest.mark.parametrize("size", [(1, 1), (4, 7)])
def test_a_transposed_convolution_is_the_same_function(
    channels: tuple[int, int], size: tuple[int, int]
) -> None:
    transposed = nn.ConvTranspose2d(*channels, 5, 2, padding=2, output_padding=1)
    randomised(transposed, sum(channels))
    x = torch.randn(2, channels[0], *size, dtype=torch.double)
    found = SubPixelConvolution(transposed).double()(x)
    torch.testing.assert_close(found, transposed(x), rtol=ROUNDING, atol=ROUNDING)


def test_other_transposed_convolutions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kernel \[3, 3\] cannot be folded"):
        SubPixelConvolution(nn.ConvTranspose2d(2, 2, 3, 2, padding=1, output_padding=1))


def test_the_network_keeps_its_own_modules() -> None:
    network = random_network(tiny_architecture((2, 3)))
    before = [type(module) for module in network.modules()]
    for graph in codec_graphs(network):
        kinds = {type(module) for module in folded(graph).module.modules()}
        assert not kinds & {NafBlock}
    assert [type(module) for module in network.modules()] == before
