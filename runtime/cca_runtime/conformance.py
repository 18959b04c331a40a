"""Does an engine compute what a model was made for? Runs the bundle's conformance vectors.

In exact mode encoder and decoder may be any two engines, because all of them
compute the same integers. The vectors put an engine to the proof: the prior loop
itself, on given symbols, with a hash of every graph's outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cca_core import ConformanceCase, PriorMachine
from cca_engines import (
    DEFAULT_ENGINE,
    Engine,
    EngineError,
    InexactError,
    Tensor,
    digest,
    open_engine,
)
from numpy.typing import NDArray

from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError, FailureError
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.host import EngineHost
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.streams import core_errors
from cca_runtime.vectors import ConformanceVectors
from cca_runtime.verified import VerifiedMark


@dataclass(frozen=True)
class Mismatch:
    """The first graph of a case whose outputs are not the expected ones.

    Attributes:
        case: Name of the case.
        graph: Name of the graph.
        values: How many values it gave.
        differing: How many of them differ; None if nothing right is at hand to count with.
    """

    case: str
    graph: str
    values: int
    differing: int | None

    def __str__(self) -> str:
        some = "some" if self.differing is None else f"{self.differing:,}"
        return (
            f"{some} of {self.values:,} values of graph {self.graph} differ on case '{self.case}'"
        )


@dataclass
class Verification:
    """What came of running conformance cases on one engine.

    Attributes:
        compared: Values of each graph that were as expected, over all cases.
        mismatches: One for each case that failed; what follows in a case after a
            mismatch builds upon it, and is not run.
    """

    compared: dict[str, int] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)


def verify(bundle: Bundle, engine: Engine) -> Verification:
    """Run all conformance cases of a bundle on an engine.

    Raises:
        BadInputError: The bundle is broken or in native mode.
        FailureError: The engine cannot load or run a graph.
    """
    vectors = conformance_of(bundle)
    host = EngineHost(engine, GraphRunner(bundle, engine))
    return _run_cases(bundle, host, vectors, vectors.cases)


def check_engine(bundle: Bundle, host: EngineHost) -> None:
    """Run the fast conformance cases, unless this engine has passed them on this machine.

    Args:
        bundle: A bundle in exact mode.
        host: The engine that is to run it; what graphs are loaded stay with it.

    Raises:
        BadInputError: The bundle is broken.
        FailureError: The engine computes something else, or cannot run a graph.
    """
    vectors = conformance_of(bundle)
    engine = host.engine
    # Plans are compiled on the user's machine, anew with each driver: no note outlives them.
    mark = VerifiedMark(bundle, engine) if engine.capabilities.deterministic else None
    if mark and mark.is_set():
        return
    fast = [case for case in vectors.cases if case.fast]
    host.graphs.load(bundle.prior_graphs, Stopwatch())
    verification = _run_cases(bundle, host, vectors, fast)
    for mismatch in verification.mismatches:
        raise FailureError(
            f"engine {engine.name} does not compute model '{bundle.name}' exactly: "
            f"{mismatch}; use another engine (cca-run verify shows which ones agree) or "
            "another version of its library"
        )
    if mark:
        mark.set()


def conformance_of(bundle: Bundle) -> ConformanceVectors:
    """A bundle's conformance vectors.

    Raises:
        BadInputError: It has none, being in native mode.
    """
    if bundle.conformance is None:
        raise BadInputError(
            f"model '{bundle.name}' is in {bundle.entropy_mode} mode, where every engine has "
            "results of its own: there is nothing to verify"
        )
    return bundle.conformance


def _run_cases(
    bundle: Bundle,
    host: EngineHost,
    vectors: ConformanceVectors,
    cases: Sequence[ConformanceCase],
) -> Verification:
    result = Verification()
    model = bundle.read_model()
    for case, inputs in zip(cases, vectors.read(cases), strict=True):
        digests = dict(zip(bundle.prior_graphs, case.digests, strict=True))
        comparing = _ComparingHost(host, bundle, digests, result.compared)
        with core_errors():
            machine = PriorMachine(model, inputs.z_symbols, symbols=inputs.symbols, step=case.step)
            try:
                comparing.drive(machine)
            except _DifferenceError as difference:
                result.mismatches.append(difference.on(case.name))
    return result


class _DifferenceError(Exception):
    """Ends a case at the graph it names."""

    def __init__(self, graph: str, values: int, differing: int | None) -> None:
        super().__init__(graph)
        self._graph, self._values, self._differing = graph, values, differing

    def on(self, case: str) -> Mismatch:
        return Mismatch(case, self._graph, self._values, self._differing)


class _ComparingHost(EngineHost):
    """Runs graphs, and compares the outputs of each with its digest."""

    def __init__(
        self,
        host: EngineHost,
        bundle: Bundle,
        digests: Mapping[str, str],
        compared: dict[str, int],
    ) -> None:
        super().__init__(host.engine, host.graphs)
        self._bundle = bundle
        self._digests = digests
        self._compared = compared

    def ran(self, name: str, inputs: dict[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        """Raise a `_DifferenceError` unless the outputs are those expected."""
        arrays = {key: self.engine.to_host(tensor) for key, tensor in outputs.items()}
        if not _has_digest(arrays, self._digests[name]):
            given = {key: self.engine.to_host(tensor) for key, tensor in inputs.items()}
            expected = _run_reference(self._bundle, name, given)
            known = expected is not None and _has_digest(expected, self._digests[name])
            differing = _differing(arrays, expected) if expected and known else None
            raise _DifferenceError(name, _size(arrays), differing)
        self._compared[name] = self._compared.get(name, 0) + _size(arrays)


def _has_digest(arrays: Mapping[str, NDArray[Any]], expected: str) -> bool:
    try:
        return digest(arrays) == expected
    except InexactError:
        return False


def _run_reference(
    bundle: Bundle, graph: str, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]] | None:
    """What the default engine computes, to count differences; None if it can't."""
    try:
        engine = open_engine(DEFAULT_ENGINE)
        tensors = {name: engine.to_device(array) for name, array in inputs.items()}
        outputs = engine.load(bundle.read_graph(graph), graph).run(tensors)
        return {name: engine.to_host(tensor) for name, tensor in outputs.items()}
    except EngineError:
        return None


def _size(arrays: Mapping[str, NDArray[Any]]) -> int:
    return sum(array.size for array in arrays.values())


def _differing(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]
) -> int | None:
    if any(found[name].shape != array.shape for name, array in expected.items()):
        return None
    return sum(int((found[name] != array).sum()) for name, array in expected.items())
