"""The codec: pictures to streams and back, with one bundle on one engine."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from cca_engines import (
    DEFAULT_ENGINE,
    Engine,
    EngineError,
    Precision,
    engines_by_speed,
    open_engine,
)
from cca_engines.forked import Origin
from cca_engines.host import HostMemory

from cca_runtime._core import DEFAULT_MAX_PIXELS
from cca_runtime.arguments import MOST_THREADS, Region, as_region, named, show, whole_number
from cca_runtime.batches import code_or_explain, or_raise, prepared
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.errors import BadInputError, CcaError, FailureError, only_cca_errors
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.memory import MemoryLedger, coding_bytes, most_at_once
from cca_runtime.padding import Padding, choose_padding, crop, padded_pixels
from cca_runtime.part_coder import Tables
from cca_runtime.pictures import Picture, Pixels
from cca_runtime.pipeline import in_batches, run_in_order
from cca_runtime.plans import plan_options
from cca_runtime.session import Decoded, Encoded, Session, Stream, padded_size
from cca_runtime.session_pool import SessionPool
from cca_runtime.sources import check_background, is_list, iterate, picture_from, stream_from
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import parse
from cca_runtime.tiled_codec import TiledCodec
from cca_runtime.tiling import (
    BY_MEMORY,
    MARGIN,
    TILE_SIDE,
    WINDOW_SIDE,
    Tiling,
    as_tile,
    check_region,
    choose_tiling,
)

if TYPE_CHECKING:
    from cca_runtime.sources import PictureLike, StreamLike

FASTEST = "auto"
"""As an engine: the fastest that works here."""

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
    threads: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int = _WORKERS,
    tile: int | str | None = BY_MEMORY,
    trust_plans: bool = False,
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
        threads: Threads that the engine runs a graph on; None for as many as there are processor
            cores that this process may use. GPUs have their own. Up to 1,024.
        max_pixels: Streams and pictures of more pixels than this, padding included,
            are refused.
        workers: Pictures that are coded at once, of a list or for threads; and tiles. Up to 1,024.
        tile: Longest side, in pixels, of the tiles that pictures are encoded in: a multiple of
            64, up to 16,320. `auto`: tiles of up to 3,072 for pictures that would take more than
            their share of this machine's memory in one piece, as pictures do with None.
            What is decoded is as the stream says.
        trust_plans: Whether plans inside the bundle may be used, for engines that have them.
            They are code: trust them as you would trust a program.

    Raises:
        BadInputError: No such bundle, or it is broken; an argument is of another kind, or out
            of its range.
        FailureError: The engine is unknown or not installed, cannot be used here, does not
            have this precision, or does not compute the model exactly.
    """
    if path_or_name is not None and not isinstance(path_or_name, str | os.PathLike):
        raise BadInputError(f"a model must be a path, a name or None, and is {show(path_or_name)}")
    named(engine, "the engine")
    if precision is not None:
        named(precision, "the precision")
    if threads is not None:
        threads = whole_number(threads, "threads", 1, MOST_THREADS)
    if not isinstance(trust_plans, bool):  # "no" is not to mean yes
        raise BadInputError(f"trust_plans must be True or False, and is {show(trust_plans)}")
    settings = _Settings(precision, threads, trust_plans)

    def opened(name: str) -> Codec:
        codec = Codec(
            bundle,
            _open_engine(name, bundle, settings),
            max_pixels=max_pixels,
            workers=workers,
            tile=tile,
            settings=settings,
        )
        codec.check_engine()
        return codec

    with only_cca_errors():
        bundle = open_bundle(path_or_name)
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


def _load_again(path: str, engine: str, options: dict[str, Any]) -> Codec:
    return load(path, engine, **options)


class _Settings(NamedTuple):
    """What an engine was opened with, so that it can be opened again."""

    precision: Precision | None
    threads: int | None
    trust_plans: bool


def _open_engine(name: str, bundle: Bundle, settings: _Settings) -> Engine:
    try:
        return open_engine(
            name,
            precision=settings.precision,
            threads=settings.threads,
            plans=plan_options(bundle, trust=settings.trust_plans),
        )
    except EngineError as error:
        raise FailureError(str(error)) from error


class Codec:
    """Encodes and decodes pictures with one model on one engine.

    Graphs are loaded when first needed, so a codec that only decodes never loads
    the analysis transform. Any number of threads may use it; `workers` of them code at a
    time, the others wait. What it holds is freed with it: there is nothing to close.

    A codec that `load` opened can be pickled and copied: it is opened again, from the path of
    the bundle, wherever it lands. A child of `os.fork` cannot use its parent's: it loads its own.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        workers: int = _WORKERS,
        tile: int | str | None = BY_MEMORY,
        settings: _Settings | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.max_pixels = whole_number(max_pixels, "max_pixels", 1)
        self.workers = workers = whole_number(workers, "workers", 1, MOST_THREADS)
        self._tile = as_tile(tile)
        self._settings = settings
        self._origin = Origin()
        self._graphs = GraphRunner(bundle, engine)
        self._tables = Tables(bundle)
        first = Session(bundle, engine, self._graphs, self._tables)
        self._sessions = SessionPool(first, workers)
        self._sharing: SessionPool | None = None
        self._turn = threading.Lock()
        at_once = most_at_once(bundle, *((s + 2 * MARGIN) ** 2 for s in (WINDOW_SIDE, TILE_SIDE)))
        self._memory = MemoryLedger()
        # What takes memory on a device is up to its engine.
        self._in_host_memory = isinstance(engine, HostMemory)
        self._tiles = TiledCodec(
            bundle,
            self._sessions,
            max(1, min(workers, at_once)),
            self._memory if self._in_host_memory else None,
        )

    def __reduce__(self) -> tuple[Callable[..., Codec], tuple[object, ...]]:
        """To pickle and to copy: what `load` opens it again from, wherever that is.

        Raises:
            BadInputError: It was not opened by `load`.
        """
        if self._settings is None:
            raise BadInputError("only a codec that cca_runtime.load() opened can be copied")
        options = {
            **self._settings._asdict(),
            "max_pixels": self.max_pixels,
            "workers": self.workers,
            "tile": self._tile,
        }
        return _load_again, (str(self.bundle.path), self.engine.name, options)

    @overload
    def encode(self, image: PictureLike) -> bytes: ...  # type: ignore[overload-overlap]
    @overload
    def encode(self, image: Sequence[PictureLike]) -> list[bytes]: ...
    def encode(self, image: PictureLike | Sequence[PictureLike]) -> bytes | list[bytes]:
        """Encode one picture, or each of a list (`encode_each`).

        Args:
            image: numpy uint8 [H, W, 3] (or grey [H, W]), a PIL image, a `Picture`, or a
                picture's file: its path (`str` too), or a file object that gives bytes.

        Returns:
            The stream, or a list of streams.

        Raises:
            BadInputError: It is none of these, its file cannot be read, or it is a picture that
                the codec cannot store (see `pictures.from_pil`) or has no memory for.
            FailureError: The engine failed.
        """
        if is_list(image):
            pictures = cast("Sequence[PictureLike]", image)
            return [encoded.data for encoded in or_raise(self.encode_each(pictures))]
        return self.encode_picture(cast("PictureLike", image)).data

    @overload
    def decode(  # type: ignore[overload-overlap]
        self, data: StreamLike, *, region: Region | None = None
    ) -> Pixels: ...
    @overload
    def decode(self, data: Sequence[StreamLike]) -> list[Pixels]: ...
    def decode(
        self, data: StreamLike | Sequence[StreamLike], *, region: Region | None = None
    ) -> Pixels | list[Pixels]:
        """Decode one stream, or each of a list (`decode_each`).

        Args:
            data: A whole stream: bytes in any object that shares them (`bytes`, `memoryview`,
                numpy uint8 [N], `mmap`, ...), a path (`str` too), or a file object that gives
                bytes. Or several.
            region: Of one stream, the part to decode: (x, y, width, height). Where the picture
                is in tiles, only those are decoded that it takes.

        Returns:
            uint8 [H, W, 3], or a list of them.

        Raises:
            StreamError: The stream is damaged, truncated or of an unknown version.
            BadInputError: It is none of these, its file cannot be read, it needs another model,
                engine or `max_pixels` or more memory than there is, or the region is not in the
                picture.
            FailureError: The engine failed.
        """
        if not is_list(data):
            return self.decode_stream(cast("StreamLike", data), region=region).picture.pixels
        if region is not None:
            raise BadInputError("a region is of one picture: decode the streams one by one")
        streams = cast("Sequence[StreamLike]", data)
        return [decoded.picture.pixels for decoded in or_raise(self.decode_each(streams))]

    def encode_each(
        self,
        images: Iterable[PictureLike],
        *,
        background: str | None = None,
        reconstruct: bool = False,
    ) -> Generator[Encoded | CcaError, None, None]:
        """Encode pictures, several at once, while the results are used.

        Neighbours of one size go through an engine together where that is faster and
        changes no stream. Pictures are taken a few ahead of the results. To stop before the
        end, close the iterator.

        Args:
            images: As for `encode`. What iterating over them raises ends the results.
            background: As for `encode_picture`.
            reconstruct: As for `encode_picture`.

        Returns:
            In the pictures' order; for one that fails, whatever it failed of, the error in its
            place.

        Raises:
            BadInputError: `images` is not iterable or a single picture, or the background is no
                colour.
            FailureError: The codec was loaded before this process was forked.
        """
        self._check_process()
        check_background(background)

        def prepare(image: PictureLike) -> Picture:
            return picture_from(image, background, self.max_pixels)

        def size(picture: Picture) -> tuple[int, int]:
            height, width = picture.pixels.shape[:2]
            left, top, right, bottom = choose_padding(height, width)
            return left + width + right, top + height + bottom

        def code(pictures: Sequence[Picture]) -> list[Encoded]:
            return self._encode(pictures, reconstruct, alongside=True)

        return self._code_each(prepared(iterate(images, "pictures"), prepare), size, code)

    def decode_each(
        self, streams: Iterable[StreamLike]
    ) -> Generator[Decoded | CcaError, None, None]:
        """Decode streams, several at once, while the results are used.

        To stop before the end, close the iterator.

        Args:
            streams: As for `decode`; taken a few ahead of the results. What iterating over them
                raises ends the results.

        Returns:
            In the streams' order; for one that fails, whatever it failed of, the error in its
            place.

        Raises:
            BadInputError: `streams` is not iterable, or a single stream.
            FailureError: The codec was loaded before this process was forked.
        """
        self._check_process()

        def code(streams: Sequence[Stream]) -> list[Decoded]:
            if any(stream.info.tiling for stream in streams):
                return [self._decode(stream, None, alongside=True) for stream in streams]
            return self._decode_whole(streams, alongside=True)

        parsed = prepared(iterate(streams, "streams"), self._parse)
        return self._code_each(parsed, lambda s: padded_size(s.info), code)

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
            background: Colour to lay under transparent pixels, of a PIL image or a file.
            reconstruct: Also run the synthesis, for `Encoded.reconstruction`.
            alongside: Whether other threads keep this codec busy meanwhile: an exact model
                then runs on this thread's part of the cores, which is faster for all together.

        Raises:
            BadInputError: As `encode`.
            FailureError: As `encode`.
        """
        with self._errors():
            picture = picture_from(image, background, self.max_pixels)
            (encoded,) = self._encode([picture], reconstruct, alongside=alongside)
            return encoded

    def decode_stream(
        self, data: StreamLike, *, region: Region | None = None, alongside: bool = False
    ) -> Decoded:
        """Decode one stream with its metadata and timings.

        Args:
            data: As for `decode`.
            region: As for `decode`.
            alongside: As for `encode_picture`.

        Raises:
            StreamError: As `decode`.
            BadInputError: As `decode`.
            FailureError: As `decode`.
        """
        with self._errors():
            asked = None if region is None else as_region(region)
            return self._decode(self._parse(data), asked, alongside=alongside)

    def check_engine(self) -> None:
        """Compare the engine with the bundle's fast conformance cases, once on a machine.

        Does nothing for a model in native mode, whose results are the engine's own.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine computes something else, or cannot run a graph.
        """
        with self._errors(), self._sessions.take() as session:
            session.check_engine()

    def load_prior(self) -> None:
        """Load the prior's graphs now rather than with the first picture.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine cannot load a graph.
        """
        with self._errors():
            self._graphs.load(self.bundle.prior_graphs, Stopwatch())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Of this package alone; one, before anything is waited for, in a child of `os.fork`.

        The child has neither the engine's threads nor those that hold a lock.
        """
        with only_cca_errors():
            self._check_process()
            yield

    def _check_process(self) -> None:
        try:
            self._origin.check("the codec")
        except EngineError as error:
            raise FailureError(str(error)) from error

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

    def _encode(
        self, pictures: Sequence[Picture], reconstruct: bool, *, alongside: bool
    ) -> list[Encoded]:
        """Encode pictures that have one size when padded."""
        tiling = self._choose_tiling(*pictures[0].pixels.shape[:2])
        if tiling is not None:
            return [self._tiles.encode(p, tiling, reconstruct=reconstruct) for p in pictures]
        height, width = pictures[0].pixels.shape[:2]
        room = self._room(
            len(pictures) * padded_pixels(height, width),
            f"encoding this picture of {width}x{height} in one piece",
            f"encode it in tiles (tile={TILE_SIDE}, --tile {TILE_SIDE}), which take less",
            transforms=2 if reconstruct else 1,
        )
        with room, self._pool(alongside=alongside).take() as session:
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
        (decoded,) = self._decode_whole([stream], alongside=alongside)
        if region is None:
            return decoded
        x, y, width, height = region
        rest = Padding(x, y, whole[2] - x - width, whole[3] - y - height)
        pixels = crop(decoded.picture.pixels, rest)
        return replace(decoded, picture=replace(decoded.picture, pixels=pixels))

    def _decode_whole(self, streams: Sequence[Stream], *, alongside: bool) -> list[Decoded]:
        """Decode streams of pictures that have one size when padded and are in one piece."""
        pool = self._pool(alongside=alongside)
        with pool.take() as session:
            session.check_streams(streams)
        info = streams[0].info
        room = self._room(
            len(streams) * math.prod(padded_size(info)),
            f"decoding this picture of {info.width}x{info.height}, which is in one piece,",
            "it takes a machine with more",
        )
        # Who has room may wait for a session; nobody waits for room who has a session.
        with room, pool.take() as session:
            return session.decode(streams)

    def _room(
        self, pixels: int, what: str, advice: str, *, transforms: int = 1
    ) -> AbstractContextManager[object]:
        """Memory to code so many padded pixels in one piece."""
        if not self._in_host_memory:
            return nullcontext()
        need = coding_bytes(self.bundle, pixels, pixels, transforms=transforms)
        return self._memory.grant([need], what, advice)

    def _parse(self, data: StreamLike) -> Stream:
        return Stream(*parse(stream_from(data, self.max_pixels), max_pixels=self.max_pixels))

    def _code_each(
        self,
        items: Iterable[_Item | CcaError],
        size: Callable[[_Item], tuple[int, int]],
        code: Callable[[Sequence[_Item]], list[_Coded]],
    ) -> Generator[_Coded | CcaError, None, None]:
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

        with closing(run_in_order(work, in_batches(items, key, most), self.workers)) as batches:
            for results in batches:
                yield from results
                self._check_process()
