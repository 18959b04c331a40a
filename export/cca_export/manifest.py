"""The manifest of a bundle that exists: which graphs it has. Needs neither torch nor onnx."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cca_core

MANIFEST = "manifest.json"

_LARGEST_MANIFEST = 1 << 20
"""The core refuses larger ones."""


class ManifestError(Exception):
    """There is no bundle, or it is broken. One line, says what to do."""


@dataclass(frozen=True)
class GraphFile:
    """A graph of a bundle, in one precision.

    Attributes:
        name: The graph's name.
        path: The ONNX model.
        sha256: Of the model, in hexadecimal.
        size: Bytes of the model.
    """

    name: str
    path: Path
    sha256: str
    size: int

    def read(self) -> bytes:
        """The serialised model.

        Raises:
            ManifestError: It is missing, not what the manifest describes, or no graph that an
                engine may see.
        """
        try:
            with self.path.open("rb") as stream:
                model = stream.read(self.size + 1)
        except OSError as error:
            raise ManifestError(f"{self.path} cannot be read: {error.strerror}") from error
        if len(model) != self.size or hashlib.sha256(model).hexdigest() != self.sha256:
            raise ManifestError(
                f"{self.path} is not the file its manifest describes: export it again"
            )
        try:
            cca_core.check_graph(model)
        except cca_core.BundleError as error:
            raise ManifestError(f"{self.path}: {error}") from error
        return model


def gpu_graphs(bundle: Path) -> list[GraphFile]:
    """The graphs that an engine on a GPU runs: in float16 where a bundle has them so.

    Raises:
        ManifestError: `bundle` is none, or its manifest is not valid.
    """
    file = bundle / MANIFEST
    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST_MANIFEST + 1)
    except OSError as error:
        raise ManifestError(f"{bundle} is not a bundle: {file}: {error.strerror}") from error
    try:
        manifest = cca_core.read_manifest(text)
    except cca_core.BundleError as error:
        raise ManifestError(f"{bundle} cannot be used, export it again: {error}") from error
    graphs = (manifest.analysis, *manifest.priors, manifest.synthesis)
    return [_file_of(bundle, graph.name, graph.float16 or graph.file) for graph in graphs]


def _file_of(bundle: Path, name: str, file: cca_core.BundleFile) -> GraphFile:
    return GraphFile(name, bundle / file.path, file.sha256, file.size)
