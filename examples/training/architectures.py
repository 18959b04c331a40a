"""Architectures to train from nothing, by name or from a file."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

from cca_export.families.cca.architecture import (
    Architecture,
    GroupShape,
    NafStackShape,
    TransformShape,
)

# 96 latent channels, half the length of these, cannot hold what 0.5 bits per pixel pay for: the
# best linear 16x16 transform with as many coefficients ends at 24 dB on china and 33 dB on flower.
# The groups keep the published proportions, 2^1.7 : 3^1.7 and so on.
_GROUPS = (9, 29, 58, 96)
_HIDDEN = (32, 32)
_PRIOR_NAF = NafStackShape(width=40, blocks=1)

SMALL = Architecture(
    latent_channels=sum(_GROUPS),
    hyper_channels=48,
    analysis=TransformShape((32, 48, 64), naf_blocks=(1, 1, 1), bottleneck_blocks=(3, 3, 3)),
    synthesis=TransformShape((64, 48, 32), naf_blocks=(1, 1, 1), bottleneck_blocks=(3, 3, 3)),
    hyper_analysis=(48, 48),
    hyper_means=(48, 48),
    hyper_scales=(48, 48),
    factorised_filters=(3, 3, 3, 3),
    groups=tuple(
        GroupShape(channels, _PRIOR_NAF, _PRIOR_NAF, _HIDDEN, _HIDDEN, _HIDDEN)
        for channels in _GROUPS
    ),
)
"""3.1 million parameters."""


_PUBLISHED_NAF = NafStackShape(width=224, blocks=4)
_PUBLISHED_HEAD = (224, 128)

PUBLISHED = Architecture(
    latent_channels=320,
    hyper_channels=192,
    analysis=TransformShape((192, 224, 256), naf_blocks=(4, 4, 4), bottleneck_blocks=(3, 3, 3)),
    synthesis=TransformShape((256, 224, 192), naf_blocks=(4, 4, 4), bottleneck_blocks=(3, 3, 3)),
    hyper_analysis=(256, 256),
    hyper_means=(256, 256),
    hyper_scales=(256, 256),
    factorised_filters=(3, 3, 3, 3),
    groups=tuple(
        GroupShape(
            channels,
            _PUBLISHED_NAF,
            _PUBLISHED_NAF,
            _PUBLISHED_HEAD,
            _PUBLISHED_HEAD,
            _PUBLISHED_HEAD,
        )
        for channels in (8, 28, 56, 92, 136)
    ),
)
"""65 million parameters: the models of the paper."""

_NAMED = {"small": SMALL, "published": PUBLISHED}


class ArchitectureError(ValueError):
    """There is no such architecture, or its file is unusable. One line."""


def named_architecture(name: str) -> Architecture:
    """SMALL, PUBLISHED, or what a JSON file holds, written as in a bundle's manifest.

    Raises:
        ArchitectureError: The file cannot be read, or no network has what it says.
    """
    if name in _NAMED:
        return _NAMED[name]
    file = Path(name)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        architecture: Architecture = _build(Architecture, values, "the file")
    except OSError as error:
        raise ArchitectureError(
            f"{file} cannot be read ({error.strerror}): give small, published or a JSON file"
        ) from error
    except RecursionError as error:
        raise ArchitectureError(f"{file} is nested too deep") from error
    except ValueError as error:
        raise ArchitectureError(f"{file}: {error}") from error
    return architecture


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value`, from JSON, as a dataclass, a tuple or an integer of the type `kind`."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, where)
    if typing.get_origin(kind) is tuple:
        return _build_tuple(typing.get_args(kind), value, where)
    if type(value) is not int:
        raise ValueError(f"{where} must be an integer")
    return value


def _build_dataclass(kind: type, value: Any, where: str) -> Any:
    kinds = typing.get_type_hints(kind)
    # Manifests list the groups' sizes once more, for readers.
    names = set(value) - {"group_sizes"} if isinstance(value, dict) else set()
    if names != set(kinds):
        wrong = ", ".join(sorted(names ^ set(kinds)))
        raise ValueError(f"{where} must hold {', '.join(kinds)}, all and nothing else ({wrong})")
    return kind(**{name: _build(kinds[name], value[name], name) for name in kinds})


def _build_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} must have {len(kinds)} entries")
    return tuple(_build(each, item, where) for each, item in zip(kinds, value, strict=True))
