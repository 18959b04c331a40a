"""The end of a command by a signal: at once, with nothing half-written.

A graph, a decoder or a read that waits for a pipe cannot be interrupted from Python, and Python's
own handlers wait for them. So the signals are blocked, and a thread waits for them. It takes
unfinished files away and lets the signal do what it would have done: a shell sees a process that
died of it, and ends its loop at Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from cca_console.console import Console
from cca_console.text import printable

_MESSAGES = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "the terminal is gone",
}
_STDERR = 2
_PATIENCE = 1.0
"""Seconds to wait for a rename that is under way."""

_turn = threading.RLock()
_unfinished: set[Path] = set()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep signals from ending the process between two steps. For a few system calls only."""
    with _turn:
        yield


def unfinished(path: Path) -> None:
    """Say that a file or folder is to be removed if a signal ends the process."""
    with _turn:
        _unfinished.add(path)


def finished(path: Path) -> None:
    """Say that it no longer is, or is no longer there."""
    with _turn:
        _unfinished.discard(path)


@contextlib.contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder, removed at the end, be it by a signal.

    Args:
        prefix: How its name begins.
        parent: Where it lies; by default where temporary files do.
    """
    with uninterrupted():
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent)
        path = Path(folder.name)
        unfinished(path)
    try:
        with folder:
            yield path
    finally:
        finished(path)


@contextlib.contextmanager
def ended_by_signals(console: Console) -> Iterator[None]:
    """End the process at SIGINT, SIGTERM or SIGHUP, whatever it does, but for those it ignores.

    Threads and processes that are started within inherit that these signals are blocked. In
    another thread than the main one, which signals are not for, this does nothing.
    """
    heeded = {number for number in _MESSAGES if signal.getsignal(number) != signal.SIG_IGN}
    if not heeded or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in heeded}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    over = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(heeded, over, console.program), name="cca-signals", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.pthread_kill(watcher.ident or 0, next(iter(heeded)))
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _watch(heeded: set[signal.Signals], over: threading.Event, program: str) -> None:
    number = signal.sigwait(heeded)
    if over.is_set():
        return
    if _turn.acquire(timeout=_PATIENCE):  # and never let go: nothing new is begun
        for path in _unfinished:
            _remove(path)
    _last_words(f"{program}: {_MESSAGES[signal.Signals(number)]}")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the first process of a container does not die of signals


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)


def _last_words(line: str) -> None:
    """Print a line, unless that would wait for somebody to read it."""
    with contextlib.suppress(OSError):
        if select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, f"{printable(line)}\n".encode())
