"""Engine `cuda`, on doubles of ONNX Runtime's CUDA provider and of CUDA."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cca_engines import (
    EngineError,
    available_engines,
    engines_by_speed,
    fingerprint,
    fingerprint_backend,
    onnxruntime_cuda,
    open_engine,
    optimisations,
    registry,
)
from cca_engines.cuda.driver import has_gpu
from cca_engines.cuda.libraries import library_version
from cca_engines.onnxruntime import ort
from fakes.fake_cuda import FakeCuda, cudaError_t
from fakes.fake_onnxruntime import FakeOnnxRuntime
from sums import WIDTH, arrays, expected_sum, make_model, run_once

# What goes wrong in a finaliser is a failure too.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

_VERSIONS = {"cublasLtGetVersion": 130100, "cudnnGetVersion": 91300}


class Machine:
    """A machine with a GPU in software and a package onnxruntime-gpu."""

    def __init__(self) -> None:
        self.cuda = FakeCuda()
        self.library = FakeOnnxRuntime(self.cuda)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine that must get back all that it gave."""
    made = Machine()
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings.runtime", made.cuda)
    monkeypatch.setattr(onnxruntime_cuda, "ort", made.library)
    monkeypatch.setattr(onnxruntime_cuda, "library_version", lambda _, name: _VERSIONS[name])
    yield made
    gc.collect()
    assert made.cuda.leftovers() == {}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("optimisation", optimisations("cuda"))
def test_a_session_computes_its_graph(optimisation: str) -> None:
    engine = open_engine("cuda", optimisation=optimisation)
    graph = engine.load(make_model(2), "doubled")
    assert (graph.inputs, graph.outputs) == (["x", "bytes"], ["sum", "low"])
    for seed in range(4):
        run_once(engine, graph, rows=5 + seed % 2, seed=seed, factor=2)


def test_settings_are_those_of_exact_and_repeatable_results(machine: Machine) -> None:
    open_engine("cuda").load(make_model(), "sums")
    open_engine("cuda", optimisation="heuristic").load(make_model(), "sums")
    assert [options["cudnn_conv_algo_search"] for options in machine.library.options] == [
        "DEFAULT",
        "HEURISTIC",
    ]
    assert {options["use_tf32"] for options in machine.library.options} == {"0"}


def test_tensors_stay_on_the_device_and_nothing_waits(machine: Machine) -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    tensors = {name: engine.to_device(array) for name, array in arrays(4).items()}
    expected = arrays(4)["x"]
    for _ in range(5):
        tensors["x"] = graph.run(tensors)["sum"]
        expected = expected + arrays(4)["bytes"]
    assert (machine.library.waits, machine.cuda.calls.count("cudaStreamSynchronize")) == (0, 0)
    np.testing.assert_array_equal(engine.to_host(tensors["x"]), expected)
    assert machine.cuda.calls.count("cudaStreamSynchronize") == 1


@pytest.mark.usefixtures("machine")
def test_outputs_go_into_rows_of_a_tensor() -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    whole = engine.to_device(np.full((9, WIDTH), -1, np.float32))
    inputs = {name: engine.to_device(array) for name, array in arrays(4).items()}
    place = engine.rows(whole, 3, 7)
    outputs = graph.run(inputs, {"sum": place})
    assert outputs["sum"] is place
    again = graph.run(inputs | {"x": place})  # read from where it lies
    found = engine.to_host(whole)
    np.testing.assert_array_equal(found[3:7], expected_sum(arrays(4)))
    assert (found[[0, 1, 2, 7, 8]] == -1).all()
    np.testing.assert_array_equal(
        engine.to_host(again["sum"]), expected_sum(arrays(4)) + arrays(4)["bytes"]
    )


@pytest.mark.usefixtures("machine")
def test_outputs_outlive_later_runs_and_the_graph() -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    kept = graph.run({name: engine.to_device(array) for name, array in arrays(4).items()})
    low = kept.pop("low")
    del kept
    for seed in range(1, 5):
        run_once(engine, graph, rows=4, seed=seed)
    del graph
    np.testing.assert_array_equal(engine.to_host(low), np.minimum(expected_sum(arrays(4)), 255))


def test_twins_run_in_threads(machine: Machine) -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    failures = []

    def work(number: int) -> None:
        try:
            own = engine.new_context()
            twin = graph.new_context(own)
            assert own.description == engine.description
            for round_ in range(10):
                run_once(own, twin, rows=number + 1 + round_ % 2, seed=number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    streams = {options["user_compute_stream"] for options in machine.library.options}
    assert len(streams) == 5, "each session on its own engine's stream"
    run_once(engine, graph, rows=2, seed=0)


@pytest.mark.usefixtures("machine")
def test_the_description_tells_all_that_results_depend_on() -> None:
    engine = open_engine("cuda")
    assert engine.description == (
        "onnxruntime 1.99.0 with CUDA 13.0, cuBLAS 130100, cuDNN 91300, float32, optimisation "
        "default, Software GPU (compute capability 8.9), driver for CUDA 13.0, CUDA 13.0"
    )
    assert engine.capabilities.deterministic
    assert engine.load(make_model(), "sums").identity == ""
    assert fingerprint_backend(fingerprint(engine)) == "cuda"
    assert fingerprint(engine) != fingerprint(open_engine("cuda", optimisation="heuristic"))


def refusal(engine: Any, graph: Any, **changes: np.ndarray) -> str:
    tensors = {name: engine.to_device(array) for name, array in (arrays(2) | changes).items()}
    with pytest.raises(EngineError) as failure:
        graph.run(tensors)
    assert "\n" not in str(failure.value)
    return str(failure.value)


@pytest.mark.usefixtures("machine")
def test_what_a_graph_does_not_take() -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    assert refusal(engine, graph, x=np.zeros((2, WIDTH + 1), np.float32)).startswith(
        "graph 'sums' failed: Error in execution: "
    )
    assert "Unexpected input data type" in refusal(engine, graph, x=np.zeros((2, WIDTH), np.int32))
    assert "unknown inputs ['y']" in refusal(engine, graph, y=np.zeros(1))
    inputs = {name: engine.to_device(array) for name, array in arrays(2).items()}
    with pytest.raises(EngineError, match=r"graph 'sums' failed: .* Unexpected output 'sum'"):
        graph.run(inputs, {"sum": engine.empty((3, WIDTH), "float32")})
    with pytest.raises(EngineError, match=r"has no outputs \['difference'\]"):
        graph.run(inputs, {"difference": engine.empty((2, WIDTH), "float32")})
    with pytest.raises(EngineError, match="graph 'broken' cannot be loaded: "):
        engine.load(b"no ONNX at all", "broken")
    run_once(engine, graph, rows=2, seed=0)


@pytest.mark.parametrize(
    "said",
    [
        "Failed to allocate memory for requested buffer of size 1073741824",
        "CUDA failure 2: out of memory ; GPU=0",
    ],
)
def test_too_little_memory(machine: Machine, said: str) -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    machine.library.failing = f"Error in execution: Non-zero status code: {said}\nin file"
    with pytest.raises(
        EngineError,
        match=r"^the GPU has no room for what graph 'sums' computes with: \d+ MiB of 256 MiB are "
        r"free; end other programs that use it, or take a smaller picture$",
    ):
        run_once(engine, graph, rows=2, seed=0)
    run_once(engine, graph, rows=2, seed=0)


def test_failures_on_the_gpu_arrive_when_it_is_waited_for(machine: Machine) -> None:
    engine = open_engine("cuda")
    graph = engine.load(make_model(), "sums")
    outputs = graph.run({name: engine.to_device(array) for name, array in arrays(2).items()})
    machine.cuda.failures["cudaStreamSynchronize"] = cudaError_t.cudaErrorIllegalAddress
    with pytest.raises(EngineError, match="the GPU failed, start the program again"):
        engine.to_host(outputs["sum"])


def fails_to_open() -> str:
    with pytest.raises(EngineError) as failure:
        open_engine("cuda")
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_the_package_without_cuda(machine: Machine) -> None:
    machine.library.providers = ["CPUExecutionProvider"]
    assert fails_to_open() == (
        "engine 'cuda' needs the package onnxruntime-gpu, and onnxruntime 1.99.0 here is the one "
        "without CUDA; they overwrite each other's files, so have only one: pip uninstall -y "
        "onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )


def test_a_machine_without_a_gpu(machine: Machine) -> None:
    machine.cuda.devices = 0
    assert "no NVIDIA GPU is visible" in fails_to_open()


def test_a_driver_older_than_onnx_runtimes_cuda(machine: Machine) -> None:
    machine.library.cuda_version = "14.1"
    assert fails_to_open() == (
        "the NVIDIA driver is for CUDA 13.0, and onnxruntime-gpu 1.99.0 for CUDA 14.1: update the "
        "driver, or install an onnxruntime-gpu for the driver's CUDA"
    )


def test_cudas_libraries_are_missing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime_cuda, "library_version", library_version)
    machine.library.cuda_version = "4.2"  # which has no such libraries anywhere
    assert fails_to_open() == (
        "engine 'cuda' needs CUDA 4's libraries and cuDNN 9 (libcublasLt.so.4: cannot open shared "
        "object file: No such file or directory); install them with: "
        "pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )
    assert capsys.readouterr().out == "", "what the library prints is kept from the output"


def test_a_provider_that_falls_back_to_the_cpu_is_refused(machine: Machine) -> None:
    engine = open_engine("cuda")
    machine.library.unusable = True
    with pytest.raises(EngineError, match=r"ONNX Runtime 1\.99\.0 cannot use the GPU and wrote"):
        engine.load(make_model(), "sums")


def test_a_librarys_version_is_what_it_says() -> None:
    assert library_version("libc.so.6", "getpid") == os.getpid()
    with pytest.raises(OSError, match=r"libmissing\.so\.9"):
        library_version("libmissing.so.9", "version")


def test_the_installed_library_is_the_one_without_cuda() -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    assert "needs the package onnxruntime-gpu" in fails_to_open()


@pytest.mark.parametrize("package", ["onnxruntime", "onnxruntime-gpu"])
@pytest.mark.parametrize("gpu", [False, True])
def test_it_is_available_with_a_gpu_and_the_package_for_it(
    package: str, gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings")
    place = tmp_path / "onnxruntime" / "capi"
    place.mkdir(parents=True)
    (place.parent / "__init__.py").write_text("raise AssertionError('it is not to be imported')")
    text = f"package_name = '{package}'\n__version__ = '1.99.0'\n"
    if package == "onnxruntime-gpu":
        text += "cuda_version = '13.0'\n"
    (place / "build_and_package_info.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "onnxruntime")
    monkeypatch.setattr(registry, "has_gpu", lambda: gpu)
    found = available_engines()
    assert ("cuda" in found) == (gpu and package == "onnxruntime-gpu")
    assert "onnxruntime" in found


def test_engines_on_gpus_need_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_is_installed", lambda name, _: name != "cuda")
    monkeypatch.setattr(registry, "has_gpu", lambda: False)
    assert available_engines() == ["onnxruntime", "openvino"]
    # To be tried in turn all the same: they say what they miss.
    assert engines_by_speed() == ["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
    pytest.importorskip("cuda.bindings")
    monkeypatch.setattr(registry, "has_gpu", lambda: True)
    assert available_engines() == ["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]


def test_there_is_a_gpu_where_its_device_is() -> None:
    """By the driver's library and by what the operating system shows."""
    devices = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("dxg")]
    if not devices:
        assert not has_gpu()
    elif os.environ.get("CUDA_VISIBLE_DEVICES") is None:
        assert has_gpu()


def test_numbers_of_engines_in_streams_are_for_ever() -> None:
    names = [fingerprint_backend(bytes([number]) + bytes(7)) for number in range(1, 6)]
    assert names == ["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx", "cuda"]
