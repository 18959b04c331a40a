"""Attack the installed package for a while and say what came of it.

    python -m attacks.campaign --seconds 60 [--kind streams ...] [--seed 1]
    python -m attacks.campaign --replay streams:1234 [--seed 1]

The exit code is 1 if anything happened that is neither acceptance nor a `CcaError`.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attacks.executions import execute, kinds, short_name
from attacks.watched import Tally, campaign

PROCESSES = 2
LIMIT_SECONDS = 10.0
MEBIBYTE = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="attacks.campaign", description=__doc__)
    known = {short_name(kind): kind for kind in kinds()}
    parser.add_argument("--seconds", type=float, default=60, help="in all, divided over the kinds")
    parser.add_argument("--kind", nargs="+", choices=known, default=list(known))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", metavar="KIND:NUMBER", help="run this execution alone")
    parser.add_argument(
        "--findings", type=Path, help="append what to replay to this file, one a line"
    )
    options = parser.parse_args(arguments)
    if options.replay:
        name, _, number = options.replay.partition(":")
        return replay(known[name], options.seed, int(number))
    seconds = options.seconds / math.ceil(len(options.kind) / PROCESSES)
    with ThreadPoolExecutor(PROCESSES) as pool:
        runs = [
            pool.submit(campaign, known[name], options.seed, seconds, LIMIT_SECONDS)
            for name in options.kind
        ]
        tallies = {name: run.result() for name, run in zip(options.kind, runs, strict=True)}
    print_table(tallies)
    print_findings(tallies, options.seed)
    found = [f"{n}:{finding.number}" for n, tally in tallies.items() for finding in tally.findings]
    if options.findings and found:
        with options.findings.open("a") as stream:
            stream.writelines(f"--seed {options.seed} --replay {which}\n" for which in found)
    return 1 if found else 0


def replay(kind: str, seed: int, number: int) -> int:
    try:
        print("accepted" if execute(kind, seed, number) else "refused")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def print_table(tallies: dict[str, Tally]) -> None:
    print("kind        executions   accepted    refused    foreign   MiB warm   MiB last")
    for name, tally in tallies.items():
        counts = (tally.executions, tally.accepted, tally.refused, len(tally.findings))
        memory = (tally.warm_bytes // MEBIBYTE, tally.last_bytes // MEBIBYTE)
        print(f"{name:<10}", *(f"{number:>10,}" for number in (*counts, *memory)), sep="  ")


def print_findings(tallies: dict[str, Tally], seed: int) -> None:
    for name, tally in tallies.items():
        for finding in tally.findings[:5]:
            print(f"\n--seed {seed} --replay {name}:{finding.number}\n{finding.what}")


if __name__ == "__main__":
    # What executions write lies in one place, which goes with the campaign.
    with tempfile.TemporaryDirectory(prefix="cca-attacks-") as scratch:
        os.environ |= {"TMPDIR": scratch, "XDG_CACHE_HOME": scratch, "HOME": scratch}
        code = main()
    sys.exit(code)
