"""ICC profiles of RGB spaces, made from three primaries, a white point and a curve (ICC.1:2022)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Chromaticities = tuple[float, ...]
"""x and y of white, red, green and blue."""

SRGB: Chromaticities = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
ADOBE_RGB: Chromaticities = (0.3127, 0.3290, 0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
ADOBE_GAMMA = 563 / 256

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_HEADER_BYTES, _ENTRY_BYTES = 128, 12


@dataclass(frozen=True)
class Curve:
    """Light of a sample: (a x + b)^g from d on, c x below (ICC.1, `para` of type 3)."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def rgb_profile(name: str, chromaticities: Chromaticities, curve: Curve) -> bytes | None:
    """A profile of a display with these colours.

    Args:
        name: What to call it.
        chromaticities: Of its white and its primaries.
        curve: From samples to light, of all three channels.

    Returns:
        The profile, of version 4; None for chromaticities that are no colour space.
    """
    matrices = _to_d50(chromaticities)
    if matrices is None:
        return None
    primaries, adaptation = matrices
    numbers = (curve.g, curve.a, curve.b, curve.c, curve.d)
    parametric = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(numbers)
    tags = {b"desc": _text(name), b"cprt": _text("No copyright"), b"wtpt": _xyz(_D50)}
    tags[b"chad"] = b"sf32" + bytes(4) + _fixed(adaptation.ravel())
    for index, channel in enumerate(b"rgb"):
        tags[bytes([channel]) + b"XYZ"] = _xyz(primaries[:, index])
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), parametric)
    return _assembled(tags)


def _to_d50(chromaticities: Chromaticities) -> tuple[NDArray[np.float64], ...] | None:
    """Primaries as XYZ columns seen under D50, and the matrix that adapts the white to it."""
    xy = np.array(chromaticities).reshape(4, 2)
    if not (np.isfinite(xy).all() and (xy[:, 1] > 1e-3).all() and (np.abs(xy) < 4).all()):
        return None
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
    white, primaries = columns[:, 0], columns[:, 1:]
    seen, wanted = _BRADFORD @ white, _BRADFORD @ _D50
    if abs(np.linalg.det(primaries)) < 1e-6 or (np.abs(seen) < 1e-3).any():
        return None
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(wanted / seen) @ _BRADFORD
    adapted = adaptation @ (primaries * np.linalg.solve(primaries, white))
    # The numbers of a profile have 15 bits before the point; colours need not even one.
    return (adapted, adaptation) if (np.abs(adapted) < 4).all() else None


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    table = struct.pack(">I", len(tags))
    body = b""
    start = _HEADER_BYTES + 4 + _ENTRY_BYTES * len(tags)
    places: dict[bytes, int] = {}
    for tag, data in tags.items():
        if data not in places:  # tags may share their data
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += tag + struct.pack(">II", places[data], len(data))
    header = bytearray(_HEADER_BYTES)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:12] = b"\x04\x40\0\0"
    header[12:24] = b"mntrRGB XYZ "
    header[24:36] = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)  # one profile, the same bytes
    header[36:40] = b"acsp"
    header[68:80] = _fixed(_D50)
    return bytes(header) + table + body


def _fixed(numbers: NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(float(x) * 65536) for x in numbers))


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return (
        b"mluc"
        + bytes(4)
        + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28)
        + encoded
    )
