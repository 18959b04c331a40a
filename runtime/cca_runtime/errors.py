"""What can go wrong, by whose fault. Every message is one line and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cca_console.text import printable, unexpected


class CcaError(Exception):
    """Base of everything this package raises on purpose.

    What of a message cannot be printed, from a file's name for instance, is escaped. So is the
    end of a line.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(message))


class BadInputError(CcaError, ValueError):
    """What was passed in is unusable: a picture, a stream, a bundle or an argument."""

    exit_code = 2


class StreamError(BadInputError):
    """A stream is damaged, truncated, of an unknown version, or no CCA stream at all."""


class FailureError(CcaError, RuntimeError):
    """The input was fine and the work failed: disk, memory or an engine."""

    exit_code = 1


class UnexpectedError(FailureError):
    """Something that nobody foresaw: it is the cause, and a fault of this package or a library."""


def as_cca_error(error: Exception) -> CcaError:
    """An exception as this package's own: it is its cause, where it is another's."""
    if isinstance(error, CcaError):
        return error
    # Python says so of a thread whose stack does not fit.
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    if no_thread or isinstance(error, MemoryError):
        failure = FailureError("not enough memory")
    else:
        failure = UnexpectedError(unexpected(error))
    failure.__cause__ = error
    return failure


@contextmanager
def only_cca_errors() -> Iterator[None]:
    """Lets no other `Exception` out: what nobody foresaw is a failure too.

    Raises:
        CcaError: Whatever was raised inside, by `as_cca_error`.
    """
    try:
        yield
    except Exception as error:
        own = as_cca_error(error)
        if own is error:
            raise
        raise own from error
