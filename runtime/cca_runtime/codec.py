"""The codec: pictures to streams and back, with one bundle on one engine."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from cca_engines import (
    DEFAULT_ENGINE,
    Engine,
    EngineError,
    Precision,
    engines_by_speed,
    open_engine,
)
from numpy.typing import NDArray

from cca_core import DEFAULT_MAX_PIXELS
from cca_runtime.batches import code_or_explain, or_raise
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.errors import BadInputError, CcaError, FailureError
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.memory import most_at_once
from cca_runtime.padding import Padding, choose_padding, crop, padded_pixels
from cca_runtime.part_coder import Tables
from cca_runtime.pictures import Picture, Pixels, as_picture, check_size
from cca_runtime.pipeline import in_batches, run_in_order
from cca_runtime.plans import plan_options
from cca_runtime.session import Decoded, Encoded, Session, Stream, padded_size
from cca_runtime.session_pool import SessionPool
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import parse
from cca_runtime.tiled_codec import TiledCodec
from cca_runtime.tiling import (
    BY_MEMORY,
    MARGIN,
    TILE_SIDE,
    WINDOW_SIDE,
    Tiling,
    check_region,
    check_tile,
    choose_tiling,
)

if TYPE_CHECKING:
    from PIL import Image

    PictureLike = NDArray[Any] | Image.Image | Picture

FASTEST = "auto"
"""As an engine: the fastest that works here."""

Region: TypeAlias = tuple[int, int, int, int]
"""A part of a picture: x and y of its left upper corner, width and height, in pixels."""

_WORKERS = 2
"""Pictures under way at once: while the coder is at one, the engine runs another's graphs."""

_BATCH_PIXELS = 1 << 24
"""Pictures in a batch have no more together."""

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")
_Coded = TypeVar("_Coded")


def load(
    path_or_name: str | os.PathLike[str] | None = None,
    engine: str = DEFAULT_ENGINE,
    *,
    precision: Precision | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int = _WORKERS,
    tile: int | str | None = BY_MEMORY,
) -> Codec:
    """Open a model.

    The first time a model in exact mode meets an engine on this machine, the engine
    is compared with the bundle's fast conformance cases; one that compiles plans always is.

    Args:
        path_or_name: A bundle directory, the name of a model that ships with the
            package, or None for the default model.
        engine: The backend that runs the graphs; `auto` for the fastest that works here (why
            others do not is logged).
        precision: What it computes in where results need not be exact; None for its default.
            `openvino` has `float32` and, on processors that have it, `bfloat16`.
        max_pixels: Streams and pictures of more pixels than this, padding included,
            are refused.
        workers: Pictures that are coded at once, of a list or for threads; and tiles.
        tile: Longest side, in pixels, of the tiles that pictures are encoded in: a multiple of
            64, up to 16,320. `auto`: tiles of up to 3,072 for pictures that would take more than
            their share of this machine's memory in one piece, as pictures do with None.
            What is decoded is as the stream says.

    Raises:
        BadInputError: No such bundle, or it is broken; no such tile.
        FailureError: The engine is unknown or not installed, cannot be used here, does not
            have this precision, or does not compute the model exactly.
    """
    bundle = open_bundle(path_or_name)

    def opened(name: str) -> Codec:
        try:
            backend = open_engine(name, precision=precision, plans=plan_options(bundle))
        except EngineError as error:
            raise FailureError(str(error)) from error
        codec = Codec(bundle, backend, max_pixels=max_pixels, workers=workers, tile=tile)
        codec.check_engine()
        return codec

    if engine != FASTEST:
        return opened(engine)
    *faster, surest = engines_by_speed()
    for name in faster:
        try:
            codec = opened(name)
            codec.load_prior()
            return codec
        except FailureError as error:
            _log.info("engine %s cannot be used: %s", name, error)
    return opened(surest)


class Codec:
    """Encodes and decodes pictures with one model on one engine.

    Graphs are loaded when first needed, so a codec that only decodes never loads
    the analysis transform. Any number of threads may use it; `workers` of them code at a
    time, the others wait.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        workers: int = _WORKERS,
        tile: int | str | None = BY_MEMORY,
    ) -> None:
        if workers < 1:
            raise BadInputError(f"{workers} workers cannot code pictures: give 1 or more")
        check_tile(tile)
        self.bundle = bundle
        self.engine = engine
        self.max_pixels = max_pixels
        self.workers = workers
        self._graphs = GraphRunner(bundle, engine)
        self._tables = Tables(bundle)
        first = Session(bundle, engine, self._graphs, self._tables)
        self._sessions = SessionPool(first, workers)
        self._sharing: SessionPool | None = None
        self._turn = threading.Lock()
        self._tile = tile
        at_once = most_at_once(bundle, *((s + 2 * MARGIN) ** 2 for s in (WINDOW_SIDE, TILE_SIDE)))
        self._tiles = TiledCodec(bundle, self._sessions, max(1, min(workers, at_once)))

    @overload
    def encode(self, image: NDArray[Any] | Image.Image | Picture) -> bytes: ...
    @overload
    def encode(self, image: Sequence[NDArray[Any] | Image.Image | Picture]) -> list[bytes]: ...
    def encode(self, image: PictureLike | Sequence[PictureLike]) -> bytes | list[bytes]:
        """Encode one picture, or each of a list (`encode_each`).

        Args:
            image: numpy uint8 [H, W, 3] (or grey [H, W]), a PIL image, or a `Picture`.

        Returns:
            The stream, or a list of streams.

        Raises:
            BadInputError: A picture the codec cannot store; see `pictures.from_pil`.
            FailureError: The engine failed, for instance for lack of memory.
        """
        if isinstance(image, Sequence):
            return [encoded.data for encoded in or_raise(self.encode_each(image))]
        return self.encode_picture(image).data

    @overload
    def decode(
        self, data: bytes | bytearray | memoryview, *, region: Region | None = None
    ) -> Pixels: ...
    @overload
    def decode(self, data: Sequence[bytes]) -> list[Pixels]: ...
    def decode(
        self,
        data: bytes | bytearray | memoryview | Sequence[bytes],
        *,
        region: Region | None = None,
    ) -> Pixels | list[Pixels]:
        """Decode one stream, or each of a list (`decode_each`).

        Args:
            data: A whole stream, or several.
            region: Of one stream, the part to decode: (x, y, width, height). Where the picture
                is in tiles, only those are decoded that it takes.

        Returns:
            uint8 [H, W, 3], or a list of them.

        Raises:
            StreamError: The stream is damaged, truncated or of an unknown version.
            BadInputError: It needs another model, engine or `max_pixels`, or the region is
                not in the picture.
            FailureError: The engine failed, for instance for lack of memory.
        """
        if isinstance(data, bytes | bytearray | memoryview):
            return self.decode_stream(bytes(data), region=region).picture.pixels
        if region is not None:
            raise BadInputError("a region is of one picture: decode the streams one by one")
        return [decoded.picture.pixels for decoded in or_raise(self.decode_each(data))]

    def encode_each(
        self,
        images: Iterable[PictureLike],
        *,
        background: str | None = None,
        reconstruct: bool = False,
    ) -> Iterator[Encoded | CcaError]:
        """Encode pictures, several at once, while the results are used.

        Neighbours of one size go through an engine together where that is faster and
        changes no stream. Pictures are taken a few ahead of the results.

        Args:
            images: As for `encode`.
            background: As for `encode_picture`.
            reconstruct: As for `encode_picture`.

        Returns:
            In the pictures' order; for one that fails, the error in its place.
        """

        def prepare(image: PictureLike) -> Picture | CcaError:
            try:
                return self._prepare(image, background)
            except CcaError as error:
                return error

        def size(picture: Picture) -> tuple[int, int]:
            height, width = picture.pixels.shape[:2]
            left, top, right, bottom = choose_padding(height, width)
            return left + width + right, top + height + bottom

        def code(pictures: Sequence[Picture]) -> list[Encoded]:
            return self._encode(pictures, reconstruct, alongside=True)

        return self._code_each(map(prepare, images), size, code)

    def decode_each(
        self, streams: Iterable[bytes | bytearray | memoryview]
    ) -> Iterator[Decoded | CcaError]:
        """Decode streams, several at once, while the results are used.

        Args:
            streams: Taken a few ahead of the results.

        Returns:
            In the streams' order; for one that fails, the error in its place.
        """

        def prepare(data: bytes | bytearray | memoryview) -> Stream | CcaError:
            try:
                return self._parse(bytes(data))
            except CcaError as error:
                return error

        def code(streams: Sequence[Stream]) -> list[Decoded]:
            if any(stream.info.tiling for stream in streams):
                return [self._decode(stream, None, alongside=True) for stream in streams]
            with self._pool(alongside=True).take() as session:
                return session.decode(streams)

        return self._code_each(map(prepare, streams), lambda s: padded_size(s.info), code)

    def encode_picture(
        self,
        image: PictureLike,
        *,
        background: str | None = None,
        reconstruct: bool = False,
        alongside: bool = False,
    ) -> Encoded:
        """Encode one picture and say all there is to say about it.

        Args:
            image: As for `encode`.
            background: Colour to lay under a PIL image's transparent pixels.
            reconstruct: Also run the synthesis, for `Encoded.reconstruction`.
            alongside: Whether other threads keep this codec busy meanwhile: an exact model
                then runs on this thread's part of the cores, which is faster for all together.

        Raises:
            BadInputError: As `encode`.
            FailureError: As `encode`.
        """
        picture = self._prepare(image, background)
        (encoded,) = self._encode([picture], reconstruct, alongside=alongside)
        return encoded

    def decode_stream(
        self, data: bytes, *, region: Region | None = None, alongside: bool = False
    ) -> Decoded:
        """Decode one stream with its metadata and timings.

        Args:
            data: A whole stream.
            region: As for `decode`.
            alongside: As for `encode_picture`.

        Raises:
            StreamError: As `decode`.
            BadInputError: As `decode`.
            FailureError: As `decode`.
        """
        return self._decode(self._parse(data), region, alongside=alongside)

    def check_engine(self) -> None:
        """Compare the engine with the bundle's fast conformance cases, once on a machine.

        Does nothing for a model in native mode, whose results are the engine's own.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine computes something else, or cannot run a graph.
        """
        with self._sessions.take() as session:
            session.check_engine()

    def load_prior(self) -> None:
        """Load the prior's graphs now rather than with the first picture.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine cannot load a graph.
        """
        self._graphs.load(self.bundle.prior_graphs, Stopwatch())

    def _pool(self, *, alongside: bool) -> SessionPool:
        """Sessions for a picture by itself, or for those that are coded at the same time."""
        if not alongside:
            return self._sessions
        with self._turn:
            if self._sharing is None:
                self._sharing = self._share_engine()
            return self._sharing

    def _share_engine(self) -> SessionPool:
        # A float prior's results may depend on the number of threads.
        if self.workers == 1 or self.bundle.entropy_mode != "exact":
            return self._sessions
        engine = self.engine.among(self.workers)
        if engine is self.engine:
            return self._sessions
        if engine is None:
            with self._sessions.take() as session:
                return SessionPool(session.twin(), 1)
        graphs = GraphRunner(self.bundle, engine)
        session = Session(self.bundle, engine, graphs, self._tables)
        session.check_engine()
        return SessionPool(session, self.workers)

    def _prepare(self, image: PictureLike, background: str | None) -> Picture:
        picture = as_picture(image, background, self.max_pixels)
        height, width = picture.pixels.shape[:2]
        check_size(width, height, self.max_pixels)
        return picture

    def _encode(
        self, pictures: Sequence[Picture], reconstruct: bool, *, alongside: bool
    ) -> list[Encoded]:
        """Encode pictures that have one size when padded."""
        tiling = self._choose_tiling(*pictures[0].pixels.shape[:2])
        if tiling is not None:
            return [self._tiles.encode(p, tiling, reconstruct=reconstruct) for p in pictures]
        with self._pool(alongside=alongside).take() as session:
            return session.encode(pictures, reconstruct=reconstruct)

    def _choose_tiling(self, height: int, width: int) -> Tiling | None:
        side = self._tile
        if isinstance(side, str):
            pixels = padded_pixels(height, width)
            enough = most_at_once(self.bundle, pixels, pixels) >= self.workers
            side = None if enough else TILE_SIDE
        if side is None:
            return None
        left, top, right, bottom = choose_padding(height, width)
        return choose_tiling(left + width + right, top + height + bottom, side)

    def _decode(self, stream: Stream, region: Region | None, *, alongside: bool) -> Decoded:
        whole = (0, 0, stream.info.width, stream.info.height)
        if region is not None:
            check_region(region, *whole[2:])
        if stream.info.tiling is not None:
            return self._tiles.decode(stream, region or whole)
        with self._pool(alongside=alongside).take() as session:
            (decoded,) = session.decode([stream])
        if region is None:
            return decoded
        x, y, width, height = region
        rest = Padding(x, y, whole[2] - x - width, whole[3] - y - height)
        pixels = crop(decoded.picture.pixels, rest)
        return replace(decoded, picture=replace(decoded.picture, pixels=pixels))

    def _parse(self, data: bytes) -> Stream:
        return Stream(*parse(data, max_pixels=self.max_pixels))

    def _code_each(
        self,
        items: Iterable[_Item | CcaError],
        size: Callable[[_Item], tuple[int, int]],
        code: Callable[[Sequence[_Item]], list[_Coded]],
    ) -> Iterator[_Coded | CcaError]:
        """Run `code` on batches of items whose padded `size` is the same."""

        def key(item: _Item | CcaError) -> tuple[int, int] | None:
            return None if isinstance(item, CcaError) else size(item)

        def most(item: _Item | CcaError) -> int:
            # A float prior's results may depend on the batch, and the decoder's is another.
            if isinstance(item, CcaError) or self.bundle.entropy_mode != "exact":
                return 1
            width, height = size(item)
            return min(self.engine.batch, max(1, _BATCH_PIXELS // (width * height)))

        def work(batch: Sequence[_Item | CcaError]) -> list[_Coded | CcaError]:
            return code_or_explain(batch, code)

        for results in run_in_order(work, in_batches(items, key, most), self.workers):
            yield from results
