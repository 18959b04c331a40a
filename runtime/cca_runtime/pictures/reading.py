"""Pictures in: any file or PIL image to upright 8-bit RGB, with what travels beside the pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from cca_core import DEFAULT_MAX_PIXELS
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from cca_runtime.errors import BadInputError
from cca_runtime.pictures import jpeg, png
from cca_runtime.pictures.bmp import read_bmp
from cca_runtime.pictures.boxes import read_avif, read_jpeg2000, without_exif
from cca_runtime.pictures.colour import lay_on, to_rgb
from cca_runtime.pictures.formats import FORMATS, is_opened, likely_formats
from cca_runtime.pictures.guard import library_errors
from cca_runtime.pictures.header import CodePoints, Header
from cca_runtime.pictures.metadata import Metadata, carried, described, exif_of
from cca_runtime.pictures.picture import Picture, check_size, from_array
from cca_runtime.pictures.samples import read_deep
from cca_runtime.pictures.tiff import is_tiff, read_tiff

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to make pictures upright, by EXIF's orientation."""

_SEVERAL = "only the first picture of the file is kept"


def read_picture(
    data: bytes, background: str | None = None, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """Read a picture file of one of `FORMATS`.

    Args:
        data: The file's bytes.
        background: Colour to lay under transparent pixels, as Pillow's
            `ImageColor` names them; without one, transparency is refused.
        max_pixels: Larger pictures, with their padding, are refused before they are
            unpacked. Pillow's own `PIL.Image.MAX_IMAGE_PIXELS` holds as well.

    Raises:
        BadInputError: Not a picture, damaged, transparent, too large, or of samples or
            colours with no one meaning in 8-bit RGB.
    """
    if not data:
        raise BadInputError("the picture is empty (0 bytes)")
    with library_errors():
        if data.startswith(png.SIGNATURE):
            pixels, header = png.read_png(data)
            return _read(pixels, ("PNG",), lambda _: header, background, max_pixels)
        if data.startswith(jpeg.SIGNATURE):
            return _read_jpeg(data, background, max_pixels)

        formats = likely_formats(data)
        pixels, notes = _openable_avif(data) if formats == ("AVIF",) else (data, [])

        def describe(image: Image.Image) -> Header:
            header = _describe_file(image, data)
            header.notes += notes
            return header

        return _read(pixels, formats, describe, background, max_pixels)


def from_pil(
    image: Image.Image, background: str | None = None, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """Convert a PIL image to upright 8-bit RGB.

    RGB pictures keep their values and their ICC profile. Grey, CMYK and Lab pictures
    with a profile are converted through it to sRGB. 16-bit grey is scaled to
    8 bits and rounded. A fully opaque alpha channel is dropped.

    Args:
        image: Any PIL image. Where Pillow has not unpacked it yet, that happens after
            its size is checked. What Pillow loses of a file once it is unpacked is lost
            (PNG's cICP, AVIF's code points), and so are the lower bytes of 16-bit colours:
            `read_picture` has all.
        background: As for `read_picture`.
        max_pixels: As for `read_picture`.

    Raises:
        BadInputError: As `read_picture`; or an image, not unpacked yet, of a format that
            `read_picture` does not open.
    """
    with library_errors():
        lazy = isinstance(image, ImageFile.ImageFile) and bool(image.tile)
        if lazy and not is_opened(image.format):
            raise BadInputError(f"{image.format} files are not opened: convert the picture first")
        check_size(*image.size, max_pixels)
        file = _file_of(image) if lazy else None  # asking for EXIF may unpack it
        header = described(image, exif_of(image))
        if is_tiff(image):
            read_tiff(image, header)
        if file is not None:
            _read_lost(image, file, header)
        return _finish(image, None, header, background)


def as_picture(
    image: NDArray[Any] | Image.Image | Picture, background: str | None, max_pixels: int
) -> Picture:
    """A `Picture` of whatever the codec takes for one.

    Raises:
        BadInputError: It is none, or not one that can be stored.
    """
    if isinstance(image, Picture):
        checked = from_array(image.pixels)
        return Picture(checked.pixels, image.icc, image.exif, image.xmp, image.notes)
    if isinstance(image, np.ndarray):
        return from_array(image)
    if isinstance(image, Image.Image):
        return from_pil(image, background, max_pixels=max_pixels)
    raise BadInputError(
        f"cannot encode a {type(image).__name__}: pass a numpy array or a PIL image"
    )


def _read(
    data: bytes,
    formats: tuple[str, ...],
    describe: Callable[[Image.Image], Header],
    background: str | None,
    max_pixels: int,
) -> Picture:
    with _open(data, formats) as image:
        check_size(*image.size, max_pixels)
        header = describe(image)
        deep = read_deep(image, lambda: _open(data, formats))
        return _finish(image, deep, header, background)


def _read_jpeg(data: bytes, background: str | None, max_pixels: int) -> Picture:
    file, header = jpeg.read_jpeg(data)
    first, *others = (_open(variant, ("JPEG",)) for variant in file.variants())
    check_size(*first.size, max_pixels)
    for other in others:
        if not file.complete or not np.array_equal(np.asarray(first), np.asarray(other)):
            raise BadInputError("the picture is damaged: the JPEG file is cut off")
        header.notes.append("the JPEG file lacks its end marker")
    return _finish(first, None, header, background)


def _open(data: bytes, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        if len(formats) < len(FORMATS):
            message = f"the picture is damaged, or no {formats[0]} that Pillow can read"
        else:
            message = f"not a picture in a format that is opened ({', '.join(FORMATS)})"
        raise BadInputError(message) from error


def _file_of(image: Image.Image) -> bytes | None:
    """The whole file of an image that is not unpacked yet, where Pillow leaves some unread."""
    file = getattr(image, "fp", None)
    if image.format not in {"PNG", "AVIF", "JPEG2000"} or file is None:
        return None
    position = file.tell()
    file.seek(0)
    data: bytes = file.read()
    file.seek(position)
    return data


def _read_lost(image: Image.Image, data: bytes, header: Header) -> None:
    """What Pillow leaves unread of a file."""
    if image.format == "PNG":
        encoding = png.read_png(data)[1].encoding
        if isinstance(encoding, CodePoints):
            header.icc, header.encoding = None, encoding
    else:
        _read_boxes(image, data, header)


def _read_boxes(image: Image.Image, data: bytes, header: Header) -> None:
    if image.format == "AVIF":
        read_avif(data, header)
    elif image.format == "JPEG2000":
        read_jpeg2000(data, header)


def _openable_avif(data: bytes) -> tuple[bytes, list[str]]:
    """An AVIF file without its EXIF data where libavif refuses it for them, and a note."""
    try:
        with Image.open(io.BytesIO(data), formats=("AVIF",)):
            return data, []
    except Exception:  # which is raised again if something else is wrong
        return without_exif(data), ["the EXIF data are damaged and are dropped"]


def _describe_file(image: Image.Image, data: bytes) -> Header:
    """What a file says that is neither PNG nor JPEG."""
    header = described(image, image.info.get("exif"))
    _read_boxes(image, data, header)
    if image.format == "BMP":
        read_bmp(data, header)
    if is_tiff(image):
        read_tiff(image, header)
        # A TIFF file is what EXIF data are made like; BigTIFF, with its 64-bit offsets, is not.
        is_big = data[2:4] in (b"+\0", b"\0+")
        header.exif = None if is_big else data
        header.dropped += ["the tags of BigTIFF"] if is_big else []
    return header


def _finish(
    image: Image.Image, deep: NDArray[np.uint16] | None, header: Header, background: str | None
) -> Picture:
    """Unpack a picture, make it upright 8-bit RGB, and sort out its metadata."""
    image.load()
    metadata = Metadata(header)
    metadata.note_colours()
    coloured = to_rgb(image, deep, header)
    pixels = lay_on(coloured, background)
    turn = _TURNS.get(1 if header.upright else metadata.orientation)
    if turn is not None:
        pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
    if header.several or _is_animated(image):
        header.notes.insert(0, _SEVERAL)
    exif, xmp = metadata.for_upright(*pixels.shape[1::-1])
    notes = carried(header)
    return Picture(np.array(pixels, dtype=np.uint8, order="C"), coloured.icc, exif, xmp, notes)


def _is_animated(image: Image.Image) -> bool:
    """Whether there is a second frame, without counting them."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # there is something, and it is damaged
        return True
