"""Sessions for as many threads as may code at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cca_runtime.session import Session


class SessionPool:
    """Lends sessions, which are made when first needed, and kept."""

    def __init__(self, first: Session, most: int) -> None:
        self._first = first
        self._idle = [first]
        self._room = threading.Semaphore(most)
        self._turn = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[Session]:
        """A session for this thread alone, when there is one."""
        with self._room:
            session = self._pop()
            try:
                yield session
            finally:
                with self._turn:
                    self._idle.append(session)

    def _pop(self) -> Session:
        with self._turn:
            # The one used last: its memory and recordings are warm.
            return self._idle.pop() if self._idle else self._first.twin()
