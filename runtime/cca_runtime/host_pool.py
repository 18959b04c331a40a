"""Hosts for as many threads as may code at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cca_core import StateError

from cca_runtime.host import EngineHost, Machine
from cca_runtime.stopwatch import add_seconds


class HostPool:
    """Lends hosts, which are made when first needed, and kept."""

    def __init__(self, first: EngineHost, most: int) -> None:
        self.first = first
        self._idle = [first]
        self._room = threading.Semaphore(most)
        self._turn = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[EngineHost]:
        """A host for this thread alone, when there is one.

        Raises:
            FailureError: The engine has no room for another.
        """
        with self._room:
            host = self._pop()
            try:
                yield host
            finally:
                with self._turn:
                    self._idle.append(host)

    def drive(self, machine: Machine, workers: int) -> Mapping[str, float]:
        """Do all steps of a machine, each worker's on a thread and a host of its own.

        Returns:
            Seconds by stage, of all workers together (`EngineHost.drive`).

        Raises:
            cca_core's errors, BadInputError, FailureError: As `EngineHost.drive`; of several
                workers, what the first one met.
        """

        def work(worker: int) -> Mapping[str, float]:
            with self.take() as host:
                return host.drive(machine, worker)

        if workers == 1:
            return work(0)
        with ThreadPoolExecutor(workers) as threads:
            done = [threads.submit(work, worker) for worker in range(workers)]
        errors = [error for future in done if (error := future.exception())]
        # The machine tells the other workers only that one has failed.
        for error in sorted(errors, key=lambda error: isinstance(error, StateError)):
            raise error
        return add_seconds(future.result() for future in done)

    def _pop(self) -> EngineHost:
        with self._turn:
            # The one used last: its memory and recordings are warm.
            return self._idle.pop() if self._idle else self.first.new_context()
