"""TensorRT's builder in software: what it builds, `fake_tensorrt` runs.

It has the part of the modules that builds plans, and is as strict: `Misuse` is raised where
TensorRT would build something else than what the model says.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Sequence
from typing import Any

import onnx
from fakes.fake_cuda import FakeCuda, Misuse
from fakes.fake_tensorrt import FakeTensorRt, Range, make_plan

_OUT_OF_MEMORY = (
    ("warning", "Tactic Device request: 448MB Available: 425MB. Device memory is insufficient"),
    ("error", "Error Code 10: Internal Error (Could not find any implementation for node conv.)"),
    ("error", "Error Code 2: Internal Error (Assertion engine failed.)"),
)


class FakeBuilderTensorRt(FakeTensorRt):
    """Stands in for one of the modules, with its builder.

    Attributes:
        needs: Bytes that the layers of any model use beside their tensors.
        timed: Of each build, whether it had to time kernels.
        warning: What each build warns of, if anything.
    """

    def __init__(self, name: str, version: str, cuda: FakeCuda) -> None:
        super().__init__(name, version, cuda)
        self.needs = 1 << 20
        self.timed: list[bool] = []
        self.warning = ""
        self.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
        self.BuilderFlag = types.SimpleNamespace(TF32="tf32", REQUIRE_USER_ALLOCATION="user")
        self.MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")
        self.LayerType = types.SimpleNamespace(CONVOLUTION="Conv")
        self.DataType = types.SimpleNamespace(HALF=onnx.TensorProto.FLOAT16)
        self.OnnxParser = _Parser
        self.Builder = lambda logger: _Builder(self, logger)


class _Builder:
    def __init__(self, module: FakeBuilderTensorRt, logger: Any) -> None:
        self.module, self.logger = module, logger
        if module.cuda.devices == 0 and module.__name__ == "tensorrt":
            logger.log(logger.Severity.ERROR, "CUDA initialization failure with error: 100")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags: int) -> _Network:
        if not flags & 1 << 1:
            raise Misuse("without strong types TensorRT chooses the precision of layers")
        return _Network()

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytearray | None:
        if "tf32" in config.flags:
            raise Misuse("TF32 rounds what float32 convolutions multiply")
        if self.module.__name__ == "tensorrt_rtx" and "user" not in config.flags:
            raise Misuse("the plan could not be recorded as a CUDA graph")
        for name in (network.get_input(index).name for index in range(network.num_inputs)):
            if name not in config.profile:
                raise Misuse(f"input {name} has no shapes")
        if self.module.warning:
            self.logger.log(self.logger.Severity.WARNING, self.module.warning)
        if self.module.needs > config.memory:
            for severity, text in _OUT_OF_MEMORY:
                self.logger.log(severity, text)
            return None
        kernels = hashlib.sha256(network.content).hexdigest()
        self.module.timed.append(config.times is None or kernels not in config.times.kernels)
        if config.times is not None:
            config.times.kernels.add(kernels)
        plan = make_plan(network.content, self.module.__version__, config.profile)
        return bytearray(plan)  # a buffer, not bytes


class _Config:
    def __init__(self) -> None:
        self.flags = {"tf32"}
        self.memory = 1 << 40
        self.profile: dict[str, Range] = {}
        self.times: _Times | None = None

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.remove(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        assert pool == "workspace"
        self.memory = size

    def add_optimization_profile(self, profile: _Profile) -> int:
        assert not self.profile
        for least, typical, most in profile.shapes.values():
            if not all(a <= b <= c for a, b, c in zip(least, typical, most, strict=True)):
                return -1
        self.profile = profile.shapes
        return 0

    def create_timing_cache(self, content: bytes) -> _Times | None:
        if not content:
            return _Times(set())
        title, *kernels = content.decode().split("\n")
        return _Times(set(kernels)) if title == "times" else None

    def set_timing_cache(self, times: _Times, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if "of another GPU" in times.kernels:
            return False
        self.times = times
        return True


class _Times:
    """The hashes of models whose kernels were timed."""

    def __init__(self, kernels: set[str]) -> None:
        self.kernels = kernels

    def serialize(self) -> bytearray:
        return bytearray("\n".join(["times", *sorted(self.kernels)]).encode())


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Range] = {}

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        least, typical, most = shapes
        self.shapes[name] = (least, typical, most)


class _Network:
    def __init__(self) -> None:
        self.content = b""
        self.graph = onnx.GraphProto()
        self.types: dict[str, int] = {}

    def read(self, content: bytes) -> None:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
        model = onnx.shape_inference.infer_shapes(model)
        self.content, self.graph = content, model.graph
        self.types = {
            value.name: value.type.tensor_type.elem_type
            for value in (*model.graph.value_info, *model.graph.output)
        }

    @property
    def num_inputs(self) -> int:
        return len(self.graph.input)

    def get_input(self, index: int) -> _Input:
        value = self.graph.input[index]
        return _Input(value.name, value.type.tensor_type.shape.dim)

    @property
    def num_layers(self) -> int:
        return len(self.graph.node)

    def get_layer(self, index: int) -> Any:
        node = self.graph.node[index]
        output = types.SimpleNamespace(dtype=self.types[node.output[0]])
        return types.SimpleNamespace(type=node.op_type, get_output=lambda _: output)


class _Input:
    def __init__(self, name: str, dimensions: Sequence[Any]) -> None:
        self.name = name
        self._names = [dimension.dim_param for dimension in dimensions]
        self.shape = tuple(d.dim_value if not d.dim_param else -1 for d in dimensions)

    def get_dimension_name(self, axis: int) -> str:
        return str(self._names[axis])


class _Parser:
    def __init__(self, network: _Network, logger: Any) -> None:
        self._network, self._logger = network, logger
        self._error = ""
        self.num_errors = 0

    def parse(self, content: bytes) -> bool:
        try:
            self._network.read(content)
        except Exception:
            self._error = "Assertion failed:\nFailed to parse the ONNX model."
            self.num_errors = 1
            self._logger.log(self._logger.Severity.ERROR, self._error)
        return not self.num_errors

    def get_error(self, index: int) -> Any:
        assert index == 0
        return types.SimpleNamespace(
            desc=lambda: self._error, node_name=lambda: "", node_operator=lambda: ""
        )
