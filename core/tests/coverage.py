"""Line coverage of the core from a build with `--coverage` whose tests have run.

python core/tests/coverage.py BUILD_DIRECTORY
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

SOURCES = Path(__file__).parents[1]


def line_counts(build: Path) -> dict[Path, dict[int, int]]:
    """How often each line of each source ran, over all programs."""
    counts: dict[Path, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    notes = [str(file.resolve()) for file in build.rglob("*.gcda")]
    done = subprocess.run(
        ["gcov", "--json-format", "--stdout", *notes], capture_output=True, check=True, cwd=build
    )
    for report in done.stdout.splitlines():
        for file in json.loads(report)["files"]:
            source = Path(build, file["file"]).resolve()
            if source.is_relative_to(SOURCES):
                for line in file["lines"]:
                    counts[source][line["line_number"]] += line["count"]
    return counts


def main() -> None:
    counts = line_counts(Path(sys.argv[1]))
    total, covered = 0, 0
    for source, lines in sorted(counts.items()):
        missed = [number for number, count in sorted(lines.items()) if count == 0]
        total += len(lines)
        covered += len(lines) - len(missed)
        share = 100 * (1 - len(missed) / len(lines))
        where = f"  not run: {', '.join(map(str, missed))}" if missed else ""
        print(f"{share:6.1f} %  {source.relative_to(SOURCES)}{where}")
    print(f"{100 * covered / total:6.1f} %  of {total} lines")


if __name__ == "__main__":
    main()
