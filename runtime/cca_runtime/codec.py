"""The codec: pictures to streams and back, with one bundle on one engine."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from cca_engines import (
    DEFAULT_ENGINE,
    Engine,
    EngineError,
    Tensor,
    fingerprint,
    open_engine,
)
from cca_engines import fingerprint_backend as backend_of
from numpy.typing import NDArray

from cca_runtime._core import (
    DEFAULT_MAX_PIXELS,
    Decoder,
    Encoder,
    EntropyTables,
    StreamInfo,
    could_hold,
    write_stream,
)
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.conformance import check_engine
from cca_runtime.errors import BadInputError, FailureError, StreamError
from cca_runtime.graph_runner import GraphRunner, engine_failures
from cca_runtime.padding import Padding, choose_padding, crop, pad
from cca_runtime.pictures import (
    Picture,
    Pixels,
    check_size,
    from_array,
    from_pil,
)
from cca_runtime.prior_loop import CodeGroup, run_prior
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import parse, stream_errors

if TYPE_CHECKING:
    from PIL import Image

    PictureLike = NDArray[Any] | Image.Image | Picture

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
        seconds: Wall-clock seconds by stage: load, analysis, prior, coder, synthesis.
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
        seconds: Wall-clock seconds by stage: load, prior, coder, synthesis.
    """

    picture: Picture
    seconds: Mapping[str, float]


def load(
    path_or_name: str | os.PathLike[str] | None = None,
    engine: str = DEFAULT_ENGINE,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Codec:
    """Open a model.

    The first time a model in exact mode meets an engine on this machine, the engine
    is compared with the bundle's fast conformance cases.

    Args:
        path_or_name: A bundle directory, the name of a model that ships with the
            package, or None for the default model.
        engine: The backend that runs the graphs.
        max_pixels: Streams and pictures of more pixels than this, padding included,
            are refused.

    Raises:
        BadInputError: No such bundle, or it is broken.
        FailureError: The engine is unknown or not installed, or does not compute the
            model exactly.
    """
    try:
        opened = open_engine(engine)
    except EngineError as error:
        raise FailureError(str(error)) from error
    codec = Codec(open_bundle(path_or_name), opened, max_pixels=max_pixels)
    codec.check_engine()
    return codec


class Codec:
    """Encodes and decodes pictures with one model on one engine.

    Graphs are loaded when first needed, so a codec that only decodes never loads
    the analysis transform. Calls from several threads take turns.
    """

    def __init__(
        self, bundle: Bundle, engine: Engine, *, max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.max_pixels = max_pixels
        self._graphs = GraphRunner(bundle, engine)
        self._exact = bundle.entropy_mode == "exact"
        self._tables: dict[str, EntropyTables] | None = None
        self._turn = threading.Lock()

    @overload
    def encode(self, image: NDArray[Any] | Image.Image | Picture) -> bytes: ...
    @overload
    def encode(self, image: Sequence[NDArray[Any] | Image.Image | Picture]) -> list[bytes]: ...
    def encode(self, image: PictureLike | Sequence[PictureLike]) -> bytes | list[bytes]:
        """Encode one picture, or each of a list.

        Args:
            image: numpy uint8 [H, W, 3] (or grey [H, W]), a PIL image, or a `Picture`.

        Returns:
            The stream, or a list of streams.

        Raises:
            BadInputError: A picture the codec cannot store; see `pictures.from_pil`.
            FailureError: The engine failed, for instance for lack of memory.
        """
        if isinstance(image, Sequence):
            return [self.encode_picture(one).data for one in image]
        return self.encode_picture(image).data

    @overload
    def decode(self, data: bytes | bytearray | memoryview) -> Pixels: ...
    @overload
    def decode(self, data: Sequence[bytes]) -> list[Pixels]: ...
    def decode(
        self, data: bytes | bytearray | memoryview | Sequence[bytes]
    ) -> Pixels | list[Pixels]:
        """Decode one stream, or each of a list.

        Returns:
            uint8 [H, W, 3], or a list of them.

        Raises:
            StreamError: The stream is damaged, truncated or of an unknown version.
            BadInputError: It needs another model, engine or `max_pixels`.
            FailureError: The engine failed, for instance for lack of memory.
        """
        if isinstance(data, bytes | bytearray | memoryview):
            return self.decode_stream(bytes(data)).picture.pixels
        return [self.decode_stream(one).picture.pixels for one in data]

    def encode_picture(
        self,
        image: PictureLike,
        *,
        background: str | None = None,
        reconstruct: bool = False,
    ) -> Encoded:
        """Encode one picture and say all there is to say about it.

        Args:
            image: As for `encode`.
            background: Colour to lay under a PIL image's transparent pixels.
            reconstruct: Also run the synthesis, for `Encoded.reconstruction`.

        Raises:
            BadInputError: As `encode`.
            FailureError: As `encode`.
        """
        picture = _as_picture(image, background, self.max_pixels)
        height, width = picture.pixels.shape[:2]
        check_size(width, height, self.max_pixels)
        with self._turn, engine_failures(self.engine):
            return self._encode(picture, reconstruct)

    def decode_stream(self, data: bytes) -> Decoded:
        """Decode one stream with its metadata and timings.

        Raises:
            StreamError: As `decode`.
            BadInputError: As `decode`.
            FailureError: As `decode`.
        """
        info, payload = parse(data, max_pixels=self.max_pixels)
        with self._turn, engine_failures(self.engine):
            self._check_stream(info)
            return self._decode(info, payload)

    def check_engine(self) -> None:
        """Compare the engine with the bundle's fast conformance cases, once on a machine.

        Does nothing for a model in native mode, whose results are the engine's own.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine computes something else, or cannot run a graph.
        """
        if self._exact:
            with self._turn, engine_failures(self.engine):
                check_engine(self.bundle, self.engine, self._graphs)

    def _encode(self, picture: Picture, reconstruct: bool) -> Encoded:
        watch = Stopwatch()
        height, width = picture.pixels.shape[:2]
        padding = choose_padding(height, width)
        self._graphs.load(["analysis", *self.bundle.prior_graphs], watch)
        with watch.stage("analysis"):
            padded = pad(picture.pixels, padding)
            image = self.engine.to_device(padded[None])
            latents = self._graphs.run("analysis", {"image": image}, watch=watch)
            y = self.engine.to_host(latents["y"])
            z_symbols = _clip_symbols(self.engine.to_host(latents["z_symbols"]))
        tables = self._load_tables(watch)
        encoder = Encoder()
        self._push_hyper_latents(encoder, z_symbols, tables["z"], watch)
        first_channel = np.cumsum([0, *self.bundle.group_sizes])

        def code_group(group: int, indexes: NDArray[np.uint8], means: Tensor) -> NDArray[np.int32]:
            channels = y[:, first_channel[group] : first_channel[group + 1]]
            symbols = _round_residual(channels, self.engine.to_host(means))
            with watch.stage("coder"):
                encoder.push(symbols, indexes, tables["gaussian"])
            return symbols

        with watch.stage("prior"):
            y_hat = self._run_prior(z_symbols, code_group, watch)
        with watch.stage("coder"):
            info = StreamInfo(
                width=width,
                height=height,
                padding=padding,
                model_id=self.bundle.model_id,
                entropy_mode=self.bundle.entropy_mode,
                fingerprint=None if self._exact else self._fingerprint(),
                icc=picture.icc,
                exif=picture.exif,
                xmp=picture.xmp,
            )
            data = write_stream(info, encoder.finish())
        pixels = self._synthesise(y_hat, padding, watch) if reconstruct else None
        return Encoded(data, info, pixels, picture.notes, watch.seconds)

    def _decode(self, info: StreamInfo, payload: bytes) -> Decoded:
        watch = Stopwatch()
        padding = Padding(*info.padding)
        tables = self._load_tables(watch)
        with stream_errors():
            decoder = Decoder(payload)
        # First of all: a payload too small for its picture costs no memory and no graph runs.
        shape = self._hyper_shape(info)
        if not could_hold(len(payload), tables["z"], math.prod(shape[2:])):
            raise StreamError("payload exhausted: it is too small for a picture of this size")
        with watch.stage("coder"), stream_errors():
            z_symbols = decoder.pull(_channel_indexes(shape), tables["z"])
        self._graphs.load([*self.bundle.prior_graphs, "synthesis"], watch)

        def code_group(
            group: int,  # noqa: ARG001 - a decoder reads groups in the stream's order
            indexes: NDArray[np.uint8],
            means: Tensor,  # noqa: ARG001 - and needs no means to read them
        ) -> NDArray[np.int32]:
            with watch.stage("coder"), stream_errors():
                return decoder.pull(indexes, tables["gaussian"])

        with watch.stage("prior"):
            y_hat = self._run_prior(z_symbols, code_group, watch)
        with stream_errors():
            decoder.finish()
        pixels = self._synthesise(y_hat, padding, watch)
        return Decoded(Picture(pixels, info.icc, info.exif, info.xmp), watch.seconds)

    def _run_prior(
        self, z_symbols: NDArray[np.int32], code_group: CodeGroup, watch: Stopwatch
    ) -> Tensor:
        run = partial(self._graphs.run, watch=watch)
        sizes = self.bundle.group_sizes
        averaging = self.bundle.averaging_graphs
        return run_prior(run, self.engine, sizes, z_symbols, code_group, averaging=averaging)

    def _push_hyper_latents(
        self,
        encoder: Encoder,
        z_symbols: NDArray[np.int32],
        tables: EntropyTables,
        watch: Stopwatch,
    ) -> None:
        with watch.stage("coder"):
            encoder.push(z_symbols, _channel_indexes(z_symbols.shape), tables)

    def _hyper_shape(self, info: StreamInfo) -> tuple[int, int, int, int]:
        """Shape of a stream's hyper-latents: [1, Z, h/4, w/4]."""
        left, top, right, bottom = info.padding
        rows = (info.height + top + bottom) // (4 * _SCALE)
        columns = (info.width + left + right) // (4 * _SCALE)
        return 1, self.bundle.hyper_channels, rows, columns

    def _synthesise(self, y_hat: Tensor, padding: Padding, watch: Stopwatch) -> Pixels:
        with watch.stage("synthesis"):
            image = self._graphs.run("synthesis", {"y_hat": y_hat}, watch=watch)["image"]
            return crop(self.engine.to_host(image)[0], padding)

    def _load_tables(self, watch: Stopwatch) -> dict[str, EntropyTables]:
        if self._tables is None:
            with watch.stage("load"):
                self._tables = self.bundle.read_tables()
        return self._tables

    def _check_stream(self, info: StreamInfo) -> None:
        """Refuse a stream that this model on this engine would decode to something else."""
        if info.model_id != self.bundle.model_id:
            raise BadInputError(
                f"the stream was made with model {info.model_id.hex()}, and this is "
                f"'{self.bundle.name}' {self.bundle.model_id.hex()}: "
                "decode it with the bundle that made it"
            )
        if info.entropy_mode != self.bundle.entropy_mode:
            raise BadInputError(
                f"the stream's entropy mode is '{info.entropy_mode}', "
                f"the model's is '{self.bundle.entropy_mode}'"
            )
        if info.fingerprint is None:
            return
        own = self._fingerprint()
        if info.fingerprint != own:
            raise BadInputError(
                f"the stream can only be decoded by the engine that made it: "
                f"{backend_of(info.fingerprint)} with fingerprint {info.fingerprint.hex()}; "
                f"this is {own.hex()} ({self.engine.description})"
            )

    def _fingerprint(self) -> bytes:
        return fingerprint(self.engine, self._graphs.identities(self.bundle.prior_graphs))


def _as_picture(image: PictureLike, background: str | None, max_pixels: int) -> Picture:
    if isinstance(image, Picture):
        checked = from_array(image.pixels)
        return Picture(checked.pixels, image.icc, image.exif, image.xmp, image.notes)
    if isinstance(image, np.ndarray):
        return from_array(image)
    from PIL import Image

    if isinstance(image, Image.Image):
        return from_pil(image, background, max_pixels=max_pixels)
    raise BadInputError(
        f"cannot encode a {type(image).__name__}: pass a numpy array or a PIL image"
    )


def _channel_indexes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Table index of each hyper-latent, which is its channel: uint16 [1, Z, h, w]."""
    channels = np.arange(shape[1], dtype=np.uint16)[None, :, None, None]
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
