"""A stream's entry in the Singer state: how far its rows are complete, and what is open.

Every key of an entry is always there, null included, and a list is only ever replaced as a whole.
A store that merges two states key by key (Meltano does) then leaves one of the two entries.
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
"""Rows that one stream keeps to ask for again. More than that is no accident of single rows."""

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
    """A row that a filter on ``updated_at`` must return, as long as it does not change.

    Attributes:
        key: The row's id.
        updated_at: When it last changed.
    """

    key: int
    updated_at: datetime


class Failed(NamedTuple):
    """A row that could not be read, or whose children could not.

    Attributes:
        key: The id of the row of the list.
        since: The start of the walk in which it failed first, as the state writes it.
        times: In how many runs it failed.
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
            ConfigError: The rows to ask for again cannot be read; leaving them out loses them.
        """
        given = dict(self._entry)
        self._entry.clear()
        for name, empty in _EMPTY.items():
            self._entry[name] = given.pop(name, empty)
        self._entry |= given
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
        self.canaries = self.canaries

    # -- How far the rows are complete

    @property
    def value(self) -> datetime | None:
        """The start of the last complete walk, or None before the first.

        After the server's clock was set back, the walk that completed last began before the
        bookmark, which never moves back. Then that start counts.
        """
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
            start_date: The bound of the first walk.
        """
        if self.value is None:
            return start_date
        try:
            return timestamps.subtract(self.value, overlap).replace(microsecond=0)
        except OverflowError:
            return start_date

    def finish(self, walk: Walk) -> None:
        """Record that the walk is complete. The bookmark never moves back."""
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
        """Forget that a walk was ever complete: what the entry says of it cannot be trusted."""
        self._entry["replication_key_value"] = self._entry["completed_at"] = None

    # -- The unfinished walk

    def load_walk(self) -> Walk | None:
        """Return the walk that an earlier run left, or None.

        Raises:
            ValueError: The walk in the state cannot be read, or not be trusted.
        """
        held = self._entry.get("walk")
        if held is None:
            return None
        try:
            return Walk.from_state(held)
        except ValueError:
            # A store that merged states of an older release keeps walks that have ended since.
            if isinstance(held, dict) and "digest" not in held:
                started_at = timestamps.parse(held.get("started_at"))
                if started_at and self.value and self.value >= started_at:
                    return None
            raise

    def save_walk(self, walk: Walk) -> None:
        """Record that everything before the walk's place is written."""
        self._entry["walk"] = walk.to_state()

    def discard_walk(self) -> None:
        """Forget the unfinished walk."""
        self._entry["walk"] = dict(NO_WALK)

    # -- Whose rows they are

    @property
    def account(self) -> int | str | None:
        """The account, None if unknown."""
        account = self._entry.get("account")
        return account if isinstance(account, int | str) else None

    @property
    def user(self) -> int | None:
        """The user whose key read the rows, None if unknown."""
        user = self._entry.get("user")
        return user if type(user) is int else None

    def own(self, account: int | str | None, user: int | None) -> None:
        """Record account and user, as far as they are known."""
        if account is not None:
            self._entry["account"] = account
        if user is not None:
            self._entry["user"] = user

    # -- What a complete run left out

    @property
    def start_date(self) -> datetime | None:
        """The lower bound of the first walk, None if it had none or it is unknown."""
        return timestamps.parse(self._entry.get("start_date"))

    @start_date.setter
    def start_date(self, moment: datetime | None) -> None:
        self._entry["start_date"] = moment and timestamps.render(moment)

    @property
    def columns(self) -> str | None:
        """Hashes of the columns that every complete row has, None if unknown."""
        columns = self._entry.get("columns")
        return columns if isinstance(columns, str) else None

    @columns.setter
    def columns(self, hashes: str) -> None:
        self._entry["columns"] = hashes

    # -- Versions, the filter's proof, gaps

    @property
    def version(self) -> int | None:
        """The version of the last finished full table, or of the first walk."""
        version = self._entry.get("version")
        return version if type(version) is int else None

    @version.setter
    def version(self, version: int | None) -> None:
        self._entry["version"] = version

    @property
    def canaries(self) -> list[Canary]:
        """The rows that prove a filter. What cannot be read is none."""
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
        """The rows to ask for again, first of all."""
        return [Failed(*each) for each in self._entry.get("failed", [])]

    @failed.setter
    def failed(self, failed: list[Failed]) -> None:
        self._entry["failed"] = [list(each) for each in failed]

    @property
    def shortfall(self) -> tuple[int, int] | None:
        """How many rows of Lev's count did not come, and in how many whole walks so."""
        held = self._entry.get("shortfall")
        if not isinstance(held, list) or [type(number) for number in held] != [int, int]:
            return None
        return held[0], held[1]

    @shortfall.setter
    def shortfall(self, shortfall: tuple[int, int] | None) -> None:
        self._entry["shortfall"] = shortfall and list(shortfall)
