"""Does an engine compute what a model was made for? Runs the bundle's conformance vectors.

In exact mode encoder and decoder may be any two engines, because all of them
compute the same integers. The vectors put an engine to the proof: the prior loop
itself, on given symbols, with a hash of every graph's outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
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

from cca_runtime._core import ConformanceCase
from cca_runtime.bundle import Bundle
from cca_runtime.errors import BadInputError, FailureError
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.prior_loop import RunGraph, run_prior
from cca_runtime.stopwatch import Stopwatch
from cca_runtime.vectors import CaseInputs, ConformanceVectors
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
    return _run_cases(bundle, engine, GraphRunner(bundle, engine), vectors, vectors.cases)


def check_engine(bundle: Bundle, engine: Engine, graphs: GraphRunner) -> None:
    """Run the fast conformance cases, unless this engine has passed them on this machine.

    Args:
        bundle: A bundle in exact mode.
        engine: The engine that is to run it.
        graphs: The bundle's graphs on that engine; what is loaded stays with it.

    Raises:
        BadInputError: The bundle is broken.
        FailureError: The engine computes something else, or cannot run a graph.
    """
    vectors = conformance_of(bundle)
    # Plans are compiled on the user's machine, anew with each driver: no note outlives them.
    mark = VerifiedMark(bundle, engine) if engine.deterministic else None
    if mark and mark.is_set():
        return
    fast = [case for case in vectors.cases if case.fast]
    graphs.load(bundle.prior_graphs, Stopwatch())
    verification = _run_cases(bundle, engine, graphs, vectors, fast)
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
    engine: Engine,
    graphs: GraphRunner,
    vectors: ConformanceVectors,
    cases: Sequence[ConformanceCase],
) -> Verification:
    run = partial(graphs.run, watch=Stopwatch())
    result = Verification()
    for case, inputs in zip(cases, vectors.read(cases), strict=True):
        digests = dict(zip(bundle.prior_graphs, case.digests, strict=True))
        compare = _Comparison(digests, run, engine, bundle, result.compared)
        try:
            _run_loop(compare, engine, bundle, inputs)
        except _DifferenceError as difference:
            result.mismatches.append(difference.on(case.name))
    return result


def _run_loop(run: RunGraph, engine: Engine, bundle: Bundle, inputs: CaseInputs) -> None:
    first_channel = np.cumsum([0, *bundle.group_sizes])

    def code_group(
        group: int,
        indexes: NDArray[np.uint8],  # noqa: ARG001 - the symbols are given
        means: Tensor,  # noqa: ARG001
    ) -> NDArray[np.int32]:
        return inputs.symbols[:, first_channel[group] : first_channel[group + 1]]

    sizes, averaging = bundle.group_sizes, bundle.averaging_graphs
    run_prior(run, engine, sizes, inputs.z_symbols, code_group, averaging=averaging)


class _DifferenceError(Exception):
    """Ends a case at the graph it names."""

    def __init__(self, graph: str, values: int, differing: int | None) -> None:
        super().__init__(graph)
        self._graph, self._values, self._differing = graph, values, differing

    def on(self, case: str) -> Mismatch:
        return Mismatch(case, self._graph, self._values, self._differing)


@dataclass(frozen=True)
class _Comparison:
    """Runs graphs, and compares the outputs of each with its digest."""

    digests: Mapping[str, str]
    run: RunGraph
    engine: Engine
    bundle: Bundle
    compared: dict[str, int]

    def __call__(
        self, name: str, inputs: dict[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        outputs = self.run(name, inputs, into)
        arrays = {output: self.engine.to_host(tensor) for output, tensor in outputs.items()}
        if not _has_digest(arrays, self.digests[name]):
            given = {key: self.engine.to_host(tensor) for key, tensor in inputs.items()}
            expected = _run_reference(self.bundle, name, given)
            known = expected is not None and _has_digest(expected, self.digests[name])
            differing = _differing(arrays, expected) if expected and known else None
            raise _DifferenceError(name, _size(arrays), differing)
        self.compared[name] = self.compared.get(name, 0) + _size(arrays)
        return outputs


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
