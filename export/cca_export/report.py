"""What an export made, as data and as the text that `cca-export` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cca_core

from cca_export.check import Comparison
from cca_export.complexity import Complexity
from cca_export.lower.exact.build import LayerProof
from cca_export.lower.exact.cost import ExactCost
from cca_export.lower.exact.export import worst_margin
from cca_export.lower.exact.layers import EXACT_INTEGER
from cca_export.lower.fp16.check import Fp16Loss
from cca_export.lower.fp16.convert import Fp16Places


@dataclass(frozen=True)
class GraphReport:
    """One graph: its file size in bytes and how it compares with the network."""

    name: str
    size: int
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Fp16Report:
    """The float16 variants: what their conversion decided, and what they lose on each picture."""

    places: Fp16Places
    losses: tuple[Fp16Loss, ...]


@dataclass(frozen=True)
class ExportReport:
    """One export."""

    bundle: Path
    name: str
    model_id: str
    check_picture: Path
    cost: Complexity
    graphs: tuple[GraphReport, ...]
    proofs: tuple[LayerProof, ...]
    exact_costs: tuple[ExactCost, ...]
    fp16: Fp16Report | None
    seconds: float


def describe(report: ExportReport) -> str:
    """The report as a table of graphs and outputs, and totals; no newline at the end."""
    lines = [
        f"{report.bundle}: model {report.name}, id {report.model_id}",
        "",
        f"Checked against PyTorch on {report.check_picture.name}. Errors are relative to the",
        "largest value of an output; for integers, the share of values that differ.",
        "",
        f"{'graph':<14} {'MB':>6}  {'output':<14} {'error':>8} {'allowed':>8}",
    ]
    for graph in report.graphs:
        title = f"{graph.name:<14} {graph.size / 1e6:>6.2f}"
        for comparison in graph.comparisons:
            lines.append(
                f"{title:<21}  {comparison.output:<14} {comparison.error:>8.1e} "
                f"{comparison.allowed:>8.1e}"
            )
            title = ""
    if report.proofs:
        lines += ["", *_exactness(report)]
    if report.fp16:
        lines += ["", *_fp16(report.fp16)]
    size = sum(graph.size for graph in report.graphs) / 1e6
    lines += [
        "",
        f"{len(report.graphs)} graphs, {size:.1f} MB, {report.cost.parameters:,} parameters, "
        f"{report.cost.encode_kmac:.1f} kMAC per pixel to encode, "
        f"{report.cost.decode_kmac:.1f} to decode; {report.seconds:.0f} s",
    ]
    return "\n".join(lines)


def _exactness(report: ExportReport) -> list[str]:
    """What was proved, and what it costs on each picture."""
    convolutions = [proof for proof in report.proofs if proof.kind == "convolution"]
    bound = max(proof.bound for proof in report.proofs)
    lines = [
        f"Exact prior: {len(convolutions)} convolutions, no sum above {bound:,} at any "
        f"quantisation step (limit {EXACT_INTEGER:,}),",
        f"weights narrowed below 9 bits in {sum(proof.narrowed for proof in convolutions):,} "
        "channels to fit;",
        f"GELU values at least {worst_margin(report.proofs):.1f} error bounds from rounding "
        "the other way.",
        "",
        f"{'picture':<16} {'step':>5} {'float bytes':>11} {'exact bytes':>11} {'rate':>8} "
        f"{'PSNR':>10}",
    ]
    for cost in report.exact_costs:
        lines.append(
            f"{cost.picture:<16} {cca_core.quantisation_step(cost.step):>5.2f} "
            f"{cost.float_bytes:>11.0f} {cost.exact_bytes:>11.0f} {100 * cost.rate:>+7.2f}% "
            f"{cost.exact_psnr - cost.float_psnr:>+7.3f} dB"
        )
    return lines


def _fp16(report: Fp16Report) -> list[str]:
    """Where float16 needed help, and what it loses on each picture."""
    places = report.places
    lines = [
        f"Float16 variants: {places.convolutions} convolutions, of which {len(places.kept)} had to "
        "stay float32;",
        f"{len(places.scaled)} tensors are stored by a factor so as not to overflow.",
        "",
        f"{'picture':<16} {'PSNR':>10} {'synthesis loses':>17} {'analysis loses':>16}",
    ]
    for loss in report.losses:
        lines.append(
            f"{loss.picture:<16} {loss.psnr:>7.3f} dB {loss.synthesis:>14.4f} dB "
            f"{loss.latents:>13.4f} dB"
        )
    return lines
