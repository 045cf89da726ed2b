"""The different rows of a list are counted, at hardly any memory while ids rise."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.api import row_counter
from tap_lev.api.row_counter import MAX_KEPT, RowCounter, keys_of, total_of

IDS = st.integers(-(2**63), 2**64) | st.integers(0, 30)
KEYS = IDS | st.text(max_size=3) | st.tuples(st.text(max_size=2), st.integers(-3, 3))
PAGES = st.lists(st.lists(KEYS, max_size=6), max_size=8)
RISING = st.lists(st.integers(0, 60), unique=True).map(sorted)


def counted(pages: list[list[Any]], earlier: int | None = 0) -> RowCounter:
    """A counter that has read pages, of a list whose total is not told."""
    counter = RowCounter(earlier)
    for page in pages:
        counter.add(None, page)
    return counter


def cut(keys: list[Any], size: int) -> list[list[Any]]:
    """Keys as pages."""
    return [keys[at : at + size] for at in range(0, len(keys), size)]


@given(PAGES)
def test_each_row_counts_once_whatever_the_order(pages: list[list[Any]]) -> None:
    seen: set[Any] = set()
    counter = RowCounter()
    for page in pages:
        counter.add(None, page)
        new = set(page) - seen
        assert counter.new_on_page == len(new)
        assert counter.page_rows == len(page)
        assert counter.is_repeated == (bool(page) and not new)
        assert counter.before_page == len(seen)
        seen |= new
        assert counter.rows_read == counter.different == len(seen)


@given(PAGES, st.integers(1, 3))
def test_a_row_without_a_key_is_counted_apart(pages: list[list[Any]], every: int) -> None:
    given_keys = [[None if at % every == 0 else key for at, key in enumerate(p)] for p in pages]
    counter = counted(given_keys)
    flat = [key for page in given_keys for key in page]
    assert counter.keyless == flat.count(None)
    assert counter.rows_read == len(set(flat) - {None})


@given(RISING, st.integers(1, 7), PAGES)
def test_ids_that_rise_by_chance_and_then_do_not_are_counted_exactly(
    rising: list[int], size: int, pages: list[list[Any]]
) -> None:
    counter = counted(cut(rising, size))
    assert counter.is_ordered
    for page in pages:
        counter.add(None, page)
    assert counter.different == len({*rising, *(key for page in pages for key in page)})


@pytest.mark.parametrize(
    ("pages", "ordered"),
    [
        ([[1, 2], [], [3, 9]], True),
        ([[None, 1], [None], [2]], True),
        ([], True),
        ([[1, 2], [2, 3]], False),
        ([[1, 3], [2]], False),
        ([[1, 1]], False),
        ([[2, 1]], False),
        ([["a", "b"]], False),
        ([[1, "2"]], False),
        ([[False, True]], False),
        ([[1], [(1, 2)]], False),
    ],
)
def test_order_is_that_of_integers_over_all_pages(pages: list[list[Any]], *, ordered: bool) -> None:
    assert counted(pages).is_ordered == ordered


@given(RISING, st.lists(st.lists(st.integers(0, 90), max_size=5), max_size=6))
def test_where_the_order_ends_late_only_higher_ids_are_known_to_be_new(
    rising: list[int], pages: list[list[int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_counter, "MAX_KEPT", 4)
        counter = counted(cut(rising, 2))
        kept_all, kept, seen, highest = len(rising) <= 4, set(rising[:4]), set(rising), None
        different = len(rising)
        for page in pages:
            still = counter.is_ordered
            counter.add(None, page)
            if counter.is_ordered:
                return  # the rule for ids that rise is held above
            if still:
                highest = max(seen) if seen else None
            new = {key for key in page if key not in kept}
            sure = new if kept_all else {key for key in new if highest is None or key > highest}
            assert counter.new_on_page == len(sure)
            assert counter.doubtful_on_page == len(new) - len(sure)
            assert counter.is_repeated == (bool(page) and not new)
            kept |= new
            different += len(sure)
            assert counter.different == different


def test_a_page_that_may_be_new_is_taken_for_a_repeated_one_when_it_comes_again() -> None:
    counter = counted(cut(list(range(1, 4 * MAX_KEPT + 1)), 200))
    late = list(range(3 * MAX_KEPT, 3 * MAX_KEPT + 200))
    counter.add(None, late)
    assert (counter.new_on_page, counter.doubtful_on_page, counter.is_repeated) == (0, 200, False)
    counter.add(None, late)
    assert (counter.new_on_page, counter.doubtful_on_page, counter.is_repeated) == (0, 0, True)
    counter.add(None, list(range(1, 201)))
    assert counter.is_repeated, "the first keys are always kept"
    counter.add(None, [4 * MAX_KEPT + 1])
    assert counter.different == 4 * MAX_KEPT + 1


def test_a_million_rows_whose_ids_rise_take_no_memory() -> None:
    counter = RowCounter()
    tracemalloc.start()
    try:
        for first in range(0, 1_000_000, 200):
            counter.add({"total": 1_000_000}, range(first, first + 200))
            if first == 20_000:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
        assert tracemalloc.get_traced_memory()[1] - before < 100_000
    finally:
        tracemalloc.stop()
    assert (counter.rows_read, counter.shortfall, counter.is_ordered) == (1_000_000, 0, True)


# -- Against Lev's count


@pytest.mark.parametrize(
    ("pagination", "total"),
    [
        (None, None),
        ({}, None),
        ({"total": 7}, 7),
        ({"total": 0}, 0),
        ({"total_count": 7}, 7),
        ({"total": None, "total_count": 7}, 7),
        ({"total": 7, "total_count": 9}, 7),
        ({"total": True}, None),
        ({"total": "7"}, None),
        ({"total": 7.0}, None),
        ({"total": -1}, None),
        ({"total": 10**15}, 10**15),
        ({"total": 10**15 + 1}, None),
    ],
)
def test_a_total_is_a_number_within_reason(
    pagination: dict[str, Any] | None, total: int | None
) -> None:
    assert total_of(pagination) == total
    counter = RowCounter()
    counter.add(pagination, [])
    assert (counter.total, counter.min_total) == (total, total)


def test_a_shortfall_is_measured_by_the_least_total() -> None:
    counter = RowCounter()
    for total, keys in ((10, [1, 2]), (7, [3]), (None, [4]), (9, [5])):
        counter.add({"total": total}, keys)
    assert (counter.total, counter.min_total) == (9, 7)
    assert (counter.shortfall, counter.rows_left, counter.pages_left) == (2, 4, 4)
    counter.add(None, [5, 6, 7, 8])
    assert (counter.shortfall, counter.rows_left, counter.pages_left) == (0, 1, 0.25)


def test_repeated_rows_do_not_hide_missing_ones() -> None:
    counter = RowCounter()
    for keys in ([1, 2], [2, 1], [3]):
        counter.add({"total": 5}, keys)
    assert counter.shortfall == 2


@pytest.mark.parametrize(
    ("earlier", "pages", "rows_read", "shortfall"),
    [
        (0, [[3, 1]], 2, 8),
        (0, [[1, 3]], 2, 8),
        (5, [[6, 7]], 7, 3),
        (5, [[7, 6]], 7, None),
        (5, [["a"]], 6, None),
        (None, [[6, 7]], None, None),
        (5, [], 5, None),
    ],
)
def test_a_walk_that_goes_on_is_compared_only_while_ids_rise(
    earlier: int | None, pages: list[list[Any]], rows_read: int | None, shortfall: int | None
) -> None:
    counter = RowCounter()
    counter.add({"total": 99}, [1])
    counter.begin(earlier)
    for page in pages:
        counter.add({"total": 10}, page)
    assert counter.rows_read == rows_read
    assert counter.shortfall == shortfall
    assert counter.to_resume == (rows_read if counter.is_ordered else None)


def test_nothing_is_missing_where_nothing_is_counted() -> None:
    assert counted([[1, 2]]).shortfall is None


# -- Keys


def test_the_keys_of_rows_are_values_or_tuples_and_none_where_there_is_none() -> None:
    rows: list[dict[str, Any]] = [
        {"id": 1, "code": "a"}, {"id": None, "code": "b"}, {"code": "c"}, {"id": [1], "code": {}},
    ]  # fmt: skip
    assert keys_of(rows, ["id"]) == [1, None, None, None]
    assert keys_of(rows, ["code", "id"]) == [("a", 1), None, None, None]
    assert keys_of(rows, ["code"]) == ["a", "b", "c", None]
