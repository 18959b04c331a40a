"""What is said of a failure, whatever it was: of one item, so that the others go on."""

from __future__ import annotations

from cca_console.command import internal_error
from cca_console.console import Console

from cca_runtime.errors import UnexpectedError, as_cca_error


def explain_failure(console: Console, error: Exception) -> tuple[int, str]:
    """The exit code and the message, of an exception that is expected or not."""
    failure = as_cca_error(error)
    if isinstance(failure, UnexpectedError):
        return failure.exit_code, internal_error(console, failure.__cause__ or failure)
    return failure.exit_code, str(failure)
