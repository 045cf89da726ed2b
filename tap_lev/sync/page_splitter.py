"""Reading around a row that Lev cannot send, so that one bad row costs that one alone.

A page that fails in each try may do so because of one of its rows. Shorter pages find the place
before that row. Its id comes with ``fields=id``, or the next cursor is built in the form that Lev
uses, and trusted only if what comes lies behind it. What lies between is then requested by id.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_lev.api.client import ONCE
from tap_lev.api.json_values import whole
from tap_lev.api.response import extract_rows
from tap_lev.errors import AuthenticationError, LevAPIError, LevError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.streams.lists import ListStream
    from tap_lev.sync.list_requester import ListRequester

LONGEST_STEP = 512
"""How many ids are jumped over at most, each of which costs a request."""

FILTERED_STEP = 16
"""The same in a filtered list: beyond that it is better to read the list without the filter."""

_CURSOR = re.compile(rb'\{"id":( ?)(\d{1,18})\}')
"""The form of all published cursors, once decoded (lev-api.md §1.5)."""


class Skipped(NamedTuple):
    """Rows of which one cannot be sent in a page, and what lies behind them.

    Attributes:
        keys: Ids that may be in between.
        position: The place behind them.
        answer: The page at that place, if it came already.
    """

    keys: Sequence[int]
    position: Position
    answer: LevResponse | None = None


class PageSplitter:
    """Finds the way around the row that makes a page fail.

    Args:
        asking: The requests of the list.
        source: The list.
        size: How many rows the page was to hold.
        error: Why it failed.
    """

    def __init__(
        self, asking: ListRequester, source: ListStream, size: int, error: LevError
    ) -> None:
        self.error = error
        self._asking = asking
        self._source = source
        self._size = size // 2
        self._rows_left = size

    def is_possible(self, position: Position) -> bool:
        """Whether the list itself still answers: if not, no single row is to blame."""
        if not self._source.paged or self._source.detail_path is None or "offset" in position:
            return False
        # If the first row does not come, its id has to, or a row behind it.
        behind: Position = {"cursor": _build(*FIRST)}
        for request in (
            partial(self._asking.page, {}, limit=1, patience=ONCE),
            partial(self._asking.ids, {}),
            partial(self._asking.page, behind, limit=1, patience=ONCE),
        ):
            try:
                request()
            except AuthenticationError:
                raise
            except LevError:
                continue
            return True
        # A filtered list may hold that row alone: then the list without the filter counts.
        return self._asking.is_filtered and any(
            self._asking.takes_without_filter(each) for each in ({}, behind)
        )

    @property
    def is_over(self) -> bool:
        """Whether all rows of the page that failed have come."""
        return self._rows_left <= 0

    def shorter(self, position: Position) -> LevResponse | None:
        """Request a shorter page, None if even a single row cannot be sent."""
        while self._size > 0:
            try:
                answer = self._asking.page(position, limit=self._size, patience=ONCE)
            except LevError as error:
                self.error = error
                self._size //= 2
            else:
                self._rows_left -= self._size
                return answer
        return None

    def skip(self, position: Position) -> Skipped | None:
        """Find what lies behind the row that cannot be sent, None if there is no way."""
        try:
            answer = self._asking.ids(position)
        except LevError:
            return self._by_cursor(position)
        keys = [key for row in extract_rows(answer) if type(key := whole(row.get("id"))) is int]
        pagination = answer.pagination or {}
        cursor, has_more = pagination.get("next_cursor"), pagination.get("has_more")
        if not keys:
            return self._by_cursor(position)
        if has_more is False:
            return Skipped(keys, position, dataclasses.replace(answer, data=[]))
        if isinstance(cursor, str) and cursor:
            return Skipped(keys, {"cursor": cursor})
        return self._by_cursor(position)

    def _by_cursor(self, position: Position) -> Skipped | None:
        # At the beginning of a list no cursor has come yet: the published form is tried.
        form = read_cursor(position["cursor"]) if "cursor" in position else FIRST._replace(key=0)
        if form is None:
            return None
        space, last = form
        # A filtered list has gaps, and each id that is jumped over costs a request.
        longest = FILTERED_STEP if self._asking.is_filtered else LONGEST_STEP
        step = 1
        while step <= longest:
            target = last + step
            built: Position = {"cursor": _build(space, target)}
            try:
                answer = self._asking.page(built, patience=ONCE)
            except LevError as error:
                if isinstance(error, LevAPIError) and error.rejects_parameters:
                    return None
                step *= 2
                continue
            first = next(iter(map(id_of, answer.data)), None)
            # Only if what comes lies behind the cursor, Lev understood it as it was meant.
            if answer.data and (type(first) is not int or first <= target):
                return None
            return Skipped(range(last + 1, target + 1), built, answer)
        return None


class _Cursor(NamedTuple):
    """A cursor that names an id.

    Attributes:
        space: The blank in it, if there is one.
        key: The id.
    """

    space: str
    key: int


FIRST = _Cursor(" ", 1)
"""The published form, with the lowest id."""


def read_cursor(cursor: object) -> _Cursor | None:
    """Read the id in a cursor of the published form (lev-api.md §1.5); None for another form."""
    try:
        body = base64.b64decode(str(cursor), validate=True)
    except (binascii.Error, ValueError):
        return None
    form = _CURSOR.fullmatch(body)
    return _Cursor(form[1].decode(), int(form[2])) if form else None


def _build(space: str, key: int) -> str:
    return base64.b64encode(f'{{"id":{space}{key}}}'.encode()).decode()


def id_of(row: Any) -> Any:  # noqa: ANN401 - a row of either form
    """Return a row's id, whatever it is; None if it has none."""
    return whole(row.get("id") if isinstance(row, dict) else getattr(row, "id", None))
