"""Multiply-accumulates of the network, from its weights alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from cca_export.families.cca.network import CcaNetwork

# Picture pixels, along one side, per position at which a layer's weights are applied:
# its output for a strided convolution, its input for a transposed one.
_STRIDES: tuple[tuple[str, Callable[[int], int]], ...] = (
    (r"g_a\.(?:down|blocks)\.(\d)", lambda i: 2 << i),
    (r"g_s\.up\.(\d)", lambda i: 16 >> i),
    (r"g_s\.blocks\.(\d)", lambda i: 8 >> i),
    (r"h_a\.(\d)", lambda i: 16 << i // 2),
    (r"h_(?:mean|scale)_s\.(\d)", lambda i: 64 >> i // 2),
    (r"(?:mean|scale|lrp)_\w+\.(\d)", lambda _: 16),
)


@dataclass(frozen=True)
class Complexity:
    """Parameters, and thousands of multiply-accumulates per picture pixel."""

    parameters: int
    encode_kmac: float
    decode_kmac: float


def complexity(network: CcaNetwork) -> Complexity:
    """Count the convolutions of encoding (analysis, prior) and decoding (prior, synthesis).

    Channel attention works on one position a picture and is left out.
    """
    encode = decode = 0.0
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or ".sca." in name:
            continue
        macs = module.weight.numel() / _stride(name) ** 2
        encode += macs if not name.startswith("g_s.") else 0
        decode += macs if not name.startswith(("g_a.", "h_a.")) else 0
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, encode / 1000, decode / 1000)


def _stride(name: str) -> int:
    for pattern, stride in _STRIDES:
        match = re.match(pattern, name)
        if match:
            return stride(int(match[1]))
    raise LookupError(f"layer '{name}' has no known resolution")
