"""Arguments of a command: usage errors in one line, and numbers within bounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from cca_console.console import Console

_WRONG_USAGE = 2
_FAILED = 1


class Parser(argparse.ArgumentParser):
    """Reports usage errors in one line, as every other error, and help as far as it can."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        Console(self.prog.partition(" ")[0]).error(f"{message} (see {self.prog} --help)")
        raise SystemExit(_WRONG_USAGE)

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 - standard output alone
        """Print the help, or exit with code 1."""
        console = Console(self.prog)
        for line in self.format_help().splitlines():
            console.report(line)
        if console.lost:
            raise SystemExit(_FAILED)


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """A type for `add_argument`: decimal digits, within bounds."""

    def read(text: str) -> int:
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(highest))
        if not digits or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a whole number from {lowest} to {highest}"
            )
        return int(text)

    return read


def file_name(text: str) -> str:
    """A type for `add_argument`: any name but the empty one, which Python takes for `.`."""
    if not text:
        raise argparse.ArgumentTypeError("a name cannot be empty")
    return text
