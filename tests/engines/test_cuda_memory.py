"""Memory, copies and failures of CUDA, on a GPU in software (`fake_cuda`)."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from cca_engines import EngineError
from cca_engines.cuda.device import open_device
from cca_engines.cuda.memory import CudaMemory
from cca_engines.cuda.pool import Block, MemoryPool
from cca_engines.cuda.runtime import CudaRuntime, load_runtime
from fakes.fake_cuda import FakeCuda, cudaError_t

# What goes wrong in a finaliser is a failure too.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

MIB = 1 << 20


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    """A GPU that must get back all that it gave."""
    fake = FakeCuda()
    yield fake
    gc.collect()
    assert fake.leftovers() == {}


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def test_arrays_come_back_as_they_went(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    for array in (
        numbers(3, 4, 5),
        numbers(7, dtype="uint8"),
        numbers(2, 0, 3),
        np.array(5, np.int32),
        numbers(6, 4)[::2, ::-1],
        numbers(2, 2, dtype="float16"),
    ):
        back = memory.to_host(memory.to_device(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_an_array_may_change_once_it_was_handed_over(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    array = numbers(1000)
    expected = array.copy()
    tensor = memory.to_device(array)
    array[:] = -1
    # As many copies as are under way at once, none of which may use another's pinned memory.
    others = [memory.to_device(numbers(1000) + i) for i in range(20)]
    np.testing.assert_array_equal(memory.to_host(tensor), expected)
    for i, other in enumerate(others):
        np.testing.assert_array_equal(memory.to_host(other), numbers(1000) + i)


def test_host_arrays_keep_their_memory_and_give_it_back(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    tensor = memory.to_device(numbers(64, 64))
    first = memory.to_host(tensor)[1:3, 5]  # a view of a view
    for value in range(10):
        memory.to_host(memory.to_device(np.full((64, 64), value, np.float32)))
    np.testing.assert_array_equal(first, numbers(64, 64)[1:3, 5])
    # One for `first`, one for a copy up and one for a copy down.
    assert cuda.calls.count("cudaHostAlloc") == 3


def test_host_arrays_outlive_the_engine(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    array = memory.to_host(memory.to_device(numbers(10)))
    del memory
    gc.collect()
    np.testing.assert_array_equal(array, numbers(10))


def test_rows_are_views_that_keep_the_memory(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    whole = memory.to_device(numbers(6, 5, 4))
    rows = memory.rows(whole, 2, 5)
    part = memory.rows(rows, 1, 3)
    assert rows.shape == (3, 5, 4)
    assert rows.address - whole.address == 2 * 5 * 4 * 4
    del whole, rows
    memory.to_device(np.zeros((6, 5, 4), np.float32))  # would get the same memory if it were idle
    np.testing.assert_array_equal(memory.to_host(part), numbers(6, 5, 4)[3:5])


def test_a_repeated_loop_gets_the_same_addresses(cuda: FakeCuda) -> None:
    """However the tensors of a round overlap in time, and in whatever order they are dropped."""

    memory = CudaMemory(CudaRuntime(cuda))

    def go_round() -> list[int]:
        first, second = memory.empty((300,), "uint8"), memory.empty((300,), "uint8")
        seen = [first.address, second.address]
        del first
        third, fourth = memory.empty((400,), "uint8"), memory.empty((5000,), "float32")
        seen += [third.address, fourth.address]
        del second, third
        return [*seen, memory.empty((512,), "uint8").address]

    assert len({tuple(go_round()) for _ in range(5)}) == 1


def test_idle_memory_is_bounded() -> None:
    given: dict[int, int] = {}
    freed: list[int] = []

    def allocate(size: int) -> int:
        address = 512 * (len(given) + len(freed) + 1)
        given[address] = size
        return address

    def free(address: int) -> None:
        freed.append(given.pop(address))

    pool = MemoryPool(allocate, free, limit=3 * 512)
    for blocks in range(1, 10):
        [pool.take(512 * blocks) for _ in range(3)]
        # What is idle besides what the last round left, which nothing was asked for since.
        assert sum(given.values()) - 3 * 512 * blocks <= 3 * 512
    assert freed[:3] == [512, 512, 512], "the sizes not asked for the longest go first"
    del pool
    assert given == {}


def test_what_fits_in_idle_memory_is_not_out_of_memory(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    size = cuda.device_memory.size
    for parts in (4, 3, 2):
        tensors = [memory.empty((size // parts // 1024, 1024), "uint8") for _ in range(parts - 1)]
        assert len({tensor.address for tensor in tensors}) == parts - 1
        del tensors


def test_a_block_is_idle_only_when_nothing_refers_to_it(cuda: FakeCuda) -> None:
    pool = MemoryPool(CudaRuntime(cuda).allocate, CudaRuntime(cuda).free, limit=MIB)
    blocks: list[Block] = [pool.take(100) for _ in range(4)]
    assert len({block.address for block in blocks}) == 4
    blocks.pop(2)
    assert pool.take(512).address not in {block.address for block in blocks}


def test_pending_uploads_are_bounded(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    # Four times what may wait, and more than the software GPU lets pin.
    for _ in range(4):
        for part in range(4):
            assert memory.to_device(np.full((64, MIB), part, np.uint8)).shape == (64, MIB)
    assert cuda.calls.count("cudaStreamSynchronize") >= 3


def test_nothing_waits_but_what_must(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    tensors = [memory.to_device(numbers(100)) for _ in range(5)]
    assert "cudaStreamSynchronize" not in cuda.calls
    memory.to_host(tensors[0])
    assert cuda.calls.count("cudaStreamSynchronize") == 1


def test_memory_is_given_back_while_another_stream_records(cuda: FakeCuda) -> None:
    runtime = CudaRuntime(cuda)
    recording, other = CudaMemory(runtime), CudaMemory(runtime)
    kept = [other.to_host(other.to_device(numbers(10))), other.to_device(numbers(100))]
    runtime.begin_capture(recording.stream.handle)

    def drop() -> None:
        nonlocal other
        kept.clear()
        del other
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    thread.join()
    assert cuda.leftovers() == {"streams": 1}
    runtime.instantiate(runtime.end_capture(recording.stream.handle))
    cuda.executables.clear()


def test_memory_is_given_back_when_its_work_is_done(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    memory.to_device(numbers(100))  # dropped while the copy has yet to begin
    with pytest.raises(EngineError, match="no room"):  # even when all that is idle is given back
        memory.empty((300, MIB), "uint8")
    assert cuda.device_memory.taken == {}
    memory.stream.synchronize()  # a copy that came too late would be `Misuse`


def test_what_refers_to_each_other_is_given_back_in_any_order(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    circle: list[object] = [memory, memory.to_device(numbers(100))]
    circle.append(circle)
    del memory, circle
    gc.collect()
    assert cuda.leftovers() == {}


def fails(call: str, status: str) -> str:
    """What is said when a function of the library fails."""
    cuda = FakeCuda()
    cuda.failures[call] = cudaError_t[status]

    def use() -> None:
        runtime = CudaRuntime(cuda)
        open_device(runtime)
        memory = CudaMemory(runtime)
        memory.to_host(memory.to_device(numbers(3 * MIB)))

    with pytest.raises(EngineError) as failure:
        use()
    message = str(failure.value)
    assert "\n" not in message
    return message


def test_no_gpu() -> None:
    cuda = FakeCuda()
    cuda.devices = 0
    with pytest.raises(EngineError, match=r"no NVIDIA GPU is visible: .*nvidia-smi.*onnxruntime$"):
        open_device(CudaRuntime(cuda))


def test_no_driver() -> None:
    cuda = FakeCuda()
    cuda.driver = 0
    with pytest.raises(EngineError, match=r"no NVIDIA driver is installed: .* CUDA 13\.0 "):
        open_device(CudaRuntime(cuda))


def test_an_old_driver() -> None:
    cuda = FakeCuda()
    cuda.driver = 12040
    with pytest.raises(
        EngineError,
        match=r"driver is for CUDA 12\.4, and cuda-bindings for CUDA 13\.0: update the driver, "
        r"or pip install 'cuda-bindings==12\.\*'$",
    ):
        open_device(CudaRuntime(cuda))


def test_a_driver_library_that_cannot_be_loaded() -> None:
    class Unloadable(FakeCuda):
        def cudaGetDeviceCount(self) -> tuple[object, ...]:  # noqa: N802
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    cuda = Unloadable()
    cuda.driver = 0
    with pytest.raises(EngineError, match="no NVIDIA driver is installed"):
        open_device(CudaRuntime(cuda))


@pytest.mark.parametrize(
    ("call", "status", "said"),
    [
        ("cudaGetDeviceProperties", "cudaErrorSystemDriverMismatch", "restart the machine"),
        ("cudaGetDeviceCount", "cudaErrorCompatNotSupportedOnDevice", "update the NVIDIA driver"),
        ("cudaStreamCreateWithFlags", "cudaErrorDevicesUnavailable", "taken by another process"),
        ("cudaMemcpyAsync", "cudaErrorECCUncorrectable", "memory is faulty"),
        (
            "cudaStreamSynchronize",
            "cudaErrorIllegalAddress",
            "the GPU failed, start the program again: text of cudaErrorIllegalAddress",
        ),
    ],
)
def test_failures_say_what_to_do(call: str, status: str, said: str) -> None:
    assert said in fails(call, status)


def test_a_tensor_that_the_gpu_has_no_room_for(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    kept = memory.empty((100, MIB), "uint8")
    with pytest.raises(
        EngineError,
        match=r"no room for a tensor of shape \[200, 1048576\] \(200 MiB\): 156 MiB of 256 MiB are "
        "free; end other programs that use it, or take a smaller picture$",
    ):
        memory.empty((200, MIB), "uint8")
    assert memory.to_host(memory.rows(kept, 0, 1)).shape == (1, MIB), "and it goes on"


def test_pinned_memory_that_the_host_has_no_room_for(cuda: FakeCuda) -> None:
    memory = CudaMemory(CudaRuntime(cuda))
    cuda.pinned_memory.size = MIB
    tensor = memory.empty((2, MIB), "uint8")
    with pytest.raises(EngineError, match=r"cannot pin 2 MiB of main memory: end other programs"):
        memory.to_host(tensor)


def test_the_device_in_words(cuda: FakeCuda) -> None:
    device = open_device(CudaRuntime(cuda))
    assert str(device) == ("Software GPU (compute capability 8.9), driver for CUDA 13.0, CUDA 13.0")
    assert device.memory == cuda.device_memory.size


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings.runtime", None)
    with pytest.raises(EngineError, match=r"install it with: pip install cuda-bindings$"):
        load_runtime()


def test_the_software_gpu_has_the_librarys_names() -> None:
    """A double with functions or statuses that the library lacks would prove nothing."""
    library = pytest.importorskip("cuda.bindings.runtime")
    for name in dir(FakeCuda):
        if name.startswith("cuda"):
            assert hasattr(library, name), name
    for status in cudaError_t:
        assert getattr(library.cudaError_t, status.name) == status.value


def test_the_library_without_a_driver() -> None:
    library = pytest.importorskip("cuda.bindings.runtime")
    if library.cudaDriverGetVersion()[1] != 0:
        pytest.skip("an NVIDIA driver is installed")
    with pytest.raises(EngineError, match="no NVIDIA driver is installed"):
        open_device(load_runtime())
