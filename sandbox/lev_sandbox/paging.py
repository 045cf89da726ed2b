"""The four pagination styles, and the faults of cursors."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from lev_sandbox.errors import Refusal
from lev_sandbox.request import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lev_sandbox.clock import Clock
    from lev_sandbox.switches import Switches

LARGEST_PAGE = 200
FOREIGN_ORIGIN = "https://other.example.com"
SORTED_CURSOR = "cursor and sort cannot be combined; use offset pagination when sorting"


@dataclass(frozen=True)
class Page:
    """The rows of a page, and the `pagination` of its response, or None."""

    numbers: Sequence[int]
    pagination: dict[str, Any] | None


@dataclass
class Cursors:
    """When each cursor was issued, and how often each list was read."""

    issued: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)

    def issue(self, place: str, cursor: str, clock: Clock) -> None:
        """Remember that a cursor was issued for a path."""
        self.issued[place, cursor] = (clock.elapsed(), self.reads.get(place, 0))

    def turn(self, place: str) -> int:
        """Count a read and return its number."""
        self.reads[place] = turn = self.reads.get(place, 0) + 1
        return turn

    def clear(self) -> None:
        """Forget everything."""
        self.issued.clear()
        self.reads.clear()


def encode_cursor(number: int, *, compact: bool = False, name: str = "id") -> str:
    """Return the cursor after a row; the compact form means the same and looks different."""
    space = "" if compact else " "
    return b64encode(f'{{"{name}":{space}{number}}}'.encode()).decode()


def rewritten_cursor(cursor: str | None, turn: int) -> str:
    """Return a cursor for the same position that looks different."""
    place = {"id": 0, "position": 0} if cursor is None else orjson.loads(b64decode(cursor))
    return b64encode(orjson.dumps({**place, "turn": turn})).decode()


def decode_cursor(cursor: str, status: int, name: str = "id") -> int:
    """Return the number of the row after which a cursor continues."""
    try:
        number = orjson.loads(b64decode(cursor, validate=True))[name]
    except (binascii.Error, ValueError, KeyError, TypeError):
        number = None
    if type(number) is not int or number < 0:
        raise Refusal(status, "Invalid cursor")
    return number


def whole_number(  # noqa: PLR0913, PLR0917
    params: Mapping[str, Any], name: str, default: int, least: int, most: int | None, out: str
) -> int:
    """Return an integer parameter; `out` is the status for one out of range, or `clamp`."""
    value = params.get(name, default)
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise Refusal(422, f"{name} must be an integer") from None
    if number < least or (most is not None and number > most):
        if out != "clamp":
            until = f"between {least} and {most}" if most is not None else f"{least} or more"
            raise Refusal(int(out), f"{name} must be {until}")
        number = max(least, number if most is None else min(number, most))
    return number


@dataclass(frozen=True)
class Pager:
    """Cuts a page out of the rows of a list.

    Attributes:
        switches: The switches.
        clock: The clock that the age of a cursor is measured by.
        cursors: The cursors given out.
        name: The resource.
        place: The concrete path; a cursor is valid for it alone.
        style: The pagination style.
        params: The query parameters, or the body of a read by POST.
        clamp: Whether a limit out of range is clamped regardless of the switch.
        default: The number of rows when no limit is given.
        counted: The `total` in the response, or None for the number of rows.
        ordered: Whether the rows ascend; if not, cursors name positions.
        host: The host and port in the request.
    """

    switches: Switches
    clock: Clock
    cursors: Cursors
    name: str
    place: str
    style: str
    params: Mapping[str, Any]
    clamp: bool
    default: int
    counted: int | None = None
    ordered: bool = True
    host: str = ""

    @property
    def _out(self) -> str:
        return "clamp" if self.clamp else str(self.switches["limit_out_of_range"])

    def limit(self) -> int:
        """Return the requested page size."""
        return whole_number(self.params, "limit", self.default, 1, LARGEST_PAGE, self._out)

    def size(self, limit: int) -> int:
        """Return the most rows that a page really has."""
        most = self.switches["largest_page"].get(self.name)
        return limit if most is None else min(limit, most)

    def _total(self, numbers: Sequence[int]) -> int:
        counted = len(numbers) if self.counted is None else self.counted
        return max(0, counted + (self.switches["total_says"].get(self.name) or 0))

    def _ignores(self, name: str) -> bool:
        return bool(self.switches[f"ignores_{name}"].get(self.name))

    def _shape(self, dialect: str | None) -> str:
        shape = self.switches["pagination_shape"].get(self.name)
        if dialect is None or shape in {"none", "empty", "absent"}:
            return shape or self.style
        if dialect == "total_pages":
            return "page"
        return shape or ("offset" if self.style == "none" else self.style)

    def page(self, numbers: Sequence[int]) -> Page:
        """Return the requested page."""
        dialect = self.switches["pagination_dialect"].get(self.name)
        shape = self._shape(dialect)
        if shape in {"none", "empty"}:
            if self.switches["largest_page"].get(self.name) is not None:
                limit = self.limit() if "limit" in self.params else LARGEST_PAGE
                numbers = self._cut("page" if "page" in self.params else "", numbers, limit).numbers
            return Page(numbers, {} if shape == "empty" else None)
        limit = self.limit()
        if "sort" in self.params and "cursor" in self.params:
            raise Refusal(400, SORTED_CURSOR)
        if shape == "absent":
            page = self._cut(self.style, numbers, limit)
            return Page(page.numbers, None)
        page = self._cut(shape, numbers, limit)
        if dialect and page.pagination:
            page = Page(page.numbers, self._in_dialect(page.pagination, dialect))
        if not self.switches["pagination_total"] and page.pagination:
            page.pagination.pop("total", None)
        if every := self.switches["lost_row_every"]:
            kept = [number for number in page.numbers if number % every]
            return Page(kept, page.pagination)
        return page

    def _cut(self, shape: str, numbers: Sequence[int], limit: int) -> Page:
        if shape == "page":
            return self._by_page(numbers, limit)
        offset = "offset" in self.params and not self._ignores("offset")
        if shape == "offset" or offset or "sort" in self.params:
            return self._by_offset(numbers, limit)
        return self._by_cursor(numbers, limit)

    def _in_dialect(self, said: dict[str, Any], dialect: str) -> dict[str, Any]:
        """Return the `pagination` in the words of another API."""
        total, more = said["total"], said["has_more"]
        rest = {name: value for name, value in said.items() if name not in {"total", "has_more"}}
        match dialect:
            case "total_count":
                return {"total_count": total, **rest}
            case "total_pages":
                return {**rest, "total_pages": -(-total // self.size(said["limit"]))}
            case "has_next":
                return {"total": total, **rest, "has_next": more}
            case _:
                following = self._next_url(said, dialect) if more else None
                return {"total": total, "limit": said["limit"], "next": following}

    def _next_url(self, said: dict[str, Any], dialect: str) -> str:
        if "page" in said:
            following = {"page": said["page"] + 1}
        elif "offset" in said:
            following = {"offset": said["offset"] + self.size(said["limit"])}
        else:
            following = {"cursor": said["next_cursor"]}
        origin = FOREIGN_ORIGIN if dialect == "next_url_foreign" else f"http://{self.host}"
        return f"{origin}{PREFIX}{self.place}?{urlencode({**self.params, **following})}"

    def _by_page(self, numbers: Sequence[int], limit: int) -> Page:
        number = whole_number(self.params, "page", 1, 1, None, self._out)
        if self._ignores("page"):
            number = 1
        size = self.size(limit)
        start = (number - 1) * size
        more = start + size < len(numbers)
        said = {"total": self._total(numbers), "page": number, "limit": limit, "has_more": more}
        return Page(numbers[start : start + size], said)

    def _by_offset(self, numbers: Sequence[int], limit: int) -> Page:
        start = whole_number(self.params, "offset", 0, 0, None, self._out)
        if self._ignores("offset"):
            start = 0
        size = self.size(limit)
        more = start + size < len(numbers)
        said = {"total": self._total(numbers), "limit": limit, "offset": start, "has_more": more}
        return Page(numbers[start : start + size], said)

    def _by_cursor(self, numbers: Sequence[int], limit: int) -> Page:
        cursor = self.params.get("cursor")
        start = after = 0
        if cursor is not None:
            refused = self.switches["refused_cursor_status"]
            after = decode_cursor(cursor, refused, self._position_name)
            self._check_age(cursor, refused)
            start = bisect_right(numbers, after) if self.ordered else after
        end = start + self.size(limit)
        page = numbers[start:end]
        if self._is_empty_turn(cursor):
            page, end = numbers[:0], start
        more = end < len(numbers)
        # 1. The end of the list has no cursor.
        # 2. A page with rows has the cursor after its last row.
        # 3. An empty page repeats the position in compact form: the same cursor would be a loop.
        if not more:
            following = None
        elif page:
            following = self._behind(numbers, end)
        else:
            following = encode_cursor(after, compact=True, name=self._position_name)
        if self._alternates and page and (more or start):
            turn = self.cursors.turn("pages that alternate")
            back = rewritten_cursor(None, turn)
            following = back if start else rewritten_cursor(self._behind(numbers, end), turn)
            more = True
        elif more and page:
            following = self._broken(numbers, limit, cursor, following)
        if following is not None:
            self.cursors.issue(self.place, following, self.clock)
        said: dict[str, Any] = {"total": self._total(numbers), "limit": limit}
        if self.switches["cursor_echo"]:
            said["cursor"] = cursor
        return Page(page, {**said, "has_more": more, "next_cursor": following})

    @property
    def _position_name(self) -> str:
        """The member of a cursor that holds the position."""
        return "id" if self.ordered else "position"

    @property
    def _alternates(self) -> bool:
        return bool(self.switches["broken_cursor"].get(self.name) == "alternate")

    def _behind(self, numbers: Sequence[int], end: int) -> str:
        """Return the cursor after the first `end` rows."""
        return encode_cursor(numbers[end - 1] if self.ordered else end, name=self._position_name)

    def _broken(
        self, numbers: Sequence[int], limit: int, cursor: str | None, following: str | None
    ) -> str | None:
        broken = self.switches["broken_cursor"].get(self.name)
        if broken == "null":
            return None
        if cursor is None or broken is None:
            return following
        return cursor if broken == "repeat" else self._behind(numbers, self.size(limit))

    def _reads(self) -> int:
        return self.cursors.reads.get(self.place, 0)

    def _is_empty_turn(self, cursor: str | None) -> bool:
        turn = self.cursors.turn(self.place)
        every = self.switches["empty_page_every"]
        if not every or turn % every:
            return False
        # Two empty pages at one position would need two cursors for it, so the compact form of a
        # cursor, which only an empty page issues, never gets another one.
        if cursor is None:
            return True
        place = decode_cursor(cursor, 400, self._position_name)
        return cursor != encode_cursor(place, compact=True, name=self._position_name)

    def _check_age(self, cursor: str, refused: int) -> None:
        most_reads = self.switches["cursor_lifetime_requests"]
        most_seconds = self.switches["cursor_lifetime_seconds"]
        if most_reads is None and most_seconds is None:
            return
        issued = self.cursors.issued.get((self.place, cursor))
        good = issued is not None
        if issued is not None and most_reads is not None:
            good = self._reads() - issued[1] < most_reads
        if issued is not None and most_seconds is not None:
            good = good and self.clock.elapsed() - issued[0] <= most_seconds
        if not good:
            raise Refusal(refused, "Cursor has expired")
