"""The sequential loop over channel groups that encoder and decoder share.

        hyper-latent symbols
                 |
              prior_0 ----> means, indexes of group 0 ---> coder --.
                 |                                                 | symbols
              prior_1 <--------------------------------------------'
                 |   '----> means, indexes of group 1 ---> coder --.
                ...                                                |
              prior_G <--------------------------------------------'
                 |
               y_hat

Everything the graphs see is a function of symbols alone, so running the same
graphs on the same engine gives encoder and decoder the same table indexes. The
two differ only in where a group's symbols come from: the encoder rounds the
latents against the means and writes them, the decoder reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from cca_engines import Engine, Tensor
from cca_runtime.bundle import Bundle
from numpy.typing import NDArray

from references.averages import average_factors
from references.quantisation_steps import step_input, table_indexes

CodeGroup = Callable[[int, NDArray[np.uint8], Tensor], NDArray[np.int32]]
"""Codes one group: (group, table indexes uint8 [N, s, h, w], means on the device) to its
symbols, int32 of the indexes' shape."""


class RunGraph(Protocol):
    """Runs a graph of the bundle by name, tensors in and out on the engine's device."""

    def __call__(
        self, name: str, inputs: dict[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run graph `name`, outputs that `into` has a place for there."""
        ...


def run_prior(
    run: RunGraph,
    engine: Engine,
    bundle: Bundle,
    z_symbols: NDArray[np.int32],
    code_group: CodeGroup,
    step: int = 0,
) -> Tensor:
    """Alternate between the prior graphs and a coder, group by group.

    Args:
        run: Runs `prior_0` to `prior_G`.
        engine: The engine that owns the tensors.
        bundle: Whose graphs they are.
        z_symbols: Hyper-latent symbols, int32 [N, Z, h/4, w/4].
        code_group: Called once a group, in order.
        step: Code of the quantisation step.

    Returns:
        y_hat, float32 [M, N, h, w] on the device: symbols + means + latent
        residual prediction (Minnen & Singh 2020, section 3.3), in steps.

    Raises:
        BadInputError: A graph gives something else than docs/spec/bundle.md says.
        cca_engines.EngineError: The device has no room, or a graph failed.
    """
    batch, _, height, width = z_symbols.shape
    height, width = 4 * height, 4 * width
    shared = {
        "averages": engine.to_device(average_factors(height, width)),
        "step": engine.to_device(step_input(step)),
    }

    def run_graph(name: str, inputs: dict[str, Tensor], **into: Tensor) -> dict[str, Tensor]:
        taken = bundle.manifest["graphs"][name]["inputs"]
        return run(name, inputs | {key: shared[key] for key in shared if key in taken}, into)

    state = run_graph("prior_0", {"z_symbols": engine.to_device(z_symbols)})
    # What every graph reads that predicts a group.
    known = {name: state[name] for name in ("latent_means", "latent_scales")}
    # Channels first: groups lie one after the other, so each graph writes its own part.
    group_sizes = bundle.group_sizes
    y_hat = engine.empty((sum(group_sizes), batch, height, width), np.float32)
    first = 0
    for group, size in enumerate(group_sizes):
        places = engine.to_host(state["indexes"])
        indexes = table_indexes(places, bundle.manifest.get("smallest_scale"), step)
        symbols = code_group(group, indexes, state["means"])
        inputs = {
            "previous_means": state["means"],
            "previous_support": state["support"],
            "symbols": engine.to_device(symbol_bytes(symbols)),
        }
        if group + 1 < len(group_sizes):
            inputs |= known
            if group > 0:
                inputs["previous_y_hat"] = engine.rows(y_hat, 0, first)
        part = engine.rows(y_hat, first, first + size)
        state = run_graph(f"prior_{group + 1}", inputs, y_hat=part)
        first += size
    return y_hat


def symbol_bytes(symbols: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Symbols as graphs read them, half the size: accelerators have no 16-bit integers.

    Args:
        symbols: int32 of any shape, -32768 to 32767.

    Returns:
        uint8 [..., 2], the little-endian bytes of symbol + 32768.
    """
    shifted = np.add(symbols, 1 << 15, dtype=np.int32).astype("<u2")
    return shifted[..., None].view(np.uint8)
