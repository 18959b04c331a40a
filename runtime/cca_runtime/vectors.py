"""Conformance vectors of a bundle: inputs, and hashes of what exact graphs make of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cca_runtime.arrays import ArraysError, read_arrays
from cca_runtime.errors import BadInputError
from cca_runtime.manifest import BundleFile, ManifestError, get, get_digest, get_file, get_integer

_MAX_FILE_BYTES = 16 << 20
_MAX_CASES = 64
_MAX_BATCH = 16
_MAX_LATENTS = 1 << 14
"""Latents of a case, over its batch: a 2048x2048 picture's."""

_NPY_HEADER_BYTES = 1 << 10


@dataclass(frozen=True)
class Case:
    """One set of inputs and what the prior graphs compute from it.

    Attributes:
        name: What errors and reports call it.
        batch: Pictures coded at once.
        latent_height: Rows of latents.
        latent_width: Columns of latents.
        fast: Whether it is among the cases that `load` runs.
        digests: SHA-256 of the outputs of `prior_0` to `prior_G` (`cca_engines.digest`).
    """

    name: str
    batch: int
    latent_height: int
    latent_width: int
    fast: bool
    digests: Mapping[str, str]


@dataclass(frozen=True)
class CaseInputs:
    """The symbols that a case feeds to the graphs.

    Attributes:
        z_symbols: Hyper-latent symbols, int32 [N, Z, h/4, w/4].
        symbols: Symbols of all channel groups, int32 [N, M, h, w].
    """

    z_symbols: NDArray[np.int32]
    symbols: NDArray[np.int32]


@dataclass(frozen=True)
class ConformanceVectors:
    """All cases of a bundle. Their inputs are read, and checked, on demand."""

    file: BundleFile
    cases: Sequence[Case]
    latent_channels: int
    hyper_channels: int

    def read(self, cases: Sequence[Case]) -> list[CaseInputs]:
        """The inputs of each of `cases`.

        Raises:
            BadInputError: The file is missing, damaged, or has not the arrays of these cases.
        """
        shapes = {}
        for case in cases:
            height, width = case.latent_height, case.latent_width
            hyper = (case.batch, self.hyper_channels, height // 4, width // 4)
            shapes[f"{case.name}.z_symbols"] = hyper
            shapes[f"{case.name}.symbols"] = (case.batch, self.latent_channels, height, width)
        limits = {name: 2 * math.prod(shape) + _NPY_HEADER_BYTES for name, shape in shapes.items()}
        try:
            arrays = read_arrays(self.file.read(), limits, "<i2")
        except ArraysError as error:
            raise BadInputError(f"broken bundle: {self.file.path}: {error}") from error
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise BadInputError(
                    f"broken bundle: {self.file.path}: {name} has shape "
                    f"{list(arrays[name].shape)}, the manifest says {list(shape)}"
                )
        return [
            CaseInputs(
                arrays[f"{case.name}.z_symbols"].astype(np.int32),
                arrays[f"{case.name}.symbols"].astype(np.int32),
            )
            for case in cases
        ]


def parse_vectors(
    root: Path, entry: Any, graphs: Sequence[str], latent_channels: int, hyper_channels: int
) -> ConformanceVectors:
    """Validate the manifest's `conformance`.

    Args:
        root: The bundle's directory.
        entry: What the manifest has there.
        graphs: `prior_0` to `prior_G`: each case must have a digest for each.
        latent_channels: M.
        hyper_channels: Z.

    Raises:
        ManifestError: Something in it is missing or out of bounds.
    """
    file = get_file(root, entry, "conformance", _MAX_FILE_BYTES)
    found = get(entry, "cases", list)
    if len(found) > _MAX_CASES:
        raise ManifestError(f"{len(found)} conformance cases, the limit is {_MAX_CASES}")
    cases = [_parse_case(case, graphs) for case in found]
    if len({case.name for case in cases}) < len(cases):
        raise ManifestError("two conformance cases have the same name")
    if not any(case.fast for case in cases):
        raise ManifestError("no conformance case is marked fast")
    return ConformanceVectors(file, cases, latent_channels, hyper_channels)


def _parse_case(entry: Any, graphs: Sequence[str]) -> Case:
    name = get(entry, "name", str)
    # It ends up in error messages and in file names inside the archive.
    if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
        raise ManifestError(f"unusable name of a conformance case: {name[:40]!r}")
    try:
        return _parse_fields(entry, name, graphs)
    except ManifestError as error:
        raise ManifestError(f"conformance case '{name}': {error}") from error


def _parse_fields(entry: Any, name: str, graphs: Sequence[str]) -> Case:
    batch = get_integer(entry, "batch", _MAX_BATCH)
    height = get_integer(entry, "latent_height", _MAX_LATENTS)
    width = get_integer(entry, "latent_width", _MAX_LATENTS)
    if height % 4 or width % 4:
        raise ManifestError(f"{height}x{width} latents are not multiples of 4")
    if batch * height * width > _MAX_LATENTS:
        raise ManifestError(
            f"{batch}x{height}x{width} latents are more than the limit of {_MAX_LATENTS}"
        )
    digests = get(entry, "digests", dict)
    if set(digests) != set(graphs):
        raise ManifestError(f"its digests are not those of {graphs[0]} to {graphs[-1]}")
    return Case(
        name=name,
        batch=batch,
        latent_height=height,
        latent_width=width,
        fast=get(entry, "fast", bool),
        digests={graph: get_digest(digests, graph) for graph in graphs},
    )
