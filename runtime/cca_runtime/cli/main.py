"""Entry point of `cca-run`: parse, dispatch, and turn exceptions into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cca_runtime.cli.arguments import build_parser
from cca_runtime.errors import CcaError

_INTERRUPTED = 128 + signal.SIGINT  # what a shell reports for a process that it ended
_TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cca-run`.

    Args:
        arguments: Command-line arguments without the program's name.

    Returns:
        The exit code: 0, 1 for a failure, 2 for bad input. Wrong usage leaves
        through `SystemExit(2)`, as argparse does.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        from cca_runtime import __version__

        print(f"cca-run {__version__}")  # noqa: T201 - this is the tool's output
        return 0
    if options.command is None:
        parser.error(
            "a command is required: encode, decode, info, verify or bench (see cca-run --help)"
        )
    try:
        with _orderly_termination():
            return _run(options)
    except CcaError as error:
        sys.stderr.write(f"cca-run: error: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        # The reader went away; point stdout elsewhere so that Python's exit flush is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("cca-run: interrupted\n")
        return _INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    """Run a command: each brings numpy and an engine along, so only the one that is asked for."""
    if options.command == "encode":
        from cca_runtime.cli.encode import run
    elif options.command == "decode":
        from cca_runtime.cli.decode import run
    elif options.command == "info":
        from cca_runtime.cli.info import run
    elif options.command == "bench":
        from cca_runtime.cli.bench import run
    else:
        from cca_runtime.cli.verify import run
    return run(options)


@contextmanager
def _orderly_termination() -> Iterator[None]:
    """Let SIGTERM finish what is being written, as SIGINT does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not for other threads
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
