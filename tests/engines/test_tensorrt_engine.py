"""Plans run by engines `tensorrt` and `tensorrt-rtx`, on doubles of the modules and of CUDA."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cca_engines import EngineError, PlanOptions, ShapeRange
from cca_engines.cuda.device import open_device
from cca_engines.cuda.runtime import load_runtime
from cca_engines.tensorrt.build import Plan
from cca_engines.tensorrt.engine import TensorRtEngine, open_tensorrt
from cca_engines.tensorrt.module import load_tensorrt
from cca_engines.tensorrt.plans import PlanDirectory, PlanKey
from fakes.fake_cuda import FakeCuda, Misuse, cudaError_t
from fakes.fake_tensorrt import FakeTensorRt, make_plan
from sums import WIDTH, arrays, expected_sum, make_model, run_once

# What goes wrong in a finaliser is a failure too.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

SHAPES = ShapeRange({"rows": 1}, {"rows": 4}, {"rows": 64})


class Machine:
    """A machine with a GPU in software, both modules, and a directory of plans."""

    def __init__(self, directory: Path) -> None:
        self.cuda = FakeCuda()
        self.standard = FakeTensorRt("tensorrt", "10.9.0", self.cuda)
        self.rtx = FakeTensorRt("tensorrt_rtx", "1.7.1", self.cuda)
        self.directory = directory
        self.said: list[str] = []

    def module(self, name: str) -> FakeTensorRt:
        return self.standard if name == "tensorrt" else self.rtx

    def open(self, name: str = "tensorrt", optimisation: str | None = None) -> TensorRtEngine:
        plans = PlanOptions(SHAPES, [self.directory], say=self.said.append)
        return open_tensorrt(name, optimisation=optimisation, plans=plans)

    def store(self, model: bytes, graph: str, name: str = "tensorrt") -> None:
        """Put a plan for 1 to 64 rows where engines look."""
        library = load_tensorrt(name)
        target = library.target(open_device(load_runtime()))
        sides = ((1, WIDTH), (4, WIDTH), (64, WIDTH))
        plan = make_plan(model, library.version, {"x": sides, "bytes": sides})
        PlanDirectory(self.directory).write(
            graph, PlanKey.of(library, target, model), SHAPES, Plan(plan, "float32", 1, 0.0, ())
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine that must get back all that it gave."""
    made = Machine(tmp_path / "plans")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, module in (
        ("cuda.bindings.runtime", made.cuda),
        ("tensorrt", made.standard),
        ("tensorrt_rtx", made.rtx),
    ):
        monkeypatch.setitem(__import__("sys").modules, name, module)
    load_tensorrt.cache_clear()
    yield made
    load_tensorrt.cache_clear()
    gc.collect()
    assert made.cuda.leftovers() == {}
    for module in (made.standard, made.rtx):
        assert (module.contexts, module.engines) == (0, 0)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("optimisation", ["streams", "graphs"])
def test_a_plan_computes_its_graph(machine: Machine, name: str, optimisation: str) -> None:
    machine.store(make_model(2), "doubled", name)
    engine = machine.open(name, optimisation)
    graph = engine.load(make_model(2), "doubled")
    assert (graph.inputs, graph.outputs) == (["x", "bytes"], ["sum", "low"])
    for seed in range(6):
        run_once(engine, graph, rows=5, seed=seed, factor=2)
    assert machine.said == []
    assert ("cudaGraphLaunch" in machine.cuda.calls) == (optimisation == "graphs")


def test_repeated_runs_are_recorded_the_second_time(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    launches = []
    for seed in range(5):
        run_once(engine, graph, rows=3, seed=seed)
        launches.append(machine.cuda.calls.count("cudaGraphLaunch"))
    assert launches == [0, 0, 1, 2, 3]
    assert machine.cuda.calls.count("cudaGraphInstantiate") == 1


def test_recordings_serve_several_shapes_in_turn(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    for seed in range(5):
        for rows in (3, 7, 5):
            run_once(engine, graph, rows, seed)
    assert machine.cuda.calls.count("cudaGraphLaunch") >= 3 * 2


def test_recordings_and_contexts_are_bounded(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    kept = []
    for rows in range(1, 12):
        for seed in range(3):
            run_once(engine, graph, rows, seed)
        assert machine.standard.contexts <= 4
    for seed in range(40):  # the same shapes on ever other memory
        tensors = {name: engine.to_device(array) for name, array in arrays(2, seed).items()}
        kept += [tensors, graph.run(tensors), graph.run(tensors)]
    assert len(machine.cuda.executables) <= 4 * 8
    # What was forgotten is run and recorded anew, and right.
    for seed in range(3):
        run_once(engine, graph, 1, seed)


def test_what_cannot_be_recorded_is_run_as_it_is(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    machine.standard.refuses_capture = True
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    for seed in range(4):
        run_once(engine, graph, rows=3, seed=seed)
    assert machine.cuda.calls.count("cudaStreamBeginCapture") == 1, "tried once"
    assert "cudaGraphLaunch" not in machine.cuda.calls


def test_outputs_go_into_rows_of_a_tensor(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    for _ in range(4):  # recorded too
        whole = engine.to_device(np.full((9, WIDTH), -1, np.float32))
        inputs = {name: engine.to_device(array) for name, array in arrays(4).items()}
        place = engine.rows(whole, 3, 7)
        outputs = graph.run(inputs, {"sum": place})
        assert outputs["sum"] is place
        # What was written is read by the next run, from where it lies.
        inputs["x"] = place
        del place
        again = graph.run(inputs)
        found = engine.to_host(whole)
        np.testing.assert_array_equal(found[3:7], expected_sum(arrays(4)))
        assert (found[:3] == -1).all()
        assert (found[7:] == -1).all()
        np.testing.assert_array_equal(
            engine.to_host(again["sum"]), expected_sum(arrays(4)) + arrays(4)["bytes"]
        )


def test_a_graph_may_go_before_its_work_is_done(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    outputs = graph.run({name: engine.to_device(array) for name, array in arrays(4).items()})
    del graph
    np.testing.assert_array_equal(engine.to_host(outputs["sum"]), expected_sum(arrays(4)))


def test_graphs_share_their_working_memory(machine: Machine) -> None:
    """Which each of them writes over: what they give must lie elsewhere."""
    for factor in (1, 2, 3):
        machine.store(make_model(factor), f"times{factor}")
    engine = machine.open()
    graphs = {factor: engine.load(make_model(factor), f"times{factor}") for factor in (1, 2, 3)}
    for rows in (2, 60, 5, 60):
        inputs = arrays(rows)
        tensors = {name: engine.to_device(array) for name, array in inputs.items()}
        outputs = {factor: graph.run(tensors)["sum"] for factor, graph in graphs.items()}
        for factor, output in outputs.items():
            np.testing.assert_array_equal(engine.to_host(output), expected_sum(inputs, factor))


def test_twins_run_in_threads(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    failures = []

    def work(number: int) -> None:
        try:
            own = engine.new_context()
            twin = graph.new_context(own)
            assert own.description == engine.description
            for round_ in range(20):
                run_once(own, twin, rows=number + 1 + round_ % 2, seed=number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert machine.standard.engines == 1, "weights are shared"
    assert len(machine.cuda.streams) == 1, "theirs are gone with the threads"
    run_once(engine, graph, rows=2, seed=0)


def test_identity_is_the_plans_and_description_the_machines(machine: Machine) -> None:
    machine.store(make_model(1), "one")
    machine.store(make_model(2), "two")
    engine = machine.open()
    one, two = engine.load(make_model(1), "one"), engine.load(make_model(2), "two")
    assert one.identity == engine.load(make_model(1), "one").identity
    assert one.identity != two.identity
    assert len(one.identity) == 16
    assert not engine.capabilities.deterministic
    assert engine.description == (
        "tensorrt 10.9.0 float16, Software GPU (compute capability 8.9), "
        "driver for CUDA 13.0, CUDA 13.0"
    )


def test_kernels_that_rtx_compiled_are_kept(machine: Machine, tmp_path: Path) -> None:
    machine.store(make_model(), "sums", "tensorrt-rtx")

    def run_in_new_process(rows: int) -> bytes:
        engine = machine.open("tensorrt-rtx")
        graph = engine.load(make_model(), "sums")
        run_once(engine, graph, rows, seed=0)
        (file,) = (tmp_path / "cache" / "cca-codec" / "kernels").iterdir()
        return file.read_bytes()

    assert run_in_new_process(2).count(b"300") == 2  # one shape of each input
    assert run_in_new_process(3).count(b"300") == 4, "added to what was there"
    (file,) = (tmp_path / "cache" / "cca-codec" / "kernels").iterdir()
    file.write_bytes(b"of another driver")
    assert run_in_new_process(2).count(b"300") == 2, "what does not fit is compiled again"


def refusal(engine: TensorRtEngine, graph: object, **changes: np.ndarray) -> str:
    tensors = {name: engine.to_device(array) for name, array in (arrays(2) | changes).items()}
    with pytest.raises(EngineError) as failure:
        graph.run(tensors)
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_inputs_that_a_plan_does_not_take(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    assert refusal(engine, graph, x=np.zeros((65, WIDTH), np.float32)) == (
        "graph 'sums': its plan takes 'x' of [1, 300] to [64, 300], not [65, 300]: "
        "build plans for such shapes with cca-export --bundle BUNDLE --engine tensorrt "
        "--shapes WIDTHxHEIGHT"
    )
    assert "not [300]" in refusal(engine, graph, x=np.zeros(WIDTH, np.float32))
    assert refusal(engine, graph, x=np.zeros((2, WIDTH), np.int32)) == (
        "graph 'sums' takes 'x' as float32, not as int32"
    )
    assert "unknown inputs ['y']" in refusal(engine, graph, y=np.zeros(1))
    inputs = {name: engine.to_device(array) for name, array in arrays(2).items()}
    with pytest.raises(EngineError, match=r"missing inputs \['bytes'\]"):
        graph.run({"x": inputs["x"]})
    for place in (engine.empty((3, WIDTH), "float32"), engine.empty((2, WIDTH), "float64")):
        with pytest.raises(EngineError, match=r"gives float32 \[2, 300\] as 'sum', expected"):
            graph.run(inputs, {"sum": place})
    with pytest.raises(EngineError, match=r"has no outputs \['difference'\]"):
        graph.run(inputs, {"difference": engine.empty((2, WIDTH), "float32")})
    run_once(engine, graph, rows=2, seed=0)


def test_what_tensorrt_says_is_passed_on(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    for function, what in (
        ("create_execution_context", "cannot be run"),
        ("set_input_shape", r"refuses 'x' of shape \[2, 300\]"),
        ("set_tensor_address", "refuses the memory for 'x'"),
        ("execute_async_v3", "failed"),
    ):
        machine.standard.failing[function] = "Error Code 1: one\ntwo"
        with pytest.raises(
            EngineError, match=f"^graph 'sums': its plan {what}: Error Code 1: one two$"
        ):
            run_once(engine, graph, rows=2, seed=0)
    run_once(engine, graph, rows=2, seed=0)


def test_a_plan_that_cannot_be_loaded(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    # A plan file that is right by its header, with a plan of another version.
    library = load_tensorrt("tensorrt")
    target = library.target(open_device(load_runtime()))
    old = make_plan(make_model(), "10.8.0", {})
    PlanDirectory(machine.directory).write(
        "sums", PlanKey.of(library, target, make_model()), SHAPES, Plan(old, "float32", 1, 0.0, ())
    )
    with pytest.raises(
        EngineError,
        match=r"^graph 'sums': its plan cannot be loaded by tensorrt 10\.9\.0: "
        "another serialization version$",
    ):
        engine.load(make_model(), "sums")


def test_memory_that_a_graph_has_no_room_for(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    tensors = {name: engine.to_device(array) for name, array in arrays(60).items()}
    machine.cuda.device_memory.size = 200_000
    with pytest.raises(EngineError, match=r"no room for what graph 'sums' computes with \(1 MiB\)"):
        graph.run(tensors)


def test_failures_on_the_gpu_arrive_when_it_is_waited_for(machine: Machine) -> None:
    machine.store(make_model(), "sums")
    engine = machine.open()
    graph = engine.load(make_model(), "sums")
    outputs = graph.run({name: engine.to_device(array) for name, array in arrays(2).items()})
    machine.cuda.failures["cudaStreamSynchronize"] = cudaError_t.cudaErrorIllegalAddress
    with pytest.raises(EngineError, match="the GPU failed, start the program again"):
        engine.to_host(outputs["sum"])


def test_a_machine_without_a_gpu(machine: Machine) -> None:
    machine.cuda.devices = 0
    with pytest.raises(EngineError, match="no NVIDIA GPU is visible"):
        machine.open()


def test_without_shapes() -> None:
    with pytest.raises(EngineError, match="engine 'tensorrt' compiles graphs and was not told"):
        open_tensorrt("tensorrt")


def test_the_doubles_catch_misuse(machine: Machine) -> None:
    """Else all of this would show nothing."""
    machine.store(make_model(), "sums")
    engine = machine.open(optimisation="streams")
    graph = engine.load(make_model(), "sums")
    inputs = {name: engine.to_device(array) for name, array in arrays(2).items()}
    with pytest.raises(Misuse, match="shares memory"):
        engine.to_host(graph.run(inputs, {"sum": inputs["x"]})["sum"])
    machine.cuda.cudaFree(inputs["bytes"].address)
    with pytest.raises(Misuse, match="not allocated"):
        engine.to_host(graph.run(inputs)["sum"])
    machine.cuda.device_memory.allocate(1024)  # for the finaliser
