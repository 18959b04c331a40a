"""What a child of `os.fork` does with its parent's engines: it leaves them alone, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from cca_engines import EngineError, available_engines
from cca_engines.forked import Origin, Owned, Turns

ENGINES = [name for name in ("onnxruntime", "openvino") if name in available_engines()]


def in_child(work: Callable[[], object]) -> bytes:
    """What `work` returns, in the words of `str`, run in a child that ends at once."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as stream:
        return stream.read()


class Native:
    """Writes when it is destroyed."""

    def __init__(self) -> None:
        self.destroyed: list[str] = []

    def __del__(self) -> None:
        self.destroyed.append("destroyed")


def test_an_inherited_object_is_refused_and_never_destroyed() -> None:
    natives = [Native()]
    destroyed = natives[0].destroyed
    owners = [Owned(natives.pop(), "engine 'abacus'")]

    def use() -> str:
        with pytest.raises(EngineError) as caught:
            owners[0].get()
        owners.clear()
        return f"{caught.value} {destroyed}"

    expected = b"engine 'abacus' was opened before this process was forked: load the model again []"
    assert in_child(use) == expected
    assert owners[0].get().destroyed == []
    owners.clear()
    assert destroyed == ["destroyed"], "in its own process it is"


def test_a_grandchild_is_no_child_and_what_a_child_makes_is_its_own() -> None:
    origin = Origin()

    def in_between() -> str:
        own = Owned("made here", "engine")
        beyond = in_child(lambda: (origin.is_here, own._origin.is_here))
        return f"{origin.is_here} {own.get()} {beyond.decode()}"

    assert in_child(in_between) == b"False made here (False, False)"
    assert origin.is_here


def test_a_fork_waits_for_who_is_in() -> None:
    turns, entered = Turns(), threading.Event()
    done: list[str] = []

    def use() -> None:
        with turns:
            entered.set()
            time.sleep(0.1)
            done.append("done")

    thread = threading.Thread(target=use)
    thread.start()
    entered.wait()
    assert in_child(lambda: done) == b"['done']"
    thread.join()

    def enter() -> str:
        with turns:
            return "in"

    assert in_child(enter) == b"in"
    assert enter() == "in"


def test_a_fork_waits_for_all_that_are_alongside() -> None:
    turns, together = Turns(), threading.Barrier(4)
    done: list[str] = []

    def use(turn: AbstractContextManager[None], seconds: float) -> None:
        with turn:
            together.wait(timeout=10)
            time.sleep(seconds)
            done.append("done")

    # Two at a time, and one whose turn it is.
    kinds = (turns.alongside(), turns.alongside(), turns)
    threads = [
        threading.Thread(target=use, args=(kind, 0.1 * n)) for n, kind in enumerate(kinds, 1)
    ]
    for thread in threads:
        thread.start()
    together.wait(timeout=10)
    assert in_child(lambda: len(done)) == b"3"
    for thread in threads:
        thread.join()

    def enter() -> str:
        with turns.alongside():
            return "in"

    assert in_child(enter) == b"in"
    assert enter() == "in"


CHILD = """
import faulthandler, os, sys, threading
import numpy, cca_runtime
from cca_engines import EngineError, openvino, open_engine
name, inherit = sys.argv[1:]
picture = numpy.zeros((64, 64, 3), numpy.uint8)
codec = cca_runtime.load(engine=name)
stream = codec.encode(picture)
graph = codec._hosts.first.graphs._graphs["analysis"]
held = threading.Event()

def hold():
    with openvino._TURN:
        held.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status))
faulthandler.dump_traceback_later(60, exit=True)
for work in (lambda: codec.engine.load(b"", "g"), lambda: graph.run({"image": picture[None]})):
    try:
        work()
    except EngineError as error:
        print(error)
if inherit == "drop":
    del codec, graph, work
again = cca_runtime.load(engine=name)
assert again.encode(picture) == stream
print(again.decode(stream).shape)
"""


@pytest.mark.parametrize("inherit", ["drop", "keep"])
@pytest.mark.parametrize("name", ENGINES)
def test_a_child_that_inherits_an_engine_loads_anew_and_ends(name: str, inherit: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name, inherit], capture_output=True, text=True, timeout=120
    )
    refusal = f"engine '{name}' was opened before this process was forked: load the model again"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [refusal, refusal, "(64, 64, 3)"]
