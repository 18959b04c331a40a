"""Too little memory is one clear line, from every engine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cca_engines.failures import explain, is_of_memory

CODE = """
import resource, sys
import numpy, cca_runtime, cca_runtime.memory
codec = cca_runtime.load(engine=sys.argv[1], tile=None, threads=1)
small = numpy.zeros((64, 64, 3), numpy.uint8)
stream = codec.encode(small)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (96 << 20), resource.RLIM_INFINITY))
large = numpy.zeros((2048, 2048, 3), numpy.uint8)
for _ in range(2):
    try:
        codec.encode(large)
    except cca_runtime.CcaError as error:
        print(error)
    # Then as if another program took the memory after this one had asked for it.
    cca_runtime.memory.free_memory = lambda: 1 << 62
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert codec.encode(small) == stream, "and the codec is as good as before"
"""


def test_a_picture_too_large_for_memory_is_one_line() -> None:
    """On ONNX Runtime: OpenVINO does not survive it, and may return stale outputs or crash."""
    command = [sys.executable, "-c", CODE, "onnxruntime"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    asked, taken = done.stdout.splitlines()
    assert asked.startswith("encoding this picture of 2048x2048 in one piece takes about ")
    assert taken.startswith("engine onnxruntime: graph 'analysis' failed: out of memory; ")


@pytest.mark.parametrize(
    "said",
    [
        "std::bad_alloc",
        "bad allocation",
        "[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 9",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "Unable to allocate 3.00 GiB for an array with shape (1,)",
        "[Errno 12] Cannot allocate memory",
    ],
)
def test_the_words_of_each_library_are_understood(said: str) -> None:
    assert is_of_memory(RuntimeError(said))
    assert str(explain(RuntimeError(said + "\nwhere"), "it failed")).startswith(
        "it failed: out of memory;"
    )


def test_what_is_not_of_memory_is_told_as_it_is() -> None:
    assert is_of_memory(MemoryError())
    error = RuntimeError("while:\nshapes differ\nwhere")
    assert not is_of_memory(error)
    assert str(explain(error, "it failed")) == "it failed: shapes differ"
    assert str(explain(KeyError(), "it failed")) == "it failed: KeyError"
