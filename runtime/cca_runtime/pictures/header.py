"""What a picture file says beside its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Gamma:
    """The colour encoding of PNG's gAMA and cHRM chunks, and of TIFF's chromaticities.

    Attributes:
        exponent: Sample value = light to the power of this; None for sRGB's curve.
        chromaticities: x and y of white, red, green and blue; None for sRGB's.
    """

    exponent: float | None = None
    chromaticities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class CodePoints:
    """A colour encoding by its code points (ITU-T H.273), as in PNG's cICP and AVIF's nclx.

    Attributes:
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
    """

    primaries: int
    transfer: int


@dataclass
class Header:
    r"""What a picture file says beside its pixels; all of it unchecked.

    Attributes:
        icc: An ICC profile.
        exif: EXIF data, with or without `Exif\\0\\0` before them.
        xmp: An XMP packet.
        encoding: The colours' encoding, where there is no profile.
        dpi: Pixels an inch, across and down.
        several: Whether there are more pictures in the file than the one that is read.
        upright: Whether the pixels are turned already, whatever `exif` says.
        maximum: The sample value that is white, where it is not the data type's largest.
        inverted: Whether 0 is white.
        key: The colour that is transparent, one sample a channel.
        dropped: Names of what is left out.
        notes: What else could not be kept, one sentence each.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    encoding: Gamma | CodePoints | None = None
    dpi: tuple[float, float] | None = None
    several: bool = False
    upright: bool = False
    maximum: int | None = None
    inverted: bool = False
    key: tuple[int, ...] | None = None
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
