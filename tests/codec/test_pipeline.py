"""The pipeline's order, bounds and ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from cca_runtime.pipeline import in_batches, run_in_order


def test_results_are_in_order_whatever_takes_longest() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(run_in_order(work, range(20), 4)) == [item * item for item in range(20)]


def test_workers_work_at_once() -> None:
    meeting = threading.Barrier(3)

    def work(item: int) -> int:
        meeting.wait(timeout=20)  # none gets past it alone
        return item

    assert list(run_in_order(work, range(6), 3)) == list(range(6))


def test_items_are_taken_no_further_ahead_than_needed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    for done, result in enumerate(run_in_order(lambda item: item, items(), 2)):
        assert result == done
        assert taken <= done + 3


def test_one_slow_item_does_not_keep_the_others_waiting() -> None:
    rest = threading.Barrier(2)

    def work(item: int) -> int:
        if item in (0, 9):
            rest.wait(timeout=20)  # the first item ends when the last has begun
        return item

    assert list(run_in_order(work, range(10), 2, ahead=10)) == list(range(10))


def test_an_error_comes_in_its_place_and_ends_the_work() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise KeyError(item)
        return item

    results = run_in_order(work, range(100), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError):
        next(results)
    assert max(begun) <= 5


def test_who_stops_listening_stops_the_work() -> None:
    begun = []
    results = run_in_order(lambda item: begun.append(item), iter(range(100)), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 4


def test_batches_are_neighbours_of_one_kind() -> None:
    batches = in_batches("aaabbaccccc", key=str, most=lambda item: 2 if item == "c" else 3)
    assert list(batches) == [list(batch) for batch in ("aaa", "bb", "a", "cc", "cc", "c")]
    assert list(in_batches("", key=str, most=lambda _: 3)) == []


def test_a_full_batch_does_not_wait_for_the_next_item() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(3):
            taken.append(item)
            yield item

    batches = in_batches(items(), key=lambda _: None, most=lambda _: 2)
    assert next(batches) == [0, 1]
    assert taken == [0, 1]


def test_what_is_done_does_not_wait_for_items_that_are_long_in_coming() -> None:
    def items() -> Iterator[int]:
        for item in range(20_000):
            time.sleep(0.001)
            yield item
        raise AssertionError("all items were taken before the first result was given")

    results = run_in_order(lambda item: item, items(), 2, ahead=100_000)
    assert next(results) == 0
    results.close()
