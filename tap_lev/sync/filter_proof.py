"""Prove from the rows that come that Lev honours the filter on ``updated_at``.

What Lev does with the filter is documented for one list only (lev-api.md §3 row 1). A filter that
is unknown, compares another field, or reads the bound in another time zone returns fewer rows than
it should, and nothing in the response says so. So the request also covers a row that is known to
have changed shortly before: the canary. The filter counts as honoured only if the canary comes
(W3 in docs/design/walk.md).
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
"""Canaries of one list. The second is for the case that the first is deleted or changes."""

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
        bound: The lower bound in the request.
        since: The moment from which on rows are wanted; not before the bound.
    """

    bound: datetime
    since: datetime

    def is_proven_by(self, row: Any, canary: Canary) -> bool:  # noqa: ANN401 - a row of either form
        """Return whether no wanted row can be missing if this canary comes."""
        # 1. Created about the bound or after it, it also comes by a filter on ``created_at``.
        created_at = timestamps.parse_row_time(value_of(row, CREATED_AT))
        if created_at is None or self.bound - created_at < MIN_AGE:
            return False
        # 2. Changed after the moment that is wanted, it also comes by a filter that leaves out the
        # rows between: one that reads the bound some hours later, in another time zone.
        return canary.updated_at <= self.since


class FilterProof:
    """Watches the rows of one walk.

    Args:
        canaries: The canaries that the state keeps.
    """

    def __init__(self, canaries: Iterable[Canary] = ()) -> None:
        self._known = {canary.key: canary for canary in canaries}
        # Of the known canaries, those that came as they are remembered, and those that changed.
        self._came: set[Canary] = set()
        self._changed: set[int] = set()
        # The canaries of the next walk, of the rows of this one.
        self._newest: list[Canary] = []
        self._threshold = ""
        self.undated = False
        """Whether a row came without ``updated_at``, which no filter returns."""

    def bound(self, since: datetime) -> datetime:
        """Return the bound to send for rows since a moment; it covers the canaries, too."""
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
        """Look for known canaries and for new ones in the rows of a page.

        Args:
            rows: The rows, all as dicts or all as structs.
            started_at: When the walk began.
            overlap: How far before the start of a walk the bound of the next one is.
            sent: The filter that was sent, or None.
        """
        if not rows:
            return
        # A canary is older than the bound of the next walk. Else it could come while rows that the
        # next walk wants, from before it, do not.
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
        newer = [row for row, text in zip(rows, dates, strict=True) if text and text >= threshold]
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
            # Without a filter it comes in any case: then it stays a canary for the next walk.
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
        # The newest are the best: the bound has to cover them, so older ones bring more old rows.
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
        rest = [canary for canary in self._known.values() if canary.key not in self._changed]
        by_key = {canary.key: canary for canary in (*rest, *self._newest)}
        return sorted(by_key.values(), key=lambda canary: canary.updated_at, reverse=True)

    def accept(self, canary: Canary) -> None:
        """Record that a request with the row's own moment as its bound returned the row."""
        self._came.add(canary)

    @property
    def canaries(self) -> list[Canary]:
        """The canaries for the next walk: of the rows that came, those that changed last."""
        by_key = {canary.key: canary for canary in (*self._came, *self._newest)}
        newest = sorted(by_key.values(), key=lambda canary: canary.updated_at, reverse=True)
        return newest[:CANARIES]


def oldest_of(rows: Sequence[Any]) -> datetime | None:
    """Return the earliest ``updated_at`` of rows, or None if none has one."""
    if not rows:
        return None
    texts = [text for text in texts_of(rows) if text]
    # Texts in UTC compare like their moments, except by less than a second where only some have
    # fractions. Parsing one in place of two hundred matters, and that error does not.
    if texts and all(text.endswith("Z") for text in texts):
        texts = [min(texts)]
    return min((date for text in texts if (date := timestamps.parse_row_time(text))), default=None)


def texts_of(rows: Sequence[Any]) -> list[str]:
    """Return the texts of ``updated_at``, an empty one where a row has none."""
    if isinstance(rows[0], dict):
        return [date if isinstance(date := row.get(UPDATED_AT), str) else "" for row in rows]
    return [date or "" for date in map(operator.attrgetter(UPDATED_AT), rows)]
