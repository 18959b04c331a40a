"""Entry point of `cca-run`: parse, dispatch, and turn exceptions into one line and an exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cca_console.command import run_command
from cca_console.console import Console

from cca_runtime.cli.arguments import build_parser
from cca_runtime.cli.failures import explain_failure
from cca_runtime.cli.verbs import find_verbs
from cca_runtime.errors import CcaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cca-run`. SIGINT, SIGTERM and SIGHUP end the process, with nothing half-written.

    Args:
        arguments: Command-line arguments without the program's name.

    Returns:
        The exit code: 0, 1 for a failure, 2 for bad input. Wrong usage leaves
        through `SystemExit(2)`, as argparse does.
    """
    verbs = find_verbs()
    parser = build_parser(verbs)
    options = parser.parse_args(arguments)
    if options.command is None and not options.version:
        parser.error(f"a command is required: {', '.join(verbs)}")
    console = Console("cca-run")

    def work() -> int:
        try:
            return _run(options, console)
        except CcaError as error:
            code, message = explain_failure(console, error)
            console.error(message)
            return code

    return run_command(console, work)


def _run(options: argparse.Namespace, console: Console) -> int:
    if options.version:
        from cca_runtime import __version__

        console.report(f"cca-run {__version__}")
        return 0
    code: int = options.run(options, console)
    return code
