"""Run one ONNX graph on one backend. Knows nothing of codecs."""

from cca_engines.digest import InexactError, digest
from cca_engines.engine import (
    Engine,
    EngineError,
    Graph,
    OutputError,
    PlanOptions,
    Precision,
    ShapeRange,
    Tensor,
)
from cca_engines.registry import (
    DEFAULT_ENGINE,
    available_engines,
    engines_by_speed,
    fingerprint,
    fingerprint_backend,
    open_engine,
    optimisations,
    precisions,
)

__all__ = [
    "DEFAULT_ENGINE",
    "Engine",
    "EngineError",
    "Graph",
    "InexactError",
    "OutputError",
    "PlanOptions",
    "Precision",
    "ShapeRange",
    "Tensor",
    "available_engines",
    "digest",
    "engines_by_speed",
    "fingerprint",
    "fingerprint_backend",
    "open_engine",
    "optimisations",
    "precisions",
]
