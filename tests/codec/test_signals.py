"""SIGINT, SIGTERM and SIGHUP end a run whatever it does, with whole files only."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cca_runtime.cli import main
from numpy.typing import NDArray
from PIL import Image
from processes import started

SECONDS = 20  # far less than a stub sleeps

SIGNALS = {
    signal.SIGINT: b"cca-run: interrupted\n",
    signal.SIGTERM: b"cca-run: terminated\n",
    signal.SIGHUP: b"cca-run: the terminal is gone\n",
}

SLEEP = """
import time
def sleep(*_, **__):
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    time.sleep(600)
"""

# Where a run may be; what it does there cannot be interrupted from Python.
STUBS = {
    "a graph on a worker's thread": "import cca_runtime.codec as c; c.Codec.encode_picture = sleep",
    "an engine that is opened": "import cca_runtime.loading as l; l.open_engine = sleep",
    "data on their way to the disk": "import os; os.fsync = sleep",
    "a picture that is unpacked": "import cca_runtime.pictures as p; p.read_picture = sleep",
}


@pytest.fixture
def pictures(tmp_path: Path, chelsea: NDArray[np.uint8]) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    paths = [folder / f"{index}.png" for index in range(4)]
    for path in paths:
        Image.fromarray(chelsea[:40, :40]).save(path)
    return paths


def check_ended(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send the signal, and see that the process dies of it with one line."""
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert (process.returncode, errors) == (-number, SIGNALS[number])


@pytest.mark.parametrize(
    ("place", "number"), list(zip(STUBS, [*SIGNALS, signal.SIGINT], strict=True))
)
def test_a_signal_ends_a_run_wherever_it_is(
    place: str, number: signal.Signals, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = started(
        *("encode", *pictures, "-o", out, "--workers", "3"),
        before=SLEEP + STUBS[place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    check_ended(process, number)
    assert not out.exists() or not list(out.iterdir())


def test_a_signal_leaves_the_file_that_was_to_be_replaced(pictures: list[Path]) -> None:
    coded = pictures[0].with_suffix(".cca")
    coded.write_bytes(b"precious")
    before = set(coded.parent.iterdir())
    process = started(
        *("encode", pictures[0], "--overwrite"),
        before=SLEEP + STUBS["data on their way to the disk"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    check_ended(process, signal.SIGINT)
    assert coded.read_bytes() == b"precious"
    assert set(coded.parent.iterdir()) == before


def test_what_is_done_stays(pictures: list[Path], tmp_path: Path) -> None:
    out, never = tmp_path / "out", tmp_path / "never.png"
    os.mkfifo(never)
    process = started(
        *("encode", *pictures, never, "-o", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in pictures:
        process.stdout.readline()
    check_ended(process, signal.SIGTERM)
    whole = tmp_path / "whole"
    assert main(["encode", *map(str, pictures), "-o", str(whole), "-q"]) == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }


@pytest.mark.parametrize("arguments", [["info", "{fifo}"], ["decode", "-"], ["bench", "{fifo}"]])
def test_a_signal_ends_a_read_that_waits(arguments: list[str], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = started(
        *(argument.format(fifo=fifo) for argument in arguments),
        before='sys.stdout.write("ready\\n"); sys.stdout.flush()',
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGTERM


def test_a_signal_takes_the_folder_of_bench_away(tmp_path: Path) -> None:
    process = started(
        *("bench", "--size", "8x8"),
        before=SLEEP + "import cca_runtime.profile as p; p._run = sleep",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert list(tmp_path.glob("cca-*"))
    check_ended(process, signal.SIGHUP)
    assert not list(tmp_path.glob("cca-*"))


def test_a_signal_ends_a_run_whose_messages_nobody_reads(pictures: list[Path]) -> None:
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    os.write(writer, bytes(size))
    process = started(
        *("encode", pictures[0]),
        before=SLEEP + STUBS["data on their way to the disk"],
        stdout=subprocess.PIPE,
        stderr=writer,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGTERM
    assert os.read(reader, size + 1) == bytes(size)
    os.close(reader)
    os.close(writer)


def test_a_signal_that_was_ignored_still_is(pictures: list[Path]) -> None:
    stub = "import os; kill = lambda _: os.kill(os.getpid(), signal.SIGHUP); os.fsync = kill"
    process = started(
        *("encode", pictures[0], "-q"),
        before=f"signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does\n{stub}",
        stderr=subprocess.PIPE,
    )
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, b"")


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    assert main(["--version"]) == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before
