"""Files of plans: what each was built from, for and by, and a directory of them.

A plan file is a line of JSON, which ends with a line feed, and the plan (docs/guide/tensorrt.md).
A plan is code that the GPU runs. The checks here find what was broken or belongs to something
else; who writes a plan file can make it pass all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cca_engines.engine import EngineError, Precision, ShapeRange
from cca_engines.tensorrt.build import Plan
from cca_engines.tensorrt.module import Target, TensorRt
from cca_engines.tensorrt.shapes import shapes_from_json, shapes_to_json
from cca_engines.user_cache import (
    is_private,
    is_private_file,
    open_file,
    write_private,
    write_whole,
)

SUFFIX = ".plan"
_FORMAT = "cca-plan"
_VERSION = 1  # of the file, and of how `build_plan` builds: another one means to build anew
_LONGEST_HEADER = 1 << 16
_LARGEST_PLAN = 1 << 36
_DIGEST = re.compile(r"[0-9a-f]{64}")
_GRAPH = re.compile(r"[A-Za-z0-9_-]+")


class PlanFileError(Exception):
    """A file is not a plan file, or broken. One line, without its path."""


@dataclass(frozen=True)
class PlanKey:
    """What a plan has to be, to run one model in one place.

    Attributes:
        library: The engine's name.
        version: Of its module.
        target: The GPUs (`Target.name`).
        model: SHA-256 of the ONNX model, in hexadecimal.
    """

    library: str
    version: str
    target: str
    model: str

    @classmethod
    def of(cls, library: TensorRt, target: Target, model: bytes) -> PlanKey:
        """The key of plans of a serialised model."""
        digest = hashlib.sha256(model).hexdigest()
        return cls(library.name, library.version, target.name, digest)

    def difference(self, wanted: PlanKey) -> str:
        """Why a plan with this key is not the one wanted, in words; empty if it is."""
        if self.model != wanted.model:
            return "was built from another graph"
        if self.library != wanted.library:
            return f"is for engine {self.library}"
        if self.version != wanted.version:
            return f"was built by {self.library} {self.version}, this is {wanted.version}"
        if self.target != wanted.target:
            return f"was built for {self.target}, this is {wanted.target}"
        return ""


@dataclass(frozen=True)
class PlanHeader:
    """The line before a plan.

    Attributes:
        key: What it was built from, for and by.
        shapes: What it takes.
        precision: Its arithmetic.
        layers: Layers of the network that it was built from.
        sha256: Of the plan.
        size: Bytes of the plan.
    """

    key: PlanKey
    shapes: ShapeRange
    precision: Precision
    layers: int
    sha256: str
    size: int

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits for all but the plan itself and what follows from the model."""
        text = json.dumps([vars(self.key), self.precision, shapes_to_json(self.shapes)])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class PlanFile:
    """A plan file of which the header has been read."""

    path: Path
    header: PlanHeader

    def read(self) -> bytes:
        """The plan.

        Raises:
            PlanFileError: It is not what the header says.
        """
        try:
            with os.fdopen(open_file(self.path), "rb") as stream:
                stream.readline(_LONGEST_HEADER)
                data = stream.read(self.header.size + 1)
        except OSError as error:
            raise PlanFileError(error.strerror or str(error)) from error
        if len(data) != self.header.size or hashlib.sha256(data).hexdigest() != self.header.sha256:
            raise PlanFileError("is broken")
        return data


class PlanDirectory:
    """Plan files side by side, those of a graph with its name first. It need not exist.

    One of the user's cache is private: plans that others may have written are passed over.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        self._private = private

    def paths(self, graph: str) -> list[Path]:
        """Files that are named as a graph's plans are, by name.

        Raises:
            EngineError: A graph cannot have this name.
        """
        names = re.compile(rf"{re.escape(_checked(graph))}-[0-9a-f]{{16}}{re.escape(SUFFIX)}")
        try:
            if self._private and not is_private(self.path):
                return []
            return sorted(
                path
                for path in self.path.iterdir()
                if names.fullmatch(path.name) and (not self._private or is_private_file(path))
            )
        except OSError:
            return []

    def files(self, graph: str) -> Iterator[PlanFile]:
        """The plan files of a graph, by name; those that are none are left out.

        Raises:
            EngineError: A graph cannot have this name.
        """
        for path in self.paths(graph):
            with suppress(PlanFileError):
                yield PlanFile(path, read_header(path))

    def write(self, graph: str, key: PlanKey, shapes: ShapeRange, plan: Plan) -> PlanFile:
        """Write a plan; others see the whole file or none.

        Raises:
            EngineError: A graph cannot have this name.
            OSError: It cannot be written.
        """
        digest = hashlib.sha256(plan.data).hexdigest()
        header = PlanHeader(key, shapes, plan.precision, plan.layers, digest, len(plan.data))
        path = self.path / f"{_checked(graph)}-{header.fingerprint[:16]}{SUFFIX}"
        write = write_private if self._private else write_whole
        write(path, _encode(header), plan.data)
        return PlanFile(path, header)


def find_plan(
    directories: Sequence[PlanDirectory], graph: str, key: PlanKey, shapes: ShapeRange
) -> tuple[PlanFile | None, list[str]]:
    """A graph's plan from the first directory that has one.

    Args:
        directories: Where to look.
        graph: The graph's name.
        key: What the plan has to be.
        shapes: Of several plans that differ in shapes alone, take the one for these.

    Returns:
        The plan, if there is one; and for each other file of the graph why it is not it.
    """
    differences = []
    for directory in directories:
        fitting = []
        for path in directory.paths(graph):
            try:
                file = PlanFile(path, read_header(path))
            except PlanFileError as error:
                differences.append(f"{path} {error}")
                continue
            difference = file.header.key.difference(key)
            if difference:
                differences.append(f"{path} {difference}")
            else:
                fitting.append(file)
        if fitting:
            return min(fitting, key=lambda file: file.header.shapes != shapes), differences
    return None, differences


def read_header(path: Path) -> PlanHeader:
    """The header of a plan file.

    Raises:
        PlanFileError: It is none, or longer than any is, or the file's size is another one.
    """
    try:
        with os.fdopen(open_file(path), "rb") as stream:
            line = stream.readline(_LONGEST_HEADER)
            rest = stream.seek(0, 2) - len(line)
    except OSError as error:
        raise PlanFileError(error.strerror or str(error)) from error
    if not line.endswith(b"\n"):
        raise PlanFileError("is no plan file")
    try:
        header = _decode(json.loads(line))
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        EngineError,
    ) as error:
        raise PlanFileError(f"is no plan file of version {_VERSION}") from error
    if rest != header.size:
        raise PlanFileError(f"has {rest} bytes of plan, its header says {header.size}")
    return header


def _encode(header: PlanHeader) -> bytes:
    values = {
        "format": _FORMAT,
        "version": _VERSION,
        "engine": header.key.library,
        "engine_version": header.key.version,
        "target": header.key.target,
        "model": header.key.model,
        "precision": header.precision,
        "shapes": shapes_to_json(header.shapes),
        "layers": header.layers,
        "sha256": header.sha256,
        "bytes": header.size,
    }
    return json.dumps(values).encode() + b"\n"


def _decode(values: Any) -> PlanHeader:
    if (values["format"], values["version"]) != (_FORMAT, _VERSION):
        raise ValueError("another format")
    texts = [values[name] for name in ("engine", "engine_version", "target", "model", "sha256")]
    library, version, target, model, sha256 = texts
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise TypeError("not text")
    if not (_DIGEST.fullmatch(model) and _DIGEST.fullmatch(sha256)):
        raise ValueError("no digest")
    if values["precision"] not in ("float32", "float16"):
        raise ValueError("no precision")
    shapes = shapes_from_json({name: _sizes(sizes) for name, sizes in values["shapes"].items()})
    shapes_to_json(shapes)  # refuses what does not ascend
    return PlanHeader(
        key=PlanKey(library, version, target, model),
        shapes=shapes,
        precision=values["precision"],
        layers=_natural(values["layers"]),
        sha256=sha256,
        size=_natural(values["bytes"]),
    )


def _sizes(sizes: Any) -> list[int]:
    smallest, typical, largest = sizes
    return [_natural(smallest), _natural(typical), _natural(largest)]


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 < value <= _LARGEST_PLAN:
        raise ValueError("no size")
    return value


def _checked(graph: str) -> str:
    """The name, which may stand in a path."""
    if not _GRAPH.fullmatch(graph):
        raise EngineError(f"no plan file can be named after graph {graph!r}")
    return graph
