"""The codec's native core for Python: machines, container, entropy coder and bundles.

It knows bytes and numbers, and runs no networks: an engine does (`cca_engines`).
"""

from typing import TYPE_CHECKING

from cca_core._core import (
    DEFAULT_MAX_PIXELS,
    TILE_BY_SIZE,
    TILE_NONE,
    BundleError,
    BundleFile,
    CodingPlan,
    Conformance,
    ConformanceCase,
    Decoder,
    DecoderMachine,
    Encoder,
    EncoderMachine,
    EntropyTables,
    ForeignStreamError,
    Graph,
    InexactError,
    LatentsError,
    LimitError,
    Manifest,
    Model,
    PriorMachine,
    StateError,
    StreamError,
    StreamInfo,
    check_graph,
    choose_tiling,
    could_hold,
    model_id,
    padded_size,
    parse_stream,
    read_manifest,
    read_tables,
    write_stream,
)

if TYPE_CHECKING:
    from cca_core._core import Binding as Binding
    from cca_core._core import Host as Host

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "TILE_BY_SIZE",
    "TILE_NONE",
    "BundleError",
    "BundleFile",
    "CodingPlan",
    "Conformance",
    "ConformanceCase",
    "Decoder",
    "DecoderMachine",
    "Encoder",
    "EncoderMachine",
    "EntropyTables",
    "ForeignStreamError",
    "Graph",
    "InexactError",
    "LatentsError",
    "LimitError",
    "Manifest",
    "Model",
    "PriorMachine",
    "StateError",
    "StreamError",
    "StreamInfo",
    "check_graph",
    "choose_tiling",
    "could_hold",
    "model_id",
    "padded_size",
    "parse_stream",
    "read_manifest",
    "read_tables",
    "write_stream",
]
