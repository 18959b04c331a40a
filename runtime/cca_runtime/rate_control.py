"""How large or how good coded pictures are to be: one quality for all, or a target for each."""

from __future__ import annotations

from dataclasses import dataclass

from cca_core import Target, TargetKind, step_of_quality

from cca_runtime.arguments import real_number, whole_number
from cca_runtime.errors import BadInputError

WORST, BEST = 0, 100
"""Qualities."""

ONLY = 50
"""That of models that have no choice."""

_MOST_BYTES = 1 << 33
_MOST_BPP = 1000
_MOST_DECIBELS = 200
"""Targets that are larger mean something else."""


@dataclass(frozen=True)
class RateControl:
    """What was asked of the encoder, checked. At most one of the targets is there.

    Attributes:
        step: Code of the quantisation step (docs/spec/format.md), if there is no target.
        bpp: Bits that the stream is to have for each pixel of the picture, without its metadata.
        size: Bytes that the stream is to have, metadata included.
        psnr: Decibels that the decoded picture is to have.
    """

    step: int = 0
    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None

    @property
    def has_target(self) -> bool:
        """Whether each picture has a step of its own, to be found."""
        return (self.bpp, self.size, self.psnr) != (None, None, None)

    def target(self, width: int, height: int) -> Target | None:
        """The target, as the core takes it, of a picture of this size without its padding."""
        if self.bpp is not None:
            return Target(TargetKind.PAYLOAD_BYTES, max(1.0, self.bpp * width * height / 8))
        if self.size is not None:
            return Target(TargetKind.FILE_BYTES, self.size)
        if self.psnr is not None:
            return Target(TargetKind.PSNR, self.psnr)
        return None


def as_rate_control(
    quality: object = None,
    target_bpp: object = None,
    target_size: object = None,
    target_psnr: object = None,
) -> RateControl:
    """What the arguments ask for; without any, the point at which the model was trained.

    Args:
        quality: 0 to 100.
        target_bpp: Bits.
        target_size: Bytes.
        target_psnr: Decibels.

    Raises:
        BadInputError: More than one is given, or one is no number or out of range.
    """
    asked = {
        "quality": quality,
        "target_bpp": target_bpp,
        "target_size": target_size,
        "target_psnr": target_psnr,
    }
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise BadInputError(f"give {' or '.join(given)}, not both: each decides the size alone")
    if quality is not None:
        number = real_number(quality, "quality", WORST, BEST)
        return RateControl(step=step_of_quality(number))
    if target_bpp is not None:
        return RateControl(bpp=_above_zero(target_bpp, "target_bpp", _MOST_BPP))
    if target_size is not None:
        return RateControl(size=whole_number(target_size, "target_size", 1, _MOST_BYTES))
    if target_psnr is not None:
        return RateControl(psnr=_above_zero(target_psnr, "target_psnr", _MOST_DECIBELS))
    return RateControl()


def _above_zero(value: object, name: str, most: float) -> float:
    number = real_number(value, name, 0, most)
    if number == 0:
        raise BadInputError(f"{name} must be above 0")
    return number
