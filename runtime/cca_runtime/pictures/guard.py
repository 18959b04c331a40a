"""Whatever a picture library raises or warns of, as one line of this package's own."""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, _imaging

from cca_runtime.errors import BadInputError, CcaError

# Pillow logs some damage as errors. Where a program has asked for no logs, nobody wants them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_LONGEST = 200
"""Characters of a foreign text that are worth showing."""


def one_line(text: str) -> str:
    """A foreign text as one short line without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST])
    line = " ".join(printable.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


@contextmanager
def library_errors() -> Iterator[None]:
    """Run a picture library on foreign data, in silence.

    Raises:
        BadInputError: It failed in whatever way. Libraries raise nearly everything on damage,
            so nothing is worth telling apart but memory and size.
    """
    try:
        with _silence:
            yield
    except CcaError:
        raise
    except MemoryError as error:
        raise BadInputError("there is not enough memory to unpack the picture") from error
    except Image.DecompressionBombError as error:
        raise BadInputError(
            "the picture has more pixels than max_pixels (--max-pixels) and "
            "PIL.Image.MAX_IMAGE_PIXELS allow: raise them if it is meant to be so large"
        ) from error
    except Exception as error:
        reason = one_line(str(error)) or type(error).__name__
        raise BadInputError(f"the picture is damaged: {reason}") from error


def _silence_libtiff() -> None:
    """Have libtiff, whose errors reach us as Pillow's, not print them as well.

    Pillow has no setting for it. Its own library's handle finds what that is linked with.
    """
    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        setter = getattr(library, name, None)
        if setter is not None:
            setter(None)


class _Silence:
    """Keeps Pillow's warnings from being shown, or raised, while any thread is inside.

    `warnings.catch_warnings` puts all filters back as they were, so two threads that use it
    at once can leave the wrong ones. Here one filter comes and goes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            # Looked for each time: whoever restores filters may have taken it away.
            if _FILTER not in warnings.filters:
                warnings.filterwarnings("ignore", module=_PILLOW)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and _FILTER in warnings.filters:
                warnings.filters.remove(_FILTER)  # type: ignore[attr-defined]


_PILLOW = r"PIL(\.|$)"


def _own_filter() -> object:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=_PILLOW)
        return warnings.filters[0]


_FILTER = _own_filter()
_silence_libtiff()
_silence = _Silence()
