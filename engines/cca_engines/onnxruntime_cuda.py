"""ONNX Runtime's CUDA execution provider: ONNX models on a GPU, without plans."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cca_engines.backend import Backend
from cca_engines.cuda.device import Device, open_device
from cca_engines.cuda.libraries import library_version
from cca_engines.cuda.memory import CudaMemory, DeviceTensor
from cca_engines.cuda.runtime import CudaRuntime, load_runtime
from cca_engines.engine import (
    Capabilities,
    Engine,
    EngineError,
    Graph,
    OutputError,
    PlanOptions,
    Precision,
    Tensor,
)
from cca_engines.failures import explain, first_line, is_of_memory
from cca_engines.forked import Owned
from cca_engines.privacy import unreported

with unreported():
    import onnxruntime as ort

_PROVIDER = "CUDAExecutionProvider"
_DEVICE = ("cuda", 0)
_WHAT = "engine 'cuda'"

# How cuDNN's algorithm for a convolution is chosen. By its heuristics it may be Winograd's,
# which rounds what an exact graph must not round; what `default` takes are implicit matrix
# products. ONNX Runtime's own default compares several by timing them: results would not repeat.
_ALGORITHMS = {"default": "DEFAULT", "heuristic": "HEURISTIC"}
_DEFAULT_OPTIMISATION = "default"

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}

_LOG_ERRORS_ONLY = 3  # what keeps it from using the GPU is only logged
_LOG_NOTHING = 4  # all else that goes wrong arrives as an exception

_REINSTALL = (
    "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
)


class OnnxRuntimeCudaGraph(Graph):
    """One ONNX Runtime session on an engine's stream."""

    def __init__(self, model: bytes, name: str, engine: OnnxRuntimeCudaEngine) -> None:
        """Load a model into GPU memory.

        Args:
            model: The serialised ONNX model.
            name: What to call it in errors.
            engine: Whose stream it runs on.

        Raises:
            EngineError: ONNX Runtime refuses the model or cannot use the GPU.
        """
        try:
            session = engine.create_session(model)
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise _failure(engine, name, "cannot be loaded", error) from error
        inputs = [port.name for port in session.get_inputs()]
        super().__init__(name, inputs, [port.name for port in session.get_outputs()])
        self._model = model
        self._engine = engine
        self._session = Owned(session, _WHAT)
        if _PROVIDER not in session.get_providers():
            raise EngineError(
                f"graph '{name}' cannot be loaded: ONNX Runtime {ort.__version__} cannot use the "
                "GPU and wrote why to the standard error output"
            )
        # The host does not wait for a run: others follow on the same stream.
        self._options = ort.RunOptions()
        self._options.log_severity_level = _LOG_NOTHING
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Put one run on the engine's stream (see `cca_engines.engine.Graph.run`)."""
        self.check_inputs(inputs)
        places = into or {}
        surplus = set(places) - set(self.outputs)
        if surplus:
            raise OutputError(f"graph '{self.name}' has no outputs {sorted(surplus)}")
        session = self._session.get()
        binding = session.io_binding()
        for name in self.inputs:
            binding.bind_input(name, *_DEVICE, *_memory(inputs[name]))
        for name in self.outputs:
            memory = _memory(places[name]) if name in places else ()
            binding.bind_output(name, *_DEVICE, *memory)
        try:
            session.run_with_iobinding(binding, self._options)
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise _failure(self._engine, self.name, "failed", error) from error
        values = dict(zip(self.outputs, binding.get_outputs(), strict=True))
        return {name: places.get(name) or self._tensor(values[name]) for name in self.outputs}

    def new_context(self, engine: Engine) -> OnnxRuntimeCudaGraph:
        """A session of its own, with its own weights: a session runs on one stream."""
        return OnnxRuntimeCudaGraph(self._model, self.name, cast("OnnxRuntimeCudaEngine", engine))

    def _tensor(self, value: Any) -> DeviceTensor:
        """An `OrtValue`, whose memory is the session's, as a tensor that keeps both."""
        shape, dtype = tuple(value.shape()), _DTYPES[value.data_type()]
        return DeviceTensor(value.data_ptr(), shape, dtype, owner=(self, Owned(value, _WHAT)))


@dataclass(frozen=True)
class _Shared:
    """What an engine's contexts have in common.

    Attributes:
        cuda: The CUDA runtime.
        device: The GPU.
        libraries: What computes, with versions.
        optimisation: One of `_ALGORITHMS`.
    """

    cuda: CudaRuntime
    device: Device
    libraries: str
    optimisation: str


class OnnxRuntimeCudaEngine(CudaMemory, Engine):
    """ONNX Runtime's CUDA execution provider in float32, with a stream of its own."""

    name = "cuda"
    capabilities = Capabilities(optimisations=tuple(_ALGORITHMS), batch=8, host_memory=False)

    def __init__(self, shared: _Shared) -> None:
        super().__init__(shared.cuda)
        self._shared = shared

    @property
    def description(self) -> str:
        """Libraries, settings and GPU (see `cca_engines.engine.Engine.description`)."""
        shared = self._shared
        return (
            f"{shared.libraries}, {self.precision}, optimisation {shared.optimisation}, "
            f"{shared.device}"
        )

    def load(
        self,
        model: bytes,
        name: str,
        precision: Precision = "float32",  # noqa: ARG002 - it has no other
    ) -> OnnxRuntimeCudaGraph:
        """Load an ONNX model from memory (see `cca_engines.engine.Engine.load`)."""
        return OnnxRuntimeCudaGraph(model, name, self)

    def new_context(self) -> OnnxRuntimeCudaEngine:
        """An engine with a stream and memory of its own."""
        return OnnxRuntimeCudaEngine(self._shared)

    def create_session(self, model: bytes) -> ort.InferenceSession:
        """A session on this engine's stream.

        Raises:
            Exception: Whatever ONNX Runtime raises.
        """
        options = ort.SessionOptions()
        options.log_severity_level = _LOG_NOTHING
        options.intra_op_num_threads = 1  # for arithmetic on shapes
        options.use_deterministic_compute = True
        provider = {
            "device_id": "0",
            "user_compute_stream": str(int(self.stream.handle)),
            # TF32 rounds what a convolution multiplies to 11 bits, exact graphs need 24.
            "use_tf32": "0",
            "cudnn_conv_algo_search": _ALGORITHMS[self._shared.optimisation],
            # Sessions keep the memory that they have computed with: not twice what they need.
            "arena_extend_strategy": "kSameAsRequested",
        }
        return ort.InferenceSession(
            model, options, providers=[(_PROVIDER, provider)], enable_fallback=0
        )


def open_engine(
    *,
    threads: int | None = None,  # noqa: ARG001 - the GPU has its own
    optimisation: str | None = None,
    precision: Precision | None = None,  # noqa: ARG001 - there is one
    plans: PlanOptions | None = None,  # noqa: ARG001 - it compiles nothing
) -> Engine:
    """The engine on this machine's GPU (see `cca_engines.registry.open_engine`).

    Raises:
        EngineError: A package is missing, or there is no GPU, or no driver that fits.
    """
    if _PROVIDER not in ort.get_available_providers():
        raise EngineError(
            f"engine 'cuda' needs the package onnxruntime-gpu, and onnxruntime {ort.__version__} "
            "here is the one without CUDA; they overwrite each other's files, so have only one: "
            + _REINSTALL
        )
    ort.disable_telemetry_events()  # as in `cca_engines.onnxruntime`
    ort.set_default_logger_severity(_LOG_ERRORS_ONLY)
    cuda = load_runtime()
    device = open_device(cuda)
    major = ort.cuda_version.partition(".")[0]
    if int(device.driver.partition(".")[0]) < int(major):
        raise EngineError(
            f"the NVIDIA driver is for CUDA {device.driver}, and onnxruntime-gpu "
            f"{ort.__version__} for CUDA {ort.cuda_version}: update the driver, "
            "or install an onnxruntime-gpu for the driver's CUDA"
        )
    libraries = _load_libraries(major)
    return OnnxRuntimeCudaEngine(
        _Shared(cuda, device, libraries, optimisation or _DEFAULT_OPTIMISATION)
    )


BACKEND = Backend(OnnxRuntimeCudaEngine.capabilities, open_engine)


def _load_libraries(major: str) -> str:
    """Load what ONNX Runtime computes with, and say which versions those are.

    Without them it would log that they are missing, and compute on the CPU.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls()
    try:
        blas = library_version(f"libcublasLt.so.{major}", "cublasLtGetVersion")
        dnn = library_version("libcudnn.so.9", "cudnnGetVersion")
    except OSError as error:
        raise EngineError(
            f"engine 'cuda' needs CUDA {major}'s libraries and cuDNN 9 ({first_line(error)}); "
            "install them with: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        ) from error
    return f"onnxruntime {ort.__version__} with CUDA {ort.cuda_version}, cuBLAS {blas}, cuDNN {dnn}"


def _failure(memory: CudaMemory, graph: str, what: str, error: Exception) -> EngineError:
    if is_of_memory(error):
        return memory.no_room(f"what graph '{graph}' computes with")
    return explain(error, f"graph '{graph}' {what}")


def _memory(tensor: DeviceTensor) -> tuple[Any, ...]:
    """A tensor as ONNX Runtime binds it: type, shape and address."""
    return tensor.dtype, tensor.shape, tensor.address
