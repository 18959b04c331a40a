"""The standard streams of a command, which may be closed, full, or in an encoding without a letter.

Nothing that is printed may end the work: what cannot be written is remembered for the exit code.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TextIO

from cca_console.text import printable, reason

DEBUG = "CCA_DEBUG"
"""The environment variable that shows where an internal error came from."""

_CLEAR = "\r\x1b[K"


class Console:
    """Prints a command's lines, escaped, and knows whether one was lost.

    Attributes:
        program: The command's name, which its messages begin with.
        lost: Whether a line could not be written.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        self.lost = False
        _occupy_standard_descriptors()
        self._out, self._err = sys.stdout, sys.stderr
        self._showing = False

    def report(self, line: str) -> None:
        """Print a line on standard output."""
        self._print(self._out, f"{printable(line)}\n")

    def remark(self, line: str) -> None:
        """Print a line on standard error."""
        self._print(self._err, f"{printable(line)}\n")

    def say(self, message: str) -> None:
        """Print a message on standard error, under the command's name."""
        self.remark(f"{self.program}: {message}")

    def error(self, message: str) -> None:
        """Print what went wrong."""
        self.say(f"error: {message}")

    def explain(self, error: BaseException) -> None:
        """Print where an internal error came from, if `CCA_DEBUG` is set."""
        if os.environ.get(DEBUG):
            for line in "".join(traceback.format_exception(error)).splitlines():
                self.say(line)

    def write(self, data: bytes) -> None:
        """Write data to standard output.

        Raises:
            OSError: It cannot be written: `BrokenPipeError` where nobody reads it any more.
        """
        if self._out is None:
            raise OSError("it is closed")
        try:
            self._out.buffer.write(data)
            self._out.buffer.flush()
        except OSError:
            _abandon(self._out)
            raise

    def shows_progress(self) -> bool:
        """Whether standard error is a terminal."""
        return self._err is not None and self._err.isatty()

    def progress(self, line: str) -> None:
        """Show a line on the terminal, until something else is printed."""
        if self.shows_progress():
            self._print(self._err, printable(line))
            self._showing = True

    def clear(self) -> None:
        """Take the line of `progress` away."""
        if self._showing:
            self._showing = False
            self._deliver(self._err, _CLEAR)

    def _print(self, stream: TextIO | None, text: str) -> None:
        self.clear()
        self._deliver(stream, text)

    def _deliver(self, stream: TextIO | None, text: str) -> None:
        if stream is None:  # closed before the start
            self.lost = True
            return
        encoding = stream.encoding or "ascii"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except (OSError, ValueError) as error:
            self.lost = True
            _abandon(stream)
            if stream is not self._err and not isinstance(error, BrokenPipeError):
                cause = reason(error) if isinstance(error, OSError) else error
                self.say(f"standard output cannot be written: {cause}; reports are lost from here")


def _abandon(stream: TextIO) -> None:
    """Lead a stream nowhere: what it still holds must not fail again when Python exits."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # in memory, or closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _occupy_standard_descriptors() -> None:
    """See that no file of ours gets the number of a standard stream that is closed.

    A library that prints there would write into it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
