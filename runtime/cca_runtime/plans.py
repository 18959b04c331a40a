"""What engines that compile graphs are told of a bundle."""

from __future__ import annotations

import logging

from cca_core import HYPER_STRIDE, dimensions
from cca_engines import PlanOptions, ShapeRange

from cca_runtime.bundle import Bundle

_log = logging.getLogger(__name__)


def plan_options(bundle: Bundle, *, trust: bool = False) -> PlanOptions:
    """Where plans for a bundle lie, and which to build that are not there.

    Those take one picture of 64x64 to eight of 1920x1920, as `cca-export` makes them too if it
    is not told otherwise, and are quickest at one of 768x512.

    Args:
        bundle: The bundle.
        trust: Whether to use the plans inside it, which are code.
    """
    smallest, typical, largest = (1, HYPER_STRIDE, HYPER_STRIDE), (1, 768, 512), (8, 1920, 1920)
    shapes = ShapeRange(*(dimensions(*sizes) for sizes in (smallest, typical, largest)))
    trusted, others = ([bundle.plans], []) if trust else ([], [bundle.plans])
    return PlanOptions(shapes, trusted, others, say=_log.warning, note=_log.info)
