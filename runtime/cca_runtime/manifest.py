"""Values and files that a bundle's manifest names, none of them trusted."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cca_runtime.errors import BadInputError


class ManifestError(Exception):
    """The manifest is not valid. One line, without the manifest's path."""


@dataclass(frozen=True)
class BundleFile:
    """Where a file of the bundle lies and what it must contain."""

    path: Path
    sha256: str
    size: int

    def read(self) -> bytes:
        """The file's content.

        Raises:
            BadInputError: It is missing, unreadable, or not what the manifest describes.
        """
        try:
            with self.path.open("rb") as stream:
                data = stream.read(self.size + 1)
        except OSError as error:
            raise BadInputError(f"broken bundle: {self.path}: {error.strerror}") from error
        if len(data) != self.size or hashlib.sha256(data).hexdigest() != self.sha256:
            raise BadInputError(
                f"broken bundle: {self.path} is not the file its manifest describes; "
                "export it again"
            )
        return data


def parse_json(text: bytes) -> Any:
    """The value of a JSON document in UTF-8, read as strictly as the native core reads it.

    Raises:
        ValueError, RecursionError: It is none, or two readers could understand it differently.
    """
    return json.loads(
        text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant
    )


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(members)
    if len(result) != len(members):
        raise ValueError("an object has a name twice")
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def get(mapping: Any, key: str, kind: type) -> Any:
    """`mapping[key]`, which must be a `kind` and no subclass of it: a bool is no int.

    Raises:
        ManifestError: It is missing or something else.
    """
    if not isinstance(mapping, dict) or type(mapping.get(key)) is not kind:
        raise ManifestError(f"'{key}' is missing or is no {kind.__name__}")
    return mapping[key]


def get_integer(mapping: Any, key: str, most: int) -> int:
    """`mapping[key]`, an integer from 1 to `most`.

    Raises:
        ManifestError: It is missing or something else.
    """
    value: int = get(mapping, key, int)
    if not 1 <= value <= most:
        raise ManifestError(f"'{key}' is {value}, which is not in 1..{most}")
    return value


def get_name(mapping: Any) -> str:
    """`mapping["name"]`, a text that can be printed.

    Raises:
        ManifestError: It is missing, or would do things to a terminal.
    """
    name: str = get(mapping, "name", str)
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
        raise ManifestError("'name' has control characters")
    return name


def get_digest(mapping: Any, key: str) -> str:
    """`mapping[key]`, a SHA-256 in hexadecimal.

    Raises:
        ManifestError: It is missing or something else.
    """
    value: str = get(mapping, key, str)
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ManifestError(f"'{key}' is no SHA-256 of 64 hexadecimal digits")
    return value


def get_file(root: Path, entry: Any, name: str, most: int) -> BundleFile:
    """The file that `entry` describes, at most `most` bytes of it.

    Raises:
        ManifestError: Its path leads outside the bundle, or its size or digest is none.
    """
    relative = get(entry, "file", str)
    # The pattern keeps a bundle from naming files outside itself.
    if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*(\.fp16)?\.(onnx|npz|bin)", relative):
        raise ManifestError(f"'{name}' names an unusable file {relative!r}")
    size = get(entry, "bytes", int)
    if not 0 < size <= most:
        raise ManifestError(f"'{name}' claims {size} bytes, the limit is {most}")
    try:
        return BundleFile(root / relative, get_digest(entry, "sha256"), size)
    except ManifestError as error:
        raise ManifestError(f"'{name}': {error}") from error
