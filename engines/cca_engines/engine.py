"""What runs graphs: the base classes of engines and of the graphs that they load.

A value that travels between graphs is a `Tensor`: opaque to everybody but the
engine that made it, so that on a GPU it can stay on the device. `to_host` and
`to_device` are the only crossings. Work on a device happens in the order in
which it was asked for; `to_host` is what waits for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

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


@dataclass(frozen=True)
class Capabilities:
    """What an engine offers, however it is set up.

    Attributes:
        precisions: What it computes in where results need not be exact, the default first. A
            processor may lack one of them, which opening the engine says.
        optimisations: Names of its optimisation levels, least first; empty if it has none to
            choose from.
        deterministic: Whether its `description` tells all about its graphs' results: none has
            an `identity`.
        batch: How many pictures of one size it would rather run a graph on at once. One keeps
            all cores of a processor busy, and few of a GPU's.
        host_memory: Whether its tensors are NumPy arrays, which take main memory.
    """

    precisions: tuple[Precision, ...] = ("float32",)
    optimisations: tuple[str, ...] = ()
    deterministic: bool = True
    batch: int = 1
    host_memory: bool = True


class Graph(ABC):
    """One loaded graph. Not safe for concurrent use: each thread has a context of its own.

    Attributes:
        name: What it is called in errors.
        inputs: Input names, in the graph's order.
        outputs: Output names, in the graph's order.
        identity: What its results depend on beside the model and the engine's `description`.
            Of a plan whose kernels were chosen by timing them, its hash; otherwise empty.
    """

    def __init__(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str], identity: str = ""
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.identity = identity

    @abstractmethod
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

    def new_context(self, engine: Engine) -> Graph:  # noqa: ARG002
        """The same graph with the same weights, for another thread.

        Unless overridden the graph itself, for one that several threads may run at once.

        Args:
            engine: A context of the engine that loaded this graph.

        Raises:
            EngineError: The device has no room for its working memory.
        """
        return self

    def check_inputs(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuse missing or surplus inputs by name.

        Raises:
            EngineError: Naming what is missing or surplus.
        """
        missing = set(self.inputs) - set(inputs)
        surplus = set(inputs) - set(self.inputs)
        if missing or surplus:
            raise EngineError(
                f"graph '{self.name}': missing inputs {sorted(missing)}, "
                f"unknown inputs {sorted(surplus)}"
            )


class Engine(ABC):
    """A backend, ready to load graphs.

    An engine whose tensors are NumPy arrays has a name, a description and `load`, and leaves
    the rest as it is here. One with memory of its own says so in its `capabilities`, and
    overrides `empty`, `rows`, `to_device` and `to_host`.
    """

    capabilities: Capabilities = Capabilities()

    @property
    @abstractmethod
    def name(self) -> str:
        """The name it is opened by, for instance `onnxruntime`."""

    @property
    @abstractmethod
    def description(self) -> str:
        """Everything a floating-point result may depend on, in words.

        Library and version, processor features, thread count, optimisation level,
        precision: two engines with equal descriptions give bit-equal results for
        graphs with equal `identity`.
        """

    @property
    def precision(self) -> Precision:
        """The arithmetic in which this engine would rather run a graph that need not be exact."""
        return self.capabilities.precisions[0]

    @abstractmethod
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

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        """A contiguous tensor of any content.

        Raises:
            EngineError: The device has no room for it.
        """
        try:
            return np.empty(shape, dtype)
        except MemoryError as error:
            raise EngineError(f"out of memory for a tensor of shape {list(shape)}") from error

    def rows(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        """`tensor[start:stop]` along the first axis, in the same memory."""
        return tensor[start:stop]

    def to_device(self, array: Array) -> Tensor:
        """Make a host array available to this engine's graphs.

        On a CPU this may be the array itself: it must not change until the graphs have run.

        Raises:
            EngineError: The device has no room for it.
        """
        return np.ascontiguousarray(array)

    def to_host(self, tensor: Tensor) -> Array:
        """Bring a tensor of this engine to the host, when all that was asked for is done.

        Raises:
            EngineError: Something asked for before has failed.
        """
        array: Array = tensor
        return array

    def concurrency(self, workers: int) -> Engine | None:  # noqa: ARG002
        """An engine for `workers` threads, each with a context, that run graphs at the same time.

        One that wastes cores on a single graph gives each thread its part of them instead, and
        then has another description. Others are returned as they are; None stands for one
        that a single thread keeps as busy as several, so that they had better take turns.
        """
        return self

    def new_context(self) -> Engine:
        """An engine with the same description, for another thread.

        It runs at its own pace; tensors of one are not for the other. Unless overridden the
        engine itself, for one that has no state.
        """
        return self
