"""Command lines that make no sense: each is one line on stderr, and exit code 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cca_runtime.cli import main


def refuse(
    arguments: Sequence[str], places: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Run `cca-run` and see it refuse.

    Args:
        arguments: With the names of `places` in braces.
        places: Files.
        capsys: Of the test.
    """
    with pytest.raises(SystemExit) as caught:
        main([argument.format(**places) for argument in arguments])
    assert caught.value.code == 2
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("cca-run: error: ")
    assert line.isprintable()
    assert not output.out
