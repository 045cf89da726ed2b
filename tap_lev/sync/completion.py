"""Prove at the end of a walk that everything came, and complete its streams.

A list is complete only if as many rows came as Lev counts, Lev answered for parents and embeds,
and the filter is proven (W3). Dropping rows from the target needs more (W4). The rules W1 to W12
are in docs/design/walk.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from tap_lev.errors import LevError
from tap_lev.sync.list_filter import FILTER

if TYPE_CHECKING:
    from collections.abc import Collection

    from tap_lev.api.row_counter import RowCounter
    from tap_lev.sync.active_streams import ActiveStream, ActiveStreams
    from tap_lev.sync.child_reader import ChildReader
    from tap_lev.sync.list_requester import ListRequester
    from tap_lev.sync.run import Run

MIN_GONE = 5
"""Listed parents from which on nothing but 404 proves that the stream is not read at all."""

MAX_NEWS = 10
"""Rows that may be added while a list is read, however short the list is."""


class RestartError(LevError):
    """A walk must be read from the beginning.

    Attributes:
        cause: The error to raise after too many restarts, or None for this one.
        is_once: Whether it cannot happen twice in a run and is no fault, so it is not counted.
    """

    def __init__(
        self, reason: str, cause: LevError | None = None, *, is_once: bool = False
    ) -> None:
        self.cause = cause
        self.is_once = is_once
        super().__init__(reason)


class Completion:
    """Completes the streams of one pass through a list.

    Args:
        run: The run.
        active: The streams that the pass is for.
        requester: The requests for the list.
        counter: Counts the rows.
    """

    def __init__(
        self, run: Run, active: ActiveStreams, requester: ListRequester, counter: RowCounter
    ) -> None:
        self._run = run
        self._active = active
        self._list_stream = active.list_stream
        self._requester = requester
        self._filter = requester.filter
        self._counter = counter
        self._was_unproven = False
        self._is_recounted = False

    def check_filter(self) -> None:
        """Prove that the filter left out no row of the walk.

        Raises:
            RestartError: It is not proven, so all rows must be read.
        """
        # Nothing in a response says what Lev did with the filter (lev-api.md §3 row 1):
        # 1. It was not sent, or Lev rejected it: only the counts can be checked.
        if not self._filter.is_sent:
            self._check_totals()
            return
        name, list_filter, counter = self._list_stream.name, self._filter, self._counter
        # 2. A row without its key may be the canary, or any other row. The count of the whole list
        #    shows that one is missing; that of a filtered list does not.
        if counter.keyless:
            self._read_all_rows(f"A row of {name} came without its key")
        # 3. Lev ignores it. Older rows come, but a filter on another field returns such rows, too.
        if list_filter.is_ignored:
            if not (list_filter.proof.is_proven or self._all_rows_came()):
                self._read_all_rows(f"No row proves that {FILTER} leaves out no row of {name}")
            list_filter.drop(f"Lev ignores {FILTER}")
            return
        # 4. It has to return a row that is known to have changed: the canary.
        if not list_filter.prove():
            self._was_unproven = True
            self._read_all_rows(f"No row proves that Lev honours {FILTER} for {name}")
        # 5. The canary comes, but a page may have been lost. Of a filtered list ``total`` may still
        #    count all rows: then fewer rows than that are no shortfall.
        total = counter.min_total
        if counter.shortfall and total and not list_filter.counts_all_rows(total):
            self._read_all_rows(
                f"Lev counts {total} changed rows of {name} and sends {counter.rows_read}"
            )

    def _all_rows_came(self) -> bool:
        total, read = self._filter.total(), self._counter.rows_read
        return total is not None and read is not None and read >= total

    def _check_totals(self) -> None:
        """Look into counts that differ from page to page.

        Raises:
            RestartError: Lev now counts more rows than came.
        """
        # Rows may be deleted or added while the list is read, so the least count decides. But a
        # page with a count that is too small would hide rows that are missing.
        read, most = self._counter.rows_read, self._counter.max_total
        if read is None or most is None or read >= most:
            return
        total = self._filter.total()
        if self._counter.shortfall or total is None or read >= total:
            return
        # A few rows may have been added since. More may not, and a count below what was read is
        # wrong by itself.
        contradicts = self._counter.min_total is not None and self._counter.min_total < read
        if not contradicts and total - read <= max(MAX_NEWS, read // 10):
            return
        if self._is_recounted:
            # It happened twice, so it is no row that came or went meanwhile.
            self._counter.min_total = total
            return
        self._is_recounted = True
        raise RestartError(
            f"Lev's counts of {self._list_stream.name} differ from page to page, so all rows are "
            "read again.",
            is_once=True,
        )

    def _shortfall(self, lost: Collection[int]) -> int | None:
        """Return how many rows are missing and not named, or None if unknown."""
        shortfall = self._counter.shortfall
        # A row that failed is named, and the next run requests it (W2).
        return None if shortfall is None else max(0, shortfall - len(self._rows_kept(lost)))

    def _read_all_rows(self, reason: str) -> NoReturn:
        self._filter.leave_out()
        raise RestartError(f"{reason}, so all rows are read.", is_once=True)

    def finish(self, *, end_is_stated: bool, lost: Collection[int]) -> None:
        """Complete the streams for which everything came.

        Args:
            end_is_stated: Whether Lev itself said that the list ends there.
            lost: The ids of rows that no page brought, and that were requested by id.
        """
        # A filtered list counts changed rows or all rows, and nothing says which.
        is_filtered = self._filter.is_sent
        shortfall = None if is_filtered else self._shortfall(lost)
        proof = self._filter.proof
        if self._was_unproven and proof.is_proven:
            self._list_stream.warn(
                f"Lev does not honour {FILTER}: a row that it must return did not come. All rows "
                "are read instead."
            )
        for active in self._active.streams:
            bookmark = active.bookmark
            bookmark.undated = bookmark.undated or proof.undated
            with self._active.isolate(active):
                self._finish_stream(active, shortfall, end_is_stated=end_is_stated)
            if active in self._active.streams and self._list_stream.replication_key is not None:
                # Only with the bookmark: a canary that changed after it does not show that rows
                # from before it come.
                bookmark.canaries = proof.canaries
        self._run.state_writer.write(at_once=True)

    def _finish_stream(
        self, active: ActiveStream, shortfall: int | None, *, end_is_stated: bool
    ) -> None:
        """Complete a stream.

        Raises:
            LevError: It is not proven that everything came.
        """
        tracker, stream = active.tracker, active.stream
        try:
            if active.reader is not None:
                self._check_parents(active.reader)
                self._check_embed(active.reader)
            for field in stream.includes:
                if (fault := self._list_stream.embeds[field].unread) is not None:
                    raise fault
            if shortfall is not None:
                self._check_count(active, shortfall, end_is_stated=end_is_stated)
            if self._list_stream.replication_key is not None:
                # The next walk would not bring such a row again, once it has its key.
                self._check_keys(active)
        except LevError:
            # The place is at the last page: a run that resumed there would read only that page,
            # and complete the stream without the proof.
            tracker.restart_next_run()
            raise
        self._report_shortfall(active)
        # There are three reasons to keep the rows that did not come, though the walk is complete
        # (W4). The tracker adds those of single rows and parents.
        # 1. Lev counts more rows than it sends. The gap is accepted, or Lev's own: but a row that
        #    it counts may be one that the target has.
        # 2. The different rows cannot be counted: over several runs, where pages have no order.
        # 3. A row came without its key, so it may be any of those that did not come.
        is_uncounted = self._counter.rows_read is None
        drop = not shortfall and not is_uncounted and not self._counter.keyless
        if (version := tracker.finish(drop=drop)) is not None:
            # Before the STATE that completes the walk: a crash in between only repeats the message.
            stream.write_activate_version(version)
        active.report_row_faults()
        # A full table is complete even so: the next walk reads all rows anyway.
        if self._list_stream.replication_key is None:
            self._check_keys(active)

    def _check_keys(self, active: ActiveStream) -> None:
        """Name rows that came without a key: no count shows them where Lev gives none.

        Raises:
            LevError: They are missing, and ``accepted_gaps`` does not name the gap.
        """
        keyless, name = self._counter.keyless, self._list_stream.name
        if not keyless or active.report.failure is not None:
            return
        if not (active.stream.accepts_gap() or self._list_stream.accepts_gap()):
            raise LevError(
                f"{keyless} {'row' if keyless == 1 else 'rows'} of {name} came without a key and "
                "cannot be loaded. To accept the gap, set accepted_gaps to "
                f"{json.dumps({active.name: 'total'})}."
            )
        if active.bookmark.shortfall is None:
            active.report.add_gap(f"{active.name}: {keyless} without a key")

    def check_resumed(self, lost: Collection[int]) -> None:
        """Find out whether a walk has to be read again because an earlier run began it.

        Args:
            lost: The ids of rows that no page brought, and that were requested by id.

        Raises:
            RestartError: Only a walk of one run shows what is missing.
        """
        # 1. What Lev answered for the parents of the first part, only that run knew.
        for active in self._active.children:
            reader = active.reader
            if reader is not None and _has_only_gone(reader):
                raise RestartError(
                    f"Lev answers {reader.stream.endpoint} with 404 for each of "
                    f"{reader.parents_gone} "
                    f"listed {self._list_stream.name}, so all are read again.",
                    is_once=True,
                )
        # 2. A row may have returned to the first part since.
        shortfall = None if self._filter.is_sent else self._shortfall(lost)
        known = [active.bookmark.shortfall for active in self._active.streams]
        is_known = all(gap is not None and gap[0] == shortfall for gap in known)
        if shortfall and not (is_known or self._list_stream.accepts_gap()):
            raise RestartError(
                f"Lev counts {self._counter.min_total} rows of {self._list_stream.name}, and "
                f"{self._counter.rows_read} came in this run and an earlier one, so all rows are "
                "read again.",
                is_once=True,
            )

    def _check_parents(self, reader: ChildReader) -> None:
        if _has_only_gone(reader):
            raise LevError(
                f"Lev answers {reader.stream.endpoint} with 404 for each of {reader.parents_gone} "
                f"listed {self._list_stream.name}, so nothing shows that the rows are read at all."
            )

    def _check_embed(self, reader: ChildReader) -> None:
        """Make sure that an embed without an endpoint comes at all.

        Raises:
            LevError: It does not, so no row of the stream can be read.
        """
        # A walk of few changed rows may have none with anything in the embed, and a server may omit
        # what is empty. Then the list's first page decides, whatever the age of its rows.
        stream = reader.stream
        if not reader.awaits_embed or self._requester.shows_embed(stream.embed or ""):
            return
        raise LevError(
            f"Lev does not embed {stream.embed}, and gives {stream.name} in no other way."
        )

    def _check_count(self, active: ActiveStream, shortfall: int, *, end_is_stated: bool) -> None:
        """Compare the different rows that came with the least count of Lev's.

        Raises:
            LevError: Rows are missing, and the gap is not accepted.
        """
        bookmark, list_stream = active.bookmark, self._list_stream
        before = bookmark.shortfall
        if not shortfall:
            bookmark.shortfall = None
            return
        is_accepted = active.stream.accepts_gap() or list_stream.accepts_gap()
        # Lev's count itself may be wrong. It is, if a second whole walk lacks as many rows and Lev
        # says that the list ends there. The first walk fails, since a lost page looks the same.
        is_same = before is not None and before[0] == shortfall and end_is_stated
        is_same = is_same and not self._counter.keyless  # these did come, so they are no miscount
        walks = before[1] + 1 if before and is_same else 1
        bookmark.shortfall = (shortfall, max(walks, 2) if is_accepted else walks)
        if is_same or is_accepted:
            return
        setting = json.dumps({active.name: "total"})
        raise LevError(
            f"Lev counts {self._counter.min_total} rows of {list_stream.name}, but "
            f"{self._counter.rows_read} came: {shortfall} {'is' if shortfall == 1 else 'are'} "
            "missing. The next run reads all rows again. To accept the gap, set accepted_gaps to "
            f"{setting}."
        )

    def _report_shortfall(self, active: ActiveStream) -> None:
        """Name a known gap in each summary."""
        shortfall = active.bookmark.shortfall
        if shortfall is None:
            return
        list_stream = self._list_stream
        if active.stream.accepts_gap() or list_stream.accepts_gap():
            active.report.add_gap(f"{active.name}: {shortfall[0]} of Lev's count")
        elif active is self._active.list_member or self._active.list_member is None:
            active.stream.warn(
                f"Lev counts {shortfall[0]} more rows of {list_stream.name} than it sends, in each "
                f"of {shortfall[1]} walks through all of them: taken for Lev's own count."
            )

    def _rows_kept(self, lost: Collection[int]) -> set[int]:
        member = self._active.list_member
        return {*lost} if member is None else {*lost, *(f.key for f in member.bookmark.failed)}


def _has_only_gone(reader: ChildReader) -> bool:
    """Return whether only 404 came, for more parents than can be gone by chance."""
    return reader.parents_gone >= MIN_GONE and not reader.parents_answered
