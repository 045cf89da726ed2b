"""The end of a walk: what proves that everything came, and what is done if nothing does.

A list that ends is complete only if the rows are as many as Lev counts, each parent and each
embedded field was answered, and the filter is proven. Dropping rows from the target needs more.
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
"""From how many listed parents on nothing but 404 is no answer."""


MAX_NEWS = 10
"""How many rows may come while a list is read, however short it is."""


class RestartError(LevError):
    """A walk must be read from the beginning.

    Attributes:
        cause: The failure to end with, if it happens again and again.
        is_final: Whether it cannot happen twice, and says nothing of a fault.
    """

    def __init__(
        self, reason: str, cause: LevError | None = None, *, is_final: bool = False
    ) -> None:
        self.cause = cause
        self.is_final = is_final
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
        """Find out whether all rows came that the walk wants, now that all pages have come.

        Raises:
            RestartError: It is not proven: all rows must be read.
        """
        if not self._filter.is_sent:
            self._check_totals()
            return
        name, list_filter, counter = self._list_stream.name, self._filter, self._counter
        if counter.keyless:
            self._read_all_rows(f"A row of {name} came without its key")
        if list_filter.is_ignored:
            # Older rows come, but a filter on another field returns such rows, too.
            if not (list_filter.proof.is_proven or self._all_rows_came()):
                self._read_all_rows(f"No row proves that {FILTER} leaves out no row of {name}")
            list_filter.drop(f"Lev ignores {FILTER}")
            return
        if not list_filter.prove():
            self._was_unproven = True
            self._read_all_rows(f"No row proves that Lev honours {FILTER} for {name}")
        total = counter.min_total
        if counter.shortfall and total and not list_filter.counts_all_rows(total):
            self._read_all_rows(
                f"Lev counts {total} changed rows of {name} and sends {counter.rows_read}"
            )

    def _all_rows_came(self) -> bool:
        total, read = self._filter.total(), self._counter.rows_read
        return total is not None and read is not None and read >= total

    def _check_totals(self) -> None:
        """Look into counts that differ: fewer rows than at first may mean that rows were deleted.

        Raises:
            RestartError: Lev now counts more rows than came.
        """
        read, most = self._counter.rows_read, self._counter.max_total
        if read is None or most is None or read >= most:
            return
        total = self._filter.total()
        if self._counter.shortfall or total is None or read >= total:
            return
        # Single rows may have come since. Many may not, nor does a count below what was read fit.
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
            is_final=True,
        )

    def _shortfall(self, lost: Collection[int]) -> int | None:
        """Return how many rows are missing without a word; None if that is not known."""
        shortfall = self._counter.shortfall
        # A row that is kept to be asked for again is not missing without a word.
        return None if shortfall is None else max(0, shortfall - len(self._rows_kept(lost)))

    def _read_all_rows(self, reason: str) -> NoReturn:
        self._filter.leave_out()
        raise RestartError(f"{reason}, so all rows are read.", is_final=True)

    def finish(self, *, end_is_stated: bool, lost: Collection[int]) -> None:
        """Complete the streams for which everything came.

        Args:
            end_is_stated: Whether the list ended because Lev said so.
            lost: The ids of rows that no page brought, and that were requested by id.
        """
        filtered = self._filter.is_sent
        shortfall = None if filtered else self._shortfall(lost)
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
            # The pages are read to their end, so the next run needs a new walk.
            tracker.begin_anew()
            raise
        # Over several runs, different rows cannot be counted where pages have no order.
        uncounted = self._counter.rows_read is None
        self._report_shortfall(active)
        drop = not shortfall and not uncounted and not self._counter.keyless
        if (version := tracker.finish(drop=drop)) is not None:
            stream.write_activate_version(version)
        active.report_row_faults()
        if self._list_stream.replication_key is None:
            self._check_keys(active)

    def _check_keys(self, active: ActiveStream) -> None:
        """Name rows that came without a key: no count shows them where Lev gives none.

        Raises:
            LevError: They are missing, and nobody has accepted that.
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
        # 1. What the parents of the first part answered, only that run knew.
        for active in self._active.children:
            reader = active.reader
            if reader is not None and _has_only_gone(reader):
                raise RestartError(
                    f"Lev answers {reader.stream.endpoint} with 404 for each of "
                    f"{reader.parents_gone} "
                    f"listed {self._list_stream.name}, so all are read again.",
                    is_final=True,
                )
        # 2. A row may have returned to the first part since.
        shortfall = None if self._filter.is_sent else self._shortfall(lost)
        known = [active.bookmark.shortfall for active in self._active.streams]
        is_known = all(each is not None and each[0] == shortfall for each in known)
        if shortfall and not (is_known or self._list_stream.accepts_gap()):
            raise RestartError(
                f"Lev counts {self._counter.min_total} rows of {self._list_stream.name}, and "
                f"{self._counter.rows_read} came in this run and an earlier one, so all rows are "
                "read again.",
                is_final=True,
            )

    def _check_parents(self, reader: ChildReader) -> None:
        if _has_only_gone(reader):
            raise LevError(
                f"Lev answers {reader.stream.endpoint} with 404 for each of {reader.parents_gone} "
                f"listed {self._list_stream.name}, so nothing shows that the rows are read at all."
            )

    def _check_embed(self, reader: ChildReader) -> None:
        """Make sure that an embedded field without an endpoint can be had at all."""
        stream = reader.stream
        if not reader.awaits_embed or self._requester.shows_embed(stream.embed or ""):
            return
        raise LevError(
            f"Lev does not embed {stream.embed}, and gives {stream.name} in no other way."
        )

    def _check_count(self, active: ActiveStream, shortfall: int, *, end_is_stated: bool) -> None:
        """Hold the different rows that came against the least count of Lev's.

        A count that does not fit may be Lev's own: then a second whole walk shows the same.
        """
        bookmark, source = active.bookmark, self._list_stream
        before = bookmark.shortfall
        if not shortfall:
            bookmark.shortfall = None
            return
        is_accepted = active.stream.accepts_gap() or source.accepts_gap()
        is_same = before is not None and before[0] == shortfall and end_is_stated
        is_same = is_same and not self._counter.keyless  # these did come, so they are no miscount
        walks = before[1] + 1 if before and is_same else 1
        bookmark.shortfall = (shortfall, max(walks, 2) if is_accepted else walks)
        if is_same or is_accepted:
            return
        setting = json.dumps({active.name: "total"})
        raise LevError(
            f"Lev counts {self._counter.min_total} rows of {source.name}, but "
            f"{self._counter.rows_read} came: {shortfall} {'is' if shortfall == 1 else 'are'} "
            "missing. The next run reads all rows again. To accept the gap, set accepted_gaps to "
            f"{setting}."
        )

    def _report_shortfall(self, active: ActiveStream) -> None:
        """Name a known gap in each summary."""
        shortfall = active.bookmark.shortfall
        if shortfall is None:
            return
        source = self._list_stream
        if active.stream.accepts_gap() or source.accepts_gap():
            active.report.add_gap(f"{active.name}: {shortfall[0]} of Lev's count")
        elif active is self._active.list_member or self._active.list_member is None:
            active.stream.warn(
                f"Lev counts {shortfall[0]} more rows of {source.name} than it sends, in each of "
                f"{shortfall[1]} walks through all of them: taken for Lev's own count."
            )

    def _rows_kept(self, lost: Collection[int]) -> set[int]:
        member = self._active.list_member
        return {*lost} if member is None else {*lost, *(f.key for f in member.bookmark.failed)}


def _has_only_gone(reader: ChildReader) -> bool:
    """Say whether nothing but 404 came, for more parents than can be gone by chance."""
    return reader.parents_gone >= MIN_GONE and not reader.parents_answered
