"""Streams, and the native core's errors as this package's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cca_core
from cca_core import StreamInfo

from cca_runtime.errors import BadInputError, FailureError, StreamError

NO_LIMIT = 1 << 33
"""More pixels than any stream can claim."""


@contextmanager
def core_errors() -> Iterator[None]:
    """Raise what the core refuses as what it is to a user.

    Raises:
        StreamError: A stream is damaged, truncated, or of an unknown version.
        BadInputError: A limit, a target that cannot be met, a stream of another model, a broken
            bundle, or an argument.
        FailureError: The model or the engine failed.
    """
    try:
        yield
    except cca_core.LimitError as error:
        raise BadInputError(f"{error} (--max-pixels)") from error
    except cca_core.StreamError as error:
        raise StreamError(str(error)) from error
    except cca_core.BundleError as error:
        raise BadInputError(f"broken bundle: {error}") from error
    except (cca_core.ForeignStreamError, cca_core.TargetError) as error:
        raise BadInputError(str(error)) from error
    except (cca_core.LatentsError, cca_core.InexactError, cca_core.StateError) as error:
        raise FailureError(str(error)) from error


def parse(
    data: bytes, *, max_pixels: int = cca_core.DEFAULT_MAX_PIXELS
) -> tuple[StreamInfo, bytes]:
    """The header of a stream, with metadata, and its payload; all of the stream is checked.

    Args:
        data: The whole stream.
        max_pixels: Most pixels of a picture, its padding included.

    Raises:
        BadInputError: The picture has more than `max_pixels`.
        StreamError: The stream is damaged, truncated, or of an unknown version.
    """
    with core_errors():
        return cca_core.parse_stream(data, max_pixels=min(max_pixels, NO_LIMIT))


def parse_start(data: bytes, *, max_pixels: int) -> StreamInfo:
    """The header of a stream that may be cut behind it; what there is of it is checked.

    Raises:
        BadInputError: As `parse`.
        StreamError: As `parse`, but for being truncated.
    """
    with core_errors():
        info, _ = cca_core.parse_start(data, max_pixels=min(max_pixels, NO_LIMIT))
        return info
