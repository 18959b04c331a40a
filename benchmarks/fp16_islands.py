"""Float16 without the float32 parts, to see what each of them is good for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from cca_export.families.cca.network import CcaNetwork, SimpleGate
from cca_export.lower.fp16.layers import Fp16Attention, Fp16Gelu, Fp16Norm, ToFp16, WideGate
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

HALF, FLOAT = torch.float16, torch.float32
LEVELS = 255


class Rounded(TorchDispatchMode):
    """Float16 operations compute in float32 and round their results, as on tensor cores.

    PyTorch's own float16 is slow on a CPU.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (args, kwargs or {})
        tensors = (leaf for leaf in tree_flatten(given)[0] if isinstance(leaf, Tensor))
        is_cast = func is torch.ops.aten._to_copy.default
        if is_cast or all(tensor.dtype != HALF for tensor in tensors):
            return func(*given[0], **given[1])
        args, kwargs = tree_map_only(Tensor, lambda x: _to(x, HALF, FLOAT), given)
        return tree_map_only(Tensor, lambda x: _to(x, FLOAT, HALF), func(*args, **kwargs))


def _to(x: Tensor, before: torch.dtype, after: torch.dtype) -> Tensor:
    return x.to(after) if x.dtype == before else x


class NormInFp16(nn.Module):
    """Layer normalisation with float16 statistics, of a tensor stored by any factor."""

    def __init__(self, layer: Fp16Norm) -> None:
        super().__init__()
        self.weight, self.bias = (
            p.detach().to(HALF)[:, None, None] for p in (layer.norm.weight, layer.norm.bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        """float16 [N, C, H, W] to the same."""
        x = x - x.mean(1, keepdim=True)
        variance = (x * x).mean(1, keepdim=True) + 1e-6
        return x / torch.sqrt(variance) * self.weight + self.bias


class AttentionInFp16(nn.Module):
    """Channel attention whose averages, or whose product with its input alone, are float16."""

    def __init__(self, layer: Fp16Attention, *, averages: bool) -> None:
        super().__init__()
        self.weights, self.averages = layer.weights, averages

    def forward(self, gated: Tensor) -> Tensor:
        """float16 [N, C, H, W] to the same."""
        positions = gated.shape[2] * gated.shape[3]
        if self.averages:
            average = (gated.sum((2, 3), keepdim=True) / positions).to(FLOAT)
            return (gated.to(FLOAT) * self.weights(average)).to(HALF)
        average = gated.to(FLOAT).mean((2, 3), keepdim=True)
        return gated * self.weights(average).to(HALF)


class GateInFp16(nn.Module):
    """A product of float16 numbers, stored by another factor than it comes out with."""

    def __init__(self, layer: WideGate) -> None:
        super().__init__()
        self.factor = layer.factor

    def forward(self, x: Tensor) -> Tensor:
        """float16 [N, 2C, H, W] to [N, C, H, W]."""
        first, second = x.chunk(2, dim=1)
        return first * second * self.factor


class GeluInFp16(nn.Module):
    """GELU in float16: the formula, each step rounded."""

    def __init__(self, layer: Fp16Gelu) -> None:
        super().__init__()
        self.argument = 0.5**0.5 / layer.source
        self.factor = 0.5 * layer.target / layer.source

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * (1 + torch.erf(x * self.argument)) * self.factor


class PixelsInFp16(nn.Module):
    """Pixels that are divided by 255 in float16, then read by weights made for 0 to 255."""

    def forward(self, x: Tensor) -> Tensor:
        """float32 to float16."""
        return torch.round(x * LEVELS).to(HALF) / LEVELS * LEVELS


Replacement = Callable[[Any], nn.Module]

WITHOUT: Mapping[str, tuple[type[nn.Module], Replacement]] = {
    "statistics of layer norms": (Fp16Norm, NormInFp16),
    "averages over the picture": (Fp16Attention, lambda m: AttentionInFp16(m, averages=True)),
    "products with attention": (Fp16Attention, lambda m: AttentionInFp16(m, averages=False)),
    "products of gates with factors": (WideGate, GateInFp16),
    "GELU": (Fp16Gelu, GeluInFp16),
    "pixels": (ToFp16, lambda m: PixelsInFp16() if m.factor == LEVELS else m),
}
"""What is float32 inside a float16 network, the layers that compute it, and float16 ones."""

MORE: Mapping[str, tuple[type[nn.Module], Replacement]] = {
    "all gates": (SimpleGate, lambda _: WideGate(1, 1)),
}
"""What could be float32 as well."""


def replaced(network: CcaNetwork, layers: type[nn.Module], by: Replacement) -> CcaNetwork:
    """A copy of a float16 network with every layer of one kind replaced."""
    result = copy.deepcopy(network)
    for module in list(result.modules()):
        for name, child in module.named_children():
            if isinstance(child, layers):
                setattr(module, name, by(child))
    return result
