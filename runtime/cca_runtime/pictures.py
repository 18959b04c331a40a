"""Pictures in: any file or PIL image to upright 8-bit RGB, with what travels beside the pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

from cca_core import DEFAULT_MAX_PIXELS
from cca_runtime.errors import BadInputError
from cca_runtime.padding import MAX_SIDE, padded_pixels

Pixels: TypeAlias = NDArray[np.uint8]

_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_SIXTEEN_BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N"}
_MAX_METADATA_BYTES = 16 << 20


@dataclass(frozen=True)
class Picture:
    """Pixels and the metadata that travels with them.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, upright. In the colour space of `icc`, or sRGB without.
        icc: An RGB ICC profile.
        exif: EXIF data without orientation, since the pixels are upright.
        xmp: An XMP packet.
        notes: What could not be kept, one sentence each.
    """

    pixels: Pixels
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()


def read_picture(
    data: bytes, background: str | None = None, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """Read a picture file of any format Pillow knows.

    Args:
        data: The file's bytes.
        background: Colour to lay under transparent pixels, as Pillow's
            `ImageColor` names them; without one, transparency is refused.
        max_pixels: Larger pictures, with their padding, are refused before they are
            unpacked. Pillow's own `PIL.Image.MAX_IMAGE_PIXELS` holds as well: it also
            sees the size of a picture inside an icon, which the icon need not tell.

    Raises:
        BadInputError: Not a picture, damaged, transparent, too large, or of a pixel
            format with no one meaning in 8 bits.
    """
    if not data:
        raise BadInputError("the picture is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return from_pil(image, background, max_pixels=max_pixels)
    except UnidentifiedImageError as error:
        raise BadInputError("not a picture in a format that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise BadInputError(
            "the picture has more pixels than max_pixels (--max-pixels) and "
            "PIL.Image.MAX_IMAGE_PIXELS allow: raise them if it is meant to be so large"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError) as error:
        # Pillow's decoders raise all of these on damaged files.
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"the picture is damaged: {error}") from error


def from_pil(
    image: Image.Image, background: str | None = None, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """Convert a PIL image to upright 8-bit RGB.

    RGB pictures keep their values and their ICC profile. Grey and CMYK pictures
    with a profile are converted through it to sRGB. 16-bit samples are scaled to
    8 bits and rounded. A fully opaque alpha channel is dropped.

    Args:
        image: Any PIL image. Where Pillow has not unpacked it yet, that happens after
            its size is checked.
        background: As for `read_picture`.
        max_pixels: As for `read_picture`.

    Raises:
        BadInputError: As `read_picture`.
    """
    check_size(*image.size, max_pixels)
    frames = getattr(image, "n_frames", 1)
    notes = [f"only the first of {frames} frames is kept"] if frames > 1 else []
    xmp = image.info.get("xmp")
    image = ImageOps.exif_transpose(image)
    exif = image.getexif()
    icc = _usable_icc(image.info.get("icc_profile"), notes)
    image = _flatten(image, background)
    rgb, icc = _to_rgb(image, icc, notes)
    return Picture(
        pixels=np.array(rgb, dtype=np.uint8),
        icc=icc,
        exif=_bounded(exif.tobytes() if len(exif) else None, "EXIF", notes),
        xmp=_bounded(_xmp_bytes(image.info.get("xmp", xmp)), "XMP", notes),
        notes=tuple(notes),
    )


def from_array(pixels: NDArray[Any]) -> Picture:
    """Check an array of pixels: uint8 [H, W, 3], or grey as [H, W] or [H, W, 1].

    Raises:
        BadInputError: Another dtype or shape, or no pixels.
    """
    if pixels.dtype != np.uint8:
        raise BadInputError(f"pixels must be uint8, these are {pixels.dtype}")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise BadInputError(f"pixels must be [H, W, 3] or [H, W], these are {list(pixels.shape)}")
    _check_sides(pixels.shape[1], pixels.shape[0])
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return Picture(np.ascontiguousarray(pixels))


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


def parse_colour(text: str) -> tuple[int, int, int]:
    """An RGB triple from a colour's name or code, as Pillow's `ImageColor` reads them.

    Raises:
        BadInputError: No such colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise BadInputError(f"unknown colour '{text}': use a name or #rrggbb") from error
    return red, green, blue


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse sizes that the format cannot hold, and those above a limit.

    Args:
        width: Pixels.
        height: Pixels.
        max_pixels: Most pixels of the padded picture, which is what is coded.

    Raises:
        BadInputError: A side is not in 1..65535, or there are more than `max_pixels`.
    """
    _check_sides(width, height)
    pixels = padded_pixels(height, width)
    if pixels > max_pixels:
        raise BadInputError(
            f"a picture of {width}x{height} is more than the limit of {max_pixels} pixels: "
            f"raise max_pixels (--max-pixels) to {pixels}, which counts its padding, to encode it"
        )


def _check_sides(width: int, height: int) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise BadInputError(
            f"a picture of {width}x{height} pixels cannot be coded: "
            f"sides must be 1 to {MAX_SIDE} pixels"
        )


def _flatten(image: Image.Image, background: str | None) -> Image.Image:
    """Lay the picture on the background, if it is transparent anywhere."""
    transparent = image.mode in _ALPHA_MODES or "transparency" in image.info
    if not transparent:
        return image
    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):
        return rgba.convert("RGB")
    if background is None:
        raise BadInputError(
            "the picture has transparent pixels, which the codec cannot store: "
            "choose a colour to lay under them with --background COLOUR"
        )
    canvas = Image.new("RGBA", rgba.size, (*parse_colour(background), 255))
    return Image.alpha_composite(canvas, rgba).convert("RGB")


def _to_rgb(
    image: Image.Image, icc: bytes | None, notes: list[str]
) -> tuple[Image.Image, bytes | None]:
    """Convert an opaque image to RGB, and say which profile the result is in."""
    if image.mode in _SIXTEEN_BIT_MODES or image.mode == "I":
        image = _sixteen_to_eight(image)
    elif image.mode == "F":
        raise BadInputError(
            "floating-point pictures have no fixed white: convert this one to 8 or 16 bits first"
        )
    if icc is None:
        if image.mode == "LAB":
            lab = ImageCms.createProfile("LAB")
            return _through_profiles(image, ImageCms.ImageCmsProfile(lab)), None
        return image.convert("RGB"), None
    space = icc[16:20]
    if image.mode in {"RGB", "RGBX", "P", "1"} and space == b"RGB ":
        return image.convert("RGB"), icc
    if (image.mode, space) in {("L", b"GRAY"), ("CMYK", b"CMYK"), ("LAB", b"Lab ")}:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            return _through_profiles(image, profile), None
        except (ImageCms.PyCMSError, OSError) as error:
            notes.append(f"the ICC profile cannot be used and is dropped ({error})")
            return image.convert("RGB"), None
    if image.mode == "L" and space == b"RGB ":
        return image.convert("RGB"), icc
    notes.append(f"the ICC profile is not for a {image.mode} picture and is dropped")
    return image.convert("RGB"), None


def _through_profiles(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    if converted is None:  # only with inPlace, which is not asked for
        raise BadInputError("the colours of this picture cannot be converted to sRGB")
    return converted


def _sixteen_to_eight(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise BadInputError("pictures with more than 16 bits a sample are not supported")
    return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))


def _usable_icc(icc: Any, notes: list[str]) -> bytes | None:
    """The profile, if it has an ICC header (ICC.1, 7.2: `acsp` at byte 36)."""
    if not icc:
        return None
    if not isinstance(icc, bytes) or len(icc) < 128 or icc[36:40] != b"acsp":
        notes.append("the ICC profile is damaged and is dropped")
        return None
    return _bounded(icc, "ICC", notes)


def _xmp_bytes(xmp: Any) -> bytes | None:
    if isinstance(xmp, str):
        return xmp.encode()
    return xmp if isinstance(xmp, bytes) and xmp else None


def _bounded(section: bytes | None, name: str, notes: list[str]) -> bytes | None:
    if section is not None and len(section) > _MAX_METADATA_BYTES:
        notes.append(f"the {name} data are larger than {_MAX_METADATA_BYTES} bytes and are dropped")
        return None
    return section
