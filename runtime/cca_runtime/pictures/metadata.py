"""Metadata of a picture on its way in: what is carried along, and what notes say is not."""

from __future__ import annotations

from typing import Any

from PIL import Image

from cca_runtime.pictures.exif import PREFIX, Exif, parse_exif
from cca_runtime.pictures.guard import one_line
from cca_runtime.pictures.header import Gamma, Header
from cca_runtime.pictures.picture import MAX_METADATA_BYTES
from cca_runtime.pictures.profiles import ADOBE_GAMMA, ADOBE_RGB, Curve, rgb_profile
from cca_runtime.pictures.tiff import is_tiff
from cca_runtime.pictures.xmp import is_xmp, without_orientation, xmp_orientation

_MOST_NAMES = 8
"""Of what is left out; beyond that, notes count."""


def described(image: Image.Image, exif: bytes | None) -> Header:
    """What a PIL image says beside its pixels, and its EXIF data."""
    info = image.info
    header = Header(icc=_bytes(info.get("icc_profile")), xmp=_bytes(info.get("xmp")))
    header.exif = exif
    header.upright = is_tiff(image)  # Pillow turns these while it unpacks them
    header.dpi = None if is_tiff(image) else _pair(info.get("dpi"))
    key = info.get("transparency")
    if image.mode != "P" and isinstance(key, int | tuple):
        header.key = key if isinstance(key, tuple) else (key,)
    if header.icc is None and "srgb" not in info:
        header.encoding = _gamma(info.get("gamma"), info.get("chromaticity"))
    header.dropped += [name for key, name in _NOTED.items() if info.get(key)]
    return header


def exif_of(image: Image.Image) -> bytes | None:
    """EXIF data as Pillow would write them, which includes what a program has changed."""
    raw = _bytes(image.info.get("exif"))
    if raw is not None and raw.startswith(2 * PREFIX):
        return raw  # no other program makes sense of these
    try:
        exif = image.getexif()
        return exif.tobytes() if len(exif) else None
    except Exception:  # damaged: what of it can be read is found out later
        return raw


def carried(header: Header) -> tuple[str, ...]:
    """All notes, the last of which names what is left out."""
    notes = [one_line(note) for note in dict.fromkeys(header.notes)]
    names = list(dict.fromkeys(header.dropped))
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        notes.append(one_line(f"left out: {', '.join(names[:_MOST_NAMES])}") + more)
    return tuple(notes)


class Metadata:
    """The EXIF and XMP data of a picture."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._exif = parse_exif(header.exif or b"") if header.exif else None
        if self._exif is not None and self._exif.damaged:
            header.notes.append("the EXIF data are damaged: only what can be read is kept")
        self._xmp = header.xmp or None
        if self._xmp is not None and not is_xmp(self._xmp):
            header.notes.append("the XMP data are damaged and are dropped")
            self._xmp = None

    @property
    def orientation(self) -> int:
        """How the picture has to be turned: as EXIF says, or else XMP."""
        if self._exif is not None and self._exif.orientation != 1:
            return self._exif.orientation
        return xmp_orientation(self._xmp) if self._xmp and self._exif is None else 1

    def note_colours(self) -> None:
        """Have EXIF say what the colours are where nothing else does."""
        header, exif = self._header, self._exif
        if exif is None or header.icc is not None or header.encoding is not None:
            return
        if exif.is_adobe_rgb:
            header.icc = rgb_profile("Adobe RGB (1998)", ADOBE_RGB, Curve(ADOBE_GAMMA))
        elif exif.is_uncalibrated:
            header.notes.append(
                "EXIF says that the colours are not sRGB, and there is no profile: taken for sRGB"
            )

    def for_upright(self, width: int, height: int) -> tuple[bytes | None, bytes | None]:
        """EXIF and XMP of the picture once it is upright.

        Args:
            width: Pixels.
            height: Pixels.
        """
        header = self._header
        exif = self._exif or Exif()
        sideways = self.orientation >= 5
        exif.make_upright(width, height, sideways=sideways)
        if header.dpi is not None:
            exif.set_dpi(header.dpi[::-1] if sideways else header.dpi)
        xmp = None if self._xmp is None else without_orientation(self._xmp)
        return self._bounded(exif.to_bytes(), "EXIF"), self._bounded(xmp, "XMP")

    def _bounded(self, section: bytes | None, name: str) -> bytes | None:
        if section is not None and len(section) > MAX_METADATA_BYTES:
            note = f"the {name} data are larger than {MAX_METADATA_BYTES} bytes and are dropped"
            self._header.notes.append(note)
            return None
        return section


_NOTED = {"comment": "comment", "photoshop": "Photoshop data", "Comment": "comment"}
"""What Pillow calls metadata that have no place in a stream, and what they are."""


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode(errors="replace")
    return value if isinstance(value, bytes) and value else None


def _gamma(exponent: Any, points: Any) -> Gamma | None:
    """What Pillow keeps of PNG's gAMA and cHRM chunks."""
    known = isinstance(exponent, int | float) and exponent > 0
    chromaticities = points if isinstance(points, tuple) and len(points) == 8 else None
    return Gamma(exponent if known else None, chromaticities) if known or chromaticities else None


def _pair(value: Any) -> tuple[float, float] | None:
    try:
        across, down = value
        return float(across), float(down)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
