"""Read a page in parts around a row that Lev cannot send, so that one bad row costs one.

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
from tap_lev.sync.page import RowPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.api.pagination import Position
    from tap_lev.streams.lists import ListStream
    from tap_lev.sync.list_requester import ListRequester
    from tap_lev.sync.page import Page

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
        page: The page at that place, if it came already.
    """

    keys: Sequence[int]
    position: Position
    page: Page | None = None


class PageSplitter:
    """Finds the parts of a page around the row that makes it fail.

    Args:
        requester: The requests of the list.
        list_stream: The list.
        error: Why the page failed.
    """

    def __init__(self, requester: ListRequester, list_stream: ListStream, error: LevError) -> None:
        self.error = error
        self._requester = requester
        self._list_stream = list_stream
        self._rows_left = requester.page_limit or 0
        self._size = self._rows_left // 2

    def is_possible(self, position: Position) -> bool:
        """Whether the list itself still answers: if not, no single row is to blame."""
        if (
            not self._list_stream.paged
            or self._list_stream.detail_path is None
            or "offset" in position
        ):
            return False
        # If the first row does not come, its id has to, or a row behind it.
        behind: Position = {"cursor": _build(*FIRST)}
        for request in (
            partial(self._requester.fetch_page, {}, limit=1, policy=ONCE),
            partial(self._requester.fetch_id, {}),
            partial(self._requester.fetch_page, behind, limit=1, policy=ONCE),
        ):
            try:
                request()
            except AuthenticationError:
                raise
            except LevError:
                continue
            return True
        # A filtered list may hold that row alone: then the list without the filter counts.
        return self._requester.filter.is_sent and any(
            self._requester.filter.works_without(each) for each in ({}, behind)
        )

    @property
    def is_over(self) -> bool:
        """Whether all rows of the page that failed have come."""
        return self._rows_left <= 0

    def shorter(self, position: Position) -> Page | None:
        """Request a shorter page, None if even a single row cannot be sent."""
        while self._size > 0:
            try:
                page = self._requester.fetch_page(position, limit=self._size, policy=ONCE)
            except LevError as error:
                self.error = error
                self._size //= 2
            else:
                self._rows_left -= self._size
                return page
        return None

    def skip(self, position: Position) -> Skipped | None:
        """Find what lies behind the row that cannot be sent, None if there is no way."""
        try:
            response = self._requester.fetch_id(position)
        except LevError:
            return self._by_cursor(position)
        keys = [key for row in extract_rows(response) if type(key := whole(row.get("id"))) is int]
        pagination = response.pagination or {}
        cursor, has_more = pagination.get("next_cursor"), pagination.get("has_more")
        if not keys:
            return self._by_cursor(position)
        if has_more is False:
            empty = dataclasses.replace(response, data=[])
            return Skipped(keys, position, RowPage(self._list_stream, empty, position, {}))
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
        longest = FILTERED_STEP if self._requester.filter.is_sent else LONGEST_STEP
        step = 1
        while step <= longest:
            target = last + step
            built: Position = {"cursor": _build(space, target)}
            try:
                page = self._requester.fetch_page(built, policy=ONCE)
            except LevError as error:
                if isinstance(error, LevAPIError) and error.rejects_parameters:
                    return None
                step *= 2
                continue
            rows = page.response.data
            first = next(iter(map(id_of, rows)), None)
            # Only if what comes lies behind the cursor, Lev understood it as it was meant.
            if rows and (type(first) is not int or first <= target):
                return None
            return Skipped(range(last + 1, target + 1), built, page)
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
