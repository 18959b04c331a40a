"""What the float prior's tensors look like on calibration pictures."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cca_export.coding_runs import run_in_pytorch, run_prior
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork, ChannelLayerNorm, SimpleGate
from cca_export.steps import trained_codes

_OBSERVED = (nn.Conv2d, nn.ConvTranspose2d, nn.GELU, SimpleGate, ChannelLayerNorm)
_MAX_SAMPLES = 1 << 14
"""Positions kept of a tensor and picture: enough to choose between powers of two."""


class Observations:
    """Samples of every layer's input and output, float32 [C, n], by the layer's name."""

    def __init__(self) -> None:
        self._inputs: dict[str, list[Tensor]] = defaultdict(list)
        self._outputs: dict[str, list[Tensor]] = defaultdict(list)

    def input(self, layer: str) -> Tensor:
        """What the layer read."""
        return torch.cat(self._inputs[layer], 1)

    def output(self, layer: str) -> Tensor:
        """What the layer gave."""
        return torch.cat(self._outputs[layer], 1)

    def add(self, layer: str, x: Tensor, y: Tensor) -> None:
        """Keep one call's tensors."""
        self._inputs[layer].append(_samples(x))
        self._outputs[layer].append(_samples(y))


def observe_prior(network: CcaNetwork, pictures: Iterable[NDArray[np.uint8]]) -> Observations:
    """Run analysis and the float prior on pictures, as an encoder would at trained steps.

    Args:
        network: Float network; its layers are observed by their names.
        pictures: uint8 [1, H, W, 3], sides multiples of 64.
    """
    observations = Observations()
    graphs = list(codec_graphs(network))
    with torch.no_grad(), _hooks(network, observations):
        for picture in pictures:
            analysed = run_in_pytorch(graphs[0], {"image": picture})
            y, z_symbols = analysed["y"], analysed["z_symbols"]
            for step in trained_codes(network.finest_step):
                deque(run_prior(graphs, z_symbols, latents=y, step=step), maxlen=0)
    return observations


@contextmanager
def _hooks(network: CcaNetwork, observations: Observations) -> Iterator[None]:
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, _OBSERVED) and not name.startswith(("g_a.", "g_s.", "h_a.")):

            def hook(_: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
                observations.add(name, inputs[0], output)

            handles.append(module.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _samples(x: Tensor) -> Tensor:
    """[N, C, H, W] to [C, n], evenly thinned where there are many positions."""
    columns = x.detach().transpose(0, 1).flatten(1)
    step = -(-columns.shape[1] // _MAX_SAMPLES)
    return columns[:, ::step].clone()
