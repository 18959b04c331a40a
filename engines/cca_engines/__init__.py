"""Run one ONNX graph on one backend. Knows nothing of codecs."""

from cca_engines.backend import Backend
from cca_engines.digest import InexactError, digest
from cca_engines.engine import (
    Capabilities,
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
    third_party_engines,
)

__all__ = [
    "DEFAULT_ENGINE",
    "Backend",
    "Capabilities",
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
    "third_party_engines",
]
