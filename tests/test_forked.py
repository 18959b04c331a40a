"""What a child of `os.fork` does with its parent's engines: it leaves them alone, and ends."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from cca_engines import EngineError
from cca_engines.forked import Origin, Owned


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
