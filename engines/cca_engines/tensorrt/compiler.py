"""Compiling graphs to plan files: what an exporter needs of TensorRT."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from cca_engines.cuda.device import open_device
from cca_engines.cuda.runtime import load_runtime
from cca_engines.engine import EngineError, ShapeRange
from cca_engines.tensorrt.build import BuildSettings, Plan, build_plan
from cca_engines.tensorrt.module import PORTABLE, Target, TensorRt, load_tensorrt
from cca_engines.tensorrt.plans import (
    SUFFIX,
    PlanDirectory,
    PlanFile,
    PlanFileError,
    PlanKey,
    read_header,
)
from cca_engines.tensorrt.timing import user_timing


class PlanCompiler:
    """Compiles graphs with one engine, for the same GPUs and shapes."""

    def __init__(self, engine: str, shapes: ShapeRange, memory: int | None = None) -> None:
        """See that plans can be built here, which is quick; building is not.

        Args:
            engine: `tensorrt` for the GPU of this machine, `tensorrt-rtx` for many.
            shapes: What the plans are to take.
            memory: Most bytes that a layer may use beside its tensors.

        Raises:
            EngineError: The engine is not installed, or there is no GPU that it needs.
        """
        self._library = load_tensorrt(engine)
        self._target = _target(self._library)
        timing = user_timing(self._library, self._target)
        self._settings = BuildSettings(shapes, self._target, memory, timing)

    def __str__(self) -> str:
        """The engine and its version."""
        return f"{self._library.name} {self._library.version}"

    def find(self, directory: Path, graph: str, model: bytes) -> PlanFile | None:
        """The plan that compiling would give, if it is there and whole.

        Raises:
            EngineError: A graph cannot have this name.
        """
        key = PlanKey.of(self._library, self._target, model)
        for file in PlanDirectory(directory).files(graph):
            if file.header.key == key and file.header.shapes == self._settings.shapes:
                with suppress(PlanFileError):
                    file.read()
                    return file
        return None

    def compile(self, graph: str, model: bytes) -> Plan:
        """Build a graph's plan, which may take minutes.

        Raises:
            EngineError: It cannot be built.
        """
        return build_plan(self._library, model, graph, self._settings)

    def write(self, directory: Path, graph: str, model: bytes, plan: Plan) -> PlanFile:
        """Write the plan of a model; others see the whole file or none.

        Raises:
            EngineError: A graph cannot have this name.
            OSError: It cannot be written.
        """
        key = PlanKey.of(self._library, self._target, model)
        return PlanDirectory(directory).write(graph, key, self._settings.shapes, plan)

    def remove_others(self, directory: Path, keep: set[Path]) -> None:
        """Remove this engine's other plans for the same GPUs: of old graphs, versions, shapes."""
        for path in directory.glob(f"*{SUFFIX}"):
            with suppress(PlanFileError):
                key = read_header(path).key
                same = (key.library, key.target) == (self._library.name, self._target.name)
                if same and path not in keep:
                    path.unlink()


def _target(library: TensorRt) -> Target:
    if library.compiles_when_run:
        return PORTABLE
    try:
        return library.target(open_device(load_runtime()))
    except EngineError as error:
        raise EngineError(
            f"TensorRT builds plans on the GPU that is to run them ({error}); "
            "tensorrt-rtx builds them anywhere"
        ) from error
