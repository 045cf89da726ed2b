"""Walking: how one stream walks, and what the state knows of it."""

from __future__ import annotations

import functools
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_lev import timestamps
from tap_lev.walk import Bookmark, Walk

if TYPE_CHECKING:
    from datetime import datetime

    from tap_lev.stream import LevStream

UPDATED_AT = "updated_at"


class Walking:
    """Begins a stream's walk or goes on with it, notes where it stands, and ends it.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: LevStream) -> None:
        self._stream = stream
        self.bookmark = Bookmark(stream.stream_state, stream.replication_key)
        """The stream's place in the state."""
        self.walk: Walk | None = None
        """The walk that is under way."""

    @functools.cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self._stream.asked)).hexdigest()[:16]

    # -- From the first page to the last

    def resume(self) -> None:
        """Go on with the walk that an earlier run left, if there is one that fits."""
        self.walk = None
        try:
            walk = self.bookmark.unfinished()
        except ValueError as fault:
            self.tell_restart(f"the state's walk cannot be read: {fault}.")
            return
        if walk is not None and walk.request != self._fingerprint:
            self.tell_restart("other columns, settings or another account are asked for now.")
            return
        self.walk = walk

    def tell_restart(self, reason: str) -> None:
        """Say why a walk is not gone on with."""
        name = self._stream.name
        self._stream.logger.warning("Reading %s again from the beginning: %s", name, reason)

    def begin(self, server_time: datetime) -> None:
        """Begin a walk, at a moment of the server's clock."""
        since, bookmark = self._since, self.bookmark.value
        if since is not None and bookmark is not None and bookmark > server_time:
            self.tell_restart(
                f"its bookmark, {timestamps.render(bookmark)}, is later than Lev's clock, "
                f"{timestamps.render(server_time)}: a change since may be dated before it."
            )
            since = self._start_date
            self.bookmark.forget()  # the walk would be taken for an older one, and begin each time
        version = self._version_of(server_time)
        self.walk = Walk(self._fingerprint, server_time, since=since, version=version)

    def checkpoint(
        self,
        cursor: str | None,
        parent: int | None,
        seen: int | None,
        asked_for: datetime | None,
    ) -> None:
        """Note that everything before a place is written, and with which filter Lev was asked."""
        if self.walk is not None:
            self.walk.cursor, self.walk.parent, self.walk.seen = cursor, parent, seen
            self.walk.filter = asked_for
            self.bookmark.checkpoint(self.walk)

    def finish(self, *, drop: bool) -> None:
        """Note that the walk is complete.

        Args:
            drop: Whether a full table is to lose the rows that did not come.
        """
        if self.walk is not None:
            if drop and self.walk.version is not None:
                self._stream.end_table(self.walk.version)
            self.bookmark.finish(self.walk)

    # -- Which rows belong to it

    @property
    def bound(self) -> datetime | None:
        """The lower bound of the walk that is under way, or of a new one."""
        return self._since if self.walk is None else self.walk.since

    @property
    def _since(self) -> datetime | None:
        """The lower bound of a new walk."""
        if self._is_whole:
            return None
        overlap = timedelta(seconds=self._stream.config["overlap_seconds"])
        return self.bookmark.since(overlap, self._start_date)

    @property
    def _is_whole(self) -> bool:
        """Whether each walk brings all rows there are."""
        stream = self._stream
        return stream.replication_method == REPLICATION_FULL_TABLE and not stream.follows_changes

    @property
    def _start_date(self) -> datetime | None:
        return timestamps.parse(self._stream.config.get("start_date"))

    def holds(self, row: dict[str, Any]) -> bool:
        """Say whether a row of the list belongs to the stream's walk."""
        if self.walk is None or self.walk.since is None:
            return True
        return self.walk.holds(timestamps.parse(row.get(UPDATED_AT)))

    def held(self, rows: list[Any]) -> list[Any]:
        """Find those of a page's rows that belong to the stream's walk."""
        if self.walk is None or self.walk.since is None:
            return rows
        holds, parse = self.walk.holds, timestamps.parse
        return [row for row in rows if holds(parse(getattr(row, UPDATED_AT, None)))]

    # -- Which table they are of

    @property
    def version(self) -> int | None:
        """The number of the table that a row of now is of, where the target is to know.

        It says which rows are of one table, over all runs of a walk.
        """
        return self.walk.version if self.walk else self._version_to_join

    def _version_of(self, started_at: datetime | None) -> int | None:
        """Number the table as a walk leaves it."""
        whole = self._is_whole and self._stream.config["emit_activate_version_messages"]
        return int(started_at.timestamp()) if whole and started_at is not None else None

    @functools.cached_property
    def _version_to_join(self) -> int | None:
        """The version of a row that is refreshed, which is that of the table it stands in.

        It is the version of the walk that a run has left unfinished, if one has: the walk may be
        past the row, and its end would have the target drop it.
        """
        try:
            walk = self.bookmark.unfinished()
        except ValueError:
            walk = None  # the next walk brings every row anew
        version = walk.version if walk else None
        return version or self._version_of(self.bookmark.value)
