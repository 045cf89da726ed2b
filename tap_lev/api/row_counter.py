"""Count the different rows of a list, and compare them with the total that Lev states."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_TOTAL = 10**15
"""More rows than any account has. A larger total is a mistake, and too large for a float."""

MAX_KEPT = 10_000
"""Keys that are kept while ids ascend, so that the count stays exact if the order ends."""


def total_of(pagination: Mapping[str, Any] | None) -> int | None:
    """Return how many rows Lev says a list has, or None."""
    counts = ((pagination or {}).get(name) for name in ("total", "total_count"))
    return next((n for n in counts if type(n) is int and 0 <= n <= MAX_TOTAL), None)


def keys_of(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> list[Any]:
    """Return the primary keys of rows, each a value or a tuple of values.

    Args:
        rows: The rows.
        names: The columns of the key.

    Returns:
        The keys in the order of the rows; None for a row without a key.
    """
    if len(names) == 1:
        (name,) = names
        return [_usable(row.get(name)) for row in rows]
    keys = [tuple(_usable(row.get(name)) for name in names) for row in rows]
    return [None if None in key else key for key in keys]


def _usable(value: Any) -> Any:  # noqa: ANN401 - JSON
    return None if isinstance(value, dict | list) else value


class RowCounter:
    """Counts the different rows of one list.

    While integer ids ascend from page to page, no row can repeat, and a number is enough. When the
    order ends, there are two cases:

    1. The counter still has all keys, since there are few: it knows each row by the hash of its
       key.
    2. It has only the first keys: a key above the highest until then is new. Another unknown key
       is doubtful. It does not count, but its page may not be a repeated one.

    Args:
        earlier: Rows that earlier runs of the walk have read, or None if unknown.

    Attributes:
        page_rows: Rows of the last page.
        new_on_page: Rows of the last page whose keys are new.
        doubtful_on_page: Rows of the last page whose keys may be new.
        keyless_on_page: Rows of the last page without a key.
        keyless: Rows without a key. They count nowhere else.
        different: Different rows that this run has read, earlier runs not included.
        is_ordered: Whether all ids so far are integers that ascend.
        total: Rows that the list has by the last page that says so, or None.
        max_total: The largest total of any page, or None.
        min_total: The smallest total of any page, or None. Rows that came or went during the
            walk are not in it.
    """

    def __init__(self, earlier: int | None = 0) -> None:
        self.begin(earlier)

    def begin(self, earlier: int | None, after: int | None = None) -> None:
        """Start to count, after the rows of earlier runs.

        Args:
            earlier: The number of these rows, or None if unknown.
            after: The id after which the pages of this run begin, or None if unknown.
        """
        self.page_rows = self.new_on_page = self.doubtful_on_page = self.keyless_on_page = 0
        self.keyless = self.different = 0
        self.is_ordered = True
        self.total: int | None = None
        self.min_total: int | None = None
        self.max_total: int | None = None
        self._earlier = earlier
        self._kept: set[int] = set()
        self._highest = after
        self._doubtful_up_to: int | None = None

    def add(self, pagination: Mapping[str, Any] | None, keys: Sequence[Any]) -> None:
        """Count a page.

        Args:
            pagination: The ``pagination`` of the response.
            keys: The primary keys of the page's rows in order; None for a row without a key.
        """
        self.page_rows = len(keys)
        self.keyless_on_page = keys.count(None)
        self.keyless += self.keyless_on_page
        if self.keyless_on_page:
            keys = [key for key in keys if key is not None]
        self.new_on_page = self.doubtful_on_page = 0
        if self._ascend(keys):
            self._add_in_order(keys)
        else:
            self._add_any(keys)
        self.different += self.new_on_page
        total = total_of(pagination)
        if total is not None:
            self.total = total
            self.min_total = total if self.min_total is None else min(self.min_total, total)
            self.max_total = total if self.max_total is None else max(self.max_total, total)

    def _ascend(self, keys: Sequence[Any]) -> bool:
        """Return whether the ids are integers that ascend from the highest so far."""
        if not self.is_ordered or not keys:
            return self.is_ordered
        if set(map(type, keys)) != {int}:
            return False
        follows = self._highest is None or keys[0] > self._highest
        return follows and all(map(operator.lt, keys, keys[1:]))

    def _add_in_order(self, keys: Sequence[int]) -> None:
        self.new_on_page = len(keys)
        if not keys:
            return
        self._highest = keys[-1]
        # Keep the first keys, and only as long as they are all keys: some would prove nothing.
        if len(self._kept) == self.different and len(self._kept) < MAX_KEPT:
            self._kept.update(keys)

    def _add_any(self, keys: Sequence[Any]) -> None:
        if self.is_ordered:
            self.is_ordered = False
            # Case 1 or case 2 of the class, once and for the rest of the list.
            keeps_all = len(self._kept) == self.different
            self._doubtful_up_to = None if keeps_all else self._highest
        kept, limit = self._kept, self._doubtful_up_to
        for key in keys:
            # A hash takes less memory than the key, and keys may be of any type.
            mark = key if type(key) is int else hash(repr(key))
            if mark in kept:
                continue
            kept.add(mark)
            if limit is not None and type(key) is int and key <= limit:
                self.doubtful_on_page += 1
            else:
                self.new_on_page += 1

    def is_stale(self, keys: Iterable[Any]) -> bool:
        """Return whether ids have ascended so far, and none of a page is higher.

        Args:
            keys: The ids of a page that has rows and is not counted yet.
        """
        highest = self._highest
        if not self.is_ordered or highest is None:
            return False
        return all(type(key) is int and key <= highest for key in keys)

    @property
    def is_repeated(self) -> bool:
        """Whether the last page has rows, and all of them came before."""
        maybe_new = self.new_on_page + self.doubtful_on_page + self.keyless_on_page
        return self.page_rows > 0 and not maybe_new

    @property
    def rows_read(self) -> int | None:
        """Different rows read so far, including earlier runs; None if unknown."""
        return None if self._earlier is None else self._earlier + self.different

    @property
    def to_resume(self) -> int | None:
        """The number of rows that a later run of the walk may start from, or None.

        Unless ids ascend, a later run cannot know which rows it reads again.
        """
        return self.rows_read if self.is_ordered else None

    @property
    def before_page(self) -> int | None:
        """Different rows read before the last page; None if unknown."""
        return None if self.rows_read is None else self.rows_read - self.new_on_page

    @property
    def rows_left(self) -> int:
        """Rows on the pages to come, or 0 if unknown."""
        return max(0, (self.total or 0) - (self.rows_read or 0))

    @property
    def pages_left(self) -> float:
        """Pages to come, if they are as long as the last one."""
        return self.rows_left / max(1, self.page_rows)

    @property
    def shortfall(self) -> int | None:
        """Rows that every total included and that did not come; None if unknown."""
        if self.min_total is None or self.rows_read is None:
            return None
        if self._earlier and not self.is_ordered:
            return None  # a row may be counted in both runs
        return max(0, self.min_total - self.rows_read)
