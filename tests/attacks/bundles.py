"""A small bundle to mutate, and forgeries of it whose hashes fit. No kind of attack itself."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from locations import ROOT

MODEL = ROOT / "tests" / "data" / "streams" / "model.bundle"


@cache
def scratch() -> Path:
    """A copy that executions may write to, if they put back what they found."""
    place = Path(tempfile.mkdtemp(prefix="cca-attacks-")) / "model.bundle"
    return Path(shutil.copytree(MODEL, place))


def restore(*names: str) -> None:
    """Put back files of the copy."""
    for name in names:
        shutil.copyfile(MODEL / name, scratch() / name)
