"""What a library's exception means, in one line."""

from __future__ import annotations

import re

from cca_engines.engine import EngineError

# Each library has words of its own for it, some of them for each of its parts.
_OF_MEMORY = re.compile(
    r"out of memory|bad.?alloc|(failed to|unable to|cannot|could not) allocate"
    r"|alloc\w*[ _]failed|cudaErrorMemoryAllocation",
    re.IGNORECASE,
)


def first_line(error: BaseException) -> str:
    """What a library's exception says first; the rest is its stack and source lines.

    Lines that end in a colon announce the next one: OpenVINO begins with several that say
    where in its sources it was.
    """
    lines = [line.strip() for line in str(error).strip().split("\n")]
    said = next((line for line in lines if line and not line.endswith(":")), lines[0])
    return said or type(error).__name__


def is_of_memory(error: BaseException) -> bool:
    """Whether it says that there was too little memory."""
    return isinstance(error, MemoryError) or _OF_MEMORY.search(str(error)) is not None


def explain(error: Exception, what: str) -> EngineError:
    """The error that something failed.

    Args:
        error: What the library raised.
        what: What failed, as the beginning of a sentence: `graph 'prior_0' failed`.
    """
    if is_of_memory(error):
        return EngineError(
            f"{what}: out of memory; end other programs, take a smaller picture, or encode it in "
            "smaller tiles"
        )
    return EngineError(f"{what}: {first_line(error)}")
