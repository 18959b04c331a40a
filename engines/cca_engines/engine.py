"""The engine protocol: what a backend offers.

A value that travels between graphs is a `Tensor`: opaque to everybody but the
engine that made it, so that on a GPU it can stay on the device. `to_host` and
`to_device` are the only crossings. Work on a device happens in the order in
which it was asked for; `to_host` is what waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
Tensor: TypeAlias = Any
"""A value on an engine's device. On a CPU engine this is a numpy array."""


Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]


class EngineError(Exception):
    """A backend is missing, or it cannot load or run a graph. One line, says what to do."""


class OutputError(EngineError):
    """A graph gives something else than there is a place for. One line."""


@dataclass(frozen=True)
class ShapeRange:
    """The shapes that a compiled plan takes, by the names of a model's dynamic dimensions.

    Attributes:
        smallest: Least size of each dimension.
        typical: The size to be fastest at.
        largest: Greatest size.
    """

    smallest: Mapping[str, int]
    typical: Mapping[str, int]
    largest: Mapping[str, int]


@dataclass(frozen=True)
class PlanOptions:
    """What an engine that compiles graphs needs to know; the others ignore it.

    Attributes:
        shapes: For plans that have yet to be built.
        directories: Where plans may lie that are trusted, being code; nothing is written there.
        distrusted: Where plans may lie that are not used.
        say: Called with one line before a plan is built, which may take minutes.
        note: Called with one line if there are plans that are not trusted.
    """

    shapes: ShapeRange
    directories: Sequence[Path] = ()
    distrusted: Sequence[Path] = ()
    say: Callable[[str], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


class Graph(Protocol):
    """One loaded graph. Not safe for concurrent use: each thread has a `twin`."""

    @property
    def inputs(self) -> Sequence[str]:
        """Input names, in the graph's order."""
        ...

    @property
    def outputs(self) -> Sequence[str]:
        """Output names, in the graph's order."""
        ...

    @property
    def identity(self) -> str:
        """What its results depend on beside the model and the engine's `description`.

        Of a plan whose kernels were chosen by timing them, its hash; otherwise empty.
        """
        ...

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run the graph once.

        Args:
            inputs: One tensor of this engine for each of `inputs`, dtype and
                shape as the graph declares them.
            into: Tensors of this engine, by output, that receive it: contiguous, of its
                dtype and shape, and sharing no memory with what the graph reads.

        Returns:
            One tensor for each of `outputs`; those given by `into` are returned as they are.

        Raises:
            OutputError: An output does not fit its place in `into`.
            EngineError: The backend refused the inputs or failed.
        """
        ...

    def twin(self, engine: Engine) -> Graph:
        """The same graph with the same weights, for another thread.

        Args:
            engine: A twin of the engine that loaded this graph.

        Raises:
            EngineError: The device has no room for its working memory.
        """
        ...


class Engine(Protocol):
    """A backend, ready to load graphs."""

    @property
    def name(self) -> str:
        """The name it is opened by, for instance `onnxruntime`."""
        ...

    @property
    def description(self) -> str:
        """Everything a floating-point result may depend on, in words.

        Library and version, processor features, thread count, optimisation level,
        precision: two engines with equal descriptions give bit-equal results for
        graphs with equal `identity`.
        """
        ...

    @property
    def deterministic(self) -> bool:
        """Whether `description` tells all about its graphs' results: none has an `identity`."""
        ...

    @property
    def precision(self) -> Precision:
        """The arithmetic in which this engine would rather run a graph that need not be exact."""
        ...

    @property
    def batch(self) -> int:
        """How many pictures of one size it would rather run a graph on at once."""
        ...

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> Graph:
        """Load an ONNX model.

        Args:
            model: The serialised ONNX model.
            name: What to call it in errors.
            precision: What its float32 may be computed in: this engine's `precision`, or
                float32 for a graph that has to be exact. What the model itself has in float16
                stays so.

        Raises:
            EngineError: The backend cannot load this model.
        """
        ...

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        """A contiguous tensor of any content.

        Raises:
            EngineError: The device has no room for it.
        """
        ...

    def rows(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        """`tensor[start:stop]` along the first axis, in the same memory."""
        ...

    def to_device(self, array: Array) -> Tensor:
        """Make a host array available to this engine's graphs.

        On a CPU this may be the array itself: it must not change until the graphs have run.

        Raises:
            EngineError: The device has no room for it.
        """
        ...

    def to_host(self, tensor: Tensor) -> Array:
        """Bring a tensor of this engine to the host, when all that was asked for is done.

        Raises:
            EngineError: Something asked for before has failed.
        """
        ...

    def among(self, workers: int) -> Engine | None:
        """An engine for `workers` threads, each with a twin, that run graphs at the same time.

        One that wastes cores on a single graph gives each thread its part of them instead, and
        then has another description. Others are returned as they are; None stands for one
        that a single thread keeps as busy as several, so that they had better take turns.
        """
        ...

    def twin(self) -> Engine:
        """An engine with the same description, for another thread.

        It runs at its own pace; tensors of one are not for the other.
        """
        ...


def check_inputs(graph: Graph, name: str, inputs: Mapping[str, np.ndarray | Tensor]) -> None:
    """Refuse missing or surplus inputs by name.

    Raises:
        EngineError: Naming what is missing or surplus.
    """
    missing = set(graph.inputs) - set(inputs)
    surplus = set(inputs) - set(graph.inputs)
    if missing or surplus:
        raise EngineError(
            f"graph '{name}': missing inputs {sorted(missing)}, unknown inputs {sorted(surplus)}"
        )
