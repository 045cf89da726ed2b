"""One stream's walk: where it begins, what belongs to it, and what the state keeps of it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_lev import timestamps
from tap_lev.errors import LevError
from tap_lev.state.bookmark import MAX_FAILED, Bookmark, Failed
from tap_lev.state.walk import Walk

if TYPE_CHECKING:
    from tap_lev.api.account import Identity
    from tap_lev.streams.base import LevStream

UPDATED_AT = "updated_at"
MAX_STREAK = 5
"""How many rows in a row may fail with the same fault before the stream stops at its place."""


class WalkTracker:
    """Begins a stream's walk or resumes it, records its place, and ends it.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: LevStream) -> None:
        self._stream = stream
        self.bookmark = Bookmark(stream.stream_state, stream.replication_key)
        """The stream's entry in the state."""
        self.walk: Walk | None = None
        """The walk that is under way."""
        self.is_resumed = False
        """Whether the walk began in an earlier run."""
        self.keeps_rows = False
        """Whether something was not answered, so that no row may be dropped from the target."""
        self._replaced: list[datetime | None] = []
        self._open_version: int | None = None
        self._streak: list[int] = []
        self._streak_fault: object = None
        self._failed_now: set[int] = set()

    @functools.cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self._stream.asked)).hexdigest()[:16]

    # -- At the start of a run

    def prepare(self, identity: Identity) -> None:
        """Make the state's entry whole, and find the walk to resume.

        Args:
            identity: Whose key it is.

        Raises:
            ConfigError: The entry cannot be read.
        """
        bookmark, name = self.bookmark, self._stream.name
        bookmark.complete(name)
        self.resume()
        now = identity.server_time or datetime.now(UTC)
        if None not in {bookmark.user, identity.user} and bookmark.user != identity.user:
            # The new user may see rows that the old one could not, with any updated_at.
            self.log_restart("the key belongs to another user, who may see other rows.")
            self._replaced.append(None)
            self.walk, bookmark.canaries = None, []
        if None in self._replaced:
            bookmark.save_walk(Walk(self._fingerprint, now))
        bookmark.own(identity.account, identity.user)
        self._warn_of_omissions()

    def resume(self) -> None:
        """Resume the walk that an earlier run left, if it can be."""
        self.walk = None
        try:
            walk = self.bookmark.load_walk()
        except ValueError as fault:
            self.log_restart(f"the state's walk cannot be used: {fault}.")
            self._replaced.append(None)
            return
        if walk is None:
            self.bookmark.discard_walk()  # what is there may lack keys
            return
        self._open_version = walk.version
        if walk.request != self._fingerprint:
            self.log_restart("other columns or settings are selected now.")
        elif self._is_too_narrow(walk):
            self.log_restart("start_date is earlier now.")
            self._replaced.append(self._start_date)
        elif not walk.is_at_its_beginning:
            self.walk, self.is_resumed = walk, True
            if not self._emits_versions:
                # Some rows now come without a version: a message at the end would drop them.
                walk.version = None
            return
        self._replaced.append(walk.since)

    def keep_open_version(self) -> None:
        """Have rows carry the version of the walk that an earlier run left for a later one."""
        with contextlib.suppress(ValueError):
            if (walk := self.bookmark.load_walk()) is not None:
                self._open_version = walk.version

    def _is_too_narrow(self, walk: Walk) -> bool:
        """Whether a first walk leaves out rows that start_date now asks for."""
        if self.bookmark.value is not None or walk.since is None or self._is_whole:
            return False
        return self._start_date is None or self._start_date < walk.since

    def _warn_of_omissions(self) -> None:
        """Say which rows and columns a complete run left out, if they are asked for now."""
        bookmark, stream = self.bookmark, self._stream
        if bookmark.value is None or self._is_whole or self.walk is not None:
            return
        how = (
            f"To get them, remove {stream.name} from the state's bookmarks, or run it once with "
            "--full-refresh under Meltano."
        )
        before, start_date = bookmark.start_date, self._start_date
        if before is not None and (start_date is None or start_date < before):
            stream.warn(
                f"start_date is earlier now, but it bounds a first run only. Rows last changed "
                f"before {timestamps.render(before)} do not come until they change. {how}"
            )
        known = bookmark.columns
        if known is not None:
            hashes = {known[at : at + 4] for at in range(0, len(known), 4)}
            added = [name for name in stream.columns if _hash_of(name) not in hashes]
            if added:
                stream.warn(
                    f"new columns: {', '.join(added)}. Rows that have not changed since the last "
                    f"run keep them empty until they change. {how}"
                )

    def log_restart(self, reason: str) -> None:
        """Log why a walk restarts."""
        name = self._stream.name
        self._stream.logger.warning("Reading %s again from the beginning: %s", name, reason)

    # -- From the first page to the last

    def begin(self, server_time: datetime) -> None:
        """Begin a walk, at a moment of the server's clock."""
        since, bookmark = self.bound, self.bookmark.value
        if since is not None and bookmark is not None and bookmark > server_time:
            self.log_restart(
                f"its bookmark, {timestamps.render(bookmark)}, is later than Lev's clock, "
                f"{timestamps.render(server_time)}: a change since may be dated before it."
            )
            since = None
        self.walk = Walk(
            self._fingerprint, server_time, since=since, version=self._next_version(server_time)
        )
        self._streak.clear()
        self.keeps_rows = False
        if self._emits_versions and not self._is_whole and self.bookmark.version is None:
            self.bookmark.version = int(server_time.timestamp())
        if self._replaced:
            # The walk that this one replaces leaves the state before the first row comes.
            self.bookmark.save_walk(self.walk)

    def give_up(self) -> None:
        """Give up the walk that is under way: the next one has no later lower bound."""
        if self.walk is not None:
            self._replaced.append(self.walk.since)
            self.walk = None

    def begin_anew(self) -> None:
        """Have the next run begin the walk again, with no later lower bound."""
        if self.walk is not None:
            self.bookmark.save_walk(
                Walk(self._fingerprint, self.walk.started_at, since=self.walk.since)
            )

    @property
    def replaces(self) -> bool:
        """Whether a walk that an earlier run left is replaced."""
        return bool(self._replaced)

    def witness(self, server_time: datetime) -> None:
        """Take a page's time for the start of the walk, if no page gave an earlier one."""
        if self.walk is not None and server_time < self.walk.started_at:
            self.walk.started_at = server_time

    def checkpoint(
        self,
        cursor: str | None,
        parent: int | None,
        seen: int | None,
        sent: datetime | None,
    ) -> None:
        """Record that everything before a place is written, and the filter that was sent.

        While rows fail one after the other the place stays before them: if the stream stops, the
        next run asks for them again in the usual way.
        """
        if self.walk is not None and not self._streak:
            self.walk.cursor, self.walk.parent, self.walk.seen = cursor, parent, seen
            self.walk.filter = sent
            self.bookmark.save_walk(self.walk)

    def finish(self, *, drop: bool) -> None:
        """Record that the walk is complete.

        Args:
            drop: Whether a full table is to lose the rows that did not come.
        """
        self.end_streak()
        if self.walk is None:
            return
        bookmark, walk = self.bookmark, self.walk
        if walk.version is not None:
            if drop and not self.keeps_rows and not bookmark.failed and self._emits_versions:
                self._stream.write_activate_version(walk.version)
            bookmark.version = walk.version
        before, start_date = bookmark.start_date, self._start_date
        if bookmark.value is None or walk.since is None:
            bookmark.start_date = walk.since
        elif before is not None and (start_date is None or start_date < before):
            bookmark.start_date = start_date  # what does not come is logged once
        bookmark.columns = "".join(sorted({_hash_of(name) for name in self._stream.columns}))
        bookmark.finish(walk)
        self._replaced.clear()
        self._open_version = None

    def keep_rows(self) -> None:
        """Have this walk drop no row from the target, whichever run comes to its end.

        Rows keep their version, but the state's walk has none that a later run could activate.
        """
        self.keeps_rows = True
        if self.walk is not None and self.walk.version is not None:
            self.bookmark.version = self._open_version = self.walk.version
            self.walk.version = None

    # -- Rows that fail

    def fail_row(self, key: int, error: LevError, fault: object, most: int = MAX_STREAK) -> None:
        """Record that a row, or what belongs to it, cannot be read; the others are.

        Args:
            key: The id of the row of the list.
            error: Why.
            fault: What tells the fault from others.
            most: How many rows in a row may fail with it.

        Raises:
            LevError: It is the fault of the whole stream. The place stays before these rows.
        """
        if self._streak and self._streak_fault != fault:
            self.end_streak()
        self._streak.append(key)
        self._streak_fault = fault
        if len(self._streak) < most:
            return
        streak, self._streak = self._streak, []
        if most == MAX_STREAK:
            # The next run asks for these first and then passes them, so none can stop it for ever.
            self.keep_failed(*streak)
        raise error

    def end_streak(self) -> None:
        """Keep the rows that failed, because another one did not.

        Raises:
            LevError: There are too many of them.
        """
        keys, self._streak = self._streak, []
        if keys:
            self.keep_failed(*keys)

    def keep_failed(self, *keys: int) -> None:
        """Keep rows to ask for first in the next run.

        Raises:
            LevError: There are too many of them.
        """
        started_at = self.walk.started_at if self.walk else datetime.now(UTC)
        failed = {each.key: each for each in self.bookmark.failed}
        for key in keys:
            before = failed.get(key, Failed(key, timestamps.render(started_at), 0))
            # A walk may restart within a run, and meet the row again.
            failed[key] = before._replace(times=before.times + (key not in self._failed_now))
        self._failed_now.update(keys)
        if len(failed) > MAX_FAILED:
            raise LevError(
                f"More than {MAX_FAILED} rows of {self._stream.source.name} cannot be read for "
                f"{self._stream.name}."
            )
        self.bookmark.failed = list(failed.values())

    def heal(self, key: int) -> None:
        """Record that a row that failed was read, or is gone."""
        self.bookmark.failed = [each for each in self.bookmark.failed if each.key != key]

    # -- Which rows belong to it

    @property
    def bound(self) -> datetime | None:
        """The lower bound of the walk that is under way, or of a new one."""
        if self.walk is not None:
            return self.walk.since
        if self._is_whole or None in self._replaced:
            return None
        overlap = timedelta(seconds=self._stream.config["overlap_seconds"])
        since = self.bookmark.since(overlap, self._start_date)
        # A walk that replaces another is at least as wide.
        return None if since is None else min([since, *filter(None, self._replaced)])

    @property
    def _is_whole(self) -> bool:
        """Whether each walk returns all rows there are."""
        stream = self._stream
        return stream.replication_method == REPLICATION_FULL_TABLE and not stream.follows_changes

    @property
    def _start_date(self) -> datetime | None:
        return timestamps.parse(self._stream.config.get("start_date"))

    def includes(self, updated_at: object) -> bool:
        """Return whether a row that changed at a moment, as it comes, belongs to the walk."""
        if self.walk is None or self.walk.since is None:
            return True
        return self.walk.holds(timestamps.parse_row_time(updated_at))

    def holds(self, row: dict[str, Any]) -> bool:
        """Return whether a row of the list belongs to the stream's walk."""
        return self.includes(row.get(UPDATED_AT))

    def held(self, rows: list[Any]) -> list[Any]:
        """Return those of a page's rows that belong to the stream's walk."""
        if self.walk is None or self.walk.since is None:
            return rows
        holds, parse = self.walk.holds, timestamps.parse_row_time
        return [row for row in rows if holds(parse(getattr(row, UPDATED_AT, None)))]

    # -- Which table they are of

    @property
    def _emits_versions(self) -> bool:
        return bool(self._stream.config["emit_activate_version_messages"])

    @property
    def version(self) -> int | None:
        """The version that a row carries, None where versions are off.

        Rows of a full table carry the version of their walk. Other rows carry that of a walk which
        may still be in the target's state, else of the last finished full table: the end of either
        must not drop them.
        """
        if not self._emits_versions:
            return None
        if self.walk is not None and self._is_whole and self.walk.version is not None:
            return self.walk.version
        return self._open_version or self.bookmark.version

    def _next_version(self, started_at: datetime) -> int | None:
        """Return the version of a full table that begins: above all before it."""
        if not self._is_whole or not self._emits_versions:
            return None
        before = [self.bookmark.version, self._open_version]
        return max([int(started_at.timestamp()), *(1 + version for version in before if version)])


def _hash_of(column: str) -> str:
    return f"{zlib.crc32(column.encode()) & 0xFFFF:04x}"
