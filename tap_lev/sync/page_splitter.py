"""Read a page in parts around a row that Lev cannot send, so that one costs one.

A page that fails at each try may do so because of one of its rows (W2 in docs/design/walk.md):

1. Shorter pages, each half as long, find the place before that row.
2. Behind it leads the cursor that comes with ``fields=id``, or one that is built in the form that
   Lev uses. A built one is trusted only if the rows that come have higher ids.
3. The tap requests each id in between, so that the error names the row that fails.
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
"""Ids that a built cursor skips at most. Each of them costs a request."""

FILTERED_STEP = 16
"""The same in a filtered list: beyond that, reading all rows without the filter is cheaper."""

_CURSOR = re.compile(rb'\{"id":( ?)(\d{1,18})\}')
"""The form of all published cursors, once decoded (lev-api.md §1.5)."""


class Skipped(NamedTuple):
    """The ids that are skipped around a bad row, and the position behind them.

    Attributes:
        keys: The ids, each to be requested by itself. A row may not exist.
        position: The position behind them.
        page: The page at that position, or None if it is still to be requested.
    """

    keys: Sequence[int]
    position: Position
    page: Page | None = None


class PageSplitter:
    """Finds the parts of a page around the row that makes it fail.

    Args:
        requester: Sends the requests for the list.
        list_stream: The list.
        error: Why the page failed.

    Attributes:
        error: Why the last of its parts failed.
    """

    def __init__(self, requester: ListRequester, list_stream: ListStream, error: LevError) -> None:
        self.error = error
        self._requester = requester
        self._list_stream = list_stream
        # Rows of the page that failed which have not come yet, if it is a full one.
        self._rows_left = requester.page_limit or 0
        self._size = self._rows_left // 2

    def is_possible(self, position: Position) -> bool:
        """Return whether the list itself responds, so that a single row may be the fault."""
        # The way past a row is a cursor, and the row itself needs a read of single rows.
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
            self._requester.filter.works_without(place) for place in ({}, behind)
        )

    @property
    def is_over(self) -> bool:
        """Whether all rows of the page that failed have come."""
        return self._rows_left <= 0

    def shorter(self, position: Position) -> Page | None:
        """Request a shorter page; return None if not even one row comes."""
        # The size stays for the next part: twice as many rows failed, so the bad one is near.
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
        """Find the way past the row that cannot be sent, or None."""
        try:
            response = self._requester.fetch_id(position)
        except LevError:
            return self._by_cursor(position)
        keys = [key for row in extract_rows(response) if type(key := whole(row.get("id"))) is int]
        pagination = response.pagination or {}
        cursor, has_more = pagination.get("next_cursor"), pagination.get("has_more")
        if not keys:
            return self._by_cursor(position)
        # It is the last row: an empty page behind it ends the list as usual.
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
                # Lev does not read this form of a cursor.
                if isinstance(error, LevAPIError) and error.rejects_parameters:
                    return None
                # Ids have gaps, so the bad row may still be behind the cursor; or another one is.
                step *= 2
                continue
            rows = page.response.data
            first = next(iter(map(id_of, rows)), None)
            # Cursors are opaque (lev-api.md §1.5). Only if what comes lies behind this one, Lev
            # read it as it was meant: a Lev that ignores it would start the list again.
            if rows and (type(first) is not int or first <= target):
                return None
            return Skipped(range(last + 1, target + 1), built, page)
        return None


class _Cursor(NamedTuple):
    """The parts of a cursor in the published form.

    Attributes:
        space: The blank before the id; empty if there is none.
        key: The id of the last row before the position.
    """

    space: str
    key: int


FIRST = _Cursor(" ", 1)
"""The published form, with the lowest id."""


def read_cursor(cursor: object) -> _Cursor | None:
    """Read a cursor of the published form (lev-api.md §1.5); None for another form."""
    try:
        body = base64.b64decode(str(cursor), validate=True)
    except (binascii.Error, ValueError):
        return None
    form = _CURSOR.fullmatch(body)
    return _Cursor(form[1].decode(), int(form[2])) if form else None


def _build(space: str, key: int) -> str:
    return base64.b64encode(f'{{"id":{space}{key}}}'.encode()).decode()


def id_of(row: Any) -> Any:  # noqa: ANN401 - a row of either form
    """Return a row's id as it is, or None if it has none."""
    return whole(row.get("id") if isinstance(row, dict) else getattr(row, "id", None))
