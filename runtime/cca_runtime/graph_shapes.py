"""What a bundle's graphs have to give (docs/bundle.md, "Graphs"), checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from cca_engines import Tensor
from numpy.typing import DTypeLike

from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError

STRIDES = {
    "height": 1,
    "width": 1,
    "latent_height": 16,
    "latent_width": 16,
    "hyper_height": 64,
    "hyper_width": 64,
}
"""Pixels that one step along a dimension of a bundle's graphs stands for."""

_BATCH = "batch"
_PICTURE = ("height", "width")
_LATENTS = ("latent_height", "latent_width")
_HYPER_LATENTS = ("hyper_height", "hyper_width")

_Shape = tuple[int | str, ...]
"""Sizes, and names of those that depend on the pictures."""


class _Output(NamedTuple):
    dtype: DTypeLike
    shape: _Shape


class _Graph(NamedTuple):
    """A graph: an input that tells all its sizes, that input's shape, and its outputs."""

    sized_by: str
    shape: _Shape
    outputs: Mapping[str, _Output]


class GraphShapes:
    """The outputs of a bundle's graphs, by name."""

    def __init__(self, bundle: Bundle) -> None:
        self._graphs = _table(bundle.latent_channels, bundle.hyper_channels, bundle.group_sizes)

    def check_names(self, graph: str, names: Sequence[str]) -> None:
        """Refuse a graph that gives more than it should, less, or something else.

        Args:
            graph: Its name.
            names: Of its outputs.

        Raises:
            BadInputError: It is one.
        """
        expected = self._graphs[graph].outputs
        if sorted(names) == sorted(expected):
            return
        missing, surplus = sorted(expected.keys() - set(names)), sorted(set(names) - {*expected})
        if missing:
            raise BadInputError(f"broken bundle: graph '{graph}' has no output '{missing[0]}'")
        odd = surplus[0] if surplus else next(name for name in names if names.count(name) > 1)
        raise BadInputError(f"broken bundle: graph '{graph}' has an output {odd!a} too many")

    def check(
        self, graph: str, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
    ) -> None:
        """Refuse outputs of another dtype or shape than a graph's for these inputs.

        Args:
            graph: Its name.
            inputs: What it was run on, as this package made it.
            outputs: What it gave, on whatever device.

        Raises:
            BadInputError: One is.
        """
        known = self._graphs[graph]
        sizes = _sizes(known.shape, inputs[known.sized_by].shape)
        for name, (dtype, shape) in known.outputs.items():
            expected = tuple(side if isinstance(side, int) else sizes[side] for side in shape)
            found = outputs[name]
            if found.dtype != dtype or tuple(found.shape) != expected:
                raise BadInputError(
                    f"broken bundle: graph '{graph}' gives '{name}' as {found.dtype} "
                    f"{list(found.shape)}, expected {np.dtype(dtype)} {list(expected)}"
                )


def _sizes(names: _Shape, shape: Sequence[int]) -> dict[str, int]:
    """Every size by name, from the shape of an input."""
    given = {name: size for name, size in zip(names, shape, strict=True) if isinstance(name, str)}
    sides = {
        name.rpartition("_")[2]: size * STRIDES[name]
        for name, size in given.items()
        if name != _BATCH
    }
    return {_BATCH: given[_BATCH]} | {
        name: sides[name.rpartition("_")[2]] // stride for name, stride in STRIDES.items()
    }


def _table(channels: int, hyper_channels: int, group_sizes: Sequence[int]) -> dict[str, _Graph]:
    """Every graph by name, with M, Z and s_0, s_1, ... channels."""

    def latents(count: int, dtype: DTypeLike = np.float32) -> _Output:
        return _Output(dtype, (_BATCH, count, *_LATENTS))

    def prediction(group: int) -> dict[str, _Output]:
        size, before = group_sizes[group], sum(group_sizes[:group])
        return {
            "means": latents(size),
            "indexes": latents(size, np.uint8),
            "support": latents(channels + before),
        }

    z_symbols = _Output(np.int32, (_BATCH, hyper_channels, *_HYPER_LATENTS))
    image = _Output(np.uint8, (_BATCH, *_PICTURE, 3))
    known = {"latent_means": latents(channels), "latent_scales": latents(channels)}
    graphs = {
        "analysis": _Graph("image", image.shape, {"y": latents(channels), "z_symbols": z_symbols}),
        "prior_0": _Graph("z_symbols", z_symbols.shape, known | prediction(0)),
        "synthesis": _Graph("y_hat", (channels, _BATCH, *_LATENTS), {"image": image}),
    }
    for group, size in enumerate(group_sizes):
        after = prediction(group + 1) if group + 1 < len(group_sizes) else {}
        y_hat = _Output(np.float32, (size, _BATCH, *_LATENTS))
        symbols = (_BATCH, size, *_LATENTS, 2)
        graphs[f"prior_{group + 1}"] = _Graph("symbols", symbols, {"y_hat": y_hat} | after)
    return graphs
