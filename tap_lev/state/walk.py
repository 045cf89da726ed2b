"""The walk: one pass through a list from its first page to its last, as the state keeps it.

Pages come in id order and rows change while they are read. So what a walk has proved is known
only at its end: the bookmark becomes the moment at which the walk began, by the server's clock.
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
"""The keys of a walk in the state, each always there: a store that merges states key by key then
takes the whole of one walk."""

NO_WALK: dict[str, Any] = dict.fromkeys(KEYS)
"""What the state holds where no walk is unfinished."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """How far a walk has come: everything before it is written.

    Attributes:
        cursor: The page. None: the first.
        parent_id: The last row of that page whose children are written. None: no row of the page.
        rows_read: Rows on the pages before the cursor, or None if unknown.
        filter_from: The lower bound that the request sends. A cursor may not be valid with another
            (lev-api.md §1.5), so it stays until the walk ends. None: no bound is sent.
    """

    cursor: str | None = None
    parent_id: int | None = None
    rows_read: int | None = None
    filter_from: datetime | None = None


@dataclasses.dataclass(slots=True)
class Walk:
    """One pass through a list.

    Attributes:
        query_identity: Hash of the request; a walk resumes only with the same request.
        started_at: The earliest time of the server's clock since the first page.
        since: Rows older than this are not part of the walk. None: all rows are.
        version: The number of the ACTIVATE_VERSION message that ends a full table, if any.
        place: How far it has come.
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
        return self.since is None or updated_at is None or updated_at >= self.since

    def to_state(self) -> dict[str, Any]:
        """Return the walk as the state keeps it."""
        place = self.place
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
            ValueError: It is not what ``to_state`` returns: edited, mixed from two walks by the
                state's store, or written by a release without digests.
        """
        if not isinstance(value, dict):
            raise ValueError("it is not an object")  # noqa: TRY004
        if all(held is None for held in value.values()):
            return None
        if DIGEST not in value:
            raise ValueError("an older release of tap-lev wrote it")
        if value[DIGEST] != digest_of(value):
            raise ValueError("its digest does not match: it is edited, or mixed from two walks")
        # The digest shows that ``to_state`` wrote it; the rest only guards against a forged one.
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
    """The keys of a walk, as the state holds them."""

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
