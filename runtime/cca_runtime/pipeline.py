"""Work on many things at once, with results in order and no more under way than needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run_in_order(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    workers: int,
    *,
    ahead: int | None = None,
) -> Generator[_Result, None, None]:
    """Results of `work`, in the items' order, computed by threads ahead of their use.

    An item is taken when a worker is about to be free for it, so a generator of items
    need not hold them all.

    Args:
        work: Called once for each item. What it raises ends the iteration in its place;
            work that has begun is finished first.
        items: What to work on; taken by the thread that asks for results.
        workers: Threads.
        ahead: Items that are under way or done and not yet asked for, at most. By default
            as many as there are workers; more where results are small, so that one item
            that takes long does not keep the others waiting.
    """
    ahead = workers if ahead is None else max(workers, ahead)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cca")
    pending: deque[Future[_Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            # What is done need not wait for the next item, which may be long in coming.
            while len(pending) > ahead or (pending and pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_batches(
    items: Iterable[_Item], key: Callable[[_Item], Hashable], most: Callable[[_Item], int]
) -> Iterator[list[_Item]]:
    """Neighbours with equal keys, at most `most` of the first one together; order is kept."""
    batch: list[_Item] = []
    for item in items:
        if batch and key(item) != key(batch[0]):
            yield batch
            batch = []
        batch.append(item)
        if len(batch) >= most(batch[0]):  # before the next is asked for
            yield batch
            batch = []
    if batch:
        yield batch
