"""The native core's stream errors as this package's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cca_core
from cca_runtime.errors import BadInputError, StreamError

NO_LIMIT = 1 << 33
"""More pixels than any stream can claim."""


@contextmanager
def stream_errors() -> Iterator[None]:
    """Raise the core's `StreamError` as a `BadInputError`, which all bad input is."""
    try:
        yield
    except cca_core.LimitError as error:
        raise BadInputError(f"{error} (--max-pixels)") from error
    except cca_core.StreamError as error:
        raise StreamError(str(error)) from error


def parse(
    data: bytes, *, max_pixels: int = cca_core.DEFAULT_MAX_PIXELS
) -> tuple[cca_core.StreamInfo, bytes]:
    """The header, with metadata, and the coder's payload of a stream.

    Args:
        data: The whole stream.
        max_pixels: Most pixels of a picture, its padding included.

    Raises:
        BadInputError: The picture has more than `max_pixels`.
        StreamError: The stream is damaged, truncated, or of an unknown version.
    """
    with stream_errors():
        return cca_core.parse_stream(data, max_pixels=min(max_pixels, NO_LIMIT))
