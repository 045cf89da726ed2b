"""The walk: one pass through a list from its first page to its last, as it stands in the state.

Pages come in id order and rows change while they are read, so what a walk has proved is known
only at its end: the bookmark becomes the moment the walk began, by the server's clock.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tap_lev import timestamps
from tap_lev.pagination import MAX_CURSOR

if TYPE_CHECKING:
    from datetime import datetime, timedelta


@dataclasses.dataclass(slots=True)
class Walk:
    """Where a pass through a list stands.

    Attributes:
        request: Fingerprint of what is asked for; a walk can only go on with the same.
        started_at: The server's clock at the first page.
        since: Rows older than this are not part of the walk. None: all are.
        cursor: The next page. None: the first.
        parent: The last row of that page whose children are written. None: the page is untouched.
        version: The number of the ACTIVATE_VERSION message that ends a full table, if any.
        seen: How many rows the pages before the cursor held. None: not known.
        filter: The lower bound that Lev is asked to keep to. What a cursor means with another is
            not documented (lev-api.md §1.5), so it stays until the walk ends. None: Lev is asked
            for all rows.
    """

    request: str
    started_at: datetime
    since: datetime | None = None
    cursor: str | None = None
    parent: int | None = None
    version: int | None = None
    seen: int | None = None
    filter: datetime | None = None

    def holds(self, updated_at: datetime | None) -> bool:
        """Say whether a row belongs to the walk. One without a date always does."""
        return self.since is None or updated_at is None or updated_at >= self.since

    def to_state(self) -> dict[str, Any]:
        """Write the walk as it stands in the state."""
        values = {
            "started_at": timestamps.render(self.started_at),
            "since": self.since and timestamps.render(self.since),
            "cursor": self.cursor,
            "request": self.request,
        }
        extras = {
            "parent": self.parent,
            "version": self.version,
            "seen": self.seen,
            "filter": self.filter and timestamps.render(self.filter),
        }
        return values | {name: value for name, value in extras.items() if value is not None}

    @classmethod
    def from_state(cls, value: object) -> Walk:
        """Read a walk from the state.

        Raises:
            ValueError: It is not what ``to_state`` writes.
        """
        if not isinstance(value, dict):
            raise ValueError("it is not an object")  # noqa: TRY004
        started_at = timestamps.parse(value.get("started_at"))
        since, asked_for = (timestamps.parse(value.get(name)) for name in ("since", "filter"))
        cursor, request = value.get("cursor"), value.get("request")
        parent, version, seen = numbers = [value.get(n) for n in ("parent", "version", "seen")]
        if started_at is None:
            raise ValueError("started_at is not a date-time")
        for name, bound in (("since", since), ("filter", asked_for)):
            if bound is None and value.get(name) is not None:
                raise ValueError(f"{name} is not a date-time")
        if not isinstance(cursor, str | None) or not (cursor or parent):
            raise ValueError("cursor is not a text")
        if cursor and len(cursor) > MAX_CURSOR:
            raise ValueError("cursor is too long")
        if not isinstance(request, str):
            raise ValueError("request is not a text")  # noqa: TRY004
        if not all(number is None or type(number) is int for number in numbers):
            raise ValueError("parent, version or seen is not a whole number")
        return cls(request, started_at, since, cursor or None, parent, version, seen, asked_for)


class Bookmark:
    """A stream's entry in the Singer state: how far it is, and its unfinished walk.

    Args:
        entry: The stream's part of the state. It is changed in place.
        replication_key: The stream's replication key, or None.
    """

    def __init__(self, entry: dict[str, Any], replication_key: str | None) -> None:
        self._entry = entry
        self._replication_key = replication_key
        self._completed_at = "replication_key_value" if replication_key else "completed_at"

    @property
    def value(self) -> datetime | None:
        """The start of the last complete walk, or None before the first."""
        return timestamps.parse(self._entry.get(self._completed_at))

    def since(self, overlap: timedelta, start_date: datetime | None) -> datetime | None:
        """Find the lower bound of the next incremental walk, in whole seconds.

        Args:
            overlap: How far before the bookmark to read again.
            start_date: The earliest bound.
        """
        if self.value is None:
            return start_date
        try:
            bound = (self.value - overlap).replace(microsecond=0)
        except OverflowError:
            return start_date
        return bound if start_date is None else max(bound, start_date)

    def unfinished(self) -> Walk | None:
        """Read the walk that an earlier run left, if there is one.

        A state store that merges what it is given keeps the walk of a run that ended well. Such
        a walk is known by its start: the entry already names it, or a later one, as complete.

        Raises:
            ValueError: The walk in the state cannot be read.
        """
        if self._entry.get("walk") is None:
            return None
        walk = Walk.from_state(self._entry["walk"])
        return None if self.value is not None and self.value >= walk.started_at else walk

    def checkpoint(self, walk: Walk) -> None:
        """Note that everything before the walk's cursor is written."""
        self._entry["walk"] = walk.to_state()

    def forget(self) -> None:
        """Forget that a walk was ever complete: it was, by a clock that was wrong."""
        self._entry.pop(self._completed_at, None)

    def abandon(self) -> None:
        """Forget the unfinished walk."""
        self._entry.pop("walk", None)

    def finish(self, walk: Walk) -> None:
        """Note that the walk is complete."""
        self.abandon()
        self._entry[self._completed_at] = timestamps.render(walk.started_at)
        if self._replication_key:
            self._entry["replication_key"] = self._replication_key
