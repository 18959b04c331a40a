"""What one thread needs to code pictures: an engine, its graphs, and the loop around them."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from cca_engines import Engine, Tensor, fingerprint
from cca_engines import fingerprint_backend as backend_of
from numpy.typing import NDArray

from cca_runtime._core import (
    Decoder,
    Encoder,
    EntropyTables,
    StreamInfo,
    could_hold,
    write_stream,
)
from cca_runtime.bundle import Bundle
from cca_runtime.conformance import check_engine
from cca_runtime.errors import BadInputError, FailureError, StreamError
from cca_runtime.graph_runner import GraphRunner, engine_failures
from cca_runtime.padding import Padding, choose_padding, crop, pad
from cca_runtime.pictures import Picture, Pixels
from cca_runtime.prior_loop import CodeGroup, run_prior
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import stream_errors

_Scalar = TypeVar("_Scalar", bound=np.generic)

_SYMBOL_MIN, _SYMBOL_MAX = -(1 << 15), (1 << 15) - 1
_SCALE = 16
"""Latents are this much smaller than the padded picture; hyper-latents another 4 times."""


@dataclass(frozen=True)
class Encoded:
    """A coded picture.

    Attributes:
        data: The stream, a whole `.cca` file.
        info: Its header.
        reconstruction: uint8 [H, W, 3], what `decode` will give, if it was asked for.
        notes: What could not be kept of the picture, one sentence each.
        seconds: Wall-clock seconds by stage: load, analysis, prior, coder, synthesis. Of
            pictures that were coded together, each has an equal share.
    """

    data: bytes
    info: StreamInfo
    reconstruction: Pixels | None
    notes: tuple[str, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        picture: Pixels and metadata.
        seconds: Wall-clock seconds by stage: load, prior, coder, synthesis. Of pictures that
            were decoded together, each has an equal share.
    """

    picture: Picture
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Stream:
    """A parsed stream.

    Attributes:
        info: Its header.
        payload: What the entropy coder wrote.
    """

    info: StreamInfo
    payload: bytes


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


class Session:
    """Codes pictures of one size at a time; for one thread at a time."""

    def __init__(self, bundle: Bundle, engine: Engine, graphs: GraphRunner, tables: Tables) -> None:
        self._bundle = bundle
        self._engine = engine
        self._graphs = graphs
        self._tables = tables
        self._exact = bundle.entropy_mode == "exact"

    def twin(self) -> Session:
        """A session for another thread, with the same graphs and tables.

        Raises:
            FailureError: The engine has no room for another.
        """
        with engine_failures(self._engine):
            engine = self._engine.twin()
        return Session(self._bundle, engine, self._graphs.twin(engine), self._tables)

    def check_engine(self) -> None:
        """See that the engine computes a model in exact mode exactly.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine computes something else, or cannot run a graph.
        """
        if self._exact:
            with engine_failures(self._engine):
                check_engine(self._bundle, self._engine, self._graphs)

    def encode(self, pictures: Sequence[Picture], *, reconstruct: bool) -> list[Encoded]:
        """Encode pictures that have one size when padded.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine or the model failed.
        """
        with engine_failures(self._engine):
            return self._encode(pictures, reconstruct)

    def decode(self, streams: Sequence[Stream]) -> list[Decoded]:
        """Decode streams of pictures that have one size when padded.

        Raises:
            StreamError: A payload is damaged.
            BadInputError: A stream is not this model's on this engine, or the bundle is broken.
            FailureError: The engine failed.
        """
        with engine_failures(self._engine):
            for stream in streams:
                self._check_stream(stream.info)
            return self._decode(streams)

    def _encode(self, pictures: Sequence[Picture], reconstruct: bool) -> list[Encoded]:
        watch = Stopwatch()
        paddings = [choose_padding(*picture.pixels.shape[:2]) for picture in pictures]
        self._graphs.load(["analysis", *self._bundle.prior_graphs], watch)
        with watch.stage("analysis"):
            padded = [
                pad(picture.pixels, padding)
                for picture, padding in zip(pictures, paddings, strict=True)
            ]
            image = self._engine.to_device(_stack(padded))
            latents = self._graphs.run("analysis", {"image": image}, watch=watch)
            y = self._engine.to_host(latents["y"])
            z_symbols = _clip_symbols(self._engine.to_host(latents["z_symbols"]))
        tables = self._tables.get(watch)
        encoders = [Encoder() for _ in pictures]
        with watch.stage("coder"):
            for encoder, symbols in zip(encoders, z_symbols, strict=True):
                encoder.push(symbols, _channel_indexes(symbols.shape), tables["z"])
        first_channel = np.cumsum([0, *self._bundle.group_sizes])

        def code_group(group: int, indexes: NDArray[np.uint8], means: Tensor) -> NDArray[np.int32]:
            channels = y[:, first_channel[group] : first_channel[group + 1]]
            symbols = _round_residual(channels, self._engine.to_host(means))
            with watch.stage("coder"):
                for encoder, own, own_indexes in zip(encoders, symbols, indexes, strict=True):
                    encoder.push(own, own_indexes, tables["gaussian"])
            return symbols

        with watch.stage("prior"):
            y_hat = self._run_prior(z_symbols, code_group, watch)
        streams = []
        with watch.stage("coder"):
            for picture, padding, encoder in zip(pictures, paddings, encoders, strict=True):
                height, width = picture.pixels.shape[:2]
                info = StreamInfo(
                    width=width,
                    height=height,
                    padding=padding,
                    model_id=self._bundle.model_id,
                    entropy_mode=self._bundle.entropy_mode,
                    fingerprint=None if self._exact else self._fingerprint(),
                    icc=picture.icc,
                    exif=picture.exif,
                    xmp=picture.xmp,
                )
                streams.append((info, write_stream(info, encoder.finish())))
        pixels: Sequence[Pixels | None] = [None] * len(pictures)
        if reconstruct:
            pixels = self._synthesise(y_hat, paddings, watch)
        seconds = _shares(watch, len(pictures))
        return [
            Encoded(data, info, reconstruction, picture.notes, seconds)
            for (info, data), reconstruction, picture in zip(streams, pixels, pictures, strict=True)
        ]

    def _decode(self, streams: Sequence[Stream]) -> list[Decoded]:
        watch = Stopwatch()
        tables = self._tables.get(watch)
        with stream_errors():
            decoders = [Decoder(stream.payload) for stream in streams]
        # First of all: a payload too small for its picture costs no memory and no graph runs.
        shape = self._hyper_shape(streams[0].info)
        for stream in streams:
            if not could_hold(len(stream.payload), tables["z"], math.prod(shape[1:])):
                raise StreamError("payload exhausted: it is too small for a picture of this size")
        with watch.stage("coder"), stream_errors():
            indexes = _channel_indexes(shape)
            z_symbols = _stack([decoder.pull(indexes, tables["z"]) for decoder in decoders])
        self._graphs.load([*self._bundle.prior_graphs, "synthesis"], watch)

        def code_group(
            group: int,  # noqa: ARG001 - a decoder reads groups in the stream's order
            indexes: NDArray[np.uint8],
            means: Tensor,  # noqa: ARG001 - and needs no means to read them
        ) -> NDArray[np.int32]:
            with watch.stage("coder"), stream_errors():
                symbols = [
                    decoder.pull(own, tables["gaussian"])
                    for decoder, own in zip(decoders, indexes, strict=True)
                ]
                return _stack(symbols)

        with watch.stage("prior"):
            y_hat = self._run_prior(z_symbols, code_group, watch)
        with stream_errors():
            for decoder in decoders:
                decoder.finish()
        infos = [stream.info for stream in streams]
        pixels = self._synthesise(y_hat, [Padding(*info.padding) for info in infos], watch)
        seconds = _shares(watch, len(streams))
        return [
            Decoded(Picture(own, info.icc, info.exif, info.xmp), seconds)
            for own, info in zip(pixels, infos, strict=True)
        ]

    def _run_prior(
        self, z_symbols: NDArray[np.int32], code_group: CodeGroup, watch: Stopwatch
    ) -> Tensor:
        run = partial(self._graphs.run, watch=watch)
        sizes = self._bundle.group_sizes
        averaging = self._bundle.averaging_graphs
        return run_prior(run, self._engine, sizes, z_symbols, code_group, averaging=averaging)

    def _hyper_shape(self, info: StreamInfo) -> tuple[int, int, int]:
        """Shape of a stream's hyper-latents: [Z, h/4, w/4]."""
        width, height = padded_size(info)
        return self._bundle.hyper_channels, height // (4 * _SCALE), width // (4 * _SCALE)

    def _synthesise(
        self, y_hat: Tensor, paddings: Sequence[Padding], watch: Stopwatch
    ) -> list[Pixels]:
        with watch.stage("synthesis"):
            image = self._graphs.run("synthesis", {"y_hat": y_hat}, watch=watch)["image"]
            pictures = self._engine.to_host(image)
            return [
                crop(picture, padding) for picture, padding in zip(pictures, paddings, strict=True)
            ]

    def _check_stream(self, info: StreamInfo) -> None:
        """Refuse a stream that this model on this engine would decode to something else."""
        if info.model_id != self._bundle.model_id:
            raise BadInputError(
                f"the stream was made with model {info.model_id.hex()}, and this is "
                f"'{self._bundle.name}' {self._bundle.model_id.hex()}: "
                "decode it with the bundle that made it"
            )
        if info.entropy_mode != self._bundle.entropy_mode:
            raise BadInputError(
                f"the stream's entropy mode is '{info.entropy_mode}', "
                f"the model's is '{self._bundle.entropy_mode}'"
            )
        if info.fingerprint is None:
            return
        own = self._fingerprint()
        if info.fingerprint != own:
            raise BadInputError(
                f"the stream can only be decoded by the engine that made it: "
                f"{backend_of(info.fingerprint)} with fingerprint {info.fingerprint.hex()}; "
                f"this is {own.hex()} ({self._engine.description})"
            )

    def _fingerprint(self) -> bytes:
        return fingerprint(self._engine, self._graphs.identities(self._bundle.prior_graphs))


def padded_size(info: StreamInfo) -> tuple[int, int]:
    """Width and height that a stream's picture has for the graphs."""
    left, top, right, bottom = info.padding
    return info.width + left + right, info.height + top + bottom


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


def _shares(watch: Stopwatch, pictures: int) -> dict[str, float]:
    return {stage: seconds / pictures for stage, seconds in watch.seconds.items()}
