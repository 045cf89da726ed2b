"""The proof that Lev honours the filter on ``updated_at``, from the rows that come.

What Lev does with the filter is documented for one list only (lev-api.md §3 row 1). A filter that
is unknown, compares another field, or reads the bound in another time zone returns fewer rows than
it should, and nothing in the response says so. So the request also covers a row that is known to
have changed shortly before: the canary. The filter counts as honoured only if the canary comes.
"""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_lev import timestamps
from tap_lev.records.rows import value_of, values_of
from tap_lev.state.bookmark import Canary
from tap_lev.state.tracker import UPDATED_AT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

CREATED_AT = "created_at"
CANARIES = 2
"""Canaries of one list. The second is for the case that the first is deleted."""

MIN_AGE = timedelta(hours=1)
"""How much older a canary's ``created_at`` is, so that a filter on it does not return the row."""

INEXACT = timedelta(days=2)
"""A filter that returns rows up to so much older than its bound (whole days, another time zone) is
inexact, but not ignored."""

MARGIN = timedelta(seconds=1)
"""How far before the canary the bound is: a filter that excludes its bound returns the row, too."""


class Sent(NamedTuple):
    """A filter that was sent.

    Attributes:
        bound: Its bound.
        since: The moment from which on rows are wanted.
    """

    bound: datetime
    since: datetime

    def is_proven_by(self, row: Any, canary: Canary) -> bool:  # noqa: ANN401 - a row of either form
        """Return whether no wanted row can be missing if a canary comes.

        A canary that changed later may come though the filter excludes wanted rows before it, and
        one that was created later may come by its ``created_at``.
        """
        created_at = timestamps.parse_row_time(value_of(row, CREATED_AT))
        if created_at is None or self.bound - created_at < MIN_AGE:
            return False
        return canary.updated_at <= self.since


class FilterProof:
    """Watches the rows of one walk.

    Args:
        canaries: The canaries that the state keeps.
    """

    def __init__(self, canaries: Iterable[Canary] = ()) -> None:
        self._known = {canary.key: canary for canary in canaries}
        self._came: set[Canary] = set()
        self._changed: set[int] = set()
        self._newest: list[Canary] = []
        self._threshold = ""
        self.undated = False
        """Whether a row came without ``updated_at``, which no filter returns."""

    def bound(self, since: datetime) -> datetime:
        """Return the bound to send for rows since a moment: it covers the canaries, too."""
        earliest = min([since, *(canary.updated_at for canary in self._known.values())])
        try:
            return (earliest - MARGIN).replace(microsecond=0)
        except OverflowError:
            return since

    def restart(self) -> None:
        """Forget the rows of a walk that restarts."""
        self._came.clear()

    def look(
        self,
        rows: Sequence[Any],
        started_at: datetime,
        overlap: timedelta = timedelta(0),
        sent: Sent | None = None,
    ) -> None:
        """Look at the rows of a page.

        Args:
            rows: The rows, all as dicts or all as structs.
            started_at: When the walk began. A canary is older than the bound of the next walk:
                only then no row that this walk wants can be missing if the canary comes.
            overlap: How far before the start of a walk the bound of the next one is.
            sent: The filter that was sent, if one was.
        """
        if not rows:
            return
        try:
            latest = started_at - overlap
        except OverflowError:
            return
        read = operator.itemgetter if isinstance(rows[0], dict) else operator.attrgetter
        dates = texts_of(rows)
        self.undated = self.undated or "" in dates
        if self._known and self._known.keys() & set(map(read("id"), rows)):
            self._look_for_known(rows, sent)
        # Comparing texts costs far less than parsing them, and each page is looked at.
        if max(dates) < self._threshold:
            return
        threshold = self._threshold
        newer = [r for r, date in zip(rows, dates, strict=True) if date and date >= threshold]
        fields = values_of(newer, ("id", UPDATED_AT, CREATED_AT))
        moments = iter(timestamps.parse_row_times(text for row in fields for text in row[1:]))
        for (key, *_), updated_at, created_at in zip(fields, moments, moments, strict=True):
            self._consider(key, updated_at, created_at, latest)
        if len(self._newest) == CANARIES:
            self._threshold = timestamps.render(self._newest[0].updated_at)[:-1]

    def _look_for_known(self, rows: Iterable[Any], sent: Sent | None) -> None:
        for row in rows:
            canary = self._known.get(value_of(row, "id"))
            if canary is None:
                continue
            if timestamps.parse_row_time(value_of(row, UPDATED_AT)) != canary.updated_at:
                self._changed.add(canary.key)
            elif sent is None or sent.is_proven_by(row, canary):
                self._came.add(canary)

    def _consider(
        self,
        key: object,
        updated_at: datetime | None,
        created_at: datetime | None,
        latest: datetime,
    ) -> None:
        if updated_at is None or created_at is None or type(key) is not int:
            return
        if updated_at > latest or updated_at - created_at < MIN_AGE:
            return
        others = [canary for canary in self._newest if canary.key != key]
        newest = sorted([*others, Canary(key, updated_at)], key=lambda canary: canary.updated_at)
        self._newest = newest[-CANARIES:]

    @property
    def is_proven(self) -> bool:
        """Whether a canary came as it was remembered."""
        return bool(self._came)

    @property
    def candidates(self) -> list[Canary]:
        """Rows whose own moment can prove the filter, the newest first."""
        rest = [c for c in self._known.values() if c.key not in self._changed]
        found = {canary.key: canary for canary in (*rest, *self._newest)}
        return sorted(found.values(), key=lambda canary: canary.updated_at, reverse=True)

    def accept(self, canary: Canary) -> None:
        """Record that a request for its own moment returned a row."""
        self._came.add(canary)

    @property
    def canaries(self) -> list[Canary]:
        """The canaries for the next walk: of the rows that came, those that changed last."""
        found = {canary.key: canary for canary in (*self._came, *self._newest)}
        newest = sorted(found.values(), key=lambda canary: canary.updated_at, reverse=True)
        return newest[:CANARIES]


def oldest_of(rows: Sequence[Any]) -> datetime | None:
    """Return the earliest moment at which one of the rows changed, None if none is dated."""
    if not rows:
        return None
    texts = [text for text in texts_of(rows) if text]
    if texts and all(text.endswith("Z") for text in texts):
        texts = [min(texts)]
    return min((date for text in texts if (date := timestamps.parse_row_time(text))), default=None)


def texts_of(rows: Sequence[Any]) -> list[str]:
    """Return when rows changed, as their texts; an empty one where a row has none."""
    if isinstance(rows[0], dict):
        return [date if isinstance(date := row.get(UPDATED_AT), str) else "" for row in rows]
    return [date or "" for date in map(operator.attrgetter(UPDATED_AT), rows)]
