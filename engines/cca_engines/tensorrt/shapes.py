"""The optimisation profile of a graph: which shapes its inputs may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cca_engines.engine import EngineError, ShapeRange

_ANY = -1
"""TensorRT's size of a dimension that may vary."""


def add_profile(builder: Any, network: Any, config: Any, name: str, shapes: ShapeRange) -> None:
    """Give a network's inputs their smallest, typical and largest shapes.

    Args:
        builder: The `Builder`.
        network: A parsed `INetworkDefinition`, whose varying dimensions have names.
        config: The `IBuilderConfig` that receives the profile.
        name: The graph's name, for errors.
        shapes: Sizes by the dimensions' names.

    Raises:
        EngineError: A dimension has no size, or the sizes do not ascend.
    """
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        sizes = [_size(tensor, axis, size, name, shapes) for axis, size in enumerate(tensor.shape)]
        smallest, typical, largest = zip(*sizes, strict=True)
        profile.set_shape(tensor.name, smallest, typical, largest)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"graph '{name}': no profile can be made of {shapes_to_json(shapes)}")


def _size(
    tensor: Any, axis: int, size: int, graph: str, shapes: ShapeRange
) -> tuple[int, int, int]:
    """Smallest, typical and largest size of one dimension."""
    if size != _ANY:
        return size, size, size
    name = tensor.get_dimension_name(axis)
    if name not in shapes.smallest:
        raise EngineError(
            f"graph '{graph}': no sizes are given for dimension '{name}' of '{tensor.name}'"
        )
    return shapes.smallest[name], shapes.typical[name], shapes.largest[name]


def shapes_to_json(shapes: ShapeRange) -> dict[str, list[int]]:
    """Sizes by dimension: smallest, typical, largest.

    Raises:
        EngineError: They do not ascend.
    """
    triples = {
        name: [least, shapes.typical[name], shapes.largest[name]]
        for name, least in sorted(shapes.smallest.items())
    }
    for name, (least, typical, most) in triples.items():
        if not 0 < least <= typical <= most:
            raise EngineError(f"sizes of '{name}' do not ascend: {least}, {typical}, {most}")
    return triples


def shapes_from_json(triples: Mapping[str, Sequence[int]]) -> ShapeRange:
    """The inverse of `shapes_to_json`."""
    smallest, typical, largest = (
        {name: sizes[place] for name, sizes in triples.items()} for place in range(3)
    )
    return ShapeRange(smallest, typical, largest)
