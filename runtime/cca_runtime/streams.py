"""The native core's stream errors as this package's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cca_runtime import _core
from cca_runtime.errors import StreamError


@contextmanager
def stream_errors() -> Iterator[None]:
    """Raise the core's `StreamError` as a `BadInputError`, which all bad input is."""
    try:
        yield
    except _core.StreamError as error:
        raise StreamError(str(error)) from error


def parse(data: bytes) -> tuple[_core.StreamInfo, bytes]:
    """The header, with metadata, and the coder's payload of a stream.

    Raises:
        StreamError: The stream is damaged, truncated, or of an unknown version.
    """
    with stream_errors():
        return _core.parse_stream(data)
