"""Find the next page of a list, in whichever way a response names it (lev-api.md §1.5)."""

from __future__ import annotations

import dataclasses
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urljoin, urlsplit

from tap_lev.api.response import extract_rows
from tap_lev.api.row_counter import total_of
from tap_lev.errors import InvalidResponseError
from tap_lev.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.api.response import LevResponse
    from tap_lev.api.row_counter import RowCounter
    from tap_lev.errors import LevAPIError

MAX_CURSOR = 4096
"""The most letters of a cursor. A longer one fits into no URL, but would stay in the state."""

MAX_EMPTY_PAGES = 300
"""How many pages in a row may have no row with a key.

A server that filters rows after it has cut the pages sends empty pages: at 200 rows a page, these
are 60,000 rows that have not changed.
"""

MAX_REPEATED = 2
"""How many pages of one list may have no new row. The last of them is an error."""

DEFAULT_LIMITS = frozenset({20, 50, 100, 200})
"""How many rows a full page may have if the request names no limit."""

MAX_PROOFS = 3
"""How often the page after one of some length must be empty before that length is an end."""

_NO_MORE = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""The statuses by which Lev rejects a page that does not exist."""

LINKS = ("next", "next_url", "next_page_url")
"""The names of a link to the next page."""

Position = dict[str, str | int]
"""The query parameters of a page."""


@dataclasses.dataclass(frozen=True, slots=True)
class PageInfo:
    """The content of a response's ``pagination``, in any of its dialects.

    Attributes:
        more: Whether more rows follow, or None if the response does not say so.
        cursor: The cursor of the next page, or whatever is in its place.
        link: The address of the next page, or whatever is in its place.
        has_link: Whether there is a field for a link, even an empty one.
        offset: Rows before the page, or None.
        limit: The most rows of a page, or None.
        page: The number of the page, or None.
        pages: The number of pages, or None.
        total: The number of rows, or None.
        ends: Whether the response says that the list ends here.
    """

    more: object = None
    cursor: object = None
    link: object = None
    has_link: bool = False
    offset: int | None = None
    limit: int | None = None
    page: int | None = None
    pages: int | None = None
    total: int | None = None
    ends: bool = False

    @property
    def shows_another_way(self) -> bool:
        """Whether the pages of a list that is requested by number are named in another way."""
        return bool(self.cursor) or self.has_link or self.offset is not None

    @classmethod
    def from_response(cls, pagination: Mapping[str, Any] | None) -> PageInfo:
        """Read a response's ``pagination``."""
        if not pagination:
            return cls()
        more = pagination.get("has_more")
        more = pagination.get("has_next") if more is None else more
        cursor = pagination.get("next_cursor") or None
        links = [pagination[name] for name in LINKS if name in pagination]
        link = next(filter(None, links), None)
        page, pages = _number(pagination, "page"), _number(pagination, "total_pages", "pages")
        # The clearest statement counts. An empty cursor or link is one, too.
        if more is not None:
            ends = not more
        elif cursor or link:
            ends = False
        elif page is not None and pages is not None:
            ends = pages <= page
        else:
            ends = bool(links) or "next_cursor" in pagination
        return cls(
            more=more,
            cursor=cursor,
            link=link,
            has_link=bool(links),
            offset=_number(pagination, "offset"),
            limit=_number(pagination, "limit"),
            page=page,
            pages=pages,
            total=total_of(pagination),
            ends=ends,
        )


def _number(pagination: Mapping[str, Any], *names: str) -> int | None:
    values = (pagination.get(name) for name in names)
    return next((value for value in values if type(value) is int and value >= 0), None)


class PageCap:
    """Learns from the pages of one endpoint how many rows a page has at most.

    Lev may send fewer rows than the limit of the request and not say so. A page that is shorter
    than another is the end of its list. After a page as long as the longest so far, only the next
    request shows whether the list ends.
    """

    def __init__(self) -> None:
        self._rows: int | None = None
        self._longest = 0
        self._ends: Counter[int] = Counter()

    def is_full(self, rows: int, limit: int) -> bool:
        """Return whether more rows may follow a page.

        Args:
            rows: The number of rows of the page.
            limit: The limit of the request. A longer page is the whole list.
        """
        longest, self._longest = self._longest, max(self._longest, min(rows, limit))
        # 1. As long as the request allows, or longer.
        if rows >= limit:
            return rows == limit
        # 2. As long as another page that was followed by rows.
        if self._rows is not None:
            return rows >= self._rows
        # 3. As long as the longest, and not known to be the end too often.
        return rows >= longest and self._ends[rows] < MAX_PROOFS

    def learn(self, rows: int, *, followed: bool) -> None:
        """Learn from the page that was requested after another.

        Args:
            rows: The number of rows of the other page.
            followed: Whether new rows came after it.
        """
        if followed:
            self._rows = rows if self._rows is None else min(rows, self._rows)
        else:
            self._ends[rows] += 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListRules:
    """How the requests for one list are made.

    Attributes:
        endpoint: Method and route template, for messages.
        cursor_only: Whether the list must be read by cursor. An offset skips rows when the data
            changes between two pages. So a list with a bookmark is read by offset only if Lev
            does not say what follows.
        api_url: The base URL, to check where a link leads.
        limit: The limit of the requests, or None if they name none.
        has_pages: Whether the endpoint may have more than one page.
    """

    endpoint: str
    cursor_only: bool
    api_url: str = ""
    limit: int | None = None
    has_pages: bool = True


class Paginator:
    """Follows one list from page to page, to an end that is proven.

    For each page: ``is_unclear``, then count its rows, then ``next_position``. If Lev rejects the
    position that it returns, ``ends_with`` decides whether the list ends there.

    Args:
        rules: How the requests are made.
        counter: Counts the rows of the pages.
        cap: The longest page of the endpoint, as far as it is known.

    Attributes:
        end_is_stated: Whether Lev itself said that the list ends where it did.
    """

    def __init__(self, rules: ListRules, counter: RowCounter, cap: PageCap | None = None) -> None:
        self.end_is_stated = False
        self._counter = counter
        self._endpoint = rules.endpoint
        self._cursor_only = rules.cursor_only
        self._api_url = rules.api_url.rstrip("/")
        self._limit = rules.limit
        self._has_pages = rules.has_pages
        self._cap = cap or PageCap()
        self._requested: set[tuple[tuple[str, str | int], ...]] = set()
        self._empty_pages = 0
        self._repeated_pages = 0
        self._by_offset = False
        """Whether the list is read by offset because Lev does not say what follows."""
        self._guess: int | None = None
        """Rows of the last page if the next one is only guessed, else None."""

    # -- From page to page

    def is_unclear(self, response: LevResponse, position: Position) -> bool:
        """Return whether a page is full and does not say what follows: a fault may have cut it.

        Such a page is requested once more before it is counted.

        Args:
            response: The page.
            position: Where it is.
        """
        if type(position.get("page")) is int or self._by_offset or not self._has_pages:
            return False
        info = PageInfo.from_response(response.pagination)
        data = response.data
        rows = len(data) if isinstance(data, list) else len(extract_rows(response))
        before = self._counter.different
        is_silent = self._is_followed(info, position, rows, before) is None
        return is_silent and self._is_full(position, rows)

    def next_position(self, response: LevResponse, position: Position) -> Position | None:
        """Find the position of the next page.

        Args:
            response: The page. Its rows are counted already.
            position: The position of the page.

        Returns:
            The next position, or None after the last page.

        Raises:
            InvalidResponseError: More rows are announced without a usable way to them, or the list
                does not end.
        """
        info, rows = PageInfo.from_response(response.pagination), self._counter.page_rows
        new = rows > 0 and not self._counter.is_repeated
        self.end_is_stated = info.ends or (
            info.total is not None and (self._counter.rows_read or 0) >= info.total
        )
        # 1. The page was only a guess. If it has no new rows, the list ended before it.
        guess, self._guess = self._guess, None
        if guess is not None:
            self._cap.learn(guess, followed=new)
            # A full page that comes again is no end of a list by number: Lev ignores the number.
            may_end = self._by_offset or not rows or guess < self._limit_of(position)
            if may_end and not (new or info.more or info.cursor or info.link):
                return None
        # 2. A list that is requested by number, and whose pages are named in no other way.
        if type(position.get("page")) is int and not info.shows_another_way:
            following = self._numbered(info, position, rows)
        # 3. A list by cursor, link or offset, as the response says.
        else:
            following = self._following(info, response, position, rows)
        # Whatever follows, the list must get on.
        if following is not None:
            self._check_progress(position, following)
        elif self._counter.is_repeated and "page" in position and info.total is None:
            raise InvalidResponseError(
                f"Lev counts pages of {self._endpoint}, but sends the same one for page "
                f"{shown(position['page'])}: it ignores the number, and rows are missing."
            )
        return following

    def ends_with(self, error: LevAPIError) -> bool:
        """Return whether the list ends because Lev rejects the position found last.

        It does if only the length of a page, or a total, suggested more rows.
        """
        # A body that is not Lev's says nothing about the list.
        if self._guess is None or error.is_foreign or error.status not in _NO_MORE:
            return False
        self._cap.learn(self._guess, followed=False)
        self.end_is_stated = False
        return True

    def _check_progress(self, position: Position, following: Position) -> None:
        """Make sure that the list does not go on for ever.

        Raises:
            InvalidResponseError: It may: by pages that come again, by pages without rows, or by a
                position that was requested before.
        """
        counter = self._counter
        if counter.page_rows > counter.keyless_on_page:
            self._empty_pages = 0
            self._repeated_pages += counter.is_repeated
        else:
            self._empty_pages += 1
        if self._repeated_pages >= MAX_REPEATED:
            raise InvalidResponseError(
                f"Lev sends the same page of {self._endpoint} again and again. "
                f"{self._repeated_pages} pages had no new row: stopped rather than go on for ever."
            )
        if self._empty_pages > MAX_EMPTY_PAGES:
            raise InvalidResponseError(
                f"Lev announces more rows of {self._endpoint}, but {MAX_EMPTY_PAGES} pages in a "
                "row had none. Stopped rather than go on for ever."
            )
        self._requested.add(tuple(position.items()))
        if tuple(following.items()) in self._requested:
            raise InvalidResponseError(
                f"Lev sends {self._endpoint} in circles: its answer leads back to "
                f"{shown(following)}, which was already read. Stopped rather than loop."
            )

    # -- Pages by number

    def _numbered(self, info: PageInfo, position: Position, rows: int) -> Position | None:
        page, limit = int(position["page"]), self._limit_of(position)
        # 1. A page without rows is the end, whatever else it says.
        if not rows:
            return None
        # 2. The response says whether more rows follow.
        if info.more is not None:
            goes_on = bool(info.more)
        # 3. Its number of pages, or its total, leaves some to come.
        elif (info.pages or 0) > page or (info.total or 0) > self._counter.different:
            goes_on = True
        # 4. It states a lower limit than the request: a page of that length is full.
        elif info.limit and info.limit < limit:
            goes_on = rows == info.limit
        # 5. Nothing is left by its total. A total alone does not end a list after a full page.
        elif info.pages is not None or info.total is not None:
            goes_on = rows == limit
        # 6. It says nothing: only the length of the page is left.
        else:
            goes_on = self._cap.is_full(rows, limit)
            self._guess = rows if goes_on else None
        return position | {"page": page + 1} if goes_on else None

    def _limit_of(self, position: Position) -> int:
        return int(position.get("limit") or self._limit or 0)

    # -- Pages by cursor, link or offset

    def _is_followed(
        self, info: PageInfo, position: Position, rows: int, before: int
    ) -> bool | None:
        """Return whether more rows follow a page, or None if the response does not say so.

        Args:
            info: The page's ``pagination``.
            position: The position of the page.
            rows: The number of rows of the page.
            before: The number of different rows before it.
        """
        # 1. It says so itself.
        if info.more is not None:
            return bool(info.more)
        # 2. It names the next page.
        if info.cursor or info.link:
            return True
        # 3. Its number of pages, or its total, leaves some to come.
        page = self._page(info, position)
        if page is not None and info.pages is not None and info.pages > page:
            return True
        if self._has_rows_left(info, position, rows, before):
            return True
        # 4. It has fields that would name more, and they name none.
        return False if info.ends or info.pages is not None or info.total is not None else None

    def _has_rows_left(self, info: PageInfo, position: Position, rows: int, before: int) -> bool:
        """Return whether the total is larger than what came with the page and before it."""
        # The total is that of the whole list, and a page by cursor may begin anywhere in it.
        if info.total is None or not self._may_take_offset or not self._has_pages:
            return False
        is_placed = _is_counted(position) if info.offset is None else "cursor" not in position
        offset = before if info.offset is None else info.offset
        return is_placed and 0 < rows < info.total - offset

    def _following(
        self, info: PageInfo, response: LevResponse, position: Position, rows: int
    ) -> Position | None:
        before = self._counter.different - self._counter.new_on_page
        followed = self._is_followed(info, position, rows, before)
        if followed is None:
            return self._guessed(position, rows)
        if not followed:
            return None
        following = self._named(info, response, position, rows)
        if following is None:
            raise InvalidResponseError(
                f"Lev announces more rows of {self._endpoint} but does not say where: "
                f"has_more is {shown(info.more)}, total is {shown(info.total)} and next_cursor is "
                f"{shown(info.cursor)}."
            )
        return following

    def _named(
        self, info: PageInfo, response: LevResponse, position: Position, rows: int
    ) -> Position | None:
        # 1. A cursor, which no change of the data makes skip rows.
        if isinstance(info.cursor, str):
            return {"cursor": info.cursor} if len(info.cursor) <= MAX_CURSOR else None
        # 2. A link.
        if info.link is not None:
            return self._linked(info.link, response)
        # 3. A number of rows or pages, if the list may be read so.
        return self._counted(info, position, rows) if self._may_take_offset else None

    def _counted(self, info: PageInfo, position: Position, rows: int) -> Position | None:
        """Find the position behind a number of rows or pages."""
        page = self._page(info, position)
        if info.offset is not None and info.limit:
            # Lev may send fewer rows than the limit that it echoes: a step of the limit skips some.
            # A page without rows may name a cursor, but its offset would not move.
            step = min(rows, info.limit)
            return {"limit": info.limit, "offset": info.offset + step} if rows else None
        numbered = info.page is not None or info.pages is not None
        if info.offset is None and page is not None and numbered:
            return {"page": page + 1}
        # If only the total says that rows are missing, an offset may or may not bring them.
        return self._offset(position, rows) if info.more is None else None

    @property
    def _may_take_offset(self) -> bool:
        return not self._cursor_only or self._by_offset

    @staticmethod
    def _page(info: PageInfo, position: Position) -> int | None:
        """Return the number of a page, or None if nothing says it."""
        if info.page is not None:
            return info.page
        page = position.get("page", None if position else 1)
        return page if isinstance(page, int) else None

    # -- Responses that do not say what follows

    def _is_full(self, position: Position, rows: int) -> bool:
        limit = position.get("limit", self._limit)
        return rows in DEFAULT_LIMITS if limit is None else rows == limit

    def _guessed(self, position: Position, rows: int) -> Position | None:
        """Return the position that would follow, or None if the page must be the last."""
        if not rows or not self._has_pages or not _is_counted(position):
            return None
        if not self._by_offset and not self._is_full(position, rows):
            return None
        return self._offset(position, rows)

    def _offset(self, position: Position, rows: int) -> Position:
        self._guess, self._by_offset = rows, True
        limit = position.get("limit") or self._limit or rows
        return {"limit": limit, "offset": self._counter.different}

    # -- Links

    def _linked(self, link: object, response: LevResponse) -> Position:
        """Read the position from a link.

        Raises:
            InvalidResponseError: It leads to another list or host, or would skip rows.
        """
        here = urlsplit(self._api_url + response.endpoint.partition(" ")[2])
        try:
            there = urlsplit(urljoin(here.geturl(), link)) if isinstance(link, str) else None
            same = there is not None and _place(there) == _place(here)
        except ValueError:
            same = False
        query = parse_qsl(there.query, keep_blank_values=True) if same and there else []
        position: Position = {name: _plain(name, value) for name, value in query}
        too_long = any(len(value) > MAX_CURSOR for _, value in query)
        skips = not self._may_take_offset and "cursor" not in position
        if not query or too_long or (skips and position.keys() & {"offset", "page"}):
            raise InvalidResponseError(
                f"Lev announces more rows of {self._endpoint} but leads elsewhere for them: "
                f"its link to the next page is {shown(link)}."
            )
        return position


def _is_counted(position: Position) -> bool:
    """Return whether a page begins behind a known number of rows."""
    return position.keys() <= {"limit", "offset"}


def _plain(name: str, value: str) -> str | int:
    """Read a parameter of a link as the request would send it."""
    is_count = name in {"limit", "offset", "page"} and value.isdecimal() and len(value) < 16  # noqa: PLR2004
    return int(value) if is_count else value


def _place(url: SplitResult) -> tuple[str, str | None, int | None, str]:
    """Return what two addresses of one list have in common."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.hostname, port, unquote(url.path).rstrip("/")
