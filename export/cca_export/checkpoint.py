"""Read a published CCA checkpoint, safely, into a network.

A checkpoint is outside input: it is never unpickled as code, every tensor is
checked before it is used, and whatever is wrong is one `CheckpointError` that
names the file, the entries, and what to do.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cca_export.families.cca.inference import UnknownArchitectureError, infer_architecture
from cca_export.families.cca.network import CcaNetwork

MAX_FILE_BYTES = 16 << 30
"""A training checkpoint of the published size, optimiser state included, is near 2 GB."""

MAX_PARAMETERS = 400_000_000
"""Keeps every graph below the 2 GB that an ONNX file can hold; published models have 65 M."""

_DAMAGED = "is not a PyTorch checkpoint or is damaged: download or copy it again"

_MAX_ENTRIES = 20_000
_LISTED = 5
_LONGEST_ITEM = 150

# Entropy tables and the constants behind them: training leaves them empty or
# stale, so they are always recomputed (`cca_export.tables`).
_IGNORED = re.compile(
    r"aux_entropymodel\."
    r"|(?:z_entropy_bottleneck|gaussian_conditional)\."
    r"(?:_offset|_quantized_cdf|_cdf_length|target|scale_table|scale_bound"
    r"|likelihood_lower_bound\.bound|lower_bound_scale\.bound)$"
)

# CompressAI up to 1.2.6 spelt the factorised prior's parameters `_matrix0`, later `matrices.0`.
_OLD_SPELLING = re.compile(r"z_entropy_bottleneck\._(matrix|bias|factor)(\d)$")
_NEW_SPELLING = {"matrix": "matrices", "bias": "biases", "factor": "factors"}


class CheckpointError(ValueError):
    """The file is not a usable CCA checkpoint. One line: which file, what is wrong, what to do."""


def load_network(path: str | os.PathLike[str], finest_step: float | None = None) -> CcaNetwork:
    """Read a checkpoint and build its network: float32, on the CPU, in evaluation mode.

    Accepts what training and publishing produce: `{"state_dict": ...}` or a bare
    state dict, names with a `module.` prefix, weights of any floating-point type,
    with or without the training-only `aux_entropymodel` and the entropy tables. Beside
    `state_dict` may be `finest_step`, a number; without it, the network knows step 1 alone.

    Args:
        path: A file written by `torch.save`.
        finest_step: The network's, whatever the file says.

    Raises:
        CheckpointError: The file cannot be read, holds code or something else than
            tensors, or its tensors do not fit a CCA network of any size.
    """
    file = Path(path)
    try:
        content = _read(file)
        network = _build(_parameters(_state_dict(content)))
        network.finest_step = _finest_step(content) if finest_step is None else finest_step
        return network
    except CheckpointError as error:
        raise CheckpointError(_printable(f"{file}: {error}")) from error.__cause__


def _read(file: Path) -> object:
    """The unpickled content: tensors and plain containers only."""
    if file.is_dir():
        raise CheckpointError("is a directory: give the checkpoint file (.pth) itself")
    try:
        size = file.stat().st_size
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror}): check the path") from error
    if not file.is_file():
        raise CheckpointError("is no file but a pipe or device: copy it to a file first")
    if size == 0:
        raise CheckpointError("is empty: download or copy it again")
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"is larger than {MAX_FILE_BYTES >> 30} GiB: save the weights alone")
    try:
        # Mapping the file keeps an optimiser's state, several times the weights, out of memory.
        mapped = zipfile.is_zipfile(file)
        if mapped:
            _refuse_compression(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks about odd pickles, before the error they are
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refused_pickle(error)) from error
    except Exception as error:  # torch.load raises whatever a damaged file leads it into
        raise CheckpointError(_DAMAGED) from error


def _refuse_compression(file: Path) -> None:
    """torch.save never compresses, and a mapped file is read as it lies on the disk."""
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise CheckpointError("is a compressed archive: unpack it and give the file inside")


def _refused_pickle(error: pickle.UnpicklingError) -> str:
    found = re.search(r"GLOBAL (\S+)", str(error))
    if not found:
        return _DAMAGED
    return (
        f"holds Python objects ({found[1]}), which could run code and are not loaded: "
        "save it again as torch.save({'state_dict': network.state_dict()}, file)"
    )


def _state_dict(content: object) -> Mapping[str, object]:
    """The state dict, inside `{"state_dict": ...}` or bare, names without `module.`."""
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"holds a {type(content).__name__}, not a state dict: save network.state_dict()"
        )
    found = content.get("state_dict", content)
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise CheckpointError("its state_dict is not a dictionary of named tensors")
    if not found:
        raise CheckpointError("its state dict is empty: save network.state_dict()")
    if len(found) > _MAX_ENTRIES:
        raise CheckpointError(f"its state dict has {len(found)} entries: not a CCA network")
    state = {_canonical(name): value for name, value in found.items()}
    if len(state) < len(found):
        raise CheckpointError("its state dict has entries both with and without 'module.'")
    return state


def _finest_step(content: object) -> float:
    """What stands beside the state dict, above 0 and up to 1."""
    if not isinstance(content, Mapping) or "state_dict" not in content:
        return 1.0
    found = content.get("finest_step", 1.0)
    if not isinstance(found, float) or not 0 < found <= 1:
        shown = found if isinstance(found, float) else f"of type {type(found).__name__}"
        raise CheckpointError(
            f"its finest_step is {shown}, not a float above 0 and up to 1: give "
            "--finest-step, the smallest quantisation step that it was trained for"
        )
    return found


def _canonical(name: str) -> str:
    name = name.removeprefix("module.")
    old = _OLD_SPELLING.match(name)
    return f"z_entropy_bottleneck.{_NEW_SPELLING[old[1]]}.{old[2]}" if old else name


def _parameters(state: Mapping[str, object]) -> dict[str, Tensor]:
    """The entries a codec needs, each checked to be a dense floating-point tensor."""
    parameters: dict[str, Tensor] = {}
    odd: list[str] = []
    for name, value in state.items():
        if _IGNORED.match(name):
            continue
        problem = _tensor_problem(value)
        if problem:
            odd.append(f"{name} ({problem})")
        elif isinstance(value, Tensor):
            parameters[name] = value
    if odd:
        raise CheckpointError(f"entries that are not plain weights: {_some(odd)}")
    total = sum(tensor.numel() for tensor in parameters.values())
    if total > MAX_PARAMETERS:
        raise CheckpointError(f"has {total:,} parameters: at most {MAX_PARAMETERS:,} are supported")
    return parameters


def _tensor_problem(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.layout != torch.strided or value.is_nested:
        return "a sparse tensor"
    if value.is_quantized:
        return "a quantised tensor"
    if value.is_meta:
        return "a tensor without data"
    if not value.is_floating_point():
        return f"of type {str(value.dtype).removeprefix('torch.')}"
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        return "one value repeated"  # a small file could claim any amount of memory
    return ""


def _build(tensors: Mapping[str, Tensor]) -> CcaNetwork:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        architecture = infer_architecture(shapes)
    except UnknownArchitectureError as error:
        if not any(name.startswith(("g_a.", "g_s.", "mean_cc_transforms.")) for name in shapes):
            raise CheckpointError(
                f"is not a CCA checkpoint: it has none of its layers (found {_some(list(shapes))})"
            ) from error
        raise CheckpointError(f"incomplete: missing {_some(error.names)}") from error
    except ValueError as error:
        raise CheckpointError(f"not a network this exporter knows: {error}") from error
    with torch.device("meta"):
        network = CcaNetwork(architecture)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    _compare(shapes, expected)
    weights = {name: tensors[name].detach().to(torch.float32, copy=True) for name in expected}
    unusable = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if unusable:
        raise CheckpointError(f"weights that are infinite or not a number: {_some(unusable)}")
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def _compare(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse any difference, all of it in one error."""
    problems = {
        "missing": [
            f"{name} {list(shape)}" for name, shape in expected.items() if name not in found
        ],
        "unknown": [
            f"{name} {list(shape)}" for name, shape in found.items() if name not in expected
        ],
        "misshaped": [
            f"{name} is {list(found[name])}, expected {list(shape)}"
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ],
    }
    if any(problems.values()):
        lists = "; ".join(
            f"{len(names)} {kind}: {_some(names)}" for kind, names in problems.items() if names
        )
        raise CheckpointError(f"does not fit a CCA network: {lists}")


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(item[:_LONGEST_ITEM] for item in items[:_LISTED]) + more


def _printable(text: str) -> str:
    """Names come from the file: they must not break lines or control a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
