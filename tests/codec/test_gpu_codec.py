"""The default model on engines for GPUs, on doubles of their libraries and of CUDA."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import cca_runtime
import numpy as np
import onnx
import pytest
from cca_engines import Engine, PlanOptions, ShapeRange, onnxruntime_cuda, open_engine
from cca_engines.cuda.device import open_device
from cca_engines.cuda.runtime import load_runtime
from cca_engines.tensorrt.build import Plan
from cca_engines.tensorrt.module import load_tensorrt
from cca_engines.tensorrt.plans import PlanDirectory, PlanKey
from cca_runtime.bundle import open_bundle
from cca_runtime.codec import Codec
from fakes.fake_cuda import FakeCuda
from fakes.fake_onnxruntime import FakeOnnxRuntime
from fakes.fake_tensorrt import FakeTensorRt, make_plan
from numpy.typing import NDArray

# What goes wrong in a finaliser is a failure too.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

_ANY = ShapeRange({"batch": 1}, {"batch": 1}, {"batch": 8})


def store_plans(directory: Path) -> None:
    """Plans of the default model, for any size, where an engine finds them."""
    bundle = open_bundle()
    library = load_tensorrt("tensorrt")
    target = library.target(open_device(load_runtime()))
    for name in bundle.graphs:
        model = bundle.read_graph(name)
        profile = {}
        for value in onnx.load_from_string(model).graph.input:
            dims = value.type.tensor_type.shape.dim
            least, most = (
                tuple(dim.dim_value or varying for dim in dims) for varying in (1, 1 << 16)
            )
            profile[value.name] = (least, least, most)
        plan = Plan(make_plan(model, library.version, profile), "float32", 1, 0.0, ())
        PlanDirectory(directory).write(name, PlanKey.of(library, target, model), _ANY, plan)


@pytest.fixture(params=["tensorrt", "cuda"])
def open_on_gpu(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Engine]]:
    """Opens an engine on a GPU that must get back all that it gave."""
    cuda = FakeCuda()
    modules = __import__("sys").modules
    monkeypatch.setitem(modules, "cuda.bindings.runtime", cuda)
    monkeypatch.setitem(modules, "tensorrt", FakeTensorRt("tensorrt", "10.9.0", cuda))
    monkeypatch.setattr(onnxruntime_cuda, "ort", FakeOnnxRuntime(cuda))
    monkeypatch.setattr(onnxruntime_cuda, "library_version", lambda *_: 1)
    load_tensorrt.cache_clear()
    if request.param == "tensorrt":
        store_plans(tmp_path)
    yield lambda: open_engine(request.param, plans=PlanOptions(_ANY, [tmp_path]))
    load_tensorrt.cache_clear()
    gc.collect()
    assert cuda.leftovers() == {}


def test_streams_are_those_of_the_default_engine(
    open_on_gpu: Callable[[], Engine], chelsea: NDArray[np.uint8]
) -> None:
    """Whatever is coded together, at once or again, and with recordings of all that repeats."""
    codec, expected = Codec(open_bundle(), open_on_gpu(), workers=2), cca_runtime.load()
    codec.check_engine()
    sizes = [(64, 64), (50, 64), (70, 40), (64, 1), (64, 64), (60, 60)]
    pictures = [np.ascontiguousarray(chelsea[40 : 40 + h, 80 : 80 + w]) for h, w in sizes]
    for _ in range(3):
        streams = codec.encode(pictures)
        assert streams == [expected.encode(picture) for picture in pictures]
        for restored, stream in zip(codec.decode(streams), streams, strict=True):
            np.testing.assert_allclose(restored, expected.decode(stream), atol=1)
