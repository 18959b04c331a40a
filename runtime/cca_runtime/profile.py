"""Where the time of a picture goes, graph by graph."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cca_core
from cca_console.ending import temporary_folder
from cca_engines import Engine, Graph, Tensor
from cca_engines.engine import Array, Precision
from numpy.typing import DTypeLike

from cca_runtime.bundle import Bundle
from cca_runtime.codec import Codec
from cca_runtime.pictures import format_picture, read_picture
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import parse

TRANSFER = "transfer"
DRIVER = "driver"
OUTSIDE = ("read", "write")

Seconds = dict[str, float]


@dataclass(frozen=True)
class Profile:
    """What a bundle on an engine takes for one picture.

    Attributes:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        stream_bytes: Size of its stream.
        step: Quantisation step of its stream.
        quality: The quality that gives this step.
        load: Seconds to load all graphs.
        encode: Seconds by stage, of each run: `read` (file and its format), `analysis`,
            `prior_0` and so on, `transfer` (to the device, and memory there), `coder`, `write`
            and `driver`, which is all the rest. Their sum is the wall-clock time.
        decode: The same, with `synthesis` for `analysis`.
        peak_memory: Bytes of main memory that the process has had at most.
    """

    width: int
    height: int
    stream_bytes: int
    step: float
    quality: float
    load: float
    encode: Sequence[Seconds]
    decode: Sequence[Seconds]
    peak_memory: int


def profile(
    bundle: Bundle, engine: Engine, picture: bytes, repeat: int, quality: float | None = None
) -> Profile:
    """Encode a picture to a file and decode it to a PNG file, `repeat` times after a first one.

    Args:
        bundle: The model.
        engine: The engine.
        picture: A picture file's bytes.
        repeat: Runs that count.
        quality: As for `Codec.encode`.

    Raises:
        BadInputError: Not a picture, one that cannot be stored, or a broken bundle.
        FailureError: The engine failed.
    """
    counted = _CountedEngine(engine)
    codec = Codec(bundle, counted, workers=1)
    runs: dict[str, list[Seconds]] = {"encode": [], "decode": []}
    with temporary_folder("cca-") as folder:
        source, stream, output = (folder / name for name in ("in", "out.cca", "out.png"))
        source.write_bytes(picture)
        for _ in range(repeat + 1):
            runs["encode"].append(
                _run(counted, lambda watch: _encode(codec, source, stream, quality, watch))
            )
            runs["decode"].append(
                _run(counted, lambda watch: _decode(codec, stream, output, watch))
            )
        data = stream.read_bytes()
        restored = read_picture(output.read_bytes()).pixels
    info, _ = parse(data)
    (first_encode, *encode), (first_decode, *decode) = runs["encode"], runs["decode"]
    return Profile(
        width=restored.shape[1],
        height=restored.shape[0],
        stream_bytes=len(data),
        step=cca_core.quantisation_step(info.step),
        quality=cca_core.quality_of_step(info.step),
        load=first_encode["load"] + first_decode["load"],
        encode=encode,
        decode=decode,
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    )


def _run(engine: _CountedEngine, work: Callable[[Stopwatch], Mapping[str, float]]) -> Seconds:
    """Seconds by stage of work that returns those of the codec."""
    engine.seconds.clear()
    watch = Stopwatch()
    start = time.perf_counter()
    own = work(watch)
    total = time.perf_counter() - start
    stages = {"read": watch.seconds["read"], **engine.seconds, "coder": own["coder"]}
    stages["write"] = watch.seconds["write"]
    if "load" in own:
        stages["load"] = own["load"]
    return {**stages, DRIVER: total - sum(stages.values())}


def _encode(
    codec: Codec, source: Path, target: Path, quality: float | None, watch: Stopwatch
) -> Mapping[str, float]:
    with watch.stage("read"):
        picture = read_picture(source.read_bytes())
    encoded = codec.encode_picture(picture, quality=quality)
    with watch.stage("write"):
        target.write_bytes(encoded.data)
    return encoded.seconds


def _decode(codec: Codec, source: Path, target: Path, watch: Stopwatch) -> Mapping[str, float]:
    with watch.stage("read"):
        data = source.read_bytes()
    decoded = codec.decode_stream(data)
    with watch.stage("write"):
        target.write_bytes(format_picture(decoded.picture, ".png").data)
    return decoded.seconds


class _CountedEngine(Engine):
    """An engine that adds up its seconds by graph.

    Waiting for an output counts for the graph that was run last: on a GPU, `run` only asks
    for it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.capabilities = engine.capabilities
        self.seconds: Seconds = {}
        self._last = TRANSFER

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def description(self) -> str:
        return self._engine.description

    @property
    def precision(self) -> Precision:
        return self._engine.precision

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> Graph:
        return _CountedGraph(self._engine.load(model, name, precision), name, self)

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return self.count(TRANSFER, lambda: self._engine.empty(shape, dtype))

    def rows(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        return self.count(TRANSFER, lambda: self._engine.rows(tensor, start, stop))

    def to_device(self, array: Array) -> Tensor:
        return self.count(TRANSFER, lambda: self._engine.to_device(array))

    def to_host(self, tensor: Tensor) -> Array:
        array: Array = self.count(self._last, lambda: self._engine.to_host(tensor))
        return array

    def run(self, graph: str, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Run a graph of this engine."""
        self._last = graph
        outputs: dict[str, Tensor] = self.count(graph, work)
        return outputs

    def count(self, stage: str, work: Callable[[], Tensor]) -> Tensor:
        """What `work` returns, its time added to that of a stage."""
        start = time.perf_counter()
        try:
            return work()
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed

    def concurrency(self, workers: int) -> Engine | None:
        return self._engine.concurrency(workers)

    def new_context(self) -> Engine:
        return self._engine.new_context()


class _CountedGraph(Graph):
    """A graph of an engine that counts."""

    def __init__(self, graph: Graph, name: str, engine: _CountedEngine) -> None:
        super().__init__(name, graph.inputs, graph.outputs, graph.identity)
        self._graph = graph
        self._engine = engine

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        return self._engine.run(self.name, lambda: self._graph.run(inputs, into))

    def new_context(self, engine: Engine) -> Graph:
        return self._graph.new_context(engine)
