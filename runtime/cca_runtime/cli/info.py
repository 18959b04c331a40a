"""`cca-run info`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import Any

from cca_console.console import Console
from cca_console.text import json_line
from cca_core import StreamInfo, quality_of_step, quantisation_step
from cca_engines import fingerprint_backend

from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.cli.failures import explain_failure
from cca_runtime.cli.inputs import STANDARD
from cca_runtime.cli.places import is_folder
from cca_runtime.cli.reading import read_input
from cca_runtime.codec import Codec
from cca_runtime.division import division_of
from cca_runtime.loading import load
from cca_runtime.streams import NO_LIMIT, parse

_FINEST, _COARSEST = -128, 127
"""Codes of steps."""


def run(options: argparse.Namespace, console: Console) -> int:
    """Describe every input. Returns the exit code."""
    model = _Model(options)
    codes = []
    for name in options.inputs:
        try:
            facts = _describe(name, model)
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


class _Model:
    """The model of `--model`, opened when it is first needed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.counts_bytes: bool = options.groups
        self._options = options
        self._bundle: Bundle | None = None
        self._codec: Codec | None = None

    def groups(self, info: StreamInfo) -> int | None:
        """How many channel groups a stream has; None if it is another model's.

        Raises:
            BadInputError: There is no such model.
        """
        if self._bundle is None:
            self._bundle = open_bundle(self._options.model)
        return len(self._bundle.group_sizes) if self._bundle.model_id == info.model_id else None

    def group_bytes(self, data: bytes) -> list[int]:
        """Bytes of a stream's hyper-latents and of each of its channel groups.

        Raises:
            BadInputError: It is another model's, or as `Codec.decode`.
            FailureError: As `Codec.decode`.
        """
        if self._codec is None:
            options = self._options
            self._codec = load(
                options.model,
                options.engine,
                precision=options.precision,
                threads=options.threads,
                trust_plans=options.trust_plans,
            )
        return self._codec.group_bytes(data)


def _describe(name: str, model: _Model) -> dict[str, Any]:
    bundle = is_folder(name) or not os.path.lexists(name)
    if name == STANDARD or not bundle:
        return _describe_stream(name, read_input(name), model)
    return _describe_bundle(name)


def _describe_stream(name: str, data: bytes, model: _Model) -> dict[str, Any]:
    info, payload = parse(data, max_pixels=NO_LIMIT)  # which nothing here is allocated for
    sections = {"icc": info.icc, "exif": info.exif, "xmp": info.xmp}
    metadata = sum(len(value or b"") for value in sections.values())
    facts = {
        "file": name,
        "kind": "stream",
        "width": info.width,
        "height": info.height,
        "bytes": len(data),
        "bpp": round(8 * (len(data) - metadata) / (info.width * info.height), 6),
        "file_bpp": round(8 * len(data) / (info.width * info.height), 6),
        "model_id": info.model_id.hex(),
        "entropy_mode": info.entropy_mode,
        "engine": fingerprint_backend(info.fingerprint) if info.fingerprint else None,
        "fingerprint": info.fingerprint.hex() if info.fingerprint else None,
        "step": quantisation_step(info.step),
        "quality": round(quality_of_step(info.step), 4),
        "groups": model.groups(info),
        "padding": dict(zip(("left", "top", "right", "bottom"), info.padding, strict=True)),
        "tiles": _describe_tiles(info),
        "payload_bytes": len(payload),
        "metadata_bytes": {key: len(value) for key, value in sections.items() if value},
    }
    if model.counts_bytes:
        facts["group_bytes"] = model.group_bytes(data)
    return facts


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


def _steps(bundle: Bundle) -> tuple[int, ...]:
    """Codes of the finest and the coarsest step, or of the only one."""
    return (0,) if bundle.smallest_scale is None else (_FINEST, _COARSEST)


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
        "trained_quality": quality_of_step(0),
        "steps": [quantisation_step(step) for step in _steps(bundle)],
        "smallest_scale": bundle.smallest_scale,
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
    counts = facts.get("group_bytes", [])
    for key, value in facts.items():
        yield f"{key:<{width}}  {_shares(counts) if key == 'group_bytes' else _show(value)}"
    yield ""


def _shares(counts: Sequence[int]) -> str:
    """Bytes of each group, and their shares of all of them."""
    names = ["hyper-latents", *(f"group {number}" for number in range(1, len(counts)))]
    return ", ".join(
        f"{name} {count:,} ({count / sum(counts):.1%})"
        for name, count in zip(names, counts, strict=True)
    )


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "-" if value is None else str(value)
