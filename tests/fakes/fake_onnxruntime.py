"""ONNX Runtime's CUDA provider in software: sessions on the CPU that compute on `fake_cuda`.

It has what the engine uses of the module that the package onnxruntime-gpu brings, and is as
strict: a run happens when its stream is waited for, what a session allocates is used again by
its next run as soon as nobody keeps it, and is gone when nobody keeps the session.
"""

# The names are the library's.
# ruff: noqa: N802

from __future__ import annotations

import types
from typing import Any

import numpy as np
from cca_engines.onnxruntime import ort
from fakes.fake_cuda import FakeCuda, Misuse

PROVIDER = "CUDAExecutionProvider"
_RUBBISH = 0xAD


class FakeOnnxRuntime(types.ModuleType):
    """Stands in for the module.

    Attributes:
        providers: What it was built with.
        unusable: Its CUDA provider cannot be used: sessions compute on the CPU instead.
        failing: What the next run fails with.
        options: The provider options of the sessions made, in order.
        waits: Runs that the host waited for.
    """

    __version__ = "1.99.0"
    cuda_version = "13.0"
    RunOptions = ort.RunOptions
    SessionOptions = ort.SessionOptions

    def __init__(self, cuda: FakeCuda) -> None:
        super().__init__("onnxruntime")
        self.cuda = cuda
        self.providers = [PROVIDER, "CPUExecutionProvider"]
        self.unusable = False
        self.failing: str | None = None
        self.options: list[dict[str, str]] = []
        self.waits = 0

    def get_available_providers(self) -> list[str]:
        return self.providers

    def disable_telemetry_events(self) -> None:
        pass

    def set_default_logger_severity(self, severity: int) -> None:
        pass

    def preload_dlls(self) -> None:
        print("Failed to load libnothing.so")  # noqa: T201 - so does the library

    def InferenceSession(self, model: bytes, options: Any, providers: Any, **settings: Any) -> Any:
        assert settings == {"enable_fallback": 0}
        ((provider, values),) = providers
        assert provider == PROVIDER
        self.options.append(values)
        return _Session(self, model, options, int(values["user_compute_stream"]))


class _Memory:
    """A session's arena: what it gave out and got back, for its own stream."""

    def __init__(self, cuda: FakeCuda, stream: int) -> None:
        self.cuda, self.stream = cuda, stream
        self.idle: list[tuple[int, int]] = []  # size and address
        self.has_session = True

    def take(self, size: int) -> tuple[int, int]:
        for block in self.idle:
            if block[0] == size:
                self.idle.remove(block)
                break
        else:
            status, address = self.cuda.cudaMalloc(max(size, 1))
            if status:
                raise RuntimeError(f"Failed to allocate memory for requested buffer of size {size}")
            block = (size, address)
        # The kernels of this run write over what was there, when the stream comes to it.
        self.cuda.enqueue(self.stream, lambda: self.cuda.view(block[1], size).fill(_RUBBISH))
        return block

    def __del__(self) -> None:
        if self.stream in self.cuda.streams:
            self.cuda.cudaStreamSynchronize(self.stream)
        for _, address in self.idle:
            self.cuda.cudaFree(address)


class _Value:
    """An `OrtValue` of a session's memory."""

    def __init__(self, memory: _Memory, array: np.ndarray) -> None:
        self._memory, self._block = memory, memory.take(array.nbytes)
        self._shape, self._dtype = list(array.shape), array.dtype

    def data_ptr(self) -> int:
        return self._block[1]

    def shape(self) -> list[int]:
        return self._shape

    def data_type(self) -> str:
        names = {"float32": "float", "float16": "float16", "uint8": "uint8", "int32": "int32"}
        return f"tensor({names[str(self._dtype)]})"

    def __del__(self) -> None:
        if hasattr(self, "_block"):
            if not self._memory.has_session:
                raise Misuse("an output is used longer than its session")
            self._memory.idle.append(self._block)


class _Binding:
    def __init__(self) -> None:
        self.inputs: dict[str, tuple[Any, ...]] = {}
        self.outputs: dict[str, tuple[Any, ...]] = {}
        self.values: list[Any] = []

    def bind_input(self, name: str, device: str, number: int, *memory: Any) -> None:
        assert (device, number, len(memory)) == ("cuda", 0, 3)
        self.inputs[name] = memory

    def bind_output(self, name: str, device: str, number: int, *memory: Any) -> None:
        assert (device, number) == ("cuda", 0)
        assert len(memory) in (0, 3)
        self.outputs[name] = memory

    def get_outputs(self) -> list[Any]:
        return self.values


class _Session:
    """Runs on the CPU, on the memory that was bound."""

    def __init__(self, module: FakeOnnxRuntime, model: bytes, options: Any, stream: int) -> None:
        self._module, self._cuda, self._stream = module, module.cuda, stream
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._memory = _Memory(module.cuda, stream)
        self.get_inputs, self.get_outputs = self._session.get_inputs, self._session.get_outputs

    def __del__(self) -> None:
        if hasattr(self, "_memory"):
            self._memory.has_session = False

    def get_providers(self) -> list[str]:
        return self._module.providers[1 if self._module.unusable else 0 :]

    def io_binding(self) -> _Binding:
        return _Binding()

    def run_with_iobinding(self, binding: _Binding, options: Any) -> None:
        if self._module.failing is not None:
            failing, self._module.failing = self._module.failing, None
            raise RuntimeError(failing)
        # The library checks its inputs and knows the outputs' shapes when it is called.
        zeros = {name: np.zeros(shape, dtype) for name, (dtype, shape, _) in binding.inputs.items()}
        try:
            results = dict(
                zip(binding.outputs, self._session.run(list(binding.outputs), zeros), strict=True)
            )
        except Exception as error:
            raise RuntimeError(f"Error in execution: {error}\nand where") from error
        addresses = {}
        for name, result in results.items():
            memory = binding.outputs[name]
            if not memory:
                binding.values.append(value := _Value(self._memory, result))
                addresses[name] = value.data_ptr()
                continue
            if (memory[0], tuple(memory[1])) != (result.dtype, result.shape):
                raise RuntimeError(f"Error in execution: Unexpected output '{name}'")
            binding.values.append(None)
            addresses[name] = memory[2]
        self._cuda.enqueue(self._stream, lambda: self._compute(binding.inputs, addresses))
        if options.get_run_config_entry("disable_synchronize_execution_providers") != "1":
            self._module.waits += 1

    def _compute(self, inputs: dict[str, tuple[Any, ...]], addresses: dict[str, int]) -> None:
        feeds = {name: self._array(*memory).copy() for name, memory in inputs.items()}
        results = dict(zip(addresses, self._session.run(list(addresses), feeds), strict=True))
        for name, result in results.items():
            self._array(result.dtype, result.shape, addresses[name])[...] = result
        for name, (dtype, shape, address) in inputs.items():
            if self._array(dtype, shape, address).tobytes() != feeds[name].tobytes():
                raise Misuse(f"input '{name}' shares memory with an output")

    def _array(self, dtype: Any, shape: Any, address: int) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._cuda.view(address, size).view(dtype).reshape(shape)
