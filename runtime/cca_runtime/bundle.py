"""Reading a model bundle (docs/spec/bundle.md). Nothing in it is trusted: it is outside input."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cca_core
from cca_core import EntropyTables, Model
from cca_engines import Precision

from cca_runtime.bundle_files import BundleFile, broken, read_file
from cca_runtime.errors import BadInputError
from cca_runtime.vectors import ConformanceVectors

DEFAULT_MODEL = "default"

_MODELS = Path(__file__).parent / "models"
_MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 1 << 20
"""The core refuses larger ones."""


@dataclass(frozen=True)
class Bundle:
    """A validated manifest. Graphs and tables are read, and checked, on demand.

    A bundle in exact mode always has conformance vectors; one in native mode, whose
    results nobody can foretell, never has.
    """

    path: Path
    name: str
    model_id: bytes
    entropy_mode: str
    group_sizes: list[int]
    latent_channels: int
    hyper_channels: int
    smallest_scale: int | None
    """Half places below the first of the tables from which the graphs count scales."""
    graphs: Mapping[str, BundleFile]
    fp16_graphs: Mapping[str, BundleFile]
    tables_file: BundleFile
    conformance: ConformanceVectors | None
    outputs: Mapping[str, Sequence[str]]
    """Names of each graph's outputs."""
    widest_stage: int
    """Channels of the transforms at a picture's full size, for estimates of memory."""
    text: bytes
    """The content of `manifest.json`."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """All that `manifest.json` says, for people: what the attributes hold is checked alone."""
        read: Mapping[str, Any] = json.loads(self.text)
        return read

    @property
    def prior_graphs(self) -> list[str]:
        """`prior_0` and so on, the graphs that decide what a stream's symbols mean."""
        return [name for name in self.graphs if name not in ("analysis", "synthesis")]

    @property
    def exact_graphs(self) -> Sequence[str]:
        """The graphs that every engine has to compute to the same values."""
        return self.prior_graphs if self.entropy_mode == "exact" else ()

    @property
    def files(self) -> list[BundleFile]:
        """Every file of the bundle but the manifest."""
        vectors = [self.conformance.file] if self.conformance else []
        graphs = [*self.graphs.values(), *self.fp16_graphs.values()]
        return [*graphs, self.tables_file, *vectors]

    @property
    def plans(self) -> Path:
        """Where plans lie that were compiled for the bundle; there need be none."""
        return self.path / "engines"

    def read_graph(self, name: str, precision: Precision = "float32") -> bytes:
        """The serialised ONNX model of graph `name`.

        Args:
            name: One of `graphs`.
            precision: For float16, its variant in that, if it has one.

        Raises:
            BadInputError: It is missing, unreadable, not the file the manifest describes, or no
                graph that an engine may see (docs/spec/bundle.md, "What a graph may hold").
        """
        half = self.fp16_graphs.get(name) if precision == "float16" else None
        file = half or self.graphs[name]
        model = file.read()
        try:
            cca_core.check_graph(model)
        except cca_core.BundleError as error:
            raise broken(file.path, error) from error
        return model

    def read_tables(self) -> dict[str, EntropyTables]:
        """The coder's tables: `gaussian`, one a scale, and `z`, one a hyper-latent channel.

        Raises:
            BadInputError: The file is missing, damaged, or holds no valid tables.
        """
        try:
            gaussian, hyper_latents = cca_core.read_tables(self.tables_file.read())
        except cca_core.BundleError as error:
            raise broken(self.tables_file.path, error) from error
        return {"gaussian": gaussian, "z": hyper_latents}

    def read_model(self) -> Model:
        """What the core's machines code with.

        Raises:
            BadInputError: The tables are missing, damaged, or do not fit the manifest.
        """
        try:
            return Model(self.text, self.tables_file.read())
        except cca_core.BundleError as error:
            raise broken(self.tables_file.path, error) from error


def find_bundle(path_or_name: str | os.PathLike[str] | None) -> Path:
    """The directory of a bundle given by path, or of a shipped model given by name; absolute.

    Raises:
        BadInputError: There is no such directory or shipped model.
    """
    if path_or_name is None:
        path_or_name = DEFAULT_MODEL
    path = Path(path_or_name)
    # Not `Path.is_dir`, which raises where the system does not take the name.
    if os.path.isdir(path):  # noqa: PTH112
        return path.absolute()  # the process may change its directory before a graph is read
    shipped = {entry.parent.name: entry.parent for entry in _MODELS.glob("*/manifest.json")}
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    names = ", ".join(sorted(shipped)) or "none"
    raise BadInputError(
        f"no model bundle at '{path}': pass a directory made by cca-export, "
        f"or the name of a model that ships with the package ({names})"
    )


def open_bundle(path_or_name: str | os.PathLike[str] | None = None) -> Bundle:
    """Open a bundle and validate its manifest.

    Args:
        path_or_name: A bundle directory, the name of a shipped model, or None for
            the default model.

    Raises:
        BadInputError: No bundle there, or its manifest is not valid.
    """
    path = find_bundle(path_or_name)
    text = _read_manifest(path)
    try:
        manifest = cca_core.read_manifest(text)
    except cca_core.BundleError as error:
        raise broken(path / _MANIFEST, error) from error
    transforms = (manifest.analysis, *manifest.priors, manifest.synthesis)
    conformance = manifest.conformance
    return Bundle(
        path=path,
        name=manifest.name,
        model_id=manifest.model_id,
        entropy_mode=manifest.entropy_mode,
        group_sizes=manifest.group_sizes,
        latent_channels=manifest.latent_channels,
        hyper_channels=manifest.hyper_channels,
        smallest_scale=manifest.smallest_scale,
        graphs={graph.name: _file(path, graph.file) for graph in transforms},
        fp16_graphs={
            graph.name: _file(path, graph.float16) for graph in transforms if graph.float16
        },
        tables_file=_file(path, manifest.tables),
        conformance=conformance
        and ConformanceVectors(
            _file(path, conformance.file),
            conformance.cases,
            manifest.latent_channels,
            manifest.hyper_channels,
        ),
        outputs={graph.name: graph.outputs for graph in transforms},
        widest_stage=manifest.widest_stage,
        text=text,
    )


def _read_manifest(path: Path) -> bytes:
    try:
        return read_file(path, _MANIFEST, _MAX_MANIFEST_BYTES)
    except BadInputError as error:
        raise BadInputError(f"{error}: '{path}' is not a model bundle") from error


def _file(path: Path, file: cca_core.BundleFile) -> BundleFile:
    return BundleFile(path, file.path, file.sha256, file.size)
