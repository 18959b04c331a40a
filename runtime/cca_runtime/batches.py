"""Many things coded at once, with errors in the place of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from cca_runtime.errors import CcaError, as_cca_error

_Item = TypeVar("_Item")
_Prepared = TypeVar("_Prepared")
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
    except Exception as error:  # whatever it is, it is this batch's alone
        if len(items) == 1:
            return [as_cca_error(error)]
    return [result for item in items for result in code_or_explain([item], code)]


def or_raise(results: Generator[_Coded | CcaError, None, None]) -> list[_Coded]:
    """All results, or the first that is an error, which is raised: no more is begun then."""
    coded = []
    with closing(results):
        for result in results:
            if isinstance(result, CcaError):
                raise result
            coded.append(result)
    return coded


def prepared(
    items: Iterable[_Item], prepare: Callable[[_Item], _Prepared]
) -> Iterator[_Prepared | CcaError]:
    """`prepare` of each item; where that fails, the error in its place."""
    for item in items:
        try:
            ready: _Prepared | CcaError = prepare(item)
        except Exception as error:
            ready = as_cca_error(error)
        yield ready
