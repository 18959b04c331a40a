"""The commands of `cca-run`, a module each, found by their names.

A module has `PLACE`, where it stands in the help; `SUMMARY` and `DESCRIPTION`; `add_arguments`,
called with its parser; and `run`, called with the options and the console, which returns the exit
code. It imports nothing heavy before it runs: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from typing import Protocol, cast

from cca_console.arguments import Parser
from cca_console.console import Console


class Verb(Protocol):
    """What a command's module has."""

    PLACE: int
    SUMMARY: str
    DESCRIPTION: str

    def add_arguments(self, parser: Parser) -> None:
        """Add the command's arguments to its parser."""
        ...

    def run(self, options: argparse.Namespace, console: Console) -> int:
        """Run the command. Returns the exit code."""
        ...


def find_verbs() -> dict[str, Verb]:
    """All commands by name, in the order of the help."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    verbs = {name: cast("Verb", importlib.import_module(f"{__name__}.{name}")) for name in names}
    return dict(sorted(verbs.items(), key=lambda item: item[1].PLACE))
