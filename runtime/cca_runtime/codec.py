"""The codec: pictures to streams and back, with one bundle on one engine."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from cca_engines import (
    DEFAULT_ENGINE,
    Engine,
    EngineError,
    engines_by_speed,
    open_engine,
)
from numpy.typing import NDArray

from cca_runtime._core import DEFAULT_MAX_PIXELS
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.errors import BadInputError, CcaError, FailureError
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.padding import choose_padding
from cca_runtime.pictures import (
    Picture,
    Pixels,
    check_size,
    from_array,
    from_pil,
)
from cca_runtime.pipeline import in_batches, run_in_order
from cca_runtime.plans import plan_options
from cca_runtime.session import Decoded, Encoded, Session, Stream, Tables, padded_size
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import parse

if TYPE_CHECKING:
    from PIL import Image

    PictureLike = NDArray[Any] | Image.Image | Picture

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
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int = _WORKERS,
) -> Codec:
    """Open a model.

    The first time a model in exact mode meets an engine on this machine, the engine
    is compared with the bundle's fast conformance cases; one that compiles plans always is.

    Args:
        path_or_name: A bundle directory, the name of a model that ships with the
            package, or None for the default model.
        engine: The backend that runs the graphs; `auto` for the fastest that works here (why
            others do not is logged).
        max_pixels: Streams and pictures of more pixels than this, padding included,
            are refused.
        workers: Pictures that are coded at once, of a list or for threads.

    Raises:
        BadInputError: No such bundle, or it is broken.
        FailureError: The engine is unknown or not installed, cannot be used here, or does
            not compute the model exactly.
    """
    bundle = open_bundle(path_or_name)
    if engine != FASTEST:
        return _load(bundle, engine, max_pixels, workers)
    *faster, surest = engines_by_speed()
    for name in faster:
        try:
            codec = _load(bundle, name, max_pixels, workers)
            codec.load_prior()
            return codec
        except FailureError as error:
            _log.info("engine %s cannot be used: %s", name, error)
    return _load(bundle, surest, max_pixels, workers)


def _load(bundle: Bundle, engine: str, max_pixels: int, workers: int) -> Codec:
    try:
        opened = open_engine(engine, plans=plan_options(bundle))
    except EngineError as error:
        raise FailureError(str(error)) from error
    codec = Codec(bundle, opened, max_pixels=max_pixels, workers=workers)
    codec.check_engine()
    return codec


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
    ) -> None:
        if workers < 1:
            raise BadInputError(f"{workers} workers cannot code pictures: give 1 or more")
        self.bundle = bundle
        self.engine = engine
        self.max_pixels = max_pixels
        self.workers = workers
        self._graphs = GraphRunner(bundle, engine)
        self._tables = Tables(bundle)
        first = Session(bundle, engine, self._graphs, self._tables)
        self._sessions = _SessionPool(first, workers)
        self._sharing: _SessionPool | None = None
        self._turn = threading.Lock()

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
            return [encoded.data for encoded in _or_raise(self.encode_each(image))]
        return self.encode_picture(image).data

    @overload
    def decode(self, data: bytes | bytearray | memoryview) -> Pixels: ...
    @overload
    def decode(self, data: Sequence[bytes]) -> list[Pixels]: ...
    def decode(
        self, data: bytes | bytearray | memoryview | Sequence[bytes]
    ) -> Pixels | list[Pixels]:
        """Decode one stream, or each of a list (`decode_each`).

        Returns:
            uint8 [H, W, 3], or a list of them.

        Raises:
            StreamError: The stream is damaged, truncated or of an unknown version.
            BadInputError: It needs another model, engine or `max_pixels`.
            FailureError: The engine failed, for instance for lack of memory.
        """
        if isinstance(data, bytes | bytearray | memoryview):
            return self.decode_stream(bytes(data)).picture.pixels
        return [decoded.picture.pixels for decoded in _or_raise(self.decode_each(data))]

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
            with self._sharing_sessions().take() as session:
                return session.encode(pictures, reconstruct=reconstruct)

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
            with self._sharing_sessions().take() as session:
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
        with (self._sharing_sessions() if alongside else self._sessions).take() as session:
            (encoded,) = session.encode([picture], reconstruct=reconstruct)
        return encoded

    def decode_stream(self, data: bytes, *, alongside: bool = False) -> Decoded:
        """Decode one stream with its metadata and timings.

        Args:
            data: A whole stream.
            alongside: As for `encode_picture`.

        Raises:
            StreamError: As `decode`.
            BadInputError: As `decode`.
            FailureError: As `decode`.
        """
        stream = self._parse(data)
        with (self._sharing_sessions() if alongside else self._sessions).take() as session:
            (decoded,) = session.decode([stream])
        return decoded

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

    def _sharing_sessions(self) -> _SessionPool:
        """Sessions for pictures that are coded at the same time."""
        with self._turn:
            if self._sharing is None:
                self._sharing = self._share_engine()
            return self._sharing

    def _share_engine(self) -> _SessionPool:
        # A float prior's results may depend on the number of threads.
        if self.workers == 1 or self.bundle.entropy_mode != "exact":
            return self._sessions
        engine = self.engine.among(self.workers)
        if engine is self.engine:
            return self._sessions
        graphs = GraphRunner(self.bundle, engine)
        session = Session(self.bundle, engine, graphs, self._tables)
        session.check_engine()
        return _SessionPool(session, self.workers)

    def _prepare(self, image: PictureLike, background: str | None) -> Picture:
        picture = _as_picture(image, background, self.max_pixels)
        height, width = picture.pixels.shape[:2]
        check_size(width, height, self.max_pixels)
        return picture

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
            return _code_or_explain(batch, code)

        for results in run_in_order(work, in_batches(items, key, most), self.workers):
            yield from results


class _SessionPool:
    """Sessions for as many threads as may code at once."""

    def __init__(self, first: Session, most: int) -> None:
        self._first = first
        self._idle = [first]
        self._room = threading.Semaphore(most)
        self._turn = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[Session]:
        """A session for this thread alone, when there is one."""
        with self._room:
            session = self._pop()
            try:
                yield session
            finally:
                with self._turn:
                    self._idle.append(session)

    def _pop(self) -> Session:
        with self._turn:
            # The one used last: its memory and recordings are warm.
            return self._idle.pop() if self._idle else self._first.twin()


def _code_or_explain(
    batch: Sequence[_Item | CcaError], code: Callable[[Sequence[_Item]], list[_Coded]]
) -> list[_Coded | CcaError]:
    """`code` of a batch; where that fails, of each alone, with errors in their places."""
    items: list[_Item] = []
    for item in batch:
        if isinstance(item, CcaError):  # always alone
            return [item]
        items.append(item)
    try:
        return [*code(items)]
    except CcaError as error:
        if len(items) == 1:
            return [error]
    except MemoryError:
        if len(items) == 1:
            return [FailureError("not enough memory for this picture")]
    return [result for item in items for result in _code_or_explain([item], code)]


def _or_raise(results: Iterable[_Coded | CcaError]) -> Iterator[_Coded]:
    for result in results:
        if isinstance(result, CcaError):
            raise result
        yield result


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
