"""`cca-run`: the codec as a command-line tool."""

from __future__ import annotations

from cca_runtime.cli.main import main

__all__ = ["main"]
