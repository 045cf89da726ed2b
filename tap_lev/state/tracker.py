"""Track one stream's walk: its bound, its place, its failed rows and its end.

The rules W1 to W12 are in docs/design/walk.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tap_lev import timestamps
from tap_lev.errors import LevError
from tap_lev.state.bookmark import MAX_FAILED, Bookmark, Failed
from tap_lev.state.walk import Walk

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from tap_lev.api.account import Identity
    from tap_lev.state.walk import Place

UPDATED_AT = "updated_at"
MAX_STREAK = 5
"""Rows that may fail in a row with the same fault before the stream stops at its place."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """The facts of a stream and of the settings that a walk depends on.

    Attributes:
        name: The stream's name.
        list_name: The name of the list whose walk brings the stream's rows.
        replication_key: The stream's replication key, or None.
        query_identity: What the requests depend on. A walk resumes only with the same (W11).
        columns: The selected columns.
        is_full_table: Whether each walk reads all rows.
        emits_versions: Whether rows carry a version, and ACTIVATE_VERSION ends a full table.
        overlap: How far before the bookmark a walk begins.
        start_date: The lower bound of a first walk, or None for all rows.
    """

    name: str
    list_name: str
    replication_key: str | None
    query_identity: Sequence[Any]
    columns: Sequence[str]
    is_full_table: bool
    emits_versions: bool
    overlap: timedelta
    start_date: datetime | None


class WalkTracker:
    """Begins a stream's walk or resumes it, records its place, and ends it.

    Args:
        entry: The stream's part of the state. It is changed in place.
        facts: What the walk depends on.
        logger: Logs why a walk restarts.

    Attributes:
        bookmark: The stream's entry in the state.
        walk: The unfinished walk, or None.
        is_resumed: Whether the walk began in an earlier run.
        keeps_rows: Whether something was not read, so that no row may be dropped (W4).
    """

    def __init__(self, entry: dict[str, Any], facts: StreamFacts, logger: logging.Logger) -> None:
        self.bookmark = Bookmark(entry, facts.replication_key)
        self.walk: Walk | None = None
        self.is_resumed = False
        self.keeps_rows = False
        self._facts = facts
        self._logger = logger
        # The lower bounds of the walks that were given up. The next walk is as wide as each (W11).
        self._replaced: list[datetime | None] = []
        # The version of the walk in the state. Its first part is loaded with that version, so rows
        # with an older one would be dropped when a later run ends that walk.
        self._open_version: int | None = None
        # The rows that failed one after another with the same fault, not yet in the bookmark (W12).
        self._streak: list[int] = []
        self._streak_fault: object = None
        self._failed_now: set[int] = set()

    @functools.cached_property
    def _query_hash(self) -> str:
        content = msgspec.json.encode(self._facts.query_identity)
        return hashlib.sha256(content).hexdigest()[:16]

    # -- At the start of a run

    def prepare(self, identity: Identity) -> None:
        """Complete the state's entry, and find the walk to resume.

        Args:
            identity: The account and user of the key.

        Raises:
            ConfigError: The entry's list of failed rows is malformed.
        """
        bookmark = self.bookmark
        bookmark.complete(self._facts.name)
        self.resume()
        now = identity.server_time or datetime.now(UTC)
        if None not in {bookmark.user, identity.user} and bookmark.user != identity.user:
            # The new user may see rows that the old one could not, with any updated_at.
            self.log_restart("the key belongs to another user, who may see other rows.")
            self._replaced.append(None)
            self.walk, bookmark.canaries = None, []
        if None in self._replaced:
            # A run that dies before its first page leaves this walk without a bound. Else the next
            # run would begin at the bookmark, and forget that all rows were to be read.
            bookmark.save_walk(Walk(self._query_hash, now))
        bookmark.own(identity.account, identity.user)

    def resume(self) -> None:
        """Resume the walk that an earlier run left, unless it has to restart (W11)."""
        self.walk = None
        try:
            walk = self.bookmark.load_walk()
        except ValueError as fault:
            # 1. Its bound cannot be trusted either, so the new walk reads all rows.
            self.log_restart(f"the state's walk cannot be used: {fault}.")
            self._replaced.append(None)
            return
        if walk is None:
            self.bookmark.discard_walk()  # the keys of an older release may be missing
            return
        self._open_version = walk.version
        if walk.query_identity != self._query_hash:
            # 2. What its first part wrote is not what is selected now.
            self.log_restart("other columns or settings are selected now.")
        elif self._is_too_narrow(walk):
            # 3. Its first part left out rows that are wanted now.
            self.log_restart("start_date is earlier now.")
            self._replaced.append(self._facts.start_date)
        elif not walk.is_at_its_beginning:
            # 4. It resumes. One that is still at its beginning has no part to keep, so a new walk
            # replaces it without a word, with no later bound.
            self.walk, self.is_resumed = walk, True
            if not self._facts.emits_versions:
                # Some rows now come without a version: a message at the end would drop them.
                walk.version = None
            return
        self._replaced.append(walk.since)

    def keep_open_version(self) -> None:
        """Give rows the version of the unfinished walk in the state, for a refresh."""
        # With an older version, the end of that walk would drop the refreshed rows.
        with contextlib.suppress(ValueError):
            if (walk := self.bookmark.load_walk()) is not None:
                self._open_version = walk.version

    def _is_too_narrow(self, walk: Walk) -> bool:
        """Return whether a first walk leaves out rows that start_date now includes."""
        if self.bookmark.value is not None or walk.since is None or self._facts.is_full_table:
            return False
        return self._facts.start_date is None or self._facts.start_date < walk.since

    def omissions(self) -> Iterator[str]:
        """Yield a sentence for what earlier runs left out and is wanted now."""
        bookmark, facts = self.bookmark, self._facts
        # A full table brings them anyway. Of a walk that resumes they were logged as it began.
        if bookmark.value is None or facts.is_full_table or self.walk is not None:
            return
        how = (
            f"To get them, remove {facts.name} from the state's bookmarks, or run it once with "
            "--full-refresh under Meltano."
        )
        before, start_date = bookmark.start_date, facts.start_date
        if before is not None and (start_date is None or start_date < before):
            yield (
                f"start_date is earlier now, but it bounds a first run only. Rows last changed "
                f"before {timestamps.render(before)} do not come until they change. {how}"
            )
        known = bookmark.columns
        if known is not None:
            hashes = {known[start : start + 4] for start in range(0, len(known), 4)}
            added = [name for name in facts.columns if _hash_of(name) not in hashes]
            if added:
                yield (
                    f"new columns: {', '.join(added)}. Rows that have not changed since the last "
                    f"run keep them empty until they change. {how}"
                )

    def log_restart(self, reason: str) -> None:
        """Log why a walk restarts."""
        name = self._facts.name
        self._logger.warning("Reading %s again from the beginning: %s", name, reason)

    # -- From the first page to the last

    def begin(self, server_time: datetime) -> None:
        """Begin a walk, at a moment of the server's clock (W6)."""
        since, bookmark = self.lower_bound, self.bookmark.value
        if since is not None and bookmark is not None and bookmark > server_time:
            self.log_restart(
                f"its bookmark, {timestamps.render(bookmark)}, is later than Lev's clock, "
                f"{timestamps.render(server_time)}: a change since may be dated before it."
            )
            # All rows are read once. The bookmark stays where it is (W10).
            since = None
        self.walk = Walk(
            self._query_hash, server_time, since=since, version=self._next_version(server_time)
        )
        self._streak.clear()
        self.keeps_rows = False
        if (
            self._facts.emits_versions
            and not self._facts.is_full_table
            and self.bookmark.version is None
        ):
            # Incremental rows carry the version of their first walk, until a full table brings its
            # own.
            self.bookmark.version = int(server_time.timestamp())
        if self._replaced:
            # The walk that this one replaces leaves the state before the first row comes: a later
            # run would resume it, and skip what this one was to read again.
            self.bookmark.save_walk(self.walk)

    def begin_unsaved(self, now: datetime) -> None:
        """Begin a walk of all rows that the state does not keep."""
        self.walk = Walk("", now)

    def give_up(self) -> None:
        """Give up the unfinished walk; the next one has no later lower bound (W11)."""
        if self.walk is not None:
            self._replaced.append(self.walk.since)
            self.walk = None

    def restart_next_run(self) -> None:
        """Put the walk back to its first page, for the next run."""
        if self.walk is not None:
            self.bookmark.save_walk(
                Walk(self._query_hash, self.walk.started_at, since=self.walk.since)
            )

    @property
    def replaces(self) -> bool:
        """Whether the walk replaces one of an earlier run or of this one."""
        return bool(self._replaced)

    def witness(self, server_time: datetime) -> None:
        """Move the start of the walk to a page's time, if that is earlier (W6)."""
        # A bookmark that is too late loses the changes before it. One that is too early only brings
        # some rows twice.
        if self.walk is not None and server_time < self.walk.started_at:
            self.walk.started_at = server_time

    def checkpoint(self, place: Place) -> None:
        """Record that everything before a place is written."""
        # While rows fail one after another the place stays before them (W12). If the stream stops,
        # the next run reads them in the usual way. Behind them it would have to request each by its
        # id, and the state keeps only MAX_FAILED of these.
        if self.walk is not None and not self._streak:
            self.walk.place = place
            self.bookmark.save_walk(self.walk)

    def finish(self, *, drop: bool) -> int | None:
        """Record that the walk is complete.

        Args:
            drop: Whether the target may drop the rows of a full table that did not come.

        Returns:
            The version to activate in the target, before the state is written, or None.
        """
        self.end_streak()
        if self.walk is None:
            return None
        bookmark, walk, facts = self.bookmark, self.walk, self._facts
        activated: int | None = None
        if walk.version is not None:
            # Dropping needs more than a complete walk (W4). A row that failed is still in Lev, but
            # did not come with this version.
            if drop and not self.keeps_rows and not bookmark.failed and facts.emits_versions:
                activated = walk.version
            bookmark.version = walk.version
        before, start_date = bookmark.start_date, facts.start_date
        if bookmark.value is None or walk.since is None:
            bookmark.start_date = walk.since
        elif before is not None and (start_date is None or start_date < before):
            bookmark.start_date = start_date  # so that omissions() logs it once
        bookmark.columns = "".join(sorted({_hash_of(name) for name in facts.columns}))
        bookmark.finish(walk)
        self._replaced.clear()
        self._open_version = None
        return activated

    def keep_rows(self) -> None:
        """Have this walk drop no row from the target, whichever run ends it (W4)."""
        self.keeps_rows = True
        # A flag in memory does not outlive a crash, so the version leaves the walk in the state: a
        # later run has none to activate. The rows still carry it, by the bookmark.
        if self.walk is not None and self.walk.version is not None:
            self.bookmark.version = self._open_version = self.walk.version
            self.walk.version = None

    # -- Rows that fail

    def fail_row(self, key: int, error: LevError, fault: object, most: int = MAX_STREAK) -> None:
        """Record that a row or its children cannot be read, while others can (W2).

        Args:
            key: The id of the row of the list.
            error: Why it cannot be read.
            fault: Identifies the fault; rows with an equal one form a streak.
            most: The length of a streak at which the stream stops.

        Raises:
            LevError: The streak is too long. The place stays before its rows (W12).
        """
        # Only rows that fail alike speak of a fault of the stream. Another fault ends the streak.
        if self._streak and self._streak_fault != fault:
            self.end_streak()
        self._streak.append(key)
        self._streak_fault = fault
        if len(self._streak) < most:
            return
        streak, self._streak = self._streak, []
        if most == MAX_STREAK:
            # The next run requests these first and passes them in the walk. Without that it would
            # stop at the same rows, as would each run after it (W7).
            self.keep_failed(*streak)
        raise error

    def end_streak(self) -> None:
        """Keep the rows of the streak as failed, because another row was read.

        Raises:
            LevError: There are too many of them.
        """
        keys, self._streak = self._streak, []
        if keys:
            self.keep_failed(*keys)

    def keep_failed(self, *keys: int) -> None:
        """Record rows that the next run requests before it writes a page.

        Raises:
            LevError: There are too many of them.
        """
        started_at = self.walk.started_at if self.walk else datetime.now(UTC)
        failed = {row.key: row for row in self.bookmark.failed}
        for key in keys:
            before = failed.get(key, Failed(key, timestamps.render(started_at), 0))
            # A walk may restart within a run, and meet the row again.
            failed[key] = before._replace(times=before.times + (key not in self._failed_now))
        self._failed_now.update(keys)
        if len(failed) > MAX_FAILED:
            raise LevError(
                f"More than {MAX_FAILED} rows of {self._facts.list_name} cannot be read for "
                f"{self._facts.name}."
            )
        self.bookmark.failed = list(failed.values())

    def heal(self, key: int) -> None:
        """Remove a row from the failed ones: it was read, or is gone."""
        self.bookmark.failed = [row for row in self.bookmark.failed if row.key != key]

    # -- Which rows belong to the walk

    @property
    def lower_bound(self) -> datetime | None:
        """The lower bound of the walk, or of the next one where there is none."""
        if self.walk is not None:
            return self.walk.since
        if self._facts.is_full_table or None in self._replaced:
            return None
        since = self.bookmark.since(self._facts.overlap, self._facts.start_date)
        # A walk that replaces another is at least as wide (W11). What that one was to read again,
        # such as all rows for another user, has not come yet.
        return None if since is None else min([since, *filter(None, self._replaced)])

    def includes(self, updated_at: object) -> bool:
        """Return whether a row with this ``updated_at`` belongs to the walk."""
        if self.walk is None or self.walk.since is None:
            return True
        return self.walk.includes(timestamps.parse_row_time(updated_at))

    # -- The version of the rows

    @property
    def version(self) -> int | None:
        """The version that a row carries, or None where versions are off."""
        if not self._facts.emits_versions:
            return None
        # 1. Rows of a full table carry the version of their walk, whose end activates it.
        # 2. Other rows carry the version of a walk that may still be in the target's state, else of
        #    the last finished full table: the end of either must not drop them.
        if self.walk is not None and self._facts.is_full_table and self.walk.version is not None:
            return self.walk.version
        return self._open_version or self.bookmark.version

    def _next_version(self, started_at: datetime) -> int | None:
        """Return the version of a full table that begins, or None where it has none."""
        # Above all before it: targets drop the rows of older versions, and the server's clock may
        # have been set back.
        if not self._facts.is_full_table or not self._facts.emits_versions:
            return None
        before = [self.bookmark.version, self._open_version]
        return max([int(started_at.timestamp()), *(1 + version for version in before if version)])


def _hash_of(column: str) -> str:
    return f"{zlib.crc32(column.encode()) & 0xFFFF:04x}"
