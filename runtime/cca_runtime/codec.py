"""The codec: pictures to streams and back, with one bundle on one engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from cca_core import (
    DEFAULT_MAX_PIXELS,
    DecoderMachine,
    EncoderMachine,
    InexactError,
    Model,
    StreamInfo,
)
from cca_engines import Engine, EngineError, fingerprint, fingerprint_backend
from cca_engines.forked import Origin

from cca_runtime.arguments import (
    BY_SIZE,
    MOST_THREADS,
    Region,
    as_tile,
    tile_side,
    true_or_false,
    whole_number,
)
from cca_runtime.batches import code_or_explain, or_raise, prepared
from cca_runtime.bundle import Bundle
from cca_runtime.conformance import check_engine
from cca_runtime.division import Division, choose_division, division_of
from cca_runtime.errors import BadInputError, CcaError, FailureError, only_cca_errors
from cca_runtime.graph_runner import GraphRunner, engine_failures
from cca_runtime.host import EngineHost
from cca_runtime.host_pool import HostPool
from cca_runtime.memory import MemoryLedger, Work, needs_of
from cca_runtime.pictures import Picture, Pixels
from cca_runtime.pipeline import in_batches, run_in_order
from cca_runtime.rate_control import ONLY, RateControl, as_rate_control
from cca_runtime.results import Decoded, Encoded, Groups
from cca_runtime.selection import Selection, as_selection
from cca_runtime.sources import check_background, is_list, iterate, picture_from, stream_from
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import NO_LIMIT, core_errors, parse, parse_start

if TYPE_CHECKING:
    from cca_runtime.sources import PictureLike, StreamLike

WORKERS = 2
"""Pictures under way at once: while the coder is at one, the engine runs another's graphs."""

_BATCH_PIXELS = 1 << 24
"""Pictures in a batch have no more together."""

_Item = TypeVar("_Item")
_Coded = TypeVar("_Coded")


class Reopening(NamedTuple):
    """How a codec is opened again, where it was pickled or copied to.

    Attributes:
        function: Called with the bundle's path, the engine's name and options.
        options: Those that the codec itself does not know.
    """

    function: Callable[[str, str, dict[str, Any]], Codec]
    options: Mapping[str, Any]


class Stream(NamedTuple):
    """A stream and what its header says."""

    data: bytes
    info: StreamInfo


class Kind(NamedTuple):
    """What pictures have in common that go through the engine together."""

    division: Division
    step: int


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
        workers: int = WORKERS,
        tile: int | str | None = BY_SIZE,
        keep_going: bool = False,
        reopening: Reopening | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.max_pixels = whole_number(max_pixels, "max_pixels", 1)
        self.workers = workers = whole_number(workers, "workers", 1, MOST_THREADS)
        self._tile = as_tile(tile)
        self.keep_going = true_or_false(keep_going, "keep_going")
        self._reopening = reopening
        self._origin = Origin()
        first = EngineHost(engine, GraphRunner(bundle, engine))
        self._hosts = HostPool(first, workers)
        self._sharing: HostPool | None = None
        self._model: Model | None = None
        self._turn = threading.Lock()
        self._memory = MemoryLedger()
        # What takes memory on a device is up to its engine.
        self._in_host_memory = engine.capabilities.host_memory

    def __reduce__(self) -> tuple[Callable[..., Codec], tuple[object, ...]]:
        """To pickle and to copy: what `load` opens it again from, wherever that is.

        Raises:
            BadInputError: It was not opened by `load`.
        """
        if self._reopening is None:
            raise BadInputError("only a codec that cca_runtime.load() opened can be copied")
        options = {
            **self._reopening.options,
            "max_pixels": self.max_pixels,
            "workers": self.workers,
            "tile": self._tile,
            "keep_going": self.keep_going,
        }
        return self._reopening.function, (str(self.bundle.path), self.engine.name, options)

    @overload
    def encode(  # type: ignore[overload-overlap]
        self,
        image: PictureLike,
        *,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
    ) -> bytes: ...
    @overload
    def encode(
        self,
        image: Sequence[PictureLike],
        *,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
    ) -> list[bytes]: ...
    def encode(
        self,
        image: PictureLike | Sequence[PictureLike],
        *,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
    ) -> bytes | list[bytes]:
        """Encode one picture, or each of a list (`encode_each`).

        At most one of `quality` and the targets may be given. A target is met within 1 % of the
        size, or 0.05 dB.

        Args:
            image: numpy uint8 [H, W, 3] (or grey [H, W]), a PIL image, a `Picture`, or a
                picture's file: its path (`str` too), or a file object that gives bytes.
            quality: 0 to 100; higher is better and larger. By default 50, the model's own
                trained point.
            target_bpp: Bits of the stream for each pixel, metadata left out.
            target_size: Bytes of the whole stream, metadata included.
            target_psnr: Decibels between the picture and what is decoded.

        Returns:
            The stream, or a list of streams.

        Raises:
            BadInputError: It is none of these, its file cannot be read, or it is a picture that
                the codec cannot store (see `pictures.from_pil`) or has no memory for. Or the
                quality or target makes no sense or cannot be met.
            FailureError: The engine failed.
        """
        if is_list(image):
            pictures = cast("Sequence[PictureLike]", image)
            results = self.encode_each(
                pictures,
                quality=quality,
                target_bpp=target_bpp,
                target_size=target_size,
                target_psnr=target_psnr,
            )
            return [encoded.data for encoded in or_raise(results)]
        return self.encode_picture(
            cast("PictureLike", image),
            quality=quality,
            target_bpp=target_bpp,
            target_size=target_size,
            target_psnr=target_psnr,
        ).data

    @overload
    def decode(  # type: ignore[overload-overlap]
        self,
        data: StreamLike,
        *,
        region: Region | None = None,
        groups: int | None = None,
        preview: bool = False,
    ) -> Pixels: ...
    @overload
    def decode(
        self,
        data: Sequence[StreamLike],
        *,
        groups: int | None = None,
        preview: bool = False,
    ) -> list[Pixels]: ...
    def decode(
        self,
        data: StreamLike | Sequence[StreamLike],
        *,
        region: Region | None = None,
        groups: int | None = None,
        preview: bool = False,
    ) -> Pixels | list[Pixels]:
        """Decode one stream, or each of a list (`decode_each`).

        Args:
            data: A whole stream: bytes in any object that shares them (`bytes`, `memoryview`,
                numpy uint8 [N], `mmap`, ...), a path (`str` too), or a file object that gives
                bytes. Or several.
            region: Of one stream, the part to decode: (x, y, width, height). Where the picture
                is in tiles, only those are decoded that it takes.
            groups: Decode the first channel groups alone, and predict the rest: a preview. 0
                leaves the hyper-latents; by default all.
            preview: Also take a stream that was cut behind its header: as `groups`, with those
                that are whole.

        Returns:
            uint8 [H, W, 3], or a list of them.

        Raises:
            StreamError: The stream is damaged, truncated or of an unknown version.
            BadInputError: It is none of these, its file cannot be read, it needs another model,
                engine or `max_pixels` or more memory than there is, the region is not in the
                picture, or the model has fewer groups.
            FailureError: The engine failed, or the latents are not those that the encoder had and
                the codec was not loaded with `keep_going`.
        """
        if not is_list(data):
            decoded = self.decode_stream(
                cast("StreamLike", data), region=region, groups=groups, preview=preview
            )
            return decoded.picture.pixels
        if region is not None:
            raise BadInputError("a region is of one picture: decode the streams one by one")
        streams = cast("Sequence[StreamLike]", data)
        results = self.decode_each(streams, groups=groups, preview=preview)
        return [each.picture.pixels for each in or_raise(results)]

    def encode_each(
        self,
        images: Iterable[PictureLike],
        *,
        background: str | None = None,
        reconstruct: bool = False,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
    ) -> Generator[Encoded | CcaError, None, None]:
        """Encode pictures, several at once, while the results are used.

        Neighbours of one size go through an engine together where that is faster and
        changes no stream. Pictures are taken a few ahead of the results. To stop before the
        end, close the iterator.

        Args:
            images: As for `encode`. What iterating over them raises ends the results.
            background: As for `encode_picture`.
            reconstruct: As for `encode_picture`.
            quality: As for `encode`.
            target_bpp: As for `encode`; each picture gets a step of its own.
            target_size: Likewise.
            target_psnr: Likewise.

        Returns:
            In the pictures' order; for one that fails, whatever it failed of, the error in its
            place.

        Raises:
            BadInputError: `images` is not iterable or a single picture, the background is no
                colour, or quality and targets make no sense.
            FailureError: The codec was loaded before this process was forked.
        """
        self._check_process()
        check_background(background)
        rate = self._rate(quality, target_bpp, target_size, target_psnr)

        def prepare(image: PictureLike) -> Picture:
            return picture_from(image, background, self.max_pixels)

        def code(pictures: Sequence[Picture]) -> list[Encoded]:
            return self._encode(pictures, rate, reconstruct=reconstruct, alongside=True)

        def kind(picture: Picture) -> Kind:
            return Kind(self._division(picture), rate.step)

        pictures = prepared(iterate(images, "pictures"), prepare)
        return self._code_each(pictures, kind, code, alone=rate.has_target)

    def decode_each(
        self,
        streams: Iterable[StreamLike],
        *,
        groups: int | None = None,
        preview: bool = False,
    ) -> Generator[Decoded | CcaError, None, None]:
        """Decode streams, several at once, while the results are used.

        To stop before the end, close the iterator.

        Args:
            streams: As for `decode`; taken a few ahead of the results. What iterating over them
                raises ends the results.
            groups: As for `decode`.
            preview: As for `decode`.

        Returns:
            In the streams' order; for one that fails, whatever it failed of, the error in its
            place.

        Raises:
            BadInputError: `streams` is not iterable, or a single stream, or the model has fewer
                groups.
            FailureError: The codec was loaded before this process was forked.
        """
        self._check_process()
        selection = self._selection(None, groups, preview=preview)

        def code(streams: Sequence[Stream]) -> list[Decoded]:
            return self._decode(streams, selection, alongside=True)

        def prepare(data: StreamLike) -> Stream:
            return self._parse(data, selection)

        def kind(stream: Stream) -> Kind:
            return Kind(division_of(stream.info), stream.info.step)

        parsed = prepared(iterate(streams, "streams"), prepare)
        return self._code_each(parsed, kind, code, alone=preview)

    def encode_picture(
        self,
        image: PictureLike,
        *,
        background: str | None = None,
        reconstruct: bool = False,
        alongside: bool = False,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
    ) -> Encoded:
        """Encode one picture and say all there is to say about it.

        Args:
            image: As for `encode`.
            background: Colour to lay under transparent pixels, of a PIL image or a file.
            reconstruct: Also run the synthesis, for `Encoded.reconstruction`.
            alongside: Whether other threads keep this codec busy meanwhile: an exact model
                then runs on this thread's part of the cores, which is faster for all together.
            quality: As for `encode`.
            target_bpp: As for `encode`.
            target_size: As for `encode`.
            target_psnr: As for `encode`.

        Raises:
            BadInputError: As `encode`.
            FailureError: As `encode`.
        """
        with self._errors():
            rate = self._rate(quality, target_bpp, target_size, target_psnr)
            picture = picture_from(image, background, self.max_pixels)
            (encoded,) = self._encode([picture], rate, reconstruct=reconstruct, alongside=alongside)
            return encoded

    def decode_stream(
        self,
        data: StreamLike,
        *,
        region: Region | None = None,
        groups: int | None = None,
        preview: bool = False,
        alongside: bool = False,
    ) -> Decoded:
        """Decode one stream with its metadata and timings.

        Args:
            data: As for `decode`.
            region: As for `decode`.
            groups: As for `decode`.
            preview: As for `decode`.
            alongside: As for `encode_picture`.

        Raises:
            StreamError: As `decode`.
            BadInputError: As `decode`.
            FailureError: As `decode`.
        """
        with self._errors():
            selection = self._selection(region, groups, preview=preview)
            (decoded,) = self._decode(
                [self._parse(data, selection)], selection, alongside=alongside
            )
            return decoded

    def group_bytes(self, data: StreamLike) -> list[int]:
        """Bytes of a stream's hyper-latents and of each of its channel groups, over all tiles.

        Args:
            data: As for `decode`.

        Raises:
            StreamError: As `decode`.
            BadInputError: As `decode`.
            FailureError: As `decode`.
        """
        with self._errors():
            selection = self._selection(None, None, preview=False)
            streams = [self._parse(data, selection)]
            machine, _ = self._drive_decoder(streams, selection, alongside=False, pixels=False)
            ((_, _, _, group_bytes, _),) = machine.finish()
            return group_bytes

    def check_engine(self) -> None:
        """Compare the engine with the bundle's fast conformance cases, once on a machine.

        Does nothing for a model in native mode, whose results are the engine's own.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine computes something else, or cannot run a graph.
        """
        with self._errors(), self._hosts.take() as host:
            self._check(host)

    def load_prior(self) -> None:
        """Load the prior's graphs now rather than with the first picture.

        Raises:
            BadInputError: The bundle is broken.
            FailureError: The engine cannot load a graph.
        """
        with self._errors():
            self._hosts.first.graphs.load(self.bundle.prior_graphs, Stopwatch())

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

    def _check(self, host: EngineHost) -> None:
        if self.bundle.entropy_mode == "exact":
            with engine_failures(host.engine):
                check_engine(self.bundle, host)

    def _pool(self, division: Division, *, alongside: bool) -> HostPool:
        """Hosts for a picture by itself, or for those that are coded at the same time."""
        # A large picture keeps several workers busy by itself.
        if not alongside or not division.whole:
            return self._hosts
        with self._turn:
            if self._sharing is None:
                self._sharing = self._share_engine()
            return self._sharing

    def _share_engine(self) -> HostPool:
        # A float prior's results may depend on the number of threads.
        if self.workers == 1 or self.bundle.entropy_mode != "exact":
            return self._hosts
        engine = self.engine.concurrency(self.workers)
        if engine is self.engine:
            return self._hosts
        if engine is None:
            with self._hosts.take() as host:
                return HostPool(host.new_context(), 1)
        host = EngineHost(engine, GraphRunner(self.bundle, engine))
        self._check(host)
        return HostPool(host, self.workers)

    def _division(self, picture: Picture) -> Division:
        height, width = picture.pixels.shape[:2]
        return choose_division(width, height, tile_side(self._tile))

    def _encode(
        self,
        pictures: Sequence[Picture],
        rate: RateControl,
        *,
        reconstruct: bool,
        alongside: bool,
    ) -> list[Encoded]:
        """Encode pictures that go through the engine together; with a target, one."""
        division = self._division(pictures[0])
        pool = self._pool(division, alongside=alongside)
        height, width = pictures[0].pixels.shape[:2]
        synthesis = reconstruct or rate.psnr is not None
        graphs = ["analysis", *self.bundle.prior_graphs, *(["synthesis"] if synthesis else [])]
        work = Work.encoding(
            width, height, len(pictures), reconstruct=synthesis, has_trials=rate.has_target
        )
        with self._room(work, division) as workers, self._core_errors():
            watch = self._prepare(pool, graphs)
            machine = EncoderMachine(
                self._read_model(watch),
                [(own.pixels, own.icc, own.exif, own.xmp) for own in pictures],
                tile_side=tile_side(self._tile),
                reconstruct=reconstruct,
                fingerprint=self._fingerprint(pool),
                max_pixels=min(self.max_pixels, NO_LIMIT),
                workers=workers,
                step=rate.step,
                target=rate.target(width, height),
            )
            seconds = {**watch.seconds, **pool.drive(machine, workers)}
            results = machine.finish()
        shares = {stage: value / len(pictures) for stage, value in seconds.items()}
        return [
            Encoded(data, info, reconstruction, picture.notes, shares, group_bytes, trials)
            for picture, (info, data, reconstruction, group_bytes, trials) in zip(
                pictures, results, strict=True
            )
        ]

    def _rate(self, *asked: object) -> RateControl:
        rate = as_rate_control(*asked)
        if self.bundle.smallest_scale is None and rate != RateControl():
            raise BadInputError(
                f"model '{self.bundle.name}' has one quality alone, {ONLY}: export its checkpoint "
                "again with this version for others"
            )
        return rate

    def _selection(self, region: object, groups: object, *, preview: object) -> Selection:
        return as_selection(region, groups, preview, len(self.bundle.group_sizes))

    def _decode(
        self, streams: Sequence[Stream], selection: Selection, *, alongside: bool
    ) -> list[Decoded]:
        """Decode streams whose pictures go through the engine together, or a part of one."""
        machine, seconds = self._drive_decoder(streams, selection, alongside=alongside)
        shares = {stage: value / len(streams) for stage, value in seconds.items()}
        notes = self._notes(machine.mismatches, len(streams[0].info.digests))
        decoded = []
        for info, pixels, groups, group_bytes, missing in machine.finish():
            picture = Picture(cast("Pixels", pixels), info.icc, info.exif, info.xmp)
            used = Groups(max(0, min(groups)), selection.total)
            cut = selection.cut_notes(groups, missing)
            decoded.append(Decoded(picture, shares, used, group_bytes, (*notes, *cut)))
        return decoded

    def _drive_decoder(
        self,
        streams: Sequence[Stream],
        selection: Selection,
        *,
        alongside: bool,
        pixels: bool = True,
    ) -> tuple[DecoderMachine, Mapping[str, float]]:
        """A decoder that is done, and seconds by stage; without `pixels`, it has no synthesis."""
        division = division_of(streams[0].info)
        pool = self._pool(division, alongside=alongside)
        for stream in streams:
            self._check_engine_of(stream.info, pool)

        def new_machine(workers: int) -> DecoderMachine:
            return DecoderMachine(
                self._read_model(Stopwatch()),
                [stream.data for stream in streams],
                region=selection.region_within(streams[0].info),
                groups=selection.groups,
                preview=selection.preview,
                pixels=pixels,
                fingerprint=self._fingerprint(pool),
                max_pixels=min(self.max_pixels, NO_LIMIT),
                workers=workers,
                keep_going=self.keep_going,
            )

        # First of all: what cannot be decoded costs no memory.
        with core_errors():
            machine = new_machine(1)
        info, region = streams[0].info, selection.region
        width, height = (info.width, info.height) if region is None else region[2:]
        work = Work.decoding(width, height, len(streams), region=region is not None)
        graphs = [*self.bundle.prior_graphs, *(["synthesis"] if pixels else [])]
        with self._room(work, division) as workers, self._core_errors("; --keep-going decodes it"):
            watch = self._prepare(pool, graphs)
            if workers > 1:
                machine = new_machine(workers)
            return machine, {**watch.seconds, **pool.drive(machine, workers)}

    def _notes(self, mismatches: int, parts: int) -> tuple[str, ...]:
        if not mismatches:
            return ()
        where = "" if parts == 1 else f" in {mismatches} of {parts} tiles"
        return (
            f"this is not the picture that was encoded: the latents{where} are not those that the "
            "encoder had; its engine or this one does not compute the model exactly "
            f"({self._computing()})",
        )

    def _computing(self) -> str:
        return f"engine {self.engine.name}, model '{self.bundle.name}'"

    @contextmanager
    def _core_errors(self, advice: str = "") -> Iterator[None]:
        """As `core_errors`, and names the engine and the model that do not agree."""
        with core_errors():
            try:
                yield
            except InexactError as error:
                raise FailureError(f"{error} ({self._computing()}{advice})") from error

    def _prepare(self, pool: HostPool, graphs: Sequence[str]) -> Stopwatch:
        """Load graphs together: engines compile each on one thread."""
        watch = Stopwatch()
        pool.first.graphs.load(graphs, watch)
        return watch

    def _read_model(self, watch: Stopwatch) -> Model:
        with self._turn:
            if self._model is None:
                with watch.stage("load"):
                    self._model = self.bundle.read_model()
            return self._model

    def _fingerprint(self, pool: HostPool) -> bytes | None:
        """What stands for the engine in native mode."""
        if self.bundle.entropy_mode == "exact":
            return None
        host = pool.first
        return fingerprint(host.engine, host.graphs.identities(self.bundle.prior_graphs))

    def _check_engine_of(self, info: StreamInfo, pool: HostPool) -> None:
        """Refuse a stream in native mode that another engine made, by the engine's name.

        Raises:
            BadInputError: It is one.
        """
        own = self._fingerprint(pool)
        if info.fingerprint is None or own is None or info.fingerprint == own:
            return
        raise BadInputError(
            f"the stream can only be decoded by the engine that made it: "
            f"{fingerprint_backend(info.fingerprint)} with fingerprint {info.fingerprint.hex()}; "
            f"this is {own.hex()} ({self.engine.description})"
        )

    @contextmanager
    def _room(self, work: Work, division: Division) -> Iterator[int]:
        """Memory for work on a picture: as many workers at once as there is some for."""
        workers = 1 if division.whole else self.workers
        room: AbstractContextManager[int] = nullcontext(0)
        if self._in_host_memory:
            needs = needs_of(self.bundle, work, division, workers)
            room = self._memory.grant(needs, work.what(division), work.advice(division))
        with room as choice:
            yield workers - choice

    def _parse(self, data: StreamLike, selection: Selection) -> Stream:
        content = stream_from(data, self.max_pixels)
        if selection.preview:
            return Stream(content, parse_start(content, max_pixels=self.max_pixels))
        info, _ = parse(content, max_pixels=self.max_pixels)
        return Stream(content, info)

    def _code_each(
        self,
        items: Iterable[_Item | CcaError],
        kind: Callable[[_Item], Kind],
        code: Callable[[Sequence[_Item]], list[_Coded]],
        *,
        alone: bool,
    ) -> Generator[_Coded | CcaError, None, None]:
        """Run `code` on batches of items of one kind; with `alone`, on each by itself."""

        def key(item: _Item | CcaError) -> Kind | None:
            return None if isinstance(item, CcaError) else kind(item)

        def most(item: _Item | CcaError) -> int:
            # A float prior's results may depend on the batch, and the decoder's is another.
            if isinstance(item, CcaError) or self.bundle.entropy_mode != "exact":
                return 1
            # The core does not tell which of several is not what was encoded.
            if alone or self.keep_going:
                return 1
            own = kind(item).division
            most = self.engine.capabilities.batch
            return min(most, max(1, _BATCH_PIXELS // own.pixels)) if own.whole else 1

        def work(batch: Sequence[_Item | CcaError]) -> list[_Coded | CcaError]:
            return code_or_explain(batch, code)

        with closing(run_in_order(work, in_batches(items, key, most), self.workers)) as batches:
            for results in batches:
                yield from results
                self._check_process()
