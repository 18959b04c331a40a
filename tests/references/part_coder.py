"""From pixels to a payload and back, for whatever is coded as one: a picture or a tile."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from cca_core import Decoder, Encoder, EntropyTables, could_hold
from cca_engines import Engine, Tensor
from cca_runtime.bundle import Bundle
from cca_runtime.errors import FailureError, StreamError
from cca_runtime.graph_runner import GraphRunner, engine_failures
from cca_runtime.pictures import Pixels
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import core_errors
from numpy.typing import NDArray

from references.mirroring import NO_MIRRORING, Mirroring
from references.prior_loop import CodeGroup, run_prior

LATENT_SCALE = 16
"""Latents are this much smaller than the padded picture."""

_HYPER_SCALE = 4
"""Hyper-latents are this much smaller than latents."""

_Scalar = TypeVar("_Scalar", bound=np.generic)

_SYMBOL_MIN, _SYMBOL_MAX = -(1 << 15), (1 << 15) - 1


class Tables:
    """The coder's tables of a bundle, which sessions share; read when first needed."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._tables: dict[str, EntropyTables] | None = None
        self._turn = threading.Lock()

    def get(self, watch: Stopwatch) -> dict[str, EntropyTables]:
        """As `Bundle.read_tables`, counting the time of reading as `load`."""
        with self._turn:
            if self._tables is None:
                with watch.stage("load"):
                    self._tables = self._bundle.read_tables()
            return self._tables


class PartCoder:
    """Runs transforms and coder on one engine; for one thread at a time."""

    def __init__(self, bundle: Bundle, engine: Engine, graphs: GraphRunner, tables: Tables) -> None:
        self._bundle = bundle
        self._engine = engine
        self._graphs = graphs
        self._tables = tables

    def analyse(
        self, images: Sequence[Pixels], watch: Stopwatch
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Run the analysis transform on images of one size.

        Args:
            images: uint8 [H, W, 3] each, sides multiples of 64.
            watch: Gets the time as `analysis`.

        Returns:
            Latents, float32 [N, M, H/16, W/16], and hyper-latent symbols, int32
            [N, Z, H/64, W/64].

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine failed.
        """
        with watch.stage("analysis"), engine_failures(self._engine):
            image = self._engine.to_device(_stack(images))
            latents = self._graphs.run("analysis", {"image": image})
            y = self._engine.to_host(latents["y"])
            return y, _clip_symbols(self._engine.to_host(latents["z_symbols"]))

    def write(
        self,
        y: NDArray[np.float32],
        z_symbols: NDArray[np.int32],
        watch: Stopwatch,
        mirroring: Mirroring = NO_MIRRORING,
    ) -> tuple[list[bytes], Tensor]:
        """Code what `analyse` gave.

        Args:
            y: Latents, float32 [N, M, h, w].
            z_symbols: Hyper-latent symbols, int32 [N, Z, h/4, w/4].
            watch: Gets the time as `prior` and `coder`.
            mirroring: What lies beyond these latents, for the prior.

        Returns:
            N payloads, and y_hat, float32 [M, N, ...] on the device, with all that is mirrored.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine or the model failed.
        """
        tables = self._tables.get(watch)
        encoders = [Encoder() for _ in y]
        with watch.stage("coder"):
            for encoder, symbols in zip(encoders, z_symbols, strict=True):
                encoder.push(symbols, _channel_indexes(symbols.shape), tables["z"])
        first_channel = np.cumsum([0, *self._bundle.group_sizes])

        def code_group(group: int, indexes: NDArray[np.uint8], means: Tensor) -> NDArray[np.int32]:
            channels = y[:, first_channel[group] : first_channel[group + 1]]
            inner_means = mirroring.inner(self._engine.to_host(means), _HYPER_SCALE)
            symbols = _round_residual(channels, inner_means)
            inner_indexes = mirroring.inner(indexes, _HYPER_SCALE)
            with watch.stage("coder"):
                for encoder, own, own_indexes in zip(encoders, symbols, inner_indexes, strict=True):
                    encoder.push(own, own_indexes, tables["gaussian"])
            return mirroring.extend(symbols, _HYPER_SCALE)

        with watch.stage("prior"), engine_failures(self._engine):
            y_hat = self._run_prior(mirroring.extend(z_symbols, 1), code_group)
        with watch.stage("coder"):
            return [encoder.finish() for encoder in encoders], y_hat

    def read(
        self,
        payloads: Sequence[bytes],
        latent_size: tuple[int, int],
        watch: Stopwatch,
        mirroring: Mirroring = NO_MIRRORING,
    ) -> Tensor:
        """Decode what `write` wrote.

        Args:
            payloads: N payloads for which `could_hold` was asked.
            latent_size: h and w of the latents.
            watch: Gets the time as `prior` and `coder`.
            mirroring: As for `write`.

        Returns:
            y_hat, as `write` gives it.

        Raises:
            StreamError: A payload is damaged.
            BadInputError: The bundle is broken.
            FailureError: The engine failed.
        """
        tables = self._tables.get(watch)
        with core_errors():
            decoders = [Decoder(payload) for payload in payloads]
        with watch.stage("coder"), core_errors():
            indexes = _channel_indexes(self._hyper_shape(latent_size))
            z_symbols = _stack([decoder.pull(indexes, tables["z"]) for decoder in decoders])
        self._graphs.load([*self._bundle.prior_graphs, "synthesis"], watch)

        def code_group(
            group: int,  # noqa: ARG001 - a decoder reads groups in the stream's order
            indexes: NDArray[np.uint8],
            means: Tensor,  # noqa: ARG001 - and needs no means to read them
        ) -> NDArray[np.int32]:
            with watch.stage("coder"), core_errors():
                symbols = [
                    decoder.pull(own, tables["gaussian"])
                    for decoder, own in zip(
                        decoders, mirroring.inner(indexes, _HYPER_SCALE), strict=True
                    )
                ]
                return mirroring.extend(_stack(symbols), _HYPER_SCALE)

        with watch.stage("prior"), engine_failures(self._engine):
            y_hat = self._run_prior(mirroring.extend(z_symbols, 1), code_group)
        with core_errors():
            for decoder in decoders:
                decoder.finish()
        return y_hat

    def synthesise(self, y_hat: Tensor, watch: Stopwatch) -> NDArray[np.uint8]:
        """Run the synthesis transform.

        Args:
            y_hat: float32 [M, N, h, w] on the device.
            watch: Gets the time as `synthesis`.

        Returns:
            uint8 [N, 16 h, 16 w, 3].

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine failed.
        """
        with watch.stage("synthesis"), engine_failures(self._engine):
            image = self._graphs.run("synthesis", {"y_hat": y_hat})["image"]
            return self._engine.to_host(image)

    def to_host(self, y_hat: Tensor) -> NDArray[Any]:
        """A tensor of the engine, copied.

        Raises:
            FailureError: The engine failed.
        """
        with engine_failures(self._engine):
            return self._engine.to_host(y_hat)

    def to_device(self, y_hat: NDArray[np.float32]) -> Tensor:
        """An array as the engine takes it.

        Raises:
            FailureError: The engine failed.
        """
        with engine_failures(self._engine):
            return self._engine.to_device(y_hat)

    def check_room(self, payload: bytes, latent_size: tuple[int, int], watch: Stopwatch) -> None:
        """Refuse a payload that is too small for its latents, before they cost any memory.

        Raises:
            StreamError: It is.
        """
        shape = self._hyper_shape(latent_size)
        if not could_hold(len(payload), self._tables.get(watch)["z"], math.prod(shape[1:])):
            raise StreamError("payload exhausted: it is too small for a picture of this size")

    def _run_prior(self, z_symbols: NDArray[np.int32], code_group: CodeGroup) -> Tensor:
        run = self._graphs.run
        sizes = self._bundle.group_sizes
        averaging = averaging_graphs(self._bundle)
        return run_prior(run, self._engine, sizes, z_symbols, code_group, averaging=averaging)

    def _hyper_shape(self, latent_size: tuple[int, int]) -> tuple[int, int, int]:
        """Shape of the hyper-latents: [Z, h/4, w/4]."""
        height, width = latent_size
        return self._bundle.hyper_channels, height // _HYPER_SCALE, width // _HYPER_SCALE


def averaging_graphs(bundle: Bundle) -> set[str]:
    """The prior graphs with an input `averages` (docs/spec/exact.md, "Averages")."""
    graphs = bundle.manifest["graphs"]
    return {name for name in bundle.prior_graphs if "averages" in graphs[name]["inputs"]}


def _channel_indexes(shape: Sequence[int]) -> NDArray[np.uint16]:
    """Table index of each hyper-latent, which is its channel: uint16 [Z, h, w]."""
    channels = np.arange(shape[0], dtype=np.uint16)[:, None, None]
    return np.ascontiguousarray(np.broadcast_to(channels, shape))


def _clip_symbols(symbols: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.clip(symbols, _SYMBOL_MIN, _SYMBOL_MAX)


def _round_residual(y: NDArray[np.float32], means: NDArray[np.float32]) -> NDArray[np.int32]:
    """Symbols of a group, round(y - means), within what the coder can store."""
    residual = np.rint(y - means)
    if not np.isfinite(residual).all():
        raise FailureError("the model gives infinite or undefined latents for this picture")
    symbols: NDArray[np.int32] = np.clip(residual, _SYMBOL_MIN, _SYMBOL_MAX).astype(np.int32)
    return symbols


def _stack(arrays: Sequence[NDArray[_Scalar]]) -> NDArray[_Scalar]:
    """`np.stack` without a copy of a single array."""
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]
