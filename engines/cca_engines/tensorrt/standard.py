"""Engine `tensorrt`."""

from __future__ import annotations

from functools import partial

from cca_engines.tensorrt.engine import OPTIMISATIONS, PRECISIONS, open_tensorrt

__all__ = ["OPTIMISATIONS", "PRECISIONS", "open_engine"]

open_engine = partial(open_tensorrt, "tensorrt")
