"""What a network makes of a picture, as the codec runs it: the cost of its symbols, the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.steps import smallest_scale, table_indexes
from cca_export.tables import EntropyTables, gaussian_tables, hyper_latent_tables
from numpy.typing import NDArray
from references.coding_order import CodingState, symbol_bytes
from references.padding import choose_padding, crop, pad
from torch import Tensor

_LENGTH_BITS = 5


@dataclass(frozen=True)
class Coded:
    """A coded picture: ideal code length in bits, and what the decoder shows, uint8 [H, W, 3]."""

    bits: float
    pixels: NDArray[np.uint8]


class FloatCodec:
    """The codec's own graphs in PyTorch, without the coder: float prior, no container.

    A stream is a little longer: the container takes about 40 bytes, and the integers of an
    exact prior a thousandth.
    """

    def __init__(self, network: CcaNetwork) -> None:
        self._graphs = list(codec_graphs(network))
        self._sizes = list(network.architecture.group_sizes)
        self._smallest_scale = smallest_scale(network.finest_step)
        self._gaussians = gaussian_tables()
        self._factorised = hyper_latent_tables(network.z_entropy_bottleneck)

    @torch.inference_mode()
    def code(self, pixels: NDArray[np.uint8]) -> Coded:
        """Code `pixels`, uint8 [H, W, 3], padded as the encoder pads them."""
        padding = choose_padding(*pixels.shape[:2])
        image = torch.from_numpy(pad(pixels, padding)[None])
        known = CodingState[Tensor]({"image": image, "step": torch.ones(1)}, torch.cat)
        self._run(0, known)
        channel = np.arange(known["z_symbols"].shape[1])[None, :, None, None]
        bits = _bits(known["z_symbols"], channel, self._factorised)
        y = torch.split(known["y"], self._sizes, 1)
        for graph in range(1, len(self._graphs) - 1):
            if graph > 1:
                means = known["means"]
                symbols = torch.round(y[graph - 2] - means).to(torch.int32)
                tables = table_indexes(known["indexes"].numpy(), 0, self._smallest_scale)
                bits += _bits(symbols, tables, self._gaussians)
                known.add({"symbols": torch.from_numpy(symbol_bytes(symbols.numpy()))})
            self._run(graph, known)
        self._run(len(self._graphs) - 1, known)
        return Coded(bits, crop(known["image"][0].numpy(), padding))

    def _run(self, number: int, known: CodingState[Tensor]) -> None:
        """Run a graph on what is known and add its outputs."""
        graph = self._graphs[number]
        outputs = graph.module(**known.inputs(graph))
        known.add(dict(zip((spec.name for spec in graph.outputs), outputs, strict=True)))


def _bits(symbols: Tensor, indexes: NDArray[np.int64], tables: EntropyTables) -> float:
    """Ideal code length of `symbols` with the tables that `indexes` name, escapes included."""
    values = symbols.numpy().astype(np.int64)
    rows = np.broadcast_to(indexes, values.shape)
    interval = values - tables.offset[rows]
    escape = tables.length[rows] - 2
    inside = (interval >= 0) & (interval < escape)
    chosen = np.where(inside, interval, escape)
    frequency = tables.cdf[rows, chosen + 1] - tables.cdf[rows, chosen]
    bits = float(np.sum(16 - np.log2(frequency)))
    # An escaped distance: its length, then its bits below the highest (docs/spec/format.md).
    beyond = np.where(interval < 0, -2 * interval - 1, 2 * (interval - escape))[~inside]
    return bits + sum(_LENGTH_BITS + max(0, int(d).bit_length() - 1) for d in beyond)
