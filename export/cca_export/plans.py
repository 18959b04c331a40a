"""Compile the graphs of a bundle to plans for GPUs, which lie in its directory `engines`.

Plans are not part of what the manifest describes: each says itself what it is good for
(`cca_engines.tensorrt`), and a runtime that finds none that fits builds its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cca_console.ending import uninterrupted
from cca_core import HYPER_STRIDE, dimensions
from cca_engines import ShapeRange
from cca_engines.tensorrt import PlanCompiler, PlanHeader

from cca_export.manifest import gpu_graphs

DIRECTORY = "engines"

_LARGEST_BATCH = 8

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PlanReport:
    """One plan of a bundle.

    Attributes:
        graph: The graph's name.
        header: What the plan is.
        seconds: How long building took; None for a plan that was up to date.
        warnings: What TensorRT warned of, a line each.
    """

    graph: str
    header: PlanHeader
    seconds: float | None
    warnings: tuple[str, ...] = ()


def plan_shapes(sizes: Sequence[tuple[int, int]]) -> ShapeRange:
    """The shapes of graphs that pictures of certain sizes need.

    Args:
        sizes: Width and height in pixels; the first is the typical one.

    Returns:
        Sizes of all dimensions that a bundle's graphs have (docs/spec/bundle.md): from one picture
        of 64x64 to eight of the largest width and height.
    """
    width, height = (max(sides) for sides in zip(*sizes, strict=True))
    return ShapeRange(
        dimensions(1, HYPER_STRIDE, HYPER_STRIDE),
        dimensions(1, *sizes[0]),
        dimensions(_LARGEST_BATCH, width, height),
    )


class PlanBuilder:
    """Builds the plans of bundles on one engine."""

    def __init__(
        self, engine: str, sizes: Sequence[tuple[int, int]], memory: int | None = None
    ) -> None:
        """See that plans can be built here, which is quick; building is not.

        Args:
            engine: `tensorrt` for the GPU of this machine, `tensorrt-rtx` for many.
            sizes: Width and height of pictures (`plan_shapes`).
            memory: Most bytes that a layer may use beside its tensors.

        Raises:
            cca_engines.EngineError: The engine is not installed, or there is no GPU that it needs.
        """
        self._compiler = PlanCompiler(engine, plan_shapes(sizes), memory)

    def build(self, bundle: Path, progress: Progress = lambda _: None) -> list[PlanReport]:
        """Build the plans that a bundle lacks; remove those of this engine that they replace.

        Args:
            bundle: A bundle; it keeps the plans that were done when something goes wrong.
            progress: Called with one line before each step.

        Raises:
            ManifestError: It is no bundle, or broken.
            cca_engines.EngineError: A graph cannot be built.
            OSError: A plan cannot be written.
        """
        directory, compiler = bundle / DIRECTORY, self._compiler
        graphs = gpu_graphs(bundle)
        # Before a build, which may take minutes: whether there can be such a directory.
        directory.mkdir(exist_ok=True)
        reports, files = [], set()
        for number, graph in enumerate(graphs, 1):
            place = f"plan {number} of {len(graphs)}: {graph.name}"
            model = graph.read()
            file = compiler.find(directory, graph.name, model)
            if file is not None:
                progress(f"up to date, {place}")
                reports.append(PlanReport(graph.name, file.header, None))
            else:
                progress(f"building with {compiler}, {place}")
                plan = compiler.compile(graph.name, model)
                with uninterrupted():
                    file = compiler.write(directory, graph.name, model, plan)
                reports.append(PlanReport(graph.name, file.header, plan.seconds, plan.warnings))
            files.add(file.path)
        compiler.remove_others(directory, files)
        return reports


def describe_plans(bundle: Path, reports: Sequence[PlanReport]) -> str:
    """A table of plans, totals, and what was warned of; no newline at the end."""
    key = reports[0].header.key
    shapes = reports[0].header.shapes
    lines = [
        f"{bundle / DIRECTORY}: plans of {key.library} {key.version}, {key.target}, for pictures "
        f"from {_size(shapes.smallest)} to {_size(shapes.largest)}, batches up to "
        f"{shapes.largest['batch']}",
        "",
        f"{'graph':<10} {'precision':<9} {'layers':>6} {'MB':>7} {'seconds':>10}",
    ]
    for report in reports:
        took = "up to date" if report.seconds is None else f"{report.seconds:.1f}"
        lines.append(
            f"{report.graph:<10} {report.header.precision:<9} {report.header.layers:>6} "
            f"{report.header.size / 1e6:>7.2f} {took:>10}"
        )
    size = sum(report.header.size for report in reports) / 1e6
    built = [report.seconds for report in reports if report.seconds is not None]
    lines += ["", f"{len(reports)} plans, {size:.1f} MB, {len(built)} built in {sum(built):.0f} s"]
    lines += [f"warning: {report.graph}: {line}" for report in reports for line in report.warnings]
    return "\n".join(lines)


def _size(sizes: Mapping[str, int]) -> str:
    return f"{sizes['width']}x{sizes['height']}"
