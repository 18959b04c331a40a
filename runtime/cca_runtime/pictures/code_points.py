"""Colour encodings by their code points (ITU-T H.273) as ICC profiles."""

from __future__ import annotations

from cca_runtime.errors import BadInputError
from cca_runtime.pictures.header import CodePoints
from cca_runtime.pictures.profiles import SRGB, SRGB_CURVE, Chromaticities, Curve, rgb_profile

_UNSPECIFIED = 2
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_SMPTE = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)

_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, *_SMPTE),
    7: (*_D65, *_SMPTE),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, *_P3),
    12: (*_D65, *_P3),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}

_BT_709 = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 4.5 * 0.018)
_SRGB_TRANSFER = 13
_CURVES = {
    1: _BT_709,
    4: Curve(2.2),
    5: Curve(2.8),
    6: _BT_709,
    7: Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 4 * 0.0228),
    8: Curve(1.0),
    11: _BT_709,
    _SRGB_TRANSFER: SRGB_CURVE,
    14: _BT_709,
    15: _BT_709,
}

_HIGH_RANGE = {16: "PQ", 18: "HLG"}


def profile_of(encoding: CodePoints) -> bytes | None:
    """The profile of a colour encoding; None for sRGB, and where nothing is said.

    Raises:
        BadInputError: The encoding cannot be that of a picture for ordinary screens.
    """
    primaries, transfer = encoding.primaries, encoding.transfer
    if transfer in _HIGH_RANGE:
        raise BadInputError(
            f"the picture is HDR ({_HIGH_RANGE[transfer]}), and 8 bits are too few for that: "
            "convert it to SDR first, to sRGB for instance"
        )
    # What is not said is what everybody takes for granted.
    primaries = 1 if primaries == _UNSPECIFIED else primaries
    transfer = _SRGB_TRANSFER if transfer == _UNSPECIFIED else transfer
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise BadInputError(
            f"the picture's colour encoding (H.273 primaries {primaries}, transfer function "
            f"{transfer}) is not supported: convert it to sRGB first"
        )
    if (primaries, transfer) == (1, _SRGB_TRANSFER):
        return None
    name = f"H.273 primaries {primaries}, transfer function {transfer}"
    return rgb_profile(name, _PRIMARIES[primaries], _CURVES[transfer])
