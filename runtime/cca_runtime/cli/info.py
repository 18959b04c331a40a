"""`cca-run info`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from cca_console.console import Console
from cca_console.text import json_line
from cca_core import StreamInfo
from cca_engines import fingerprint_backend

from cca_runtime.bundle import open_bundle
from cca_runtime.cli.failures import explain_failure
from cca_runtime.cli.inputs import STANDARD
from cca_runtime.cli.places import is_folder
from cca_runtime.cli.reading import read_input
from cca_runtime.division import division_of
from cca_runtime.streams import NO_LIMIT, parse


def run(options: argparse.Namespace, console: Console) -> int:
    """Describe every input. Returns the exit code."""
    codes = []
    for name in options.inputs:
        try:
            facts = _describe(name)
            lines = [json_line(facts)] if options.json else _as_text(facts)
        except Exception as error:
            code, message = explain_failure(console, error)
            console.error(f"{name}: {message}")
            codes.append(code)
            continue
        codes.append(0)
        for line in lines:
            console.report(line)
    return codes[0] if len(codes) == 1 else int(any(codes))


def _describe(name: str) -> dict[str, Any]:
    bundle = is_folder(name) or not os.path.lexists(name)
    if name == STANDARD or not bundle:
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
        "step": info.step,
        "padding": dict(zip(("left", "top", "right", "bottom"), info.padding, strict=True)),
        "tiles": _describe_tiles(info),
        "payload_bytes": len(payload),
        "metadata_bytes": {key: len(value) for key, value in sections.items() if value},
    }


def _describe_tiles(info: StreamInfo) -> dict[str, Any] | None:
    if info.tiling is None:
        return None
    window_width, window_height, columns, rows = info.tiling
    across, down = division_of(info).tiles
    return {
        "across": across,
        "down": down,
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


def _as_text(facts: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, facts))
    yield from (f"{key:<{width}}  {_show(value)}" for key, value in facts.items())
    yield ""


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "-" if value is None else str(value)
