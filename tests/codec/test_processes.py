"""A codec in other processes: pickled and opened again, or inherited and refused."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import cca_runtime
import numpy as np
import pytest
from cca_core import parse_stream
from cca_engines import available_engines, open_engine
from cca_runtime import BadInputError
from cca_runtime.bundle import find_bundle
from cca_runtime.codec import Codec
from numpy.typing import NDArray

SECONDS = 120


@pytest.fixture(scope="module")
def picture(chelsea: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(chelsea[:64, :70])


def run(program: str, *arguments: str | Path, folder: Path) -> str:
    """What a program of several processes prints, which must end by itself."""
    path = folder / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, path, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_codec_pickles_as_its_bundle_engine_and_options(picture: NDArray[np.uint8]) -> None:
    codec = cca_runtime.load(threads=1, max_pixels=70_000, workers=3, tile=128, precision="float32")
    codec.max_pixels = 80_000
    large = np.resize(picture, (200, 200, 3))
    for again in (pickle.loads(pickle.dumps(codec)), copy.copy(codec), copy.deepcopy(codec)):
        assert again is not codec
        assert again.bundle.path == codec.bundle.path
        assert again.bundle.manifest == codec.bundle.manifest
        assert again.engine.description == codec.engine.description
        assert (again.max_pixels, again.workers) == (80_000, 3)
        assert parse_stream(again.encode(large))[0].tiling == (128, 128, 1, 1)
        assert again.encode(picture) == codec.encode(picture)
    assert len(pickle.dumps(codec)) < 1000, "no picture, graph or table goes along"


@pytest.mark.skipif("openvino" not in available_engines(), reason="needs OpenVINO")
def test_the_engine_that_was_found_is_opened_again() -> None:
    codec = cca_runtime.load(engine="openvino", threads=1)
    assert copy.copy(codec).engine.description == codec.engine.description


def test_a_codec_on_an_engine_of_the_callers_cannot_be_copied(default_codec: Codec) -> None:
    codec = Codec(default_codec.bundle, open_engine("onnxruntime"))
    with pytest.raises(BadInputError, match=r"only a codec that cca_runtime.load\(\) opened"):
        pickle.dumps(codec)


def test_a_relative_bundle_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: NDArray[np.uint8]
) -> None:
    (tmp_path / "model").symlink_to(find_bundle(None))
    monkeypatch.chdir(tmp_path)
    codec = cca_runtime.load("model")
    pickled = pickle.dumps(codec)
    monkeypatch.chdir("/")
    stream = codec.encode(picture)  # graphs are read when they are needed
    assert pickle.loads(pickled).encode(picture) == stream
    assert copy.copy(codec).bundle.path == tmp_path / "model"


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy, cca_runtime

def code(codec, picture):
    return codec.encode(picture)

def fail(codec):
    codec.decode("no\\nsuch")

if __name__ == "__main__":
    codec = cca_runtime.load(threads=1)
    picture = numpy.full((64, 64, 3), 90, numpy.uint8)
    expected = codec.encode(picture)
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(code, codec, picture).result() == expected
        error = pool.submit(fail, codec).exception()
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_process_pools_open_it_again_and_errors_come_back(method: str, tmp_path: Path) -> None:
    printed = run(POOL, method, folder=tmp_path)
    assert printed == "BadInputError 'no\\nsuch' cannot be read: No such file or directory\n"


LOADER = """
import sys
import numpy, torch, cca_runtime

class Streams(torch.utils.data.Dataset):
    def __init__(self, codec, streams):
        self.codec, self.streams = codec, streams

    def __len__(self):
        return len(self.streams)

    def __getitem__(self, index):
        return torch.from_numpy(self.codec.decode(self.streams[index]))

if __name__ == "__main__":
    codec = cca_runtime.load(threads=1)
    streams = codec.encode([numpy.full((64, 64, 3), grey, numpy.uint8) for grey in (9, 99)])
    loader = torch.utils.data.DataLoader(
        Streams(codec, streams), num_workers=1, multiprocessing_context=sys.argv[1]
    )
    try:
        for decoded, stream in zip(loader, streams, strict=True):
            assert (decoded[0].numpy() == codec.decode(stream)).all()
        print("decoded")
    except cca_runtime.FailureError as error:
        print("load the model again" in str(error))
"""


@pytest.mark.parametrize(("method", "printed"), [("spawn", "decoded\n"), ("fork", "True\n")])
def test_torchs_data_loader_opens_it_again(method: str, printed: str, tmp_path: Path) -> None:
    assert run(LOADER, method, folder=tmp_path) == printed


FORK = """
import os, sys, threading
import numpy, cca_runtime

engine = sys.argv[1]
picture = numpy.zeros((64, 64, 3), numpy.uint8)
codec = cca_runtime.load(engine=engine)
stream = codec.encode(picture)
under_way = codec.encode_each([picture] * 9)
next(under_way)
# Locks that a thread holds when the process is forked are never given back in the child.
held = threading.Event()

def hold():
    with codec._turn, codec._memory._changed, codec._hosts._turn:
        held.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    sys.stdout.flush()
    os._exit(os.waitstatus_to_exitcode(status))
attempts = [
    lambda: codec.encode(picture),
    lambda: codec.encode([picture] * 2),
    lambda: codec.decode(stream),
    lambda: codec.decode_each([stream]),
    lambda: next(under_way),
    lambda: codec.encode_picture(picture, alongside=True),
    codec.load_prior,
    codec.check_engine,
]
for attempt in attempts:
    try:
        attempt()
    except cca_runtime.CcaError as error:
        print(error, flush=True)
if sys.argv[2] == "copy":
    import copy
    again = copy.copy(codec)
else:
    again = cca_runtime.load(engine=engine)
    del codec, under_way, attempts, attempt
assert again.encode(picture) == stream
print("coded", flush=True)
"""


@pytest.mark.parametrize(("engine", "then"), [("onnxruntime", "copy"), ("openvino", "load")])
def test_a_forked_child_is_told_to_load_again_and_ends(
    engine: str, then: str, tmp_path: Path
) -> None:
    if engine not in available_engines():
        pytest.skip(f"needs {engine}")
    *errors, last = run(FORK, engine, then, folder=tmp_path).splitlines()
    assert len(errors) == 8
    assert set(errors) == {
        "the codec was opened before this process was forked: load the model again"
    }
    assert last == "coded"
