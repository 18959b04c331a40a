"""What a process makes with a native library is its own: a child of `os.fork` leaves it alone.

The child has its parent's objects, and none of the threads that work for them: using one may
wait for ever, and so may destroying it. So the child abandons them, which costs it their memory,
and opens its own.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, TypeVar

from cca_engines.engine import EngineError

_Native = TypeVar("_Native")

_PATIENCE = 2.0
"""Seconds that a fork waits for a thread at most."""

_keep: Callable[[Any], None] = ctypes.pythonapi["Py_IncRef"]
_keep.argtypes, _keep.restype = [ctypes.py_object], None  # type: ignore[attr-defined]


class Origin:
    """The process in which something was made."""

    # Processes are counted from the first that imported this module. Their ids would not do:
    # the system may give one again, to a grandchild even.
    _this_process: ClassVar[int] = 0

    def __init__(self) -> None:
        self._process = Origin._this_process

    @property
    def is_here(self) -> bool:
        """Whether it is this one, and not one that this was forked from."""
        # By way of `self`: while Python ends, names of modules may be gone.
        return self._process == self._this_process

    def check(self, what: str, remedy: str = "load the model again") -> None:
        """Refuse what was inherited.

        Args:
            what: What was made there, for the error.
            remedy: What to do about it.

        Raises:
            EngineError: This process was forked since.
        """
        if not self.is_here:
            raise EngineError(f"{what} was opened before this process was forked: {remedy}")

    @classmethod
    def _begin_child(cls) -> None:
        cls._this_process += 1


os.register_at_fork(after_in_child=Origin._begin_child)


class Owned(Generic[_Native]):
    """The only reference to a native library's object, good in the process that made it."""

    def __init__(self, native: _Native, what: str) -> None:
        """Take an object over.

        Args:
            native: It; nobody else may keep it.
            what: What it belongs to, for errors.
        """
        self._origin = Origin()
        self._native = native
        self._what = what

    def get(self) -> _Native:
        """The object, not to be kept.

        Raises:
            EngineError: This process was forked since it was made.
        """
        self._origin.check(self._what)
        return self._native

    def __del__(self, keep: Callable[[Any], None] = _keep) -> None:
        if not self._origin.is_here:
            keep(self._native)  # a reference that nobody gives back: it is never destroyed


class Turns:
    """Lets one thread at a time use a library; for good, so that it is a module's.

    A fork waits for the thread that is in, for those `alongside`, and then for the library's own
    threads. A child has none of these, and whatever they were in the middle of it would wait for
    when it ends.
    """

    def __init__(self, rest: float = 0.0) -> None:
        """Nobody is in.

        Args:
            rest: Seconds after which the library's threads sleep, once nobody is in.
        """
        self._rest = rest
        self._last = -math.inf
        self._held = False
        self._renew()
        os.register_at_fork(
            before=self._before, after_in_parent=self._after, after_in_child=self._renew
        )

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._last = time.monotonic()
        self._lock.release()

    @contextmanager
    def alongside(self) -> Iterator[None]:
        """For what any number of threads may do at a time, and meanwhile."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._last = time.monotonic()
                self._busy -= 1
                self._changed.notify_all()

    def _before(self) -> None:
        # Who holds it for longer may itself wait for what forks.
        self._held = self._lock.acquire(timeout=_PATIENCE)
        self._changed.acquire()  # held while the process forks: nobody comes in
        self._changed.wait_for(lambda: self._busy == 0, timeout=_PATIENCE)
        time.sleep(max(0.0, self._last + self._rest - time.monotonic()))

    def _after(self) -> None:
        self._changed.release()
        if self._held:
            self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._busy = 0
