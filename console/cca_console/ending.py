"""The end of a command by a signal: at once, with nothing half-written.

A graph, a decoder or a read that waits for a pipe cannot be interrupted from Python, and handlers
in Python wait for them. So a thread hears of signals through Python's wake-up pipe. It takes
unfinished files away and lets the signal do what it would have done: a shell sees a process that
died of it, and ends its loop at Ctrl-C.
"""

from __future__ import annotations

import contextlib
import ctypes
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
_DEFAULT = None  # SIG_DFL
_OVER = b"\0"  # no signal's number
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

    In another thread than the main one, which signals are not for, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(
        target=_watch, args=(reader, console.program), name="cca-signals", daemon=True
    )
    watcher.start()
    awaken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    heeded = [number for number in _MESSAGES if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _leave_it_to_the_thread) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(awaken)
        os.write(writer, _OVER)
        watcher.join()
        os.close(reader)
        os.close(writer)


def _leave_it_to_the_thread(*_: object) -> None:
    """Handle a signal: Python has told the pipe of it, and the thread is at it already."""


def _watch(reader: int, program: str) -> None:
    while (byte := os.read(reader, 1)) != _OVER:
        if byte[0] in _MESSAGES:
            _end(signal.Signals(byte[0]), program)


def _end(number: signal.Signals, program: str) -> None:
    if _turn.acquire(timeout=_PATIENCE):  # and never let go: nothing new is begun
        for path in _unfinished:
            _remove(path)
    _last_words(f"{program}: {_MESSAGES[number]}")
    # Python lets only its main thread do this, which may be anywhere.
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes = [ctypes.c_int, ctypes.c_void_p]
    set_handler(number, _DEFAULT)
    signal.raise_signal(number)
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
