"""Where the next page is, read from the shape of the answer (lev-api.md §1.5)."""

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
    from collections.abc import Callable, Mapping

    from tap_lev.api.response import LevResponse
    from tap_lev.api.row_counter import RowCounter
    from tap_lev.errors import LevAPIError

MAX_CURSOR = 4096
"""The longest cursor that is sent back. A longer one fits into no URL, but would stay in the state.
"""

MAX_EMPTY_PAGES = 300
"""How many pages in a row may bring no row that can be told from others.

A server that leaves rows out after it has cut the pages sends empty ones: at 200 rows a page, these
are 60,000 rows without a change.
"""

MAX_REPEATED = 2
"""How many pages of one list may bring no new row. The last of them ends the list by an error."""

DEFAULT_LIMITS = frozenset({20, 50, 100, 200})
"""How many rows a full page may have where the request names no limit."""

MAX_PROOFS = 3
"""How often the page after one of the same length must be empty before that length is an end."""

_NO_MORE = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""The statuses by which Lev refuses a page that is not there."""

LINKS = ("next", "next_url", "next_page_url")
"""The names that a link to the next page may have."""

Position = dict[str, str | int]
"""Query parameters that ask for the next page."""


@dataclasses.dataclass(frozen=True, slots=True)
class PageInfo:
    """What an answer's ``pagination`` says, whichever of its dialects it is in.

    Attributes:
        more: Whether more rows follow. None: it does not say.
        cursor: Where the next page begins, or what is in its place.
        link: The address of the next page, or what is in its place.
        has_link: Whether there is a place for a link.
        offset: How many rows are before the page.
        limit: How many rows a page has at most.
        page: The number of the page.
        pages: How many pages there are.
        total: How many rows there are.
        ends: Whether it says that the list ends here.
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
        """Whether the pages of a list that was asked for by number are placed otherwise."""
        return bool(self.cursor) or self.has_link or self.offset is not None

    @classmethod
    def by(cls, pagination: Mapping[str, Any] | None) -> PageInfo:
        """Read an answer's ``pagination``."""
        if not pagination:
            return cls()
        more = pagination.get("has_more")
        more = pagination.get("has_next") if more is None else more
        cursor = pagination.get("next_cursor") or None
        links = [pagination[name] for name in LINKS if name in pagination]
        link = next(filter(None, links), None)
        page, pages = _number(pagination, "page"), _number(pagination, "total_pages", "pages")
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
    """How many rows a page of one endpoint has at most, learnt from its pages.

    Lev may send fewer rows than the limit of the request and not say so. A page that is shorter
    than another is the end of its list. Of a page that is as long as the longest so far, only the
    next request tells.
    """

    def __init__(self) -> None:
        self._rows: int | None = None
        self._longest = 0
        self._ends: Counter[int] = Counter()

    def is_full(self, rows: int, limit: int) -> bool:
        """Say whether more rows may follow a page.

        Args:
            rows: The rows of the page.
            limit: The limit of the request. A longer page is the whole list.
        """
        longest, self._longest = self._longest, max(self._longest, min(rows, limit))
        if rows >= limit:
            return rows == limit
        if self._rows is not None:
            return rows >= self._rows
        return rows >= longest and self._ends[rows] < MAX_PROOFS

    def learn(self, rows: int, *, followed: bool) -> None:
        """Learn from the page that followed one of so many rows.

        Args:
            rows: The rows of the page before.
            followed: Whether new rows came.
        """
        if followed:
            self._rows = rows if self._rows is None else min(rows, self._rows)
        else:
            self._ends[rows] += 1


class Paginator:
    """Follows one list from page to page, to an end that is proven.

    For each page: ``settled``, then count its rows, then ``next_position``. If the request for what
    ``next_position`` returns is refused, ``ends_with`` says whether the list ends.

    Args:
        endpoint: Method and route template, for messages.
        counter: Counts the rows of the pages.
        cursor_only: Whether the list must be walked by cursor. An offset skips rows when the data
            changes between two pages, so the lists with a bookmark follow one only where Lev does
            not say how to go on.
        api_url: What the paths of answers begin behind, to tell where a link leads.
        limit: The limit of the requests, None where they name none.
        has_pages: Whether the endpoint may have more pages than one.
        cap: What is known of the length of numbered pages.

    Attributes:
        end_is_stated: Whether Lev itself said that the list ends where it did.
    """

    def __init__(  # noqa: PLR0913
        self,
        endpoint: str,
        counter: RowCounter,
        *,
        cursor_only: bool,
        api_url: str = "",
        limit: int | None = None,
        has_pages: bool = True,
        cap: PageCap | None = None,
    ) -> None:
        self.end_is_stated = False
        self._endpoint = endpoint
        self._counter = counter
        self._cursor_only = cursor_only
        self._api_url = api_url.rstrip("/")
        self._limit = limit
        self._has_pages = has_pages
        self._cap = cap or PageCap()
        self._asked: set[tuple[tuple[str, str | int], ...]] = set()
        self._empty = 0
        self._repeated = 0
        self._by_offset = False
        """Whether the list is read by offset because Lev does not say how to go on."""
        self._guess: int | None = None
        """Rows of the page that another one may follow. None: Lev says what follows."""

    # -- From page to page

    def settled(
        self, answer: LevResponse, position: Position, ask: Callable[[Position], LevResponse]
    ) -> LevResponse:
        """Ask once more for a full page that does not say what follows: a fault may have cut it.

        Args:
            answer: The page.
            position: The position that was asked for.
            ask: Makes the request.
        """
        if type(position.get("page")) is int or self._by_offset or not self._has_pages:
            return answer
        said = PageInfo.by(answer.pagination)
        data = answer.data
        rows = len(data) if isinstance(data, list) else len(extract_rows(answer))
        before = self._counter.different
        unclear = self._is_followed(said, position, rows, before) is None
        return ask(position) if unclear and self._is_full(position, rows) else answer

    def next_position(self, answer: LevResponse, position: Position) -> Position | None:
        """Find the position of the next page.

        Args:
            answer: The page, counted.
            position: The position that was asked for.

        Returns:
            The next position, or None after the last page.

        Raises:
            BrokenAnswerError: More rows are announced without a usable way to them, or the list
                does not end.
        """
        said, rows = PageInfo.by(answer.pagination), self._counter.page_rows
        new = rows > 0 and not self._counter.is_repeated
        self.end_is_stated = said.ends or (
            said.total is not None and (self._counter.rows_read or 0) >= said.total
        )
        guess, self._guess = self._guess, None
        if guess is not None:
            self._cap.learn(guess, followed=new)
            # The same full page again is no end of numbered pages: they ignore the number.
            may_end = self._by_offset or not rows or guess < self._limit_of(position)
            if may_end and not (new or said.more or said.cursor or said.link):
                return None
        if type(position.get("page")) is int and not said.shows_another_way:
            following = self._numbered(said, position, rows)
        else:
            following = self._following(said, answer, position, rows)
        if following is not None:
            self._refuse_endless(position, following)
        elif self._counter.is_repeated and "page" in position and said.total is None:
            raise InvalidResponseError(
                f"Lev counts pages of {self._endpoint}, but sends the same one for page "
                f"{shown(position['page'])}: it ignores the number, and rows are missing."
            )
        return following

    def ends_with(self, error: LevAPIError) -> bool:
        """Say whether the list ends because Lev refuses the position that ``next_position`` found.

        It does if nothing but the length of a page, or a total, spoke for more rows.
        """
        # A body that is not Lev's says nothing of the list.
        if self._guess is None or error.is_foreign or error.status not in _NO_MORE:
            return False
        self._cap.learn(self._guess, followed=False)
        return True

    def _refuse_endless(self, position: Position, following: Position) -> None:
        counter = self._counter
        if counter.page_rows > counter.keyless_on_page:
            self._empty = 0
            self._repeated += counter.is_repeated
        else:
            self._empty += 1
        if self._repeated >= MAX_REPEATED:
            raise InvalidResponseError(
                f"Lev sends the same page of {self._endpoint} again and again. "
                f"{self._repeated} pages had no new row: stopped rather than go on for ever."
            )
        if self._empty > MAX_EMPTY_PAGES:
            raise InvalidResponseError(
                f"Lev announces more rows of {self._endpoint}, but {MAX_EMPTY_PAGES} pages in a "
                "row had none. Stopped rather than go on for ever."
            )
        self._asked.add(tuple(position.items()))
        if tuple(following.items()) in self._asked:
            raise InvalidResponseError(
                f"Lev sends {self._endpoint} in circles: its answer leads back to "
                f"{shown(following)}, which was already read. Stopped rather than loop."
            )

    # -- Pages by number

    def _numbered(self, said: PageInfo, position: Position, rows: int) -> Position | None:
        page, limit = int(position["page"]), self._limit_of(position)
        if not rows:
            return None
        if said.more is not None:
            goes_on = bool(said.more)
        elif (said.pages or 0) > page or (said.total or 0) > self._counter.different:
            goes_on = True
        elif said.limit and said.limit < limit:
            goes_on = rows == said.limit
        elif said.pages is not None or said.total is not None:
            goes_on = rows == limit  # no total ends a list by itself
        else:
            goes_on = self._cap.is_full(rows, limit)
            self._guess = rows if goes_on else None
        return position | {"page": page + 1} if goes_on else None

    def _limit_of(self, position: Position) -> int:
        return int(position.get("limit") or self._limit or 0)

    # -- Pages by cursor, link or offset

    def _is_followed(
        self, said: PageInfo, position: Position, rows: int, before: int
    ) -> bool | None:
        """Find whether more rows follow a page. None: the answer does not say.

        Args:
            said: What it says.
            position: The position that was asked for.
            rows: The rows of the page.
            before: The different rows before it.
        """
        if said.more is not None:
            return bool(said.more)
        if said.cursor or said.link:
            return True
        page = self._page(said, position)
        if page is not None and said.pages is not None and said.pages > page:
            return True
        # A list is counted as a whole, and a page that a cursor brought has no offset to tell.
        if said.total is not None and self._may_take_offset and self._has_pages:
            placed = _is_counted(position) if said.offset is None else "cursor" not in position
            offset = before if said.offset is None else said.offset
            if placed and 0 < rows < said.total - offset:
                return True
        return False if said.ends or said.pages is not None or said.total is not None else None

    def _following(
        self, said: PageInfo, answer: LevResponse, position: Position, rows: int
    ) -> Position | None:
        before = self._counter.different - self._counter.new_on_page
        followed = self._is_followed(said, position, rows, before)
        if followed is None:
            return self._guessed(position, rows)
        if not followed:
            return None
        following = self._way_on(said, answer, position, rows)
        if following is None:
            raise InvalidResponseError(
                f"Lev announces more rows of {self._endpoint} but does not say where: "
                f"has_more is {shown(said.more)}, total is {shown(said.total)} and next_cursor is "
                f"{shown(said.cursor)}."
            )
        return following

    def _way_on(
        self, said: PageInfo, answer: LevResponse, position: Position, rows: int
    ) -> Position | None:
        if isinstance(said.cursor, str):
            return {"cursor": said.cursor} if len(said.cursor) <= MAX_CURSOR else None
        if said.link is not None:
            return self._linked(said.link, answer)
        return self._counted(said, position, rows) if self._may_take_offset else None

    def _counted(self, said: PageInfo, position: Position, rows: int) -> Position | None:
        """Find the position behind a number of rows or pages."""
        page = self._page(said, position)
        if said.offset is not None and said.limit:
            # Lev may send fewer rows than the limit that it echoes: a whole step skips the rest.
            # A page without rows can lead on by cursor, but an offset would not move.
            step = min(rows, said.limit)
            return {"limit": said.limit, "offset": said.offset + step} if rows else None
        numbered = said.page is not None or said.pages is not None
        if said.offset is None and page is not None and numbered:
            return {"page": page + 1}
        # If only the total says that rows are missing, an offset may or may not bring them.
        return self._offset(position, rows) if said.more is None else None

    @property
    def _may_take_offset(self) -> bool:
        return not self._cursor_only or self._by_offset

    @staticmethod
    def _page(said: PageInfo, position: Position) -> int | None:
        """Find the number of a page, None where nothing says it."""
        if said.page is not None:
            return said.page
        asked = position.get("page", None if position else 1)
        return asked if isinstance(asked, int) else None

    # -- Answers that do not say what follows

    def _is_full(self, position: Position, rows: int) -> bool:
        limit = position.get("limit", self._limit)
        return rows in DEFAULT_LIMITS if limit is None else rows == limit

    def _guessed(self, position: Position, rows: int) -> Position | None:
        """Find the position that would follow, if the page may not be the last."""
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

    def _linked(self, link: object, answer: LevResponse) -> Position:
        """Find the position that a link asks for.

        Raises:
            BrokenAnswerError: It leads elsewhere.
        """
        here = urlsplit(self._api_url + answer.endpoint.partition(" ")[2])
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
    """Say whether a page begins behind a known number of rows."""
    return position.keys() <= {"limit", "offset"}


def _plain(name: str, value: str) -> str | int:
    """Read a parameter of a link as the request would send it."""
    is_count = name in {"limit", "offset", "page"} and value.isdecimal() and len(value) < 16  # noqa: PLR2004
    return int(value) if is_count else value


def _place(url: SplitResult) -> tuple[str, str | None, int | None, str]:
    """Find what must be the same in two addresses of one list."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.hostname, port, unquote(url.path).rstrip("/")
