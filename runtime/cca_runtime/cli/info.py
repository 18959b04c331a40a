"""`cca-run info`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from cca_engines import fingerprint_backend

from cca_core import StreamInfo
from cca_runtime.bundle import open_bundle
from cca_runtime.cli.files import read_input
from cca_runtime.cli.inputs import STANDARD
from cca_runtime.errors import BadInputError
from cca_runtime.streams import NO_LIMIT, parse
from cca_runtime.tiling import Grid


def run(options: argparse.Namespace) -> int:
    """Describe every input. Returns the exit code."""
    codes = []
    for name in options.inputs:
        try:
            facts = _describe(name)
        except BadInputError as error:
            sys.stderr.write(f"cca-run: error: {name}: {error}\n")
            codes.append(error.exit_code)
            continue
        codes.append(0)
        sys.stdout.write(json.dumps(facts) + "\n" if options.json else _as_text(facts))
    return codes[0] if len(codes) == 1 else int(any(codes))


def _describe(name: str) -> dict[str, Any]:
    if name == STANDARD or Path(name).is_file():
        return _describe_stream(name, read_input(name))
    return _describe_bundle(name)


def _describe_stream(name: str, data: bytes) -> dict[str, Any]:
    info, payload = parse(data, max_pixels=NO_LIMIT)  # which nothing here is allocated for
    sections = {"icc": info.icc, "exif": info.exif, "xmp": info.xmp}
    return {
        "file": name,
        "kind": "stream",
        "width": info.width,
        "height": info.height,
        "bytes": len(data),
        "bpp": round(8 * len(data) / (info.width * info.height), 6),
        "model_id": info.model_id.hex(),
        "entropy_mode": info.entropy_mode,
        "engine": fingerprint_backend(info.fingerprint) if info.fingerprint else None,
        "fingerprint": info.fingerprint.hex() if info.fingerprint else None,
        "padding": dict(zip(("left", "top", "right", "bottom"), info.padding, strict=True)),
        "tiles": _describe_tiles(info),
        "payload_bytes": len(payload),
        "metadata_bytes": {key: len(value) for key, value in sections.items() if value},
    }


def _describe_tiles(info: StreamInfo) -> dict[str, Any] | None:
    if info.tiling is None:
        return None
    window_width, window_height, columns, rows = info.tiling
    tiles = Grid.of(info).tiles
    return {
        "across": tiles.columns,
        "down": tiles.rows,
        "width": window_width * columns,
        "height": window_height * rows,
        "window_width": window_width,
        "window_height": window_height,
    }


def _describe_bundle(name: str) -> dict[str, Any]:
    bundle = open_bundle(name)
    manifest = bundle.manifest
    return {
        "file": str(bundle.path),
        "kind": "bundle",
        "name": bundle.name,
        "model_id": bundle.model_id.hex(),
        "entropy_mode": bundle.entropy_mode,
        "group_sizes": bundle.group_sizes,
        "latent_channels": bundle.latent_channels,
        "hyper_channels": bundle.hyper_channels,
        "parameters": manifest.get("parameters"),
        "kmac_per_pixel": manifest.get("kmac_per_pixel"),
        "bytes": sum(file.size for file in bundle.files),
        "graphs": {graph: file.size for graph, file in bundle.graphs.items()},
        "conformance_cases": len(bundle.conformance.cases) if bundle.conformance else None,
        "exporter": manifest.get("exporter"),
    }


def _as_text(facts: dict[str, Any]) -> str:
    width = max(map(len, facts))
    return "".join(f"{key:<{width}}  {_show(value)}\n" for key, value in facts.items()) + "\n"


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "-" if value is None else str(value)
