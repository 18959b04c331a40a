"""The exact part of an export: calibrate, build, prove, and make conformance vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cca_engines import Engine, Graph
from numpy.typing import NDArray

from cca_export.coding_runs import Arrays
from cca_export.families.cca.network import CcaNetwork
from cca_export.graphs import CodecGraph
from cca_export.lower.exact.build import LayerProof
from cca_export.lower.exact.calibration import observe_prior
from cca_export.lower.exact.conformance import (
    ConformanceCase,
    case_digests,
    case_to_manifest,
    conformance_cases,
    encode_inputs,
)
from cca_export.lower.exact.graphs import ExactPrior, exact_graphs
from cca_export.lower.exact.layers import EXACT_INTEGER

Pictures = Mapping[str, NDArray[np.uint8]]
"""Pictures by name, uint8 [1, H, W, 3], sides multiples of 64."""


class ConformanceError(Exception):
    """An engine computes other integers than PyTorch. One line, names case and graph."""


@dataclass(frozen=True)
class ExactExport:
    """An exact prior, ready to be written.

    Attributes:
        graphs: All graphs of the codec, prior graphs exact.
        proofs: What was proved, layer by layer.
        cases: Conformance cases.
        digests: Of each case, what PyTorch computes.
    """

    graphs: list[CodecGraph]
    proofs: list[LayerProof]
    cases: list[ConformanceCase]
    digests: list[dict[str, str]]

    @property
    def vectors(self) -> bytes:
        """The content of `conformance.npz`."""
        return encode_inputs(self.cases)

    def manifest_cases(self) -> list[dict[str, Any]]:
        """What the manifest says about the cases."""
        return [
            case_to_manifest(case, digests)
            for case, digests in zip(self.cases, self.digests, strict=True)
        ]

    def check_engine(self, engine: Engine, models: Mapping[str, bytes]) -> None:
        """Run every case on an engine.

        Raises:
            ConformanceError: One value differs.
        """
        loaded: dict[str, Graph] = {}

        def run(graph: CodecGraph, inputs: Arrays) -> Arrays:
            name = graph.name
            if name not in loaded:
                loaded[name] = engine.load(models[name], name)
            tensors = {key: engine.to_device(array) for key, array in inputs.items()}
            return {key: engine.to_host(t) for key, t in loaded[name].run(tensors).items()}

        for case, digests in zip(self.cases, self.digests, strict=True):
            found = case_digests(case, self.graphs, run)
            for name, digest in digests.items():
                if found[name] != digest:
                    raise ConformanceError(
                        f"graph '{name}' computes other integers on {engine.name} than in "
                        f"PyTorch (case {case.name})"
                    )


def build_exact(network: CcaNetwork, calibration: Pictures) -> ExactExport:
    """Calibrate on pictures and build the exact prior.

    Raises:
        UnprovableLayerError: Naming the layer whose sums or roundings cannot be proved.
    """
    observations = observe_prior(network, calibration.values())
    prior = ExactPrior(network, observations)
    graphs = list(exact_graphs(network, prior))
    architecture = network.architecture
    cases = conformance_cases(architecture.latent_channels, architecture.hyper_channels)
    digests = [case_digests(case, graphs) for case in cases]
    return ExactExport(graphs, prior.proofs, cases, digests)


def proof_to_json(proofs: Sequence[LayerProof]) -> dict[str, Any]:
    """The content of `exactness.json` (docs/spec/exact.md, "Proof")."""
    return {
        "limit": EXACT_INTEGER,
        "worst_bound": max(proof.bound for proof in proofs),
        "worst_margin": worst_margin(proofs),
        "narrowed_channels": sum(proof.narrowed for proof in proofs),
        "layers": [dataclasses.asdict(proof) for proof in proofs],
    }


def worst_margin(proofs: Sequence[LayerProof]) -> float:
    """The smallest distance of any GELU value to a rounding boundary, in error bounds."""
    return min(proof.margin for proof in proofs if proof.margin is not None)


def proof_table(proofs: Sequence[LayerProof]) -> str:
    """The proofs as a table for people; no newline at the end."""
    lines = [f"{'layer':<42} {'kind':<13} {'fan-in':>6} {'bits':>4} {'bound':>7} {'margin':>7}"]
    for proof in proofs:
        bound = f"2^{np.log2(proof.bound):.2f}" if proof.bound else ""
        margin = f"{proof.margin:.1f}" if proof.margin is not None else ""
        lines.append(
            f"{proof.layer:<42} {proof.kind:<13} {proof.fan_in or '':>6} "
            f"{proof.weight_bits or '':>4} {bound:>7} {margin:>7}"
        )
    return "\n".join(lines)
