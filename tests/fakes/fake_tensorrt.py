"""TensorRT in software: plans that hold an ONNX model, run by ONNX Runtime on `fake_cuda`.

It has the part of the modules `tensorrt` and `tensorrt_rtx` that runs plans, and is as strict:
`Misuse` is raised for what TensorRT leaves undefined. A context's recorded work breaks when
the context has been given other shapes since; its first run at some shapes cannot be recorded;
what it computes with is written over with rubbish in each run.
"""

from __future__ import annotations

import json
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from cca_engines.onnxruntime import ort
from fakes.fake_cuda import FakeCuda, Misuse

Range = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Smallest, typical and largest shape."""

_MAGIC = b"software plan\n"


def make_plan(model: bytes, version: str, profile: Mapping[str, Range]) -> bytes:
    """A plan that `FakeTensorRt` of this version loads.

    Args:
        model: The serialised ONNX model.
        version: Of the module.
        profile: The shapes of each input.
    """
    header = json.dumps({"version": version, "profile": dict(profile)}).encode()
    return _MAGIC + header + b"\n" + model


class FakeTensorRt(types.ModuleType):
    """Stands in for one of the modules.

    Attributes:
        refuses_capture: Its contexts cannot be recorded.
        contexts: Contexts that are alive.
        engines: Plans that are loaded.
        failing: What to log, and then fail, at the next call of a function, by its name.
    """

    def __init__(self, name: str, version: str, cuda: FakeCuda) -> None:
        super().__init__(name)
        self.__version__ = version
        self.cuda = cuda
        self.refuses_capture = False
        self.contexts = 0
        self.engines = 0
        self.failing: dict[str, str] = {}
        self.ILogger = _Logger
        self.TensorIOMode = types.SimpleNamespace(INPUT="in", OUTPUT="out")
        self.ExecutionContextAllocationStrategy = types.SimpleNamespace(USER_MANAGED="user")
        self.DynamicShapesKernelSpecializationStrategy = types.SimpleNamespace(EAGER="eager")
        self.nptype = np.dtype
        self.Runtime = lambda logger: _Runtime(self, logger)

    def fails(self, function: str, logger: Any) -> bool:
        """Whether a function is to fail; says why."""
        if function not in self.failing:
            return False
        logger.log(_Logger.Severity.ERROR, self.failing.pop(function))
        return True


class _Logger:
    Severity = types.SimpleNamespace(
        INTERNAL_ERROR="internal error", ERROR="error", WARNING="warning", INFO="information"
    )


class _Runtime:
    def __init__(self, module: FakeTensorRt, logger: Any) -> None:
        self.module, self.logger = module, logger

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        if not plan.startswith(_MAGIC):
            self.logger.log(_Logger.Severity.ERROR, "no magic tag\nIn file runtime.cpp")
            return None
        header, _, model = plan.removeprefix(_MAGIC).partition(b"\n")
        values = json.loads(header)
        if values["version"] != self.module.__version__:
            self.logger.log(_Logger.Severity.ERROR, "another serialization version")
            return None
        return _Engine(self.module, self.logger, model, values["profile"])


class _Engine:
    def __init__(
        self, module: FakeTensorRt, logger: Any, model: bytes, profile: dict[str, Any]
    ) -> None:
        self.module, self.logger, self.profile = module, logger, profile
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 2
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = {port.name: _dtype(port.type) for port in self.session.get_inputs()}
        self.outputs = {port.name: _dtype(port.type) for port in self.session.get_outputs()}
        self.names = [*self.inputs, *self.outputs]
        self.num_io_tensors = len(self.names)
        self.output_shapes: dict[tuple[Any, ...], dict[str, tuple[int, ...]]] = {}
        module.engines += 1

    def __del__(self) -> None:
        self.module.engines -= 1

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> str:
        modes = self.module.TensorIOMode
        return str(modes.INPUT if name in self.inputs else modes.OUTPUT)

    def get_tensor_dtype(self, name: str) -> np.dtype[Any]:
        return (self.inputs | self.outputs)[name]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        assert index == 0
        return [list(shape) for shape in self.profile[name]]

    def create_runtime_config(self) -> _RuntimeConfig:
        assert self.module.__name__ == "tensorrt_rtx"
        return _RuntimeConfig()

    def create_execution_context(self, how: Any) -> _Context | None:
        if self.module.__name__ == "tensorrt_rtx":
            assert (how.strategy, how.dynamic_shapes_kernel_specialization_strategy) == (
                "user",
                "eager",
            )
        else:
            assert how == "user"
        if self.module.fails("create_execution_context", self.logger):
            return None
        return _Context(self, how)


class _RuntimeConfig:
    """Of TensorRT-RTX, with the cache of the kernels that it has compiled."""

    strategy = "static"
    dynamic_shapes_kernel_specialization_strategy = "lazy"
    cache: _RuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> _RuntimeCache:
        return _RuntimeCache()

    def set_runtime_cache(self, cache: _RuntimeCache) -> bool:
        self.cache = cache
        return True


class _RuntimeCache:
    def __init__(self) -> None:
        self.compiled: list[str] = []

    def serialize(self) -> bytes:
        return json.dumps(self.compiled).encode()

    def deserialize(self, blob: bytes) -> bool:
        try:
            self.compiled = json.loads(blob)
        except ValueError:
            return False
        return True


class _Context:
    def __init__(self, engine: _Engine, how: Any) -> None:
        self.engine, self.module, self.cuda = engine, engine.module, engine.module.cuda
        self.cache = getattr(how, "cache", None)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.scratch: tuple[int, int] | None = None
        self.has_run = False
        self.module.contexts += 1

    def __del__(self) -> None:
        self.module.contexts -= 1

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if self.module.fails("set_input_shape", self.engine.logger):
            return False
        least, _, most = self.engine.profile[name]
        if not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            raise Misuse(f"{name} {shape} is outside the profile")
        if self.shapes.get(name) != shape:
            self.shapes = {**self.shapes, name: shape}  # a new object: see `execute_async_v3`
            self.has_run = False
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        key = tuple(self.shapes[port] for port in self.engine.inputs)
        if key not in self.engine.output_shapes:
            inputs = self.engine.inputs.items()
            zeros = {port: np.zeros(self.shapes[port], dtype) for port, dtype in inputs}
            values = self.engine.session.run(None, zeros)
            shapes = (value.shape for value in values)
            self.engine.output_shapes[key] = dict(zip(self.engine.outputs, shapes, strict=True))
        return self.engine.output_shapes[key][name]

    def update_device_memory_size_for_shapes(self) -> int:
        assert set(self.shapes) == set(self.engine.inputs)
        return sum(int(np.prod(shape)) for shape in self.shapes.values()) * 2

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= self.update_device_memory_size_for_shapes()
        self.cuda.view(address, size)
        self.scratch = (address, size)

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self.engine.names:
            raise Misuse(f"there is no tensor {name}")
        if self.module.fails("set_tensor_address", self.engine.logger):
            return False
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if self.module.fails("execute_async_v3", self.engine.logger):
            return False
        if self.cuda.is_recording(stream) and (self.module.refuses_capture or not self.has_run):
            self.cuda.spoil(stream)
            self.engine.logger.log(_Logger.Severity.ERROR, "operation not permitted in capture")
            return False
        if self.cache is not None and str(self.shapes) not in self.cache.compiled:
            self.cache.compiled.append(str(self.shapes))
        self.has_run = True
        self.cuda.enqueue(stream, self._work())
        return True

    def _work(self) -> Callable[[], None]:
        """One run with the memory that is set now."""
        shapes, addresses, scratch = self.shapes, dict(self.addresses), self.scratch
        assert scratch is not None
        assert set(addresses) == set(self.engine.names)
        sizes = {name: self.get_tensor_shape(name) for name in self.engine.outputs}
        alive = weakref.ref(self)

        def run() -> None:
            context = alive()
            if context is None:
                raise Misuse("a context is destroyed that has work to do")
            if shapes is not context.shapes:
                raise Misuse("a context was given other shapes than its recorded work has")
            engine = context.engine
            inputs = {
                name: context._array(addresses[name], shapes[name], dtype).copy()
                for name, dtype in engine.inputs.items()
            }
            outputs = dict(zip(engine.outputs, engine.session.run(None, inputs), strict=True))
            for name, value in outputs.items():
                context._array(addresses[name], sizes[name], value.dtype)[...] = value
            context.cuda.view(*scratch)[:] = 0xEE
            for name, value in (inputs | outputs).items():
                now = context._array(addresses[name], value.shape, value.dtype)
                if now.tobytes() != value.tobytes():
                    raise Misuse(f"'{name}' shares memory with what was written after it")

        return run

    def _array(self, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.cuda.view(address, size).view(dtype).reshape(shape)


def _dtype(name: str) -> np.dtype[Any]:
    """Of ONNX Runtime's `tensor(float)`."""
    names = {"float": "float32", "float16": "float16", "int32": "int32", "uint8": "uint8"}
    return np.dtype(names[name.removeprefix("tensor(").removesuffix(")")])
