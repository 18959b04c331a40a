"""What is said of one item that failed, whatever it failed of, so that the others go on."""

from __future__ import annotations

from cca_console.command import internal_error
from cca_console.console import Console

from cca_runtime.errors import CcaError, FailureError


def explain_failure(console: Console, error: Exception) -> tuple[int, str]:
    """The exit code and the message for an item, of an exception that is expected or not."""
    if isinstance(error, CcaError):
        return error.exit_code, str(error)
    if isinstance(error, MemoryError):
        return FailureError.exit_code, "not enough memory"
    return FailureError.exit_code, internal_error(console, error)
