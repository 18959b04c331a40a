"""The largest magnitudes that a network's layers read and give."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from cca_core import LatentsError
from numpy.typing import NDArray
from torch import Tensor, nn

from cca_export.coding_runs import run_codec
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork, ChannelLayerNorm, SimpleGate

_OBSERVED = (nn.Conv2d, nn.ConvTranspose2d, nn.GELU, SimpleGate, ChannelLayerNorm)

_SYNTHETIC_SIDE = 256


class Ranges:
    """Largest magnitudes seen, by the layer's name in the network."""

    def __init__(self) -> None:
        self._inputs: dict[str, float] = defaultdict(float)
        self._outputs: dict[str, float] = defaultdict(float)

    def input(self, layer: str) -> float:
        """Of what the layer read."""
        return self._inputs[layer]

    def output(self, layer: str) -> float:
        """Of what the layer gave."""
        return self._outputs[layer]

    def largest(self) -> float:
        """Of everything."""
        return max((*self._inputs.values(), *self._outputs.values()), default=0.0)

    def add(self, layer: str, x: Tensor, y: Tensor) -> None:
        """Take one call's tensors into account."""
        self._inputs[layer] = larger(self._inputs[layer], x.abs().max().item())
        self._outputs[layer] = larger(self._outputs[layer], y.abs().max().item())


def observe_ranges(network: CcaNetwork, pictures: Iterable[NDArray[np.uint8]]) -> Ranges:
    """Encode and decode pictures, and two that no camera takes, with the float network.

    Args:
        network: Layers are known by their names in it.
        pictures: uint8 [1, H, W, 3], sides multiples of 64.
    """
    ranges = Ranges()
    graphs = list(codec_graphs(network))
    with _hooks(network, ranges):
        for picture in (*pictures, *_synthetic_pictures()):
            # The ranges seen until then tell which layer overflows.
            with suppress(LatentsError):
                deque(run_codec(graphs, picture), maxlen=0)
    return ranges


def _synthetic_pictures() -> Sequence[NDArray[np.uint8]]:
    """Noise, and a chequerboard of black and white: the extremes of a picture's frequencies."""
    sides = (_SYNTHETIC_SIDE, _SYNTHETIC_SIDE)
    noise = torch.randint(0, 256, (1, *sides, 3), generator=torch.Generator().manual_seed(0))
    rows, columns = torch.meshgrid(*(torch.arange(side) // 8 for side in sides), indexing="ij")
    board = ((rows + columns) % 2 * 255)[None, :, :, None].expand(1, *sides, 3)
    return noise.to(torch.uint8).numpy(), board.to(torch.uint8).numpy()


def larger(x: float, y: float) -> float:
    """The larger of two magnitudes, which unlike Python's never loses what is not a number."""
    return float(np.maximum(x, y))


@contextmanager
def _hooks(network: CcaNetwork, ranges: Ranges) -> Iterator[None]:
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, _OBSERVED):

            def hook(_: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
                ranges.add(name, inputs[0], output)

            handles.append(module.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
