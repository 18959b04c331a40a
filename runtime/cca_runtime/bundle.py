"""Reading a model bundle (docs/bundle.md). A bundle is outside input: nothing in it is trusted."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cca_runtime._core import EntropyTables
from cca_runtime.errors import BadInputError

BUNDLE_VERSION = 1
DEFAULT_MODEL = "default"

_MODELS = Path(__file__).parent / "models"
# A full-size manifest is 6 KB and its tables 60 KB; ONNX itself ends at 2 GiB.
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_TABLES_BYTES = 64 << 20
_MAX_GRAPH_BYTES = (1 << 31) - 1
_MAX_CHANNELS = 1 << 16
_TABLES = ("gaussian", "z")
_TABLE_PARTS = ("cdf", "length", "offset")


@dataclass(frozen=True)
class BundleFile:
    """Where a file of the bundle lies and what it must contain."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class Bundle:
    """A validated manifest. Graphs and tables are read, and checked, on demand."""

    path: Path
    name: str
    model_id: bytes
    entropy_mode: str
    group_sizes: list[int]
    latent_channels: int
    hyper_channels: int
    graphs: Mapping[str, BundleFile]
    tables_file: BundleFile
    manifest: Mapping[str, Any]

    def read_graph(self, name: str) -> bytes:
        """The serialised ONNX model of graph `name`.

        Raises:
            BadInputError: It is missing, unreadable, or not the file the manifest describes.
        """
        return _read_checked(self.graphs[name])

    def read_tables(self) -> dict[str, EntropyTables]:
        """The coder's tables: `gaussian`, one a scale, and `z`, one a hyper-latent channel.

        Raises:
            BadInputError: The file is missing, damaged, or holds no valid tables.
        """
        data = _read_checked(self.tables_file)
        try:
            arrays = _read_npz(data)
            tables = {
                name: EntropyTables(*(arrays[f"{name}_{part}"] for part in _TABLE_PARTS))
                for name in _TABLES
            }
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BadInputError(
                f"broken bundle: {self.tables_file.path} holds no valid entropy tables ({error})"
            ) from error
        if len(tables["z"]) != self.hyper_channels:
            raise BadInputError(
                f"broken bundle: {self.tables_file.path} has {len(tables['z'])} hyper-latent "
                f"tables, the manifest says {self.hyper_channels} channels"
            )
        return tables


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
        manifest = json.loads(text)
        return _validate(path, manifest)
    except (ValueError, RecursionError, _ManifestError) as error:
        raise BadInputError(f"broken bundle: {file}: {error}") from error


def model_id(graphs: Mapping[str, BundleFile], tables: BundleFile) -> bytes:
    """First 8 bytes of a SHA-256 over all that the decoder's symbols depend on (docs/bundle.md)."""
    lines = ["cca-model-1"]
    lines += [f"prior_{i} {graphs[f'prior_{i}'].sha256}" for i in range(_prior_graphs(graphs))]
    lines += [f"tables {tables.sha256}"]
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).digest()[:8]


class _ManifestError(Exception):
    pass


def _validate(path: Path, manifest: Any) -> Bundle:
    if _get(manifest, "format", str) != "cca-bundle":
        raise _ManifestError("'format' is not 'cca-bundle'")
    version = _get(manifest, "version", int)
    if version != BUNDLE_VERSION:
        raise _ManifestError(f"bundle version {version} is not supported (knows {BUNDLE_VERSION})")
    mode = _get(manifest, "entropy_mode", str)
    if mode != "native":
        raise _ManifestError(f"entropy mode '{mode}' is not supported (knows 'native')")
    architecture = _get(manifest, "architecture", dict)
    sizes = _get(architecture, "group_sizes", list)
    for size in sizes:
        if type(size) is not int or not 1 <= size <= _MAX_CHANNELS:
            raise _ManifestError(f"group size {size!r} is not an integer in 1..{_MAX_CHANNELS}")
    channels = _get(architecture, "latent_channels", int)
    if not sizes or sum(sizes) != channels:
        raise _ManifestError(f"group sizes {sizes} do not add up to {channels} latent channels")
    hyper_channels = _get(architecture, "hyper_channels", int)
    if not 1 <= hyper_channels <= _MAX_CHANNELS:
        raise _ManifestError(
            f"{hyper_channels} hyper-latent channels are not in 1..{_MAX_CHANNELS}"
        )

    entries = _get(manifest, "graphs", dict)
    expected = {"analysis", "synthesis", *(f"prior_{i}" for i in range(len(sizes) + 1))}
    if set(entries) != expected:
        odd = ", ".join(sorted(set(entries) ^ expected)[:4])
        raise _ManifestError(f"missing or unknown graphs for {len(sizes)} channel groups: {odd}")
    graphs = {
        name: _file_entry(path, entries[name], name, _MAX_GRAPH_BYTES) for name in sorted(expected)
    }
    tables = _file_entry(path, _get(manifest, "tables", dict), "tables", _MAX_TABLES_BYTES)
    identity = model_id(graphs, tables)
    if _get(manifest, "model_id", str) != identity.hex():
        raise _ManifestError(f"'model_id' is not {identity.hex()}, which its files amount to")
    return Bundle(
        path=path,
        name=_get(manifest, "name", str),
        model_id=identity,
        entropy_mode=mode,
        group_sizes=sizes,
        latent_channels=channels,
        hyper_channels=hyper_channels,
        graphs=graphs,
        tables_file=tables,
        manifest=manifest,
    )


def _get(mapping: Any, key: str, kind: type) -> Any:
    if not isinstance(mapping, dict) or type(mapping.get(key)) is not kind:
        raise _ManifestError(f"'{key}' is missing or is no {kind.__name__}")
    return mapping[key]


def _file_entry(root: Path, entry: Any, name: str, most: int) -> BundleFile:
    relative = _get(entry, "file", str)
    # The pattern keeps a bundle from naming files outside itself.
    if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.(onnx|npz)", relative):
        raise _ManifestError(f"'{name}' names an unusable file {relative!r}")
    sha256 = _get(entry, "sha256", str)
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise _ManifestError(f"'{name}' has no SHA-256 of 64 hexadecimal digits")
    size = _get(entry, "bytes", int)
    if not 0 < size <= most:
        raise _ManifestError(f"'{name}' claims {size} bytes, the limit is {most}")
    return BundleFile(root / relative, sha256, size)


def _prior_graphs(graphs: Mapping[str, BundleFile]) -> int:
    return sum(name.startswith("prior_") for name in graphs)


def _read_checked(file: BundleFile) -> bytes:
    try:
        with file.path.open("rb") as stream:
            data = stream.read(file.size + 1)
    except OSError as error:
        raise BadInputError(f"broken bundle: {file.path}: {error.strerror}") from error
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise BadInputError(
            f"broken bundle: {file.path} is not the file its manifest describes; export it again"
        )
    return data


def _read_npz(data: bytes) -> dict[str, NDArray[np.int32]]:
    """Load the tables' arrays, none of them larger than its file may be."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        arrays = {}
        for name in (f"{table}_{part}" for table in _TABLES for part in _TABLE_PARTS):
            size = archive.getinfo(f"{name}.npy").file_size
            if size > _MAX_TABLES_BYTES:
                raise ValueError(f"{name} unpacks to {size} bytes")
            raw = archive.read(f"{name}.npy")
            # From a buffer of known length, a shape that claims more than is there
            # cannot be allocated: read_array would believe the header.
            arrays[name] = _parse_npy(raw, name)
    return arrays


def _parse_npy(raw: bytes, name: str) -> NDArray[np.int32]:
    stream = io.BytesIO(raw)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not in npy format 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.dtype("<i4") or fortran:
        raise ValueError(f"{name} is not a C-ordered int32 array")
    values = np.frombuffer(raw, dtype="<i4", offset=stream.tell())
    if values.size != int(np.prod(shape, dtype=object)):
        raise ValueError(f"{name} has {values.size} values for shape {shape}")
    return values.reshape(shape).astype(np.int32, copy=False)
