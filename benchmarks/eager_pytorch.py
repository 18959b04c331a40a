"""The baseline: the network in eager PyTorch with CompressAI's coder, as research code runs it.

Symbols and table indexes go to the coder as Python lists, one call a channel group, as in the
published models' `compress` and `decompress`. CompressAI's extension is loaded by its path:
importing the package would need torchvision.

    pip install --no-deps compressai
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import CodecGraph
from cca_export.steps import smallest_scale, table_indexes
from cca_export.tables import EntropyTables, gaussian_tables, hyper_latent_tables
from cca_runtime.stopwatch import Stopwatch
from numpy.typing import NDArray
from references.averages import average_factors
from references.coding_order import CodingState, symbol_bytes
from torch import Tensor


def load_coder() -> Any:
    """CompressAI's extension `compressai.ans`, of the package that is installed."""
    package = importlib.util.find_spec("compressai")
    if package is None or package.submodule_search_locations is None:
        sys.exit("needs CompressAI's coder: pip install --no-deps compressai")
    folder = Path(package.submodule_search_locations[0])
    file = next(folder.glob("ans*.so"))
    loader = importlib.machinery.ExtensionFileLoader("ans", str(file))
    spec = importlib.util.spec_from_file_location("ans", file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Strings:
    """What a batch of pictures was coded to.

    Attributes:
        y: The groups' symbols of all pictures.
        z: Each picture's hyper-latent symbols.
        shape: Of the hyper-latents, [N, Z, h, w].
    """

    y: bytes
    z: list[bytes]
    shape: tuple[int, ...]


class EagerCodec:
    """Encodes and decodes batches of pictures."""

    def __init__(self, network: CcaNetwork, device: str = "cpu", *, half: bool = False) -> None:
        """Take the network to a device.

        Args:
            network: Its parameters are moved there.
            device: `cpu` or `cuda`.
            half: Whether convolutions compute in float16, by PyTorch's autocast.
        """
        self._coder = load_coder()
        self._device = device
        self._half = half
        self._gaussian = gaussian_tables()
        self._hyper_latents = hyper_latent_tables(network.cpu().z_entropy_bottleneck)
        self._graphs = list(codec_graphs(network.to(device)))
        for graph in self._graphs:
            graph.module.to(device)
        self._sizes = network.architecture.group_sizes
        self._smallest_scale = smallest_scale(network.finest_step)

    def encode(self, images: NDArray[np.uint8]) -> tuple[Strings, dict[str, float]]:
        """uint8 [N, H, W, 3], sides multiples of 64, to strings and seconds by stage."""
        watch = Stopwatch()
        with torch.inference_mode(), self._precision():
            with self._stage(watch, "analysis"):
                y, z = self._graphs[0].module(torch.from_numpy(images).to(self._device))
            with self._stage(watch, "coder"):
                z_symbols = z.cpu().numpy()
                coder = self._coder.RansEncoder()
                tables = _lists(self._hyper_latents)
                z_strings = [
                    coder.encode_with_indexes(one.ravel().tolist(), _channels(one.shape), *tables)
                    for one in z_symbols
                ]
            encoder = self._coder.BufferedRansEncoder()
            symbols_list: list[int] = []
            indexes_list: list[int] = []
            starts = np.cumsum([0, *self._sizes])

            def code(group: int, means: Tensor, indexes: NDArray[np.int64]) -> NDArray[np.int64]:
                part = y[:, starts[group] : starts[group + 1]]
                symbols: NDArray[np.int64] = torch.round(part - means).long().cpu().numpy()
                with self._stage(watch, "coder"):
                    symbols_list.extend(symbols.ravel().tolist())
                    indexes_list.extend(indexes.ravel().tolist())
                return symbols

            self._run_prior(z, code, watch)
            with self._stage(watch, "coder"):
                encoder.encode_with_indexes(symbols_list, indexes_list, *_lists(self._gaussian))
                y_string = encoder.flush()
        return Strings(y_string, z_strings, z_symbols.shape), watch.seconds

    def decode(self, strings: Strings) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """Strings to uint8 [N, H, W, 3] and seconds by stage."""
        watch = Stopwatch()
        shape = strings.shape
        with torch.inference_mode(), self._precision():
            with self._stage(watch, "coder"):
                coder = self._coder.RansDecoder()
                tables = _lists(self._hyper_latents)
                indexes = _channels(shape[1:])
                decoded = [coder.decode_with_indexes(z, indexes, *tables) for z in strings.z]
                z = torch.tensor(decoded, dtype=torch.int32).reshape(shape).to(self._device)
                decoder = self._coder.RansDecoder()
                decoder.set_stream(strings.y)
                tables = _lists(self._gaussian)

            def code(
                group: int,  # noqa: ARG001 - a decoder reads groups in the stream's order
                means: Tensor,  # noqa: ARG001 - and needs no means to read them
                indexes: NDArray[np.int64],
            ) -> NDArray[np.int64]:
                with self._stage(watch, "coder"):
                    values = decoder.decode_stream(indexes.ravel().tolist(), *tables)
                    return np.array(values).reshape(indexes.shape)

            y_hat = self._run_prior(z, code, watch)
            with self._stage(watch, "synthesis"):
                (image,) = self._graphs[-1].module(y_hat)
                pixels: NDArray[np.uint8] = image.cpu().numpy()
        return pixels, watch.seconds

    def _run_prior(self, z_symbols: Tensor, code: Any, watch: Stopwatch) -> Tensor:
        step = torch.ones(1, device=self._device)
        state = CodingState({"z_symbols": z_symbols, "step": step}, torch.cat)
        with self._stage(watch, "prior"):
            for group, graph in enumerate(self._graphs[1:-1]):
                outputs = graph.module(**state.inputs(graph))
                names = (spec.name for spec in graph.outputs)
                state.add(dict(zip(names, outputs, strict=True)))
                if group < len(self._sizes):
                    places = state["indexes"].cpu().numpy()
                    indexes = table_indexes(places, 0, self._smallest_scale)
                    symbols = code(group, state["means"], indexes)
                    device_symbols = torch.from_numpy(symbol_bytes(symbols)).to(self._device)
                    state.add({"symbols": device_symbols})
        return state.inputs(self._graphs[-1])["y_hat"]

    def _precision(self) -> AbstractContextManager[Any]:
        if not self._half:
            return nullcontext()
        return torch.autocast(self._device, torch.float16)

    @contextmanager
    def _stage(self, watch: Stopwatch, name: str) -> Iterator[None]:
        with watch.stage(name):
            yield
            if self._device == "cuda":
                torch.cuda.synchronize()


def exact_values_on(
    graphs: list[CodecGraph], images: NDArray[np.uint8], device: str
) -> dict[str, NDArray[Any]]:
    """All that an exact prior's graphs give for pictures, as PyTorch computes it on a device.

    Args:
        graphs: `cca_export.lower.exact.graphs.exact_graphs`.
        images: uint8 [N, H, W, 3], sides multiples of 64.
        device: Where the prior runs. The analysis, which is not exact, runs on the CPU, so
            that the prior is given the same values everywhere.

    Returns:
        Outputs by graph and name.
    """
    values: dict[str, NDArray[Any]] = {}
    with torch.inference_mode():
        y, z = graphs[0].module.cpu()(torch.from_numpy(images))
        averages = torch.tensor(average_factors(*y.shape[2:])).to(device)
        step = torch.ones(1, device=device)
        known = {"z_symbols": z.to(device), "averages": averages, "step": step}
        state = CodingState(known, torch.cat)
        start = 0
        for graph in graphs[1:-1]:
            outputs = graph.module.to(device)(**state.inputs(graph))
            named = dict(zip((spec.name for spec in graph.outputs), outputs, strict=True))
            values |= {f"{graph.name} {key}": value.cpu().numpy() for key, value in named.items()}
            state.add(named)
            if "means" in named:
                means = named["means"].cpu()
                symbols = torch.round(y[:, start : start + means.shape[1]] - means)
                start += means.shape[1]
                coded = symbol_bytes(symbols.to(torch.int64).numpy())
                state.add({"symbols": torch.from_numpy(coded).to(device)})
    return values


def _lists(tables: EntropyTables) -> tuple[list[list[int]], list[int], list[int]]:
    return tables.cdf.tolist(), tables.length.tolist(), tables.offset.tolist()


def _channels(shape: tuple[int, ...]) -> list[int]:
    """Table index of each hyper-latent, which is its channel."""
    return np.repeat(np.arange(shape[0]), shape[1] * shape[2]).tolist()
