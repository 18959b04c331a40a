"""The outermost part of a command: what ends it, and with which exit code."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

from cca_console.console import DEBUG, Console
from cca_console.ending import ended_by_signals
from cca_console.text import unexpected

FAILED = 1


def run_command(console: Console, work: Callable[[], int]) -> int:
    """Run a command to its end, whatever ends it.

    Args:
        console: What it prints to.
        work: Does it all, and returns the exit code. Errors that are expected it reports itself.

    Returns:
        The exit code: 1 where a line could not be printed, or after an internal error.
    """
    # What libraries warn of is not in the words of this tool, nor on one line.
    with warnings.catch_warnings(action="ignore"), ended_by_signals(console):
        try:
            code = work()
        except MemoryError:
            console.error("not enough memory")
            code = FAILED
        except Exception as error:
            console.error(internal_error(console, error))
            code = FAILED
    return code or (FAILED if console.lost else 0)


def internal_error(console: Console, error: BaseException) -> str:
    """What to say of an exception that nobody foresaw, and how to see where it came from."""
    console.explain(error)
    hint = "" if os.environ.get(DEBUG) else f" ({DEBUG}=1 in the environment shows where)"
    return f"{unexpected(error)}{hint}"
