"""What TensorRT says while it works, kept until somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cca_engines.forked import Turns


@dataclass
class Messages:
    """What was said during one piece of work, in order, a line each."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def reason(self, otherwise: str) -> str:
        """The first error, which is what the later ones follow from."""
        return self.errors[0] if self.errors else otherwise


class MessageLog:
    """The logger of a module, of which a process can have but one.

    Work of several threads at the same time hears each other's messages too.

    Attributes:
        logger: What the module's objects are created with.
    """

    def __init__(self, module: Any) -> None:
        self._listeners: list[Messages] = []
        self._lock = Turns()
        self.logger = _logger(module, self._receive)

    @contextmanager
    def listen(self) -> Iterator[Messages]:
        """Collect what is said until the end of the `with` block."""
        messages = Messages()
        with self._lock:
            self._listeners.append(messages)
        try:
            yield messages
        finally:
            with self._lock:
                # By identity: lists of messages may be equal.
                self._listeners = [each for each in self._listeners if each is not messages]

    def _receive(self, is_error: bool, text: str) -> None:
        line = " ".join(text.split())
        with self._lock:
            for messages in self._listeners:
                (messages.errors if is_error else messages.warnings).append(line)


def _logger(module: Any, receive: Any) -> Any:
    """An `ILogger` that passes on what is at least a warning."""
    severity = module.ILogger.Severity
    errors: Sequence[Any] = (severity.INTERNAL_ERROR, severity.ERROR)

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, level: Any, text: str) -> None:
            if level in errors or level == severity.WARNING:
                receive(level in errors, text)

    return Logger()
