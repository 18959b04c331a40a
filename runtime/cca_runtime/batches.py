"""Many things coded at once, with errors in the place of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from cca_runtime.errors import CcaError, FailureError

_Item = TypeVar("_Item")
_Coded = TypeVar("_Coded")


def code_or_explain(
    batch: Sequence[_Item | CcaError], code: Callable[[Sequence[_Item]], list[_Coded]]
) -> list[_Coded | CcaError]:
    """`code` of a batch; where that fails, of each alone, with errors in their places."""
    items: list[_Item] = []
    for item in batch:
        if isinstance(item, CcaError):  # always alone
            return [item]
        items.append(item)
    try:
        return [*code(items)]
    except CcaError as error:
        if len(items) == 1:
            return [error]
    except MemoryError:
        if len(items) == 1:
            return [FailureError("not enough memory for this picture")]
    return [result for item in items for result in code_or_explain([item], code)]


def or_raise(results: Iterable[_Coded | CcaError]) -> Iterator[_Coded]:
    """Results, up to the first that is an error, which is raised."""
    for result in results:
        if isinstance(result, CcaError):
            raise result
        yield result
