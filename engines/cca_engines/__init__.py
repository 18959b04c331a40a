"""Run one ONNX graph on one backend. Knows nothing of codecs."""

from cca_engines.engine import (
    Engine,
    EngineError,
    Graph,
    Tensor,
    available_engines,
    fingerprint,
    fingerprint_backend,
    open_engine,
)

__all__ = [
    "Engine",
    "EngineError",
    "Graph",
    "Tensor",
    "available_engines",
    "fingerprint",
    "fingerprint_backend",
    "open_engine",
]
