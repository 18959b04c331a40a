"""Conformance vectors of a bundle: inputs, and hashes of what exact graphs make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cca_core import LATENTS_PER_HYPER, ConformanceCase, symbol_range
from numpy.typing import NDArray

from cca_runtime.arrays import ArraysError, read_arrays
from cca_runtime.bundle_files import BundleFile, broken


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
    cases: Sequence[ConformanceCase]
    latent_channels: int
    hyper_channels: int

    def read(self, cases: Sequence[ConformanceCase]) -> list[CaseInputs]:
        """The inputs of each of `cases`.

        Raises:
            BadInputError: The file is missing, damaged, or has not the arrays of these cases.
        """
        shapes = {name: shape for case in self.cases for name, shape in self._shapes(case).items()}
        wanted = [name for case in cases for name in self._shapes(case)]
        try:
            arrays = read_arrays(self.file.read(), shapes, wanted)
        except ArraysError as error:
            raise broken(self.file.path, error) from error
        return [self._inputs(case, arrays) for case in cases]

    def _inputs(self, case: ConformanceCase, arrays: Mapping[str, NDArray[Any]]) -> CaseInputs:
        symbols = arrays[f"{case.name}.symbols"].astype(np.int32)
        smallest, largest = symbol_range(case.step)
        if symbols.min() < smallest or symbols.max() > largest:
            raise broken(
                self.file.path,
                f"symbols of case '{case.name}' are not from {smallest} to {largest}, as its step "
                "asks for",
            )
        return CaseInputs(arrays[f"{case.name}.z_symbols"].astype(np.int32), symbols)

    def _shapes(self, case: ConformanceCase) -> dict[str, tuple[int, ...]]:
        """Of a case's arrays, by their names in the file."""
        height, width = case.latent_height, case.latent_width
        hyper = height // LATENTS_PER_HYPER, width // LATENTS_PER_HYPER
        return {
            f"{case.name}.z_symbols": (case.batch, self.hyper_channels, *hyper),
            f"{case.name}.symbols": (case.batch, self.latent_channels, height, width),
        }
