"""Colours: what a picture's samples are in sRGB, or in the RGB space of a profile."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.code_points import profile_of
from cca_runtime.pictures.guard import one_line
from cca_runtime.pictures.header import CodePoints, Gamma, Header
from cca_runtime.pictures.picture import MAX_METADATA_BYTES, Pixels, parse_colour
from cca_runtime.pictures.profiles import SRGB, SRGB_CURVE, rgb_profile
from cca_runtime.pictures.samples import Samples, samples_of, through_curve, to_eight_bits

_ICC_HEADER_BYTES = 128
_DEVICES = {b"scnr", b"mntr", b"prtr", b"spac"}
"""Profiles of colour spaces; the others are links, effects and names."""

_USUAL_GAMMA = 1 / 2.2
"""What PNG's specification tells writers of sRGB to say (11.3.2.5): it means sRGB's curve."""

_EXACT = ImageCms.Flags.NOOPTIMIZE
_FAST = ImageCms.Flags.HIGHRESPRECALC
"""By itself, littleCMS puts a coarse table in a profile's place: 10 levels off in shadows."""

_SENSIBLE_GAMMAS = (0.1, 5.0)


@dataclass(frozen=True)
class Coloured:
    """A picture's colours.

    Attributes:
        pixels: uint8 [H, W, 3].
        icc: The RGB profile they are in; None for sRGB.
        alpha: uint8 [H, W]; None where all is opaque.
    """

    pixels: Pixels
    icc: bytes | None
    alpha: Pixels | None = None


def to_rgb(image: Image.Image, deep: NDArray[np.uint16] | None, header: Header) -> Coloured:
    """Colours of an unpacked picture as 8-bit RGB.

    RGB keeps its values and its profile. Grey, CMYK and Lab go through their profile to sRGB.

    Args:
        image: In any of Pillow's modes.
        deep: As for `samples_of`.
        header: What the file says; notes are added.

    Raises:
        BadInputError: Samples or colours that have no one meaning in 8-bit RGB.
    """
    if image.mode in {"CMYK", "LAB"}:
        profile = _usable(header, b"CMYK" if image.mode == "CMYK" else b"Lab ")
        if profile is None and image.mode == "LAB":
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        rgb = image.convert("RGB") if profile is None else _to_srgb(image, profile)
        return Coloured(np.asarray(rgb), None)
    samples = samples_of(image, deep, header)
    is_grey = samples.values.shape[2] == 1
    icc = header.icc
    if icc is not None and is_grey and _space(icc) == b"GRAY":
        profile = _usable(header, b"GRAY")
        return _plain(samples if profile is None else _grey_to_srgb(samples, profile), None)
    if icc is not None and _usable(header, b"RGB ") is not None:
        return _plain(samples, icc)
    if isinstance(header.encoding, CodePoints):
        return _plain(samples, profile_of(header.encoding))
    if isinstance(header.encoding, Gamma):
        return _from_gamma(samples, header.encoding, header)
    return _plain(samples, None)


def lay_on(coloured: Coloured, background: str | None) -> Pixels:
    """Pixels with a colour under what is transparent.

    Raises:
        BadInputError: Something is, and there is no colour.
    """
    if coloured.alpha is None:
        return coloured.pixels
    if background is None:
        raise BadInputError(
            "the picture has transparent pixels, which the codec cannot store: "
            "choose a colour to lay under them with --background COLOUR"
        )
    colour = Image.new("RGB", (1, 1), parse_colour(background))
    if coloured.icc is not None:
        own = ImageCms.ImageCmsProfile(io.BytesIO(coloured.icc))
        converted = ImageCms.profileToProfile(colour, _srgb(), own, outputMode="RGB")
        colour = converted or colour
    height, width = coloured.alpha.shape
    canvas = colour.resize((width, height))
    mask = Image.fromarray(coloured.alpha)
    return np.asarray(Image.composite(Image.fromarray(coloured.pixels), canvas, mask))


def is_profile(icc: bytes) -> bool:
    """Whether data have an ICC header (ICC.1, 7.2: `acsp` at byte 36) and a sensible size."""
    return _ICC_HEADER_BYTES <= len(icc) <= MAX_METADATA_BYTES and icc[36:40] == b"acsp"


def _plain(samples: Samples, icc: bytes | None) -> Coloured:
    pixels = to_eight_bits(samples.values, samples.maximum)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    alpha = samples.alpha
    return Coloured(pixels, icc, None if alpha is None else to_eight_bits(alpha, samples.maximum))


def _from_gamma(samples: Samples, encoding: Gamma, header: Header) -> Coloured:
    """Samples with sRGB's curve instead of a power, and a profile where primaries differ."""
    exponent, points = encoding.exponent, encoding.chromaticities
    if exponent is not None and not _SENSIBLE_GAMMAS[0] <= exponent <= _SENSIBLE_GAMMAS[1]:
        header.notes.append(f"a gamma of {exponent:g} makes no sense and is dropped")
        exponent = None
    if exponent is not None and abs(exponent / _USUAL_GAMMA - 1) > 0.02:
        power = 1 / exponent
        samples = through_curve(samples, lambda values: _srgb_curve(values**power))
    if points is None or samples.values.shape[2] == 1 or np.allclose(points, SRGB, atol=0.005):
        return _plain(samples, None)
    icc = rgb_profile("Chromaticities of the file, sRGB's curve", points, SRGB_CURVE)
    if icc is None:
        header.notes.append("chromaticities that make no sense are dropped")
    return _plain(samples, icc)


def _srgb_curve(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """SRGB's samples of light (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _grey_to_srgb(samples: Samples, profile: ImageCms.ImageCmsProfile) -> Samples:
    """Each level there is through the profile, and then samples by table."""
    levels = np.arange(samples.maximum + 1)
    if samples.maximum > 255:
        ramp = (levels * 65_535 // samples.maximum).astype(np.uint16)
    else:
        ramp = levels.astype(np.uint8)
    table = np.asarray(_to_srgb(Image.fromarray(ramp[None]), profile, _EXACT))[0]
    rgb = table[np.minimum(samples.values[..., 0], samples.maximum)]
    alpha = samples.alpha
    return Samples(rgb, 255, None if alpha is None else to_eight_bits(alpha, samples.maximum))


def _usable(header: Header, space: bytes) -> ImageCms.ImageCmsProfile | None:
    """The file's profile, if it is sound and of a colour space; else it is dropped."""
    icc, header.icc = header.icc, None
    if icc is None:
        return None
    if not is_profile(icc):
        header.notes.append("the ICC profile is damaged and is dropped")
        return None
    if _space(icc) != space or icc[12:16] not in _DEVICES:
        header.notes.append("the ICC profile is not for a picture of this kind and is dropped")
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        # Whether there is a way from it to sRGB shows only when one is made.
        modes = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
        ImageCms.buildTransform(profile, _srgb(), modes[space], "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        reason = one_line(str(error))
        header.notes.append(f"the ICC profile cannot be used and is dropped ({reason})")
        return None
    return profile


def _space(icc: bytes) -> bytes:
    return icc[16:20]


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _to_srgb(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, flags: ImageCms.Flags = _FAST
) -> Image.Image:
    converted = ImageCms.profileToProfile(image, profile, _srgb(), outputMode="RGB", flags=flags)
    if converted is None:  # only with inPlace, which is not asked for
        raise BadInputError("the colours of this picture cannot be converted to sRGB")
    return converted
