"""Pictures in and out: files, PIL images and arrays to upright 8-bit RGB, and back to files."""

from cca_runtime.pictures.formats import readable_extensions
from cca_runtime.pictures.output import EXTENSIONS, check_extension, format_picture
from cca_runtime.pictures.picture import (
    Picture,
    Pixels,
    check_size,
    from_array,
    parse_colour,
)
from cca_runtime.pictures.reading import as_picture, from_pil, read_picture

__all__ = [
    "EXTENSIONS",
    "Picture",
    "Pixels",
    "as_picture",
    "check_extension",
    "check_size",
    "format_picture",
    "from_array",
    "from_pil",
    "parse_colour",
    "read_picture",
    "readable_extensions",
]
