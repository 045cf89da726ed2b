"""The four pagination styles, and the ways in which a cursor can go wrong."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lev_sandbox.clock import Clock
    from lev_sandbox.switches import Switches

LARGEST_PAGE = 200
SORTED_CURSOR = "cursor and sort cannot be combined; use offset pagination when sorting"


@dataclass(frozen=True)
class Page:
    """Some of the rows, and what the answer says about the others (None: nothing)."""

    numbers: Sequence[int]
    pagination: dict[str, Any] | None


@dataclass
class Cursors:
    """When each cursor was given out, and how often each list was read."""

    issued: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)

    def issue(self, place: str, cursor: str, clock: Clock) -> None:
        """Note that a cursor was given out for a path."""
        self.issued[place, cursor] = (clock.elapsed(), self.reads.get(place, 0))

    def turn(self, place: str) -> int:
        """Count a read and return which one it is."""
        self.reads[place] = turn = self.reads.get(place, 0) + 1
        return turn

    def clear(self) -> None:
        """Forget everything."""
        self.issued.clear()
        self.reads.clear()


def encode_cursor(number: int, *, compact: bool = False) -> str:
    """Return the cursor behind a row; the compact writing means the same and looks different."""
    space = "" if compact else " "
    return b64encode(f'{{"id":{space}{number}}}'.encode()).decode()


def rewritten_cursor(cursor: str | None, turn: int) -> str:
    """Return another writing of a cursor, or of none."""
    place = {"id": 0} if cursor is None else orjson.loads(b64decode(cursor))
    return b64encode(orjson.dumps({**place, "turn": turn})).decode()


def decode_cursor(cursor: str, status: int) -> int:
    """Return the number of the row that a cursor stands behind."""
    try:
        number = orjson.loads(b64decode(cursor, validate=True))["id"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        number = None
    if type(number) is not int or number < 0:
        raise Refusal(status, "Invalid cursor")
    return number


def whole_number(  # noqa: PLR0913, PLR0917 - one call says it all
    params: Mapping[str, Any], name: str, default: int, least: int, most: int | None, out: str
) -> int:
    """Return a parameter that is a whole number; `out` says what becomes of one out of range."""
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
        clock: Tells the age of a cursor.
        cursors: What is remembered about cursors.
        name: The resource.
        place: The concrete path; a cursor is good for it alone.
        style: The pagination style.
        params: The query parameters, or the body of a read by POST.
        clamp: Whether a limit out of range is clamped, whatever the switch says.
        default: The number of rows when no limit is given.
        counted: The rows that are said to be there, if not those of the list.
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

    @property
    def _out(self) -> str:
        return "clamp" if self.clamp else str(self.switches["limit_out_of_range"])

    def limit(self) -> int:
        """Return how many rows were asked for."""
        return whole_number(self.params, "limit", self.default, 1, LARGEST_PAGE, self._out)

    def _total(self, numbers: Sequence[int]) -> int:
        return len(numbers) if self.counted is None else self.counted

    def page(self, numbers: Sequence[int]) -> Page:
        """Return the page that was asked for."""
        shape = self.switches["pagination_shape"].get(self.name) or self.style
        if shape in {"none", "empty"}:
            return Page(numbers, {} if shape == "empty" else None)
        limit = self.limit()
        if "sort" in self.params and "cursor" in self.params:
            raise Refusal(400, SORTED_CURSOR)
        absent = shape == "absent"
        if absent:
            shape = self.style if self.style != "none" else "cursor"
        if shape == "page":
            page = self._by_page(numbers, limit)
        elif shape == "offset" or "sort" in self.params or "offset" in self.params:
            page = self._by_offset(numbers, limit)
        else:
            page = self._by_cursor(numbers, limit)
        if absent:
            return Page(page.numbers, None)
        if not self.switches["pagination_total"] and page.pagination:
            del page.pagination["total"]
        if every := self.switches["lost_row_every"]:
            kept = [number for number in page.numbers if number % every]
            return Page(kept, page.pagination)
        return page

    def _by_page(self, numbers: Sequence[int], limit: int) -> Page:
        number = whole_number(self.params, "page", 1, 1, None, self._out)
        start = (number - 1) * limit
        more = start + limit < len(numbers)
        said = {"total": self._total(numbers), "page": number, "limit": limit, "has_more": more}
        return Page(numbers[start : start + limit], said)

    def _by_offset(self, numbers: Sequence[int], limit: int) -> Page:
        start = whole_number(self.params, "offset", 0, 0, None, self._out)
        more = start + limit < len(numbers)
        said = {"total": self._total(numbers), "limit": limit, "offset": start, "has_more": more}
        return Page(numbers[start : start + limit], said)

    def _by_cursor(self, numbers: Sequence[int], limit: int) -> Page:
        cursor = self.params.get("cursor")
        start = after = 0
        if cursor is not None:
            refused = self.switches["refused_cursor_status"]
            after = decode_cursor(cursor, refused)
            self._check_age(cursor, refused)
            start = bisect_right(numbers, after)
        page, end = numbers[start : start + limit], start + limit
        if self._is_empty_turn(cursor):
            page, end = numbers[:0], start
        more = end < len(numbers)
        if not more:
            following = None
        elif page:
            following = encode_cursor(page[-1])
        else:
            following = encode_cursor(after, compact=True)
        if more and page:
            following = self._broken(numbers, limit, cursor, following)
        if following is not None:
            self.cursors.issue(self.place, following, self.clock)
        said: dict[str, Any] = {"total": self._total(numbers), "limit": limit}
        if self.switches["cursor_echo"]:
            said["cursor"] = cursor
        return Page(page, {**said, "has_more": more, "next_cursor": following})

    def _broken(
        self, numbers: Sequence[int], limit: int, cursor: str | None, following: str | None
    ) -> str | None:
        broken = self.switches["broken_cursor"].get(self.name)
        if broken == "null":
            return None
        if cursor is None or broken is None:
            return following
        return cursor if broken == "repeat" else encode_cursor(numbers[limit - 1])

    def _reads(self) -> int:
        return self.cursors.reads.get(self.place, 0)

    def _is_empty_turn(self, cursor: str | None) -> bool:
        turn = self.cursors.turn(self.place)
        every = self.switches["empty_page_every"]
        if not every or turn % every:
            return False
        # Two empty pages at the same place would need two cursors for it.
        return cursor is None or cursor != encode_cursor(decode_cursor(cursor, 400), compact=True)

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
