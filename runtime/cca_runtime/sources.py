"""What the codec takes for a picture and for a stream: in memory, or a file that has it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cca_runtime.arguments import show
from cca_runtime.errors import BadInputError
from cca_runtime.pictures import Picture, as_picture, check_size, parse_colour, read_picture
from cca_runtime.pictures.picture import MAX_METADATA_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

    File: TypeAlias = str | os.PathLike[str] | BinaryIO
    PictureLike: TypeAlias = NDArray[Any] | Image.Image | Picture | File
    StreamLike: TypeAlias = Buffer | File

_PICTURES = (
    "pass a numpy array, uint8 [H, W, 3] or [H, W], a PIL image, a Picture, a path or a binary file"
)
_STREAMS = "pass bytes, a path or a binary file"

_BYTES_PER_PIXEL = 8
"""Of the largest pixels that files have, 16-bit RGBA."""

_BYTES_BESIDE = 64 << 20
"""What files may have beside pixels."""

_CHUNK = 1 << 20
_BYTE_FORMATS = {"B", "b", "c"}


def most_file_bytes(max_pixels: int) -> int:
    """How long a picture's file or a stream may be, whose picture has so many pixels at most."""
    return _BYTES_PER_PIXEL * max_pixels + _BYTES_BESIDE


def picture_from(image: PictureLike, background: str | None, max_pixels: int) -> Picture:
    """The picture that the caller means.

    Args:
        image: uint8 [H, W, 3] or [H, W], a PIL image, a `Picture`, the path of a picture's file
            (also as `str`), or a file open for reading bytes.
        background: As for `read_picture`.
        max_pixels: Larger pictures, with their padding, are refused.

    Raises:
        BadInputError: It is none of them, or not one that can be stored.
    """
    check_background(background)
    if isinstance(image, str | os.PathLike) or _is_file(image):
        data = _read(image, max_pixels)
        return read_picture(data, background, max_pixels=max_pixels)
    if isinstance(image, Picture):
        _check_metadata(image)
        _check_array(image.pixels, max_pixels)
    elif isinstance(image, np.ndarray):
        _check_array(image, max_pixels)
    elif not isinstance(image, Image.Image):
        raise BadInputError(f"cannot encode {_a(image)}: {_PICTURES}")
    return as_picture(image, background, max_pixels)


def stream_from(data: StreamLike, max_pixels: int) -> bytes:
    """The stream that the caller means.

    Args:
        data: Bytes in any object that shares them, a stream's path (also as `str`), or a file
            open for reading bytes.
        max_pixels: Of the picture, which bounds what a file may hold.

    Raises:
        BadInputError: It is none of them, or cannot be read.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str | os.PathLike):
        return _read(data, max_pixels)
    if (view := _view(data)) is not None and not isinstance(data, np.ma.MaskedArray):
        if view.ndim != 1 or view.format.lstrip("@=<>!") not in _BYTE_FORMATS:
            raise BadInputError(f"cannot decode {_a(data)} that is not a row of bytes: {_STREAMS}")
        return view.tobytes()
    if _is_file(data):
        return _read(data, max_pixels)
    raise BadInputError(f"cannot decode {_a(data)}: {_STREAMS}")


def is_list(value: object) -> bool:
    """Whether the caller means several pictures or streams, in a list or the like."""
    return isinstance(value, Sequence) and not isinstance(value, str) and _view(value) is None


def iterate(items: object, what: str) -> Iterator[Any]:
    """Several pictures or streams, one by one.

    Args:
        items: Any iterable, but none that is one picture or stream itself.
        what: Both words for these.

    Raises:
        BadInputError: It is something else.
    """
    several = isinstance(items, np.ndarray) and items.ndim > 3
    single = isinstance(items, str | Picture) or _is_file(items) or _view(items) is not None
    try:
        if several or not single:
            return iter(items)  # type: ignore[call-overload,no-any-return]
    except TypeError:
        pass
    raise BadInputError(f"cannot take several {what} from {_a(items)}: pass a list or a generator")


def check_background(background: object) -> None:
    """Refuse what is no colour.

    Raises:
        BadInputError: It is none.
    """
    if background is None:
        return
    if not isinstance(background, str):
        raise BadInputError(
            f"a background must be a colour's name or #rrggbb, and is {show(background)}"
        )
    parse_colour(background)


def _check_array(pixels: object, max_pixels: int) -> None:
    if not isinstance(pixels, np.ndarray):
        raise BadInputError(f"pixels must be a numpy array, and are {_a(pixels)}")
    if isinstance(pixels, np.ma.MaskedArray):
        raise BadInputError("a masked array has no pixels where it is masked: pass its filled()")
    if pixels.ndim in (2, 3):
        # Before it is copied: an array may repeat one pixel, and take no memory itself.
        check_size(pixels.shape[1], pixels.shape[0], max_pixels)


def _check_metadata(picture: Picture) -> None:
    for name in ("icc", "exif", "xmp"):
        section = getattr(picture, name)
        if not (section is None or isinstance(section, bytes)):
            raise BadInputError(f"a picture's {name} must be bytes or None, and is {_a(section)}")
        if section is not None and not 1 <= len(section) <= MAX_METADATA_BYTES:
            raise BadInputError(
                f"a picture's {name} has {len(section):,} bytes: a stream takes 1 to "
                f"{MAX_METADATA_BYTES:,}"
            )


def _is_file(value: object) -> bool:
    return callable(getattr(value, "read", None))


def _view(value: object) -> memoryview | None:
    """The memory that an object shares, if it does."""
    try:
        return memoryview(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return None


def _read(file: Any, max_pixels: int) -> bytes:
    """A whole file, if it is no longer than a picture's may be.

    Raises:
        BadInputError: It cannot be read, or is longer.
    """
    limit = most_file_bytes(max_pixels)
    name = f"'{os.fsdecode(file)}'" if isinstance(file, str | os.PathLike) else f"the {_kind(file)}"
    try:
        if _is_file(file):
            return _read_all(file, limit)
        # Without O_NONBLOCK, a pipe would keep this waiting for a writer.
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                raise BadInputError("not a file")
            return _read_all(f, limit)
    except MemoryError:
        raise
    except Exception as error:  # a file may be of any class
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise BadInputError(f"{name} cannot be read: {reason}") from error


def _read_all(file: BinaryIO, limit: int) -> bytes:
    parts: list[bytes] = []
    length = 0
    while part := file.read(_CHUNK):
        if not isinstance(part, bytes):
            raise BadInputError("it gives no bytes: open it in binary mode")
        parts.append(part)
        length += len(part)
        if length > limit:
            raise BadInputError(f"it is longer than the {limit:,} bytes that max_pixels allows")
    return b"".join(parts)


def _kind(value: object) -> str:
    return type(value).__name__


def _a(value: object) -> str:
    name = _kind(value)
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
