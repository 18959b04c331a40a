"""Conformance vectors: inputs for the exact prior, and hashes of what it makes of them.

They travel in the bundle (docs/spec/bundle.md, "Conformance"), so that any engine can be
compared with the exporter's own arithmetic, value for value. Hashes are of pictures
run one by one, while an engine runs a whole batch: it passes only if pictures of a
batch do not touch one another.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cca_core
import numpy as np
from cca_core import LATENT_STRIDE, LATENTS_PER_HYPER
from cca_engines import digest
from numpy.typing import NDArray

from cca_export.coding_runs import Arrays, RunGraph, run_in_pytorch, run_prior
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.latents import widest_step
from cca_export.steps import CODES

_Maker: TypeAlias = Callable[[np.random.PCG64, tuple[int, ...]], NDArray[np.int16]]
"""Makes symbols of a shape [N, C, H, W]."""

_LIMITS = np.iinfo(np.int16)
_STRIP = 128


@dataclass(frozen=True)
class ConformanceCase:
    """One set of inputs.

    Attributes:
        name: Lower-case letters, digits and hyphens; ends in the pictures' size in pixels.
        step: Code of the quantisation step.
        fast: Whether a codec runs it before it first uses an engine.
        z_symbols: Hyper-latent symbols, int16 [N, Z, h/4, w/4].
        symbols: Symbols of all channel groups, int16 [N, M, h, w].
    """

    name: str
    step: int
    fast: bool
    z_symbols: NDArray[np.int16]
    symbols: NDArray[np.int16]


def conformance_cases(latent_channels: int, hyper_channels: int) -> list[ConformanceCase]:
    """The cases of a model with M latent and Z hyper-latent channels, always the same.

    Sizes are given in latents. From 8201 of them on, the rows of an average are made
    coarser (`average_factors`): the last case has more. Many small pictures, because an
    average is one value a picture. Steps are the ends of their range, some within, and
    the one at which latents can be largest.
    """
    random = np.random.PCG64(20_240_229)

    def case(
        kind: str,
        make: _Maker,
        height: int,
        width: int,
        batch: int = 1,
        *,
        step: int = 0,
        fast: bool = False,
    ) -> ConformanceCase:
        size = f"{LATENT_STRIDE * height}x{LATENT_STRIDE * width}"
        hyper = height // LATENTS_PER_HYPER, width // LATENTS_PER_HYPER
        return ConformanceCase(
            f"{kind}-{size}",
            step,
            fast,
            make(random, (batch, hyper_channels, *hyper)),
            make(random, (batch, latent_channels, height, width)).clip(
                *cca_core.symbol_range(step)
            ),
        )

    return [
        case("ordinary", _ordinary, 4, 4, fast=True),
        case("ordinary", _ordinary, 12, 20, step=-59, fast=True),
        case("wide", _wide, 8, 8, step=75, fast=True),
        case("alternating", _alternating, 4, 8, step=127, fast=True),
        case("zero", _zero, 4, 4, step=CODES[0]),
        case("ordinary", _ordinary, 4, 64, step=3),
        case("ordinary", _ordinary, 64, 4, step=-3),
        case("extreme", _extreme, 8, 8),
        case("extreme-finest", _extreme, 4, 4, step=CODES[0]),
        case("extreme-coarsest", _extreme, 4, 4, step=CODES[-1]),
        case("largest", _largest, 8, 4, step=widest_step()),
        case("smallest", _smallest, 4, 4, step=widest_step()),
        case("batch", _ordinary, 8, 4, batch=3, step=30),
        case("batch", _ordinary, 4, 4, batch=16, step=-100),
        case("batch-extreme", _extreme, 4, 4, batch=3, step=widest_step()),
        case("mosaic", _mosaic, 64, 128),
        case("mosaic", _mosaic, 4, 2052, step=59),
    ]


def case_digests(
    case: ConformanceCase, graphs: Sequence[CodecGraph], run: RunGraph = run_in_pytorch
) -> dict[str, str]:
    """Run a case and hash the outputs of every prior graph.

    Args:
        case: Its pictures are run one by one.
        graphs: `exact_graphs`.
        run: Runs one of them; in PyTorch, or on an engine to compare it.

    Returns:
        SHA-256 by name of the graph (`cca_engines.digest`).

    Raises:
        cca_engines.InexactError: A graph has an output that no exact graph has.
    """
    priors = [graph for graph in graphs if graph.name.startswith("prior_")]
    pictures = [_run_picture(case, picture, graphs, run) for picture in range(len(case.symbols))]
    return {
        graph.name: digest(
            {
                spec.name: np.concatenate(
                    [outputs[graph.name][spec.name] for outputs in pictures],
                    axis=spec.shape.index("batch"),
                )
                for spec in graph.outputs
            }
        )
        for graph in priors
    }


def encode_inputs(cases: Sequence[ConformanceCase]) -> bytes:
    """The content of `conformance.npz`."""
    arrays = {f"{case.name}.z_symbols": case.z_symbols for case in cases}
    arrays |= {f"{case.name}.symbols": case.symbols for case in cases}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()


def case_to_manifest(case: ConformanceCase, digests: Mapping[str, str]) -> dict[str, Any]:
    """What the manifest says about a case."""
    batch, _, height, width = case.symbols.shape
    return {
        "name": case.name,
        "step": case.step,
        "batch": batch,
        "latent_height": height,
        "latent_width": width,
        "fast": case.fast,
        "digests": dict(digests),
    }


def _run_picture(
    case: ConformanceCase, picture: int, graphs: Sequence[CodecGraph], run: RunGraph
) -> dict[str, Arrays]:
    """Outputs of every prior graph for one picture of the batch."""
    own = slice(picture, picture + 1)
    z_symbols, symbols = case.z_symbols[own].astype(np.int32), case.symbols[own].astype(np.int32)
    runs = run_prior(graphs, z_symbols, symbols=symbols, step=case.step, run=run)
    return {done.graph.name: done.outputs for done in runs}


def _ordinary(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Like a photograph's: mostly small, larger in the first channels, with long tails."""
    bits = _bits(random, shape)
    # Trailing zeros of a random number are geometrically distributed.
    zeros = np.log2((bits & -bits).astype(np.float64)).astype(np.int64)
    quietness = (np.arange(shape[1]) * 4 // shape[1])[None, :, None, None]
    magnitude = (zeros * (bits >> 48 & 15)) >> (1 + quietness)
    return np.where(bits >> 62 & 1, -magnitude, magnitude).astype(np.int16)


def _wide(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Evenly from -256 to 255: beyond any photograph, and not yet clipped everywhere."""
    return ((_bits(random, shape) >> 20 & 511) - 256).astype(np.int16)


def _extreme(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Evenly over all that a stream can hold, a quarter of it the two limits."""
    bits = _bits(random, shape)
    limits = np.where(bits >> 40 & 1, _LIMITS.max, _LIMITS.min)
    anywhere = (bits >> 20 & 0xFFFF) + _LIMITS.min
    return np.where(bits >> 50 & 3, anywhere, limits).astype(np.int16)


def _alternating(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:  # noqa: ARG001
    """A chessboard of the limits in rows, columns and channels."""
    odd = np.indices(shape).sum(0) % 2
    return np.where(odd, _LIMITS.min, _LIMITS.max).astype(np.int16)


def _mosaic(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Rows of ordinary strips, 8 different ones a channel, in random order.

    Kernels see ever new neighbourhoods, so that one unit in one parameter shows; yet it
    takes little space when compressed.
    """
    batch, channels, height, width = shape
    strips = _ordinary(random, (batch, channels, 8, _STRIP))
    across = -(-width // _STRIP)
    order = _bits(random, (batch, channels, height * across, 1)) % 8
    rows = np.take_along_axis(strips, order, axis=2).reshape(batch, channels, height, -1)
    return np.ascontiguousarray(rows[..., :width])


def _zero(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:  # noqa: ARG001
    return np.zeros(shape, dtype=np.int16)


def _largest(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:  # noqa: ARG001
    return np.full(shape, _LIMITS.max, dtype=np.int16)


def _smallest(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int16]:  # noqa: ARG001
    return np.full(shape, _LIMITS.min, dtype=np.int16)


def _bits(random: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """63 random bits each. The raw stream of a generator is the same in every NumPy version."""
    raw = random.random_raw(int(np.prod(shape)))
    return (raw >> np.uint64(1)).astype(np.int64).reshape(shape)
