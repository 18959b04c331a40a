"""The manifest of a bundle that exists: which graphs it has. Needs neither torch nor onnx."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cca_core

FORMAT = "cca-bundle"
VERSION = 5
MANIFEST = "manifest.json"

_LARGEST_MANIFEST = 1 << 20
_LARGEST_GRAPH = 1 << 31
_FILE = re.compile(r"graphs/[A-Za-z0-9_-]+(\.fp16)?\.onnx")
_NAME = re.compile(r"[A-Za-z0-9_-]+")


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
        if len(text) > _LARGEST_MANIFEST:
            raise ValueError("it is too large")
        manifest = json.loads(text)
        found = manifest["format"], manifest["version"]
        if found != (FORMAT, VERSION):
            raise ValueError(f"it is {found[0]} {found[1]}, this reads {FORMAT} {VERSION}")
        return [
            _graph(bundle, name, entry.get("float16", entry))
            for name, entry in manifest["graphs"].items()
        ]
    except KeyError as error:
        raise ManifestError(f"{file} lacks {error}: export the bundle again") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError(f"{file}: {error}: export the bundle again") from error


def _graph(bundle: Path, name: str, entry: Any) -> GraphFile:
    file, sha256, size = entry["file"], entry["sha256"], entry["bytes"]
    if not (_NAME.fullmatch(name) and _FILE.fullmatch(file)):
        raise ValueError(f"graph {name!r} names an unusable file {file!r}")
    if type(size) is not int or not 0 < size <= _LARGEST_GRAPH:
        raise ValueError(f"graph '{name}' has an impossible size")
    return GraphFile(name, bundle / file, sha256, size)
