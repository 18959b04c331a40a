"""Engines of other packages: found by their entry points, imported when they are opened.

What stands in an environment beside this package is anybody's. One package's broken entry points
or modules must not keep the others from working: what cannot be read is passed over, and what
cannot be imported is an error of that engine alone.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata

from cca_engines.backend import Backend
from cca_engines.engine import Capabilities, EngineError
from cca_engines.failures import first_line

GROUP = "cca_engines"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Registration:
    """An engine that packages register.

    Attributes:
        name: The engine's.
        entries: Each package's name, and its entry point: more than one if they disagree.
    """

    name: str
    entries: dict[str, metadata.EntryPoint]

    @property
    def packages(self) -> str:
        """Their names, for errors."""
        return " and ".join(sorted(self.entries))

    def load(self) -> Backend:
        """Import the backend.

        Raises:
            EngineError: Its module cannot be imported or is something else, or several packages
                register the name.
        """
        if len(self.entries) > 1:
            raise EngineError(
                f"engine '{self.name}' is registered by several packages, {self.packages}: "
                "uninstall all but one"
            )
        (entry,) = self.entries.values()
        try:
            backend = entry.load()
        except (Exception, SystemExit) as error:
            raise EngineError(
                f"engine '{self.name}' of package {self.packages} cannot be imported, with "
                f"{type(error).__name__}: {first_line(error)}; repair or uninstall the package"
            ) from error
        if not (
            isinstance(backend, Backend)
            and isinstance(backend.capabilities, Capabilities)
            and backend.capabilities.precisions
        ):
            raise EngineError(
                f"engine '{self.name}' of package {self.packages} is registered as {entry.value}, "
                "which is no cca_engines.Backend: repair or uninstall the package"
            )
        return backend


def registrations() -> dict[str, Registration]:
    """The engines that other packages register, by name; none of them is imported.

    A name of other characters than small letters, digits, dots, hyphens and underscores is
    passed over: it could not be told from something else in a command or a message.
    """
    found: dict[str, Registration] = {}
    for distribution in metadata.distributions():
        with suppress(Exception):  # its files may be anything
            entries = distribution.entry_points.select(group=GROUP)
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    engine = found.setdefault(entry.name, Registration(entry.name, {}))
                    # Python imports what comes first on its path.
                    engine.entries.setdefault(str(distribution.name), entry)
    return found
