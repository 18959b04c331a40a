"""Changing bundles and headers the way a forger would: every hash and checksum fits."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from cca_core import StreamError, parse_stream, write_stream
from cca_runtime import BadInputError, FailureError
from cca_runtime.codec import Codec
from references import format_reference


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, and leave it at that."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def put_file(bundle: Path, name: str, data: bytes) -> None:
    """Replace `tables`, `conformance` or a graph, and make the manifest agree with it."""

    def change(manifest: dict[str, Any]) -> None:
        entry = manifest[name] if name in manifest else manifest["graphs"][name]
        (bundle / entry["file"]).write_bytes(data)
        entry |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        manifest["model_id"] = model_id(manifest)

    edit(bundle, change)


def model_id(manifest: dict[str, Any]) -> str:
    groups = len(manifest["architecture"]["group_sizes"])
    lines = ["cca-model-1"]
    lines += [f"prior_{i} {manifest['graphs'][f'prior_{i}']['sha256']}" for i in range(groups + 1)]
    lines += [f"tables {manifest['tables']['sha256']}"]
    if "smallest_scale" in manifest:
        lines += [f"smallest_scale {manifest['smallest_scale']}"]
    lines += [""]
    return hashlib.sha256("\n".join(lines).encode()).digest()[:8].hex()


def keep_cases(bundle: Path, count: int) -> None:
    """Leave the first conformance cases alone, in manifest and file."""
    edit(bundle, lambda manifest: manifest["conformance"]["cases"].__delitem__(slice(count, None)))
    cases = json.loads((bundle / "manifest.json").read_text())["conformance"]["cases"]
    arrays = arrays_of(bundle / "conformance.npz")
    names = [f"{case['name']}.{kind}" for case in cases for kind in ("z_symbols", "symbols")]
    put_file(bundle, "conformance", npz(**{name: arrays[name] for name in names}))


def unloadable_graph() -> bytes:
    """A graph with nothing wrong for those who do not run it: a convolution without weights."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Conv", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "broken", [value], [result])
    model = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 18)]
    )
    return model.SerializeToString()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def arrays_of(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(file) as arrays:
        return dict(arrays)


def accepted_headers(headers: Iterable[bytes], rest: bytes, codec: Codec) -> int:
    """How many headers, each with a checksum of its own, make a stream with `rest`.

    Each that does is the only one for what it says, and decodes to a picture or is refused.
    """
    accepted = 0
    for header in headers:
        forged = header + struct.pack("<I", format_reference.crc32c(header)) + rest
        try:
            info, payload = parse_stream(forged)
        except StreamError:
            continue
        accepted += 1
        assert write_stream(info, payload) == forged, "there is one stream for this header"
        try:
            with contextlib.suppress(BadInputError):
                assert codec.decode(forged).shape == (info.height, info.width, 3)
        except FailureError as error:  # another digest
            if "the latents are not those that the encoder had" not in str(error):
                raise
    return accepted
