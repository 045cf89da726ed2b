"""Read and change a stream's entry in the Singer state.

The entry says up to which moment the stream is complete, and holds its unfinished walk. Every key
is always there, null included, and a list is only ever replaced as a whole. A store that merges two
states key by key (Meltano does) then leaves one of the two entries. The rules W1 to W12 are in
docs/design/walk.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tap_lev import timestamps
from tap_lev.errors import ConfigError
from tap_lev.state.walk import NO_WALK, Walk
from tap_lev.text import shown

if TYPE_CHECKING:
    from datetime import datetime, timedelta

MAX_FAILED = 50
"""Failed rows that one stream keeps. More of them are a fault of the stream, not of rows."""

_EMPTY: dict[str, Any] = {
    "replication_key": None,
    "replication_key_value": None,
    "completed_at": None,
    "version": None,
    "account": None,
    "user": None,
    "start_date": None,
    "columns": None,
    "canaries": [],
    "undated": False,
    "failed": [],
    "shortfall": None,
    "walk": NO_WALK,
}
"""The entry of a stream before its first walk."""


class Canary(NamedTuple):
    """A row that a filter on ``updated_at`` must return while it does not change.

    Attributes:
        key: The row's id.
        updated_at: The row's ``updated_at`` when it last came.
    """

    key: int
    updated_at: datetime


class Failed(NamedTuple):
    """A row that could not be read, or whose children could not.

    Attributes:
        key: The id of the row of the list.
        since: Start of the walk in which it failed first, in the form of the state.
        times: Number of runs in which it failed.
    """

    key: int
    since: str
    times: int


class Bookmark:
    """Reads and changes a stream's entry in the state.

    Args:
        entry: The stream's part of the state. It is changed in place.
        replication_key: The stream's replication key, or None.
    """

    def __init__(self, entry: dict[str, Any], replication_key: str | None) -> None:
        self._entry = entry
        self._replication_key = replication_key

    def complete(self, stream: str) -> None:
        """Give the entry every key that it lacks, in a fixed order.

        Raises:
            ConfigError: The list of failed rows is malformed; to drop it would lose these rows.
        """
        incomplete = dict(self._entry)
        self._entry.clear()
        # A store that merges replaces only the keys that it gets: one that is missing here would
        # stay from an older state, and mix two entries (W5).
        for name, empty in _EMPTY.items():
            self._entry[name] = incomplete.pop(name, empty)
        # Keys that this release does not know stay as they are.
        self._entry |= incomplete
        if self._replication_key:
            self._entry["replication_key"] = self._replication_key
        try:
            failed = [
                Failed(int(key), str(since), int(count))
                for key, since, count in self._entry["failed"]
            ]
        except (TypeError, ValueError):
            raise ConfigError(
                f"The state's list of failed rows of {stream} is not a list of [id, since, count]: "
                f"{shown(self._entry['failed'])}. Give the state that tap-lev wrote last."
            ) from None
        self.failed = failed
        # Malformed canaries may be dropped: without one the filter is not proven, and the walk
        # reads all rows. That costs requests, and no row.
        self.canaries = self.canaries

    # -- How far the rows are complete

    @property
    def value(self) -> datetime | None:
        """The start of the last complete walk, or None before the first."""
        # After the server's clock was set back, the last complete walk began before the bookmark,
        # which never moves back (W10). Then that start counts: changes since may be dated from it.
        moments = [
            moment
            for name in ("replication_key_value", "completed_at")
            if (moment := timestamps.parse(self._entry.get(name))) is not None
        ]
        return min(moments, default=None)

    def since(self, overlap: timedelta, start_date: datetime | None) -> datetime | None:
        """Return the lower bound of the next incremental walk, in whole seconds.

        Args:
            overlap: How far before the bookmark to read again.
            start_date: The bound of the first walk, or None for all rows.
        """
        # start_date bounds a first walk only: a later one may begin before it, by the overlap, and
        # an earlier start_date cannot bring back what the first walk left out.
        if self.value is None:
            return start_date
        try:
            return timestamps.subtract(self.value, overlap).replace(microsecond=0)
        except OverflowError:
            return start_date

    def finish(self, walk: Walk) -> None:
        """Record that the walk is complete. The bookmark never moves back."""
        # The bookmark is the moment at which the walk began, not its end and not the newest
        # updated_at: rows that change behind the walk are newer than that, and come next time.
        self.discard_walk()
        if not self._replication_key:
            before = timestamps.parse(self._entry.get("completed_at"))
            if before is None or before <= walk.started_at:
                self._entry["completed_at"] = timestamps.render(walk.started_at)
            return
        self._entry["replication_key"] = self._replication_key
        before = timestamps.parse(self._entry.get("replication_key_value"))
        is_behind = before is not None and walk.started_at < before
        if not is_behind:
            self._entry["replication_key_value"] = timestamps.render(walk.started_at)
        self._entry["completed_at"] = timestamps.render(walk.started_at) if is_behind else None

    def reset(self) -> None:
        """Forget the bookmark, so that the next walk reads all rows."""
        self._entry["replication_key_value"] = self._entry["completed_at"] = None

    # -- The unfinished walk

    def load_walk(self) -> Walk | None:
        """Return the walk that an earlier run left, or None.

        Raises:
            ValueError: The walk in the state is malformed, or its digest does not match.
        """
        stored = self._entry.get("walk")
        if stored is None:
            return None
        try:
            return Walk.from_state(stored)
        except ValueError:
            # A store that merged states of an older release keeps walks that have ended since.
            if isinstance(stored, dict) and "digest" not in stored:
                started_at = timestamps.parse(stored.get("started_at"))
                if started_at and self.value and self.value >= started_at:
                    return None
            raise

    def save_walk(self, walk: Walk) -> None:
        """Record the walk and its place: everything before it is written (W8)."""
        self._entry["walk"] = walk.to_state()

    def discard_walk(self) -> None:
        """Forget the unfinished walk."""
        self._entry["walk"] = dict(NO_WALK)

    # -- Whose rows they are

    @property
    def account(self) -> int | str | None:
        """The account's id or slug, or None if unknown."""
        account = self._entry.get("account")
        return account if isinstance(account, int | str) else None

    @property
    def user(self) -> int | None:
        """The id of the user whose key read the rows, or None if unknown."""
        user = self._entry.get("user")
        return user if type(user) is int else None

    def own(self, account: int | str | None, user: int | None) -> None:
        """Record account and user, as far as they are known."""
        # Where /me failed in this run, what an earlier run learned still holds.
        if account is not None:
            self._entry["account"] = account
        if user is not None:
            self._entry["user"] = user

    # -- What a complete run left out

    @property
    def start_date(self) -> datetime | None:
        """The lower bound of the first walk, or None if it had none or it is unknown."""
        return timestamps.parse(self._entry.get("start_date"))

    @start_date.setter
    def start_date(self, moment: datetime | None) -> None:
        self._entry["start_date"] = moment and timestamps.render(moment)

    @property
    def columns(self) -> str | None:
        """Hashes of the columns that every complete row has, or None if unknown."""
        columns = self._entry.get("columns")
        return columns if isinstance(columns, str) else None

    @columns.setter
    def columns(self, hashes: str) -> None:
        self._entry["columns"] = hashes

    # -- Versions, the filter's proof, gaps

    @property
    def version(self) -> int | None:
        """The version of the last finished full table, else of the first walk, or None."""
        version = self._entry.get("version")
        return version if type(version) is int else None

    @version.setter
    def version(self, version: int | None) -> None:
        self._entry["version"] = version

    @property
    def canaries(self) -> list[Canary]:
        """The rows that prove a filter. A malformed list counts as empty."""
        try:
            pairs = [(key, timestamps.parse(text)) for key, text in self._entry.get("canaries", [])]
        except (TypeError, ValueError):
            return []
        return [Canary(key, at) for key, at in pairs if type(key) is int and at is not None]

    @canaries.setter
    def canaries(self, canaries: list[Canary]) -> None:
        self._entry["canaries"] = [[key, timestamps.render(at)] for key, at in canaries]

    @property
    def undated(self) -> bool:
        """Whether a row of the list was ever seen without ``updated_at``."""
        return bool(self._entry.get("undated"))

    @undated.setter
    def undated(self, undated: bool) -> None:
        self._entry["undated"] = undated

    @property
    def failed(self) -> list[Failed]:
        """The rows that failed. The next run requests them before it writes a page."""
        return [Failed(*item) for item in self._entry.get("failed", [])]

    @failed.setter
    def failed(self, failed: list[Failed]) -> None:
        self._entry["failed"] = [list(row) for row in failed]

    @property
    def shortfall(self) -> tuple[int, int] | None:
        """Rows that Lev counts and does not send, and how many whole walks said so."""
        numbers = self._entry.get("shortfall")
        if not isinstance(numbers, list) or [type(number) for number in numbers] != [int, int]:
            return None
        return numbers[0], numbers[1]

    @shortfall.setter
    def shortfall(self, shortfall: tuple[int, int] | None) -> None:
        self._entry["shortfall"] = shortfall and list(shortfall)
