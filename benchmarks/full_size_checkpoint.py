"""Write a checkpoint of the published size with random weights.

For measuring the exporter and the engines at full size without trained weights:

    python benchmarks/full_size_checkpoint.py full-size.pth
"""

from __future__ import annotations

import argparse

import torch
from cca_export.families.cca.architecture import (
    Architecture,
    GroupShape,
    NafStackShape,
    TransformShape,
)
from cca_export.families.cca.network import CcaNetwork

WIDTHS = (192, 224, 256)
GROUPS = (8, 28, 56, 92, 136)
HEAD = (224, 128)
NAF_STACK = NafStackShape(width=224, blocks=4)
BLOCKS_PER_STAGE = {"naf_blocks": (4, 4, 4), "bottleneck_blocks": (3, 3, 3)}

PUBLISHED = Architecture(
    latent_channels=320,
    hyper_channels=192,
    analysis=TransformShape(widths=WIDTHS, **BLOCKS_PER_STAGE),
    synthesis=TransformShape(widths=WIDTHS[::-1], **BLOCKS_PER_STAGE),
    hyper_analysis=(256, 256),
    hyper_means=(256, 256),
    hyper_scales=(256, 256),
    factorised_filters=(3, 3, 3, 3),
    groups=tuple(GroupShape(size, NAF_STACK, NAF_STACK, HEAD, HEAD, HEAD) for size in GROUPS),
)
"""The architecture of the models of the paper."""


def random_network(architecture: Architecture, seed: int = 0) -> CcaNetwork:
    """A network in which every parameter is random and activations stay of order one."""
    torch.manual_seed(seed)
    network = CcaNetwork(architecture)
    prior = network.z_entropy_bottleneck
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith((".beta", ".gamma")):
                parameter.normal_(0, 0.1)
        for parameter in (*prior.matrices, *prior.biases, *prior.factors):
            parameter.uniform_(-0.5, 0.5)
        prior.quantiles.copy_(torch.tensor([-10.0, 0.0, 10.0]))
        prior.quantiles.add_(torch.rand_like(prior.quantiles))
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("output", help="file to write, for instance full-size.pth")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    arguments = parser.parse_args()
    network = random_network(PUBLISHED, arguments.seed)
    torch.save({"state_dict": network.state_dict()}, arguments.output)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{arguments.output}: {parameters:,} parameters")


if __name__ == "__main__":
    main()
