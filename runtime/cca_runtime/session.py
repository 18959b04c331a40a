"""What one thread needs to code pictures: an engine, its graphs, and the loop around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cca_engines import Engine, fingerprint
from cca_engines import fingerprint_backend as backend_of
from numpy.typing import NDArray

from cca_core import StreamInfo, write_stream
from cca_runtime.bundle import Bundle
from cca_runtime.conformance import check_engine
from cca_runtime.errors import BadInputError
from cca_runtime.graph_runner import GraphRunner, engine_failures
from cca_runtime.padding import Padding, choose_padding, crop, pad
from cca_runtime.part_coder import LATENT_SCALE, PartCoder, Tables
from cca_runtime.pictures import Picture, Pixels
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.tiling import Tiling


@dataclass(frozen=True)
class Encoded:
    """A coded picture.

    Attributes:
        data: The stream, a whole `.cca` file.
        info: Its header.
        reconstruction: uint8 [H, W, 3], what `decode` will give, if it was asked for.
        notes: What could not be kept of the picture, one sentence each.
        seconds: Wall-clock seconds by stage: load, analysis, prior, coder, synthesis. Of
            pictures that were coded together, each has an equal share; of a tiled picture,
            the sum of all tiles, of which several may be under way at once.
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
        seconds: Wall-clock seconds by stage: load, prior, coder, synthesis, as for `Encoded`.
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


class Session:
    """Codes pictures of one size at a time; for one thread at a time.

    Attributes:
        parts: What codes anything, a tile for instance.
    """

    def __init__(self, bundle: Bundle, engine: Engine, graphs: GraphRunner, tables: Tables) -> None:
        self._bundle = bundle
        self._engine = engine
        self._graphs = graphs
        self._tables = tables
        self.parts = PartCoder(bundle, engine, graphs, tables)
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
                self.check_stream(stream.info)
            return self._decode(streams)

    def describe(
        self,
        picture: Picture,
        padding: Padding,
        tiling: Tiling | None = None,
        tile_sizes: Sequence[int] = (),
    ) -> StreamInfo:
        """The header of a picture's stream.

        Args:
            picture: Size and metadata.
            padding: As it was padded.
            tiling: How it was divided.
            tile_sizes: Bytes of each tile's payload.
        """
        height, width = picture.pixels.shape[:2]
        return StreamInfo(
            width=width,
            height=height,
            padding=padding,
            model_id=self._bundle.model_id,
            entropy_mode=self._bundle.entropy_mode,
            fingerprint=None if self._exact else self._fingerprint(),
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
            tiling=tiling,
            tile_sizes=tile_sizes,
        )

    def _encode(self, pictures: Sequence[Picture], reconstruct: bool) -> list[Encoded]:
        watch = Stopwatch()
        paddings = [choose_padding(*picture.pixels.shape[:2]) for picture in pictures]
        self._graphs.load(["analysis", *self._bundle.prior_graphs], watch)
        with watch.stage("analysis"):
            padded = [
                pad(picture.pixels, padding)
                for picture, padding in zip(pictures, paddings, strict=True)
            ]
            y, z_symbols = self.parts.analyse(padded, watch)
        payloads, y_hat = self.parts.write(y, z_symbols, watch)
        streams = []
        with watch.stage("coder"):
            for picture, padding, payload in zip(pictures, paddings, payloads, strict=True):
                info = self.describe(picture, padding)
                streams.append((info, write_stream(info, payload)))
        pixels: Sequence[Pixels | None] = [None] * len(pictures)
        if reconstruct:
            pixels = _crop_each(self.parts.synthesise(y_hat, watch), paddings)
        seconds = _shares(watch, len(pictures))
        return [
            Encoded(data, info, reconstruction, picture.notes, seconds)
            for (info, data), reconstruction, picture in zip(streams, pixels, pictures, strict=True)
        ]

    def _decode(self, streams: Sequence[Stream]) -> list[Decoded]:
        watch = Stopwatch()
        infos = [stream.info for stream in streams]
        width, height = padded_size(infos[0])
        size = (height // LATENT_SCALE, width // LATENT_SCALE)
        # First of all: a payload too small for its picture costs no memory and no graph runs.
        for stream in streams:
            self.parts.check_room(stream.payload, size, watch)
        y_hat = self.parts.read([stream.payload for stream in streams], size, watch)
        images = self.parts.synthesise(y_hat, watch)
        pixels = _crop_each(images, [Padding(*info.padding) for info in infos])
        seconds = _shares(watch, len(streams))
        return [
            Decoded(Picture(own, info.icc, info.exif, info.xmp), seconds)
            for own, info in zip(pixels, infos, strict=True)
        ]

    def check_stream(self, info: StreamInfo) -> None:
        """Refuse a stream that this model on this engine would decode to something else.

        Raises:
            BadInputError: It is one.
        """
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


def _crop_each(images: NDArray[np.uint8], paddings: Sequence[Padding]) -> list[Pixels]:
    return [crop(image, padding) for image, padding in zip(images, paddings, strict=True)]


def _shares(watch: Stopwatch, pictures: int) -> dict[str, float]:
    return {stage: seconds / pictures for stage, seconds in watch.seconds.items()}
