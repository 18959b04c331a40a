"""What can go wrong, by whose fault. Every message is one line and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CcaError(Exception):
    """Base of everything this package raises on purpose.

    What of a message cannot be printed, from a file's name for instance, is escaped. So is the
    end of a line.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(_printable(str(message)))


class BadInputError(CcaError, ValueError):
    """What was passed in is unusable: a picture, a stream, a bundle or an argument."""

    exit_code = 2


class StreamError(BadInputError):
    """A stream is damaged, truncated, of an unknown version, or no CCA stream at all."""


class FailureError(CcaError, RuntimeError):
    """The input was fine and the work failed: disk, memory or an engine."""

    exit_code = 1


def as_cca_error(error: Exception) -> CcaError:
    """An exception as this package's own: it is its cause, where it is another's."""
    if isinstance(error, CcaError):
        return error
    if isinstance(error, MemoryError):
        failure = FailureError("not enough memory for this picture")
    else:
        failure = FailureError(f"unexpected {type(error).__name__}: {_first_line(error)}")
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


def _first_line(error: Exception) -> str:
    try:
        lines = str(error).split("\n")
    except Exception:  # of a class that anybody may have written
        return "(no message)"
    return next((line for line in map(str.strip, lines) if line), "(no message)")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
