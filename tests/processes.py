"""`cca-run` in a process of its own: with stubs in it, and its standard streams in any state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

_MAIN = """
import signal, sys
# A shell's background jobs ignore SIGINT, and those of nohup SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
{before}
from cca_runtime.cli import main
sys.exit(main(sys.argv[1:]))
"""


def started(*arguments: str | Path, before: str = "", **settings: Any) -> subprocess.Popen[bytes]:
    """Start it, after the lines `before` of Python."""
    command = [sys.executable, "-c", _MAIN.format(before=before), *map(str, arguments)]
    return subprocess.Popen(command, **settings)


def through_shell(script: str, *arguments: str | Path, **settings: Any) -> tuple[int, bytes, bytes]:
    """Run a line of bash in which `"$@"` is the command; exit code, standard output and error."""
    command = [sys.executable, "-m", "cca_runtime.cli", *map(str, arguments)]
    done = subprocess.run(
        ["bash", "-c", script, "bash", *command], capture_output=True, check=False, **settings
    )
    return done.returncode, done.stdout, done.stderr
