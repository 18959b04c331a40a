"""Libraries that report to their vendors when they are imported, kept from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_REPORTER = "openvino_telemetry"


@contextmanager
def unreported() -> Iterator[None]:
    """Imports ONNX Runtime or OpenVINO without their reports: nobody who codes a picture agreed.

    ONNX Runtime's import already writes a device's id and a data base of events below the
    user's home, and later sends them: it reads this variable before. OpenVINO's sends an event
    through a package of its own, and does without where there is none.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if _REPORTER in sys.modules:  # the application's own
        yield
        return
    # What says that there is none.
    sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(_REPORTER, None)
