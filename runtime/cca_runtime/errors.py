"""What can go wrong, by whose fault. Every message is one line and says what to do."""

from __future__ import annotations


class CcaError(Exception):
    """Base of everything this package raises on purpose."""

    exit_code = 1


class BadInputError(CcaError, ValueError):
    """What was passed in is unusable: a picture, a stream, a bundle or an argument."""

    exit_code = 2


class StreamError(BadInputError):
    """A stream is damaged, truncated, of an unknown version, or no CCA stream at all."""


class FailureError(CcaError, RuntimeError):
    """The input was fine and the work failed: disk, memory or an engine."""

    exit_code = 1
