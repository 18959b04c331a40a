"""Check exported graphs: run each on an engine against the network in PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cca_core
import numpy as np
from cca_engines import Engine
from numpy.typing import NDArray
from PIL import Image

from cca_export.coding_runs import GraphRun
from cca_export.graphs import CodecGraph

_PICTURES = Path(__file__).parent / "data"
CHECK_PICTURE = _PICTURES / "chelsea.jpg"
CALIBRATION = tuple(_PICTURES / f"{name}.jpg" for name in ("astronaut", "coffee", "rocket"))

_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Of pictures; Pillow leaves others to other programs, an EPS to Ghostscript."""

CHECK_STEPS = (0, -59, 59)
"""Codes of the quantisation steps to check at: 1, and 0.40 and 2.48, far from it."""

_LARGEST_SIDE = 768
"""Larger pictures are cropped: the check is about graphs, and PyTorch is slow."""

FLOAT_TOLERANCE = 1e-4
"""Of the largest value of an output. Summing in another order costs about 1e-6 in
float32; a wrong weight, padding or constant costs percents."""

INTEGER_TOLERANCE = 1e-3
"""Share of values that may land on the other side of a rounding boundary, by one step."""


class PictureError(ValueError):
    """The check picture cannot be read. One line."""


class MismatchError(Exception):
    """An exported graph computes something else than the network. One line."""


@dataclass(frozen=True)
class Comparison:
    """One output of one graph, engine against PyTorch.

    Attributes:
        graph: Name of the graph.
        output: Name of the output.
        error: Largest error relative to the largest value; for integers, the share
            of differing values.
        allowed: Largest `error` that passes.
        largest_step: Largest difference of an integer output; 0 for floats.
    """

    graph: str
    output: str
    error: float
    allowed: float
    largest_step: int = 0

    @property
    def passed(self) -> bool:
        """Whether the output is the network's; false also if anything is not a number."""
        return self.error <= self.allowed and self.largest_step <= 1


def check_graph(engine: Engine, runs: Sequence[GraphRun], model: bytes) -> list[Comparison]:
    """Run a graph's ONNX model on an engine, on what the graph read in PyTorch.

    Args:
        engine: What runs `model`.
        runs: What PyTorch read and gave, once or more often.
        model: The graph as it was exported.

    Returns:
        The worst comparison for each output of the graph, all of them passed.

    Raises:
        MismatchError: An output differs by more than rounding.
        cca_engines.EngineError: The engine cannot load or run the model.
    """
    graph = runs[0].graph
    loaded = engine.load(model, graph.name)
    worst: dict[str, Comparison] = {}
    for run in runs:
        results = loaded.run({name: engine.to_device(a) for name, a in run.inputs.items()})
        for name, reference in run.outputs.items():
            comparison = _compare(graph, name, engine.to_host(results[name]), reference)
            if not comparison.passed:
                raise MismatchError(
                    f"graph '{graph.name}' computes a wrong '{name}' on "
                    f"{engine.name}: error {comparison.error:.2g}, "
                    f"allowed {comparison.allowed:.2g}"
                )
            known = worst.setdefault(name, comparison)
            if comparison.error > known.error:
                worst[name] = comparison
    return list(worst.values())


def list_pictures(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, and every file of directories, by name.

    Raises:
        PictureError: A directory holds no file.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        if not inside:
            raise PictureError(f"directory {path} holds no picture")
        files += inside
    return files


def load_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture for the check, its centre if it is large.

    Returns:
        uint8 [1, H, W, 3], sRGB, sides at most 768, padded as the encoder pads.

    Raises:
        PictureError: The file is missing or not a picture that Pillow reads.
    """
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            width, height = picture.size
            left = max(0, width - _LARGEST_SIDE) // 2
            top = max(0, height - _LARGEST_SIDE) // 2
            box = (left, top, min(width, left + _LARGEST_SIDE), min(height, top + _LARGEST_SIDE))
            pixels = np.asarray(picture.crop(box).convert("RGB"))
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them into
        reason = getattr(error, "strerror", None) or "not a picture, or damaged"
        raise PictureError(f"picture {os.fspath(path)} cannot be read: {reason}") from error
    return cca_core.pad_picture(pixels)[None]


def _compare(
    graph: CodecGraph, name: str, found: NDArray[Any], expected: NDArray[Any]
) -> Comparison:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise MismatchError(
            f"graph '{graph.name}' returns '{name}' as {found.dtype} {list(found.shape)}, "
            f"expected {expected.dtype} {list(expected.shape)}"
        )
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    if graph.exact:
        return Comparison(graph.name, name, float((found != expected).mean()), 0.0)
    if np.issubdtype(expected.dtype, np.floating):
        # A constant zero output has no scale to be relative to: then the difference itself counts.
        scale = float(np.abs(expected).max()) or 1.0
        return Comparison(graph.name, name, float(difference.max()) / scale, FLOAT_TOLERANCE)
    return Comparison(
        graph.name,
        name,
        error=float((difference > 0).mean()),
        allowed=max(INTEGER_TOLERANCE, 1 / difference.size),
        largest_step=int(difference.max()),
    )
