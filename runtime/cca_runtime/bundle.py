"""Reading a model bundle (docs/bundle.md). A bundle is outside input: nothing in it is trusted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cca_engines import Precision

import cca_core
from cca_core import EntropyTables
from cca_runtime.errors import BadInputError
from cca_runtime.manifest import BundleFile, ManifestError, get, get_file, get_name, parse_json
from cca_runtime.vectors import ConformanceVectors, parse_vectors

BUNDLE_VERSION = 4
DEFAULT_MODEL = "default"

_MODELS = Path(__file__).parent / "models"
# A full-size manifest is 6 KB and its tables 60 KB; ONNX itself ends at 2 GiB.
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_TABLES_BYTES = 64 << 20
_MAX_GRAPH_BYTES = (1 << 31) - 1
_MAX_CHANNELS = 1 << 16
_ENTROPY_MODES = ("exact", "native")
_TABLES_FILE = "tables.bin"


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
    graphs: Mapping[str, BundleFile]
    half_graphs: Mapping[str, BundleFile]
    tables_file: BundleFile
    conformance: ConformanceVectors | None
    manifest: Mapping[str, Any]

    @property
    def prior_graphs(self) -> list[str]:
        """`prior_0` to `prior_G`, the graphs that decide what a stream's symbols mean."""
        return _prior_names(self.group_sizes)

    @property
    def averaging_graphs(self) -> set[str]:
        """The prior graphs with an input `averages` (docs/exact.md, "Averages")."""
        graphs = self.manifest["graphs"]
        return {name for name in self.prior_graphs if "averages" in graphs[name]["inputs"]}

    @property
    def exact_graphs(self) -> Sequence[str]:
        """The graphs that every engine has to compute to the same values."""
        return self.prior_graphs if self.entropy_mode == "exact" else ()

    @property
    def files(self) -> list[BundleFile]:
        """Every file of the bundle but the manifest."""
        vectors = [self.conformance.file] if self.conformance else []
        graphs = [*self.graphs.values(), *self.half_graphs.values()]
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
            BadInputError: It is missing, unreadable, or not the file the manifest describes.
        """
        half = self.half_graphs.get(name) if precision == "float16" else None
        return (half or self.graphs[name]).read()

    def read_tables(self) -> dict[str, EntropyTables]:
        """The coder's tables: `gaussian`, one a scale, and `z`, one a hyper-latent channel.

        Raises:
            BadInputError: The file is missing, damaged, or holds no valid tables.
        """
        data = self.tables_file.read()
        try:
            gaussian, hyper_latents = cca_core.read_tables(data)
        except cca_core.BundleError as error:
            raise BadInputError(f"broken bundle: {self.tables_file.path}: {error}") from error
        if len(hyper_latents) != self.hyper_channels:
            raise BadInputError(
                f"broken bundle: {self.tables_file.path} has {len(hyper_latents)} hyper-latent "
                f"tables, the manifest says {self.hyper_channels} channels"
            )
        return {"gaussian": gaussian, "z": hyper_latents}


def find_bundle(path_or_name: str | os.PathLike[str] | None) -> Path:
    """The directory of a bundle given by path, or of a shipped model given by name.

    Raises:
        BadInputError: There is no such directory or shipped model.
    """
    if path_or_name is None:
        path_or_name = DEFAULT_MODEL
    path = Path(path_or_name)
    if path.is_dir():
        return path
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
    file = path / "manifest.json"
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise BadInputError(
            f"'{path}' is not a model bundle: manifest.json cannot be read ({error.strerror})"
        ) from error
    if len(text) > _MAX_MANIFEST_BYTES:
        raise BadInputError(f"broken bundle: {file} is larger than {_MAX_MANIFEST_BYTES} bytes")
    try:
        return _validate(path, parse_json(text))
    except (ValueError, RecursionError, ManifestError) as error:
        raise BadInputError(f"broken bundle: {file}: {error}") from error


def model_id(priors: Mapping[str, BundleFile], tables: BundleFile) -> bytes:
    """First 8 bytes of a SHA-256 over all that the decoder's symbols depend on (docs/bundle.md).

    Args:
        priors: `prior_0` to `prior_G`, in this order.
        tables: The entropy tables.
    """
    lines = ["cca-model-1"]
    lines += [f"{name} {file.sha256}" for name, file in priors.items()]
    lines += [f"tables {tables.sha256}"]
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).digest()[:8]


def _validate(path: Path, manifest: Any) -> Bundle:
    if get(manifest, "format", str) != "cca-bundle":
        raise ManifestError("'format' is not 'cca-bundle'")
    version = get(manifest, "version", int)
    if version != BUNDLE_VERSION:
        raise ManifestError(
            f"bundle version {version} is not supported (knows {BUNDLE_VERSION}): "
            "export the checkpoint again"
        )
    mode = get(manifest, "entropy_mode", str)
    if mode not in _ENTROPY_MODES:
        known = ", ".join(_ENTROPY_MODES)
        raise ManifestError(f"entropy mode '{mode}' is not supported (knows {known})")
    architecture = get(manifest, "architecture", dict)
    sizes = get(architecture, "group_sizes", list)
    for size in sizes:
        if type(size) is not int or not 1 <= size <= _MAX_CHANNELS:
            raise ManifestError(f"group size {size!r} is not an integer in 1..{_MAX_CHANNELS}")
    channels = get(architecture, "latent_channels", int)
    if not sizes or sum(sizes) != channels:
        raise ManifestError(f"group sizes {sizes} do not add up to {channels} latent channels")
    hyper_channels = get(architecture, "hyper_channels", int)
    if not 1 <= hyper_channels <= _MAX_CHANNELS:
        raise ManifestError(f"{hyper_channels} hyper-latent channels are not in 1..{_MAX_CHANNELS}")

    entries = get(manifest, "graphs", dict)
    priors = _prior_names(sizes)
    expected = {"analysis", "synthesis", *priors}
    if set(entries) != expected:
        odd = ", ".join(sorted(set(entries) ^ expected)[:4])
        raise ManifestError(f"missing or unknown graphs for {len(sizes)} channel groups: {odd}")
    graphs = {
        name: get_file(path, entries[name], name, _MAX_GRAPH_BYTES) for name in sorted(expected)
    }
    for name in expected:
        get(entries[name], "inputs", dict)
    half_graphs = {
        name: get_file(path, entries[name]["float16"], name, _MAX_GRAPH_BYTES)
        for name in sorted(expected)
        if "float16" in entries[name]
    }
    if mode == "exact" and not half_graphs.keys() <= {"analysis", "synthesis"}:
        raise ManifestError("an exact prior graph has a variant in float16, which is not exact")
    tables = get_file(path, get(manifest, "tables", dict), "tables", _MAX_TABLES_BYTES)
    if tables.path != path / _TABLES_FILE:
        raise ManifestError(f"the file of 'tables' is not {_TABLES_FILE}")
    identity = model_id({name: graphs[name] for name in priors}, tables)
    if get(manifest, "model_id", str) != identity.hex():
        raise ManifestError(f"'model_id' is not {identity.hex()}, which its files amount to")
    conformance = None
    if mode == "exact":
        entry = get(manifest, "conformance", dict)
        conformance = parse_vectors(path, entry, priors, channels, hyper_channels)
    return Bundle(
        path=path,
        name=get_name(manifest),
        model_id=identity,
        entropy_mode=mode,
        group_sizes=sizes,
        latent_channels=channels,
        hyper_channels=hyper_channels,
        graphs=graphs,
        half_graphs=half_graphs,
        tables_file=tables,
        conformance=conformance,
        manifest=manifest,
    )


def _prior_names(group_sizes: Sequence[int]) -> list[str]:
    return [f"prior_{i}" for i in range(len(group_sizes) + 1)]
