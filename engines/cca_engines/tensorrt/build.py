"""Build a plan: parse an ONNX model and compile it for GPUs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from cca_engines.engine import EngineError, Precision, ShapeRange
from cca_engines.tensorrt.messages import Messages
from cca_engines.tensorrt.module import PORTABLE, Target, TensorRt
from cca_engines.tensorrt.shapes import add_profile
from cca_engines.tensorrt.timing import TimingCache

_MIB = 1 << 20
_BOUNDLESS = 1 << 44
_OF_MEMORY = ("out of memory", "outofmemory", "workspace", "memory is insufficient")
"""What its messages have in common that tell of too little memory."""


@dataclass(frozen=True)
class BuildSettings:
    """How to build.

    Attributes:
        shapes: What the plan is to take.
        target: The GPUs it is for.
        memory: Most bytes that a layer may use beside its tensors; None for the module's limit.
        timing: Kernels' times from earlier builds, for a module that times them.
    """

    shapes: ShapeRange
    target: Target = PORTABLE
    memory: int | None = None
    timing: TimingCache | None = None


@dataclass(frozen=True)
class Plan:
    """A built plan.

    Attributes:
        data: What the module's `Runtime` deserialises.
        precision: The arithmetic of its convolutions.
        layers: Layers of the parsed network.
        seconds: How long building took.
        warnings: What parser and builder warned of, a line each.
    """

    data: bytes
    precision: Precision
    layers: int
    seconds: float
    warnings: tuple[str, ...]


def build_plan(library: TensorRt, model: bytes, name: str, settings: BuildSettings) -> Plan:
    """Build a graph's plan.

    Every value keeps the type that the model gives it. In particular TF32, which TensorRT
    allows unless told otherwise, is off: it rounds what a convolution multiplies to 11 bits,
    and exact graphs need integers of 24. Where half the precision will do, a model says so
    itself, in float16.

    Args:
        library: The module.
        model: The serialised ONNX model.
        name: The graph's name, for errors.
        settings: How.

    Raises:
        EngineError: The module has no GPU that it needs, its parser refuses the model, or
            there is too little memory.
    """
    started = time.monotonic()
    builder = library.builder()
    with library.log.listen() as messages:
        network = builder.create_network(_network_flags(library.module))
        parser = library.module.OnnxParser(network, library.log.logger)
        if not parser.parse(model):
            raise EngineError(_refusal(library, parser, name))
        config = _config(library, builder, settings)
        add_profile(builder, network, config, name, settings.shapes)
        times = settings.timing.attach(config) if settings.timing else None
        data = builder.build_serialized_network(network, config)
        if data is None:
            raise EngineError(_failure(library, messages, name, settings))
        if settings.timing is not None:
            settings.timing.keep(times)
        return Plan(
            data=bytes(data),
            precision=_precision(library.module, network),
            layers=network.num_layers,
            seconds=time.monotonic() - started,
            warnings=tuple(messages.warnings),
        )


def _network_flags(module: Any) -> int:
    # From TensorRT 11 on networks are always strongly typed, and the flag is on its way out.
    flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _config(library: TensorRt, builder: Any, settings: BuildSettings) -> Any:
    module = library.module
    config = builder.create_builder_config()
    config.clear_flag(module.BuilderFlag.TF32)
    memory = settings.memory
    if library.compiles_when_run:
        # Or its work could not be recorded as a CUDA graph.
        config.set_flag(module.BuilderFlag.REQUIRE_USER_ALLOCATION)
        # Its own limit is 64 GiB for what the largest shapes need, or this GPU's memory. What
        # runs the plan may have more, and takes no more than the shapes that it meets need.
        memory = memory or _BOUNDLESS
    if memory is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, memory)
    if settings.target.compute_capability is not None:
        major, minor = settings.target.compute_capability
        capability = getattr(module.ComputeCapability, f"SM{major}{minor}", None)
        if capability is None:
            raise EngineError(
                f"{library.name} {library.version} builds no plans for GPUs of "
                f"{settings.target.name}: take another engine"
            )
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability, 0)
    return config


def _precision(module: Any, network: Any) -> Precision:
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        is_convolution = layer.type == module.LayerType.CONVOLUTION
        if is_convolution and layer.get_output(0).dtype == module.DataType.HALF:
            return "float16"
    return "float32"


def _refusal(library: TensorRt, parser: Any, name: str) -> str:
    refused = f"graph '{name}' is refused by the parser of {library.name} {library.version}"
    if parser.num_errors == 0:
        return refused
    error = parser.get_error(0)
    place = f" at {error.node_operator()} '{error.node_name()}'" if error.node_name() else ""
    reason = " ".join(error.desc().split())
    return f"{refused}{place}: {reason}; install another version, or take another engine"


def _failure(library: TensorRt, messages: Messages, name: str, settings: BuildSettings) -> str:
    reason = messages.reason("it does not say why")
    failed = f"graph '{name}' cannot be built by {library.name} {library.version}"
    # It may only have warned of kernels that it skipped, and then find none that is left.
    said = " ".join([*messages.warnings, reason]).lower()
    if not any(words in said for words in _OF_MEMORY):
        return f"{failed}: {reason}"
    if settings.memory is None:
        return f"{failed}, there is too little memory for the largest of its shapes: {reason}"
    limit = settings.memory // _MIB
    return f"{failed} within the memory limit of {limit} MiB, allow more: {reason}"
