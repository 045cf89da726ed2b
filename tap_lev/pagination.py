"""Where the next page is, read from the shape of the answer (lev-api.md §1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev.errors import BrokenAnswerError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CURSOR = 4096
"""The longest cursor that is sent back. A longer one fits into no URL, but would stay in the state.
"""

MAX_EMPTY = 1000
"""How many pages without a row are followed one after the other."""

Position = dict[str, str | int]
"""Query parameters that ask for the next page."""


class Pages:
    """Follows one list from page to page and refuses to go in circles.

    Args:
        endpoint: Method and route template, for messages.
        cursor_only: Whether the list must be walked by cursor. An offset skips rows when the data
            changes between two pages, so the lists with a bookmark never follow one.
    """

    def __init__(self, endpoint: str, *, cursor_only: bool) -> None:
        self._endpoint = endpoint
        self._cursor_only = cursor_only
        self._seen: set[tuple[tuple[str, str | int], ...]] = set()
        self._empty = 0
        self._rows = 0

    def after(
        self, pagination: Mapping[str, Any] | None, position: Position, rows: int | None = None
    ) -> Position | None:
        """Find the position of the next page.

        Args:
            pagination: The answer's ``pagination``, None where there is none.
            position: The position that was asked for. One that names a page goes on to the next
                number, unless the answer shows another way, until a page is empty, or not full
                (or overfull: it is the whole list) where nothing says that more follows. A total
                or a number of pages says so too.
            rows: How many rows came, where it is known.

        Returns:
            The next position, or None after the last page.

        Raises:
            BrokenAnswerError: More rows are announced without a usable way to them.
        """
        pagination = pagination or {}
        self._rows += rows or 0
        cursor = pagination.get("next_cursor")
        if "page" in position and not cursor and "offset" not in pagination:
            return self._numbered(pagination, position, rows or 0)
        has_more = pagination.get("has_more")
        if has_more is None:
            # A list is counted as a whole, and a page that a cursor brought has no offset to tell.
            by_offset = not self._cursor_only and "cursor" not in position
            has_more = cursor is not None or (
                by_offset and self._short_of_total(pagination, rows or 0)
            )
        if not has_more:
            return None
        # A page without rows can lead on by cursor, but an offset would lead nowhere for ever.
        following = self._following(pagination, cursor, rows)
        if following is None:
            raise BrokenAnswerError(
                f"Lev announces more rows of {self._endpoint} but does not say where: "
                f"has_more is {shown(pagination.get('has_more'))}, total is "
                f"{shown(pagination.get('total'))} and next_cursor is {shown(cursor)}."
            )
        self._empty = self._empty + 1 if rows == 0 else 0
        if self._empty > MAX_EMPTY:
            raise BrokenAnswerError(
                f"Lev announces more rows of {self._endpoint}, but {MAX_EMPTY} pages in a row had "
                "none. Stopped rather than go on for ever."
            )
        self._seen.add(tuple(position.items()))
        if tuple(following.items()) in self._seen:
            raise BrokenAnswerError(
                f"Lev sends {self._endpoint} in circles: its answer leads back to "
                f"{shown(following)}, which was already read. Stopped rather than loop."
            )
        return following

    @staticmethod
    def _short_of_total(pagination: Mapping[str, Any], rows: int) -> bool:
        """Whether rows are counted beyond a page that is placed by its offset."""
        total, offset = pagination.get("total"), pagination.get("offset")
        if type(total) is not int or type(offset) is not int:
            return False
        return type(pagination.get("limit")) is int and 0 < rows < total - offset

    def _numbered(
        self, pagination: Mapping[str, Any], position: Position, rows: int
    ) -> Position | None:
        page = int(position["page"])
        has_more = pagination.get("has_more")
        if has_more is None:
            limit, total, last = (pagination.get(name) for name in ("limit", "total", "pages"))
            has_more = (
                rows == (limit if isinstance(limit, int) else int(position["limit"]))
                # Lev may send fewer rows a page than were asked for, and not say so.
                or (type(last) is int and last > page)
                or (type(total) is int and total > self._rows)
            )
        return position | {"page": page + 1} if rows and has_more else None

    def _following(
        self, pagination: Mapping[str, Any], cursor: object, rows: int | None
    ) -> Position | None:
        if isinstance(cursor, str) and cursor:
            return {"cursor": cursor} if len(cursor) <= MAX_CURSOR else None
        offset, limit = pagination.get("offset"), pagination.get("limit")
        if self._cursor_only or rows == 0:
            return None
        if not isinstance(offset, int) or not isinstance(limit, int) or limit <= 0:
            return None
        # Lev may send fewer rows than the limit that it echoes: a whole step would skip the rest.
        return {"limit": limit, "offset": offset + min(rows or limit, limit)}
