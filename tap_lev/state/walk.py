"""Hold one walk: the way of a stream through its list, from the first page to the last.

Pages come in id order (lev-api.md §1.5), and rows change while they are read. So only at its end
a walk is complete: then the moment at which it began becomes the bookmark. The rules W1 to W12 are
in docs/design/walk.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tap_lev import timestamps
from tap_lev.api.pagination import MAX_CURSOR

if TYPE_CHECKING:
    from datetime import datetime

DIGEST = "digest"
KEYS = (
    "started_at", "since", "cursor", "request", "parent", "seen", "filter", "version", DIGEST,
)  # fmt: skip
"""The keys of a walk in the state. Each is always there, so a merge leaves one whole walk (W5)."""

NO_WALK: dict[str, Any] = dict.fromkeys(KEYS)
"""The walk in the state of a stream that has no unfinished walk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """How far a walk has come: everything before it is written (W8).

    Attributes:
        cursor: Lev's cursor of the page, or None for the first page.
        parent_id: The id of the last row whose children are written, as long as the page or one
            after it may hold that row; else None.
        rows_read: Different rows on the pages before the cursor, or None if unknown.
        filter_from: The lower bound that the request sends, or None for no filter.
    """

    cursor: str | None = None
    parent_id: int | None = None
    rows_read: int | None = None
    # With another bound the cursor may not be valid (lev-api.md §1.5): it stays until the walk
    # ends, also where the stream that wanted the bound has left.
    filter_from: datetime | None = None


@dataclasses.dataclass(slots=True)
class Walk:
    """The way of one stream through its list.

    Attributes:
        query_identity: Hash of what the request depends on. A walk resumes only with the same
            (W11).
        started_at: The earliest time that a page of the walk gave, by Lev's clock (W6).
        since: The lower bound; older rows are not part of the walk. None if all rows are.
        version: The number of the ACTIVATE_VERSION message that ends a full table, or None.
        place: How far the walk has come.
    """

    query_identity: str
    started_at: datetime
    since: datetime | None = None
    version: int | None = None
    place: Place = Place()

    def __post_init__(self) -> None:
        """Make the bound of the type that compares fastest: every row is held against it."""
        self.since = self.since and timestamps.plain(self.since)

    @property
    def is_at_its_beginning(self) -> bool:
        """Whether the state covers no row of the walk."""
        return self.place.cursor is None and self.place.parent_id is None

    def includes(self, updated_at: datetime | None) -> bool:
        """Return whether a row belongs to the walk. One without a date always does."""
        # A row that changed in the very second of the bound is part of it: Lev's dates may
        # be whole seconds (lev-api.md §1.8), so a later change may bear the same date.
        return self.since is None or updated_at is None or updated_at >= self.since

    def to_state(self) -> dict[str, Any]:
        """Return the walk in the form of the state."""
        place = self.place
        # Users keep states: these keys and their meanings stay, whatever the attributes are named.
        walk = {
            "started_at": timestamps.render(self.started_at),
            "since": self.since and timestamps.render(self.since),
            "cursor": place.cursor,
            "request": self.query_identity,
            "parent": place.parent_id,
            "seen": place.rows_read,
            "filter": place.filter_from and timestamps.render(place.filter_from),
            "version": self.version,
        }
        return walk | {DIGEST: digest_of(walk)}

    @classmethod
    def from_state(cls, value: object) -> Walk | None:
        """Read a walk from the state.

        Returns:
            The walk, or None if there is none.

        Raises:
            ValueError: ``to_state`` did not write it: it was edited, mixed from two walks by the
                state's store, or written by a release without digests.
        """
        if not isinstance(value, dict):
            raise ValueError("it is not an object")  # noqa: TRY004
        if all(content is None for content in value.values()):
            return None
        # A mixed walk is worse than none: the cursor of one and the bound of another would skip
        # rows, and nothing else in the entry would show it (W5).
        if DIGEST not in value:
            raise ValueError("an older release of tap-lev wrote it")
        if value[DIGEST] != digest_of(value):
            raise ValueError("its digest does not match: it is edited, or mixed from two walks")
        # The digest shows that ``to_state`` wrote it. The rest only guards against a forged one,
        # for example a cursor too long for a URL.
        try:
            entry = msgspec.convert(value, _StateEntry)
        except msgspec.ValidationError as error:
            raise ValueError(f"{error}") from None
        started_at = timestamps.parse(entry.started_at)
        since, filter_from = timestamps.parse(entry.since), timestamps.parse(entry.filter)
        if started_at is None or (since is None) is not (entry.since is None):
            raise ValueError("started_at or since is not a date-time")
        place = Place(entry.cursor, entry.parent, entry.seen, filter_from)
        return cls(entry.request, started_at, since, entry.version, place)


class _StateEntry(msgspec.Struct):
    """The keys of a walk in the state."""

    started_at: str
    since: str | None
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CURSOR)] | None
    request: str
    parent: int | None
    seen: int | None
    filter: str | None
    version: int | None


def digest_of(walk: dict[str, Any]) -> str:
    """Return the hash over all keys of a walk but the digest, whatever their order."""
    content = sorted((name, value) for name, value in walk.items() if name != DIGEST)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]
