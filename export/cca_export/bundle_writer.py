"""Write a model bundle: the directory that the runtime reads (docs/spec/bundle.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import cca_core
import onnx
import torch
from cca_console.ending import temporary_folder, uninterrupted

from cca_export.coding_runs import coding, signature
from cca_export.complexity import Complexity
from cca_export.families.cca.architecture import Architecture
from cca_export.graphs import CodecGraph
from cca_export.manifest import MANIFEST
from cca_export.table_file import encode_table_file
from cca_export.tables import EntropyTables, TableError

FORMAT = "cca-bundle"
VERSION = 5
TABLES = "tables.bin"
CONFORMANCE = "conformance.npz"
EXACTNESS = "exactness.json"

_MODEL_ID_BYTES = 8
_PREFIX = ".cca-"
"""Of the folder that a bundle is built in."""


class BundleError(Exception):
    """The bundle cannot be written. One line."""


class TargetError(BundleError):
    """The place asked for cannot become a bundle. One line, says what to do."""


@dataclass
class BundleWriter:
    """Collects the parts of a bundle in `directory`; `finish` completes it with the manifest."""

    directory: Path
    name: str
    _graphs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _added: list[CodecGraph] = field(default_factory=list)
    _tables: dict[str, Any] = field(default_factory=dict)
    _exact: dict[str, Any] = field(default_factory=dict)

    def add_graph(self, graph: CodecGraph, model: bytes) -> None:
        """Write `graphs/<name>.onnx`.

        Raises:
            BundleError: No reader would take it.
        """
        _check(graph, model)
        self._graphs[graph.name] = {
            **self._write(f"graphs/{graph.name}.onnx", model),
            **signature(graph),
        }
        self._added.append(graph)

    def add_fp16(self, graph: CodecGraph, model: bytes) -> None:
        """Write `graphs/<name>.fp16.onnx`, the float16 variant of a graph that was added.

        Raises:
            BundleError: No reader would take it.
        """
        _check(graph, model)
        entry = self._write(f"graphs/{graph.name}.fp16.onnx", model)
        self._graphs[graph.name]["float16"] = entry

    def add_tables(self, gaussian: EntropyTables, hyper_latents: EntropyTables) -> None:
        """Write `tables.bin`.

        Raises:
            BundleError: There are more or longer tables than it can hold.
        """
        try:
            content = encode_table_file(gaussian, hyper_latents)
        except TableError as error:
            raise BundleError(str(error)) from error
        self._tables = self._write(TABLES, content)

    def add_exactness(
        self, vectors: bytes, cases: Sequence[Mapping[str, Any]], proof: Mapping[str, Any]
    ) -> None:
        """Write `conformance.npz` and `exactness.json`: the bundle's entropy mode is exact."""
        text = json.dumps(proof, indent=1) + "\n"
        self._exact = {
            "conformance": {**self._write(CONFORMANCE, vectors), "cases": list(cases)},
            "exactness": self._write(EXACTNESS, text.encode("utf-8")),
        }

    def finish(self, architecture: Architecture, smallest_scale: int, cost: Complexity) -> str:
        """Write the manifest and return the model id."""
        model_id = self._model_id(smallest_scale)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "model_id": model_id,
            "entropy_mode": "exact" if self._exact else "native",
            "architecture": architecture.to_manifest(),
            "coding": coding(self._added),
            "smallest_scale": smallest_scale,
            "parameters": cost.parameters,
            "kmac_per_pixel": {
                "encode": round(cost.encode_kmac, 3),
                "decode": round(cost.decode_kmac, 3),
            },
            "graphs": self._graphs,
            "tables": self._tables,
            **self._exact,
            "exporter": {
                "cca-codec": _own_version(),
                "torch": torch.__version__,
                "onnx": onnx.__version__,
            },
        }
        text = json.dumps(manifest, indent=2) + "\n"
        (self.directory / MANIFEST).write_text(text, encoding="utf-8")
        return model_id

    def _write(self, file: str, content: bytes) -> dict[str, Any]:
        path = self.directory / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

    def _model_id(self, smallest_scale: int) -> str:
        """Stands for all that the decoder's symbols depend on: prior graphs, tables, the choice."""
        hashes = [
            (name, entry["sha256"])
            for name, entry in self._graphs.items()
            if name.startswith("prior_")
        ]
        return cca_core.model_id(hashes, self._tables["sha256"], smallest_scale).hex()


def _check(graph: CodecGraph, model: bytes) -> None:
    try:
        cca_core.check_graph(model)
    except cca_core.BundleError as error:
        raise BundleError(
            f"graph '{graph.name}' was exported as no reader takes it: {error}; use the versions "
            "of torch and onnxscript that cca-codec was tested with"
        ) from error


def _own_version() -> str:
    try:
        return metadata.version("cca-codec")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


@contextmanager
def new_bundle(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A directory to build a bundle in, which takes the place of `target` on success.

    On any exception nothing is left behind, and a bundle that stood at `target` still stands.

    Raises:
        TargetError: `target` exists and may not be replaced, or has no parent directory.
        BundleError: A file or directory cannot be written.
    """
    check_target(target, overwrite=overwrite)
    try:
        # Beside the target, hence on its file system: renaming is all that is left to do.
        with temporary_folder(_PREFIX, target.parent) as work:
            built = work / "new"
            built.mkdir()
            yield built
            with uninterrupted():
                _replace(target, built, replaced=work / "old")
    except OSError as error:
        raise BundleError(f"cannot write {target}: {error.strerror or error}") from error


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that cannot become a bundle, before any work is done.

    Raises:
        TargetError: It exists and is not to be overwritten or is not a bundle, or its
            parent directory does not exist.
    """
    if not target.parent.is_dir():
        raise TargetError(f"directory {target.parent} does not exist: create it first")
    if not target.exists():
        return
    if not overwrite:
        raise TargetError(f"{target} exists: choose another output or add --overwrite")
    if not (target / MANIFEST).is_file():
        raise TargetError(f"{target} is not a bundle, so it is not overwritten: remove it yourself")


def _replace(target: Path, built: Path, replaced: Path) -> None:
    if not target.exists():
        built.rename(target)
        return
    target.rename(replaced)
    try:
        built.rename(target)
    except BaseException:
        replaced.rename(target)
        raise
