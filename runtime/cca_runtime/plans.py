"""What engines that compile graphs are told of a bundle."""

from __future__ import annotations

import logging

from cca_engines import PlanOptions, ShapeRange

from cca_runtime.bundle import Bundle

_STRIDES = {
    "height": 1,
    "width": 1,
    "latent_height": 16,
    "latent_width": 16,
    "hyper_height": 64,
    "hyper_width": 64,
}
"""Pixels that one step along a dimension of a bundle's graphs stands for (docs/spec/bundle.md)."""

_log = logging.getLogger(__name__)


def plan_options(bundle: Bundle, *, trust: bool = False) -> PlanOptions:
    """Where plans for a bundle lie, and which to build that are not there.

    Those take one picture of 64x64 to eight of 1920x1920, as `cca-export` makes them too if it
    is not told otherwise, and are quickest at one of 768x512.

    Args:
        bundle: The bundle.
        trust: Whether to use the plans inside it, which are code.
    """
    shapes = ShapeRange(_sizes(1, 64, 64), _sizes(1, 512, 768), _sizes(8, 1920, 1920))
    trusted, others = ([bundle.plans], []) if trust else ([], [bundle.plans])
    return PlanOptions(shapes, trusted, others, say=_log.warning, note=_log.info)


def _sizes(batch: int, height: int, width: int) -> dict[str, int]:
    sides = {"height": height, "width": width}
    return {"batch": batch} | {
        name: sides[name.rpartition("_")[2]] // stride for name, stride in _STRIDES.items()
    }
