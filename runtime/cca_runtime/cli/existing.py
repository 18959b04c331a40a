"""`--skip-existing`: which outputs are there from a run before, and whole."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cca_runtime.cli.outputs import Job
from cca_runtime.cli.places import is_file
from cca_runtime.cli.reading import read_input
from cca_runtime.errors import BadInputError, CcaError
from cca_runtime.pipeline import run_in_order
from cca_runtime.streams import parse

_AT_ONCE = 2

Check = Callable[[Job], None]
"""Raises an exception that says what is wrong with a job's existing output."""


@dataclass(frozen=True)
class Remaining:
    """What is left to do.

    Attributes:
        jobs: Without those whose output is whole.
        faults: For each job whose output is not, what is wrong with it.
    """

    jobs: list[Job]
    faults: dict[Job, str]


def find_remaining(jobs: Sequence[Job], check: Check) -> Remaining:
    """Look at every output there is."""
    existing = [job for job in jobs if not job.error and is_file(job.target)]

    def fault(job: Job) -> str | None:
        try:
            check(job)
        except CcaError as error:
            return str(error)
        except Exception:  # of a picture library, which says what it likes
            return "it is damaged"
        return None

    found = dict(zip(existing, run_in_order(fault, existing, _AT_ONCE), strict=True))
    left = [job for job in jobs if job not in found or found[job] is not None]
    return Remaining(left, {job: text for job, text in found.items() if text is not None})


def check_stream(job: Job) -> None:
    """See that an output is a whole stream: its header, length and checksums.

    Raises:
        BadInputError: It is not.
    """
    parse(read_input(job.target))


def check_picture(job: Job, region: tuple[int, int, int, int] | None) -> None:
    """See that an output is a whole picture of its stream's size, or of a region's.

    Raises:
        Exception: It is not, or cannot be read.
    """
    data = read_input(job.target)
    suffix = Path(job.target).suffix.lower()
    formats = [Image.registered_extensions()[suffix]]
    with Image.open(io.BytesIO(data), formats=formats) as image:
        _check_size(image.size, job.source, region)
        image.verify()  # checksums, where the format has them
    with Image.open(io.BytesIO(data), formats=formats) as image:
        image.load()


def _check_size(
    size: tuple[int, int], source: str, region: tuple[int, int, int, int] | None
) -> None:
    if region is not None:
        expected = region[2:]
    elif is_file(source):
        info, _ = parse(read_input(source))
        expected = info.width, info.height
    else:
        return
    if size != expected:
        raise BadInputError("a picture of {}x{} pixels instead of {}x{}".format(*size, *expected))
