"""Engine `tensorrt`."""

from __future__ import annotations

from cca_engines.tensorrt.engine import tensorrt_backend

BACKEND = tensorrt_backend("tensorrt")
