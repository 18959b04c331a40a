"""A few of the attacks that `make attack` makes for an hour, and its way of watching them."""

from __future__ import annotations

from pathlib import Path

import pytest
from attacks.campaign import main
from attacks.executions import execute, kinds, short_name
from attacks.watched import campaign

EXECUTIONS = {"attacks.streams": 800, "attacks.manifests": 300, "attacks.archives": 100}
"""What takes about two seconds; 50 of those not named here."""


@pytest.mark.parametrize("kind", kinds(), ids=short_name)
def test_mutants_are_accepted_or_refused(kind: str) -> None:
    outcomes = {execute(kind, 0, number) for number in range(EXECUTIONS.get(kind, 50))}
    assert outcomes == {True, False}


FAILING = """
import os, time

def attack(random):
    what = random.randrange(20)
    if what == 1:
        os.abort()
    if what == 2:
        time.sleep(60)
    if what == 3:
        raise KeyError("foreign")
    return what % 2 == 0
"""


def test_a_campaign_outlives_crashes_and_endless_executions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    tally = campaign("failing", seed=660, seconds=300, limit=2, most=6)
    reasons = " ".join(finding.what for finding in tally.findings)
    assert "died with exit code -6" in reasons
    assert "not over after 2 s" in reasons
    assert "KeyError: 'foreign'" in reasons
    assert tally.accepted > 0
    assert tally.refused > 0
    foreign = next(finding for finding in tally.findings if "KeyError" in finding.what)
    with pytest.raises(KeyError, match="foreign"):
        execute("failing", 660, foreign.number)


def test_the_command_replays_one_execution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--replay", "streams:7"]) == 0
    assert capsys.readouterr().out.strip() in ("accepted", "refused")
