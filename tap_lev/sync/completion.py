"""The end of a walk: what proves that everything came, and what is done if nothing does.

A list that ends is complete only if the rows are as many as Lev counts, each parent and each
embedded field was answered, and the filter is proven. Dropping rows from the target needs more.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from tap_lev.errors import LevError
from tap_lev.streams.child import ChildStream
from tap_lev.sync.list_requester import FILTER, ListRequester

if TYPE_CHECKING:
    from collections.abc import Collection

    from tap_lev.api.row_counter import RowCounter
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.lists import ListStream
    from tap_lev.sync.page import Guard
    from tap_lev.tap import TapLev

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
    """Completes the streams of one walk.

    Args:
        tap: The tap.
        source: The list.
        members: The streams that the walk is for; those that fail are taken out.
        asking: The requests.
        counter: Counts the rows.
        guard: What each stream's part is done in.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        tap: TapLev,
        source: ListStream,
        members: list[LevStream],
        asking: ListRequester,
        counter: RowCounter,
        guard: Guard,
    ) -> None:
        self._tap = tap
        self._source = source
        self._members = members
        self._asking = asking
        self._counter = counter
        self._guard = guard
        self._was_unproven = False
        self._is_recounted = False

    def check_filter(self, *, is_ignored: bool) -> None:
        """Find out whether all rows came that the walk wants, now that all pages have come.

        Args:
            is_ignored: Whether rows came that the filter should leave out.

        Raises:
            RestartError: It is not proven: all rows must be read.
        """
        if not self._asking.is_filtered:
            self._check_totals()
            return
        name, asking, counter = self._source.name, self._asking, self._counter
        if counter.keyless:
            self._read_all_rows(f"A row of {name} came without its key")
        if is_ignored:
            # Older rows come, but a filter on another field returns such rows, too.
            if not (asking.proof.is_proven or self._all_rows_came()):
                self._read_all_rows(f"No row proves that {FILTER} leaves out no row of {name}")
            asking.drop_filter(f"Lev ignores {FILTER}")
            return
        if not asking.proves_filter():
            self._was_unproven = True
            self._read_all_rows(f"No row proves that Lev honours {FILTER} for {name}")
        total = counter.min_total
        if counter.shortfall and total and not asking.counts_all_rows(total):
            self._read_all_rows(
                f"Lev counts {total} changed rows of {name} and sends {counter.rows_read}"
            )

    def _all_rows_came(self) -> bool:
        total, read = self._asking.total(), self._counter.rows_read
        return total is not None and read is not None and read >= total

    def _check_totals(self) -> None:
        """Look into counts that differ: fewer rows than at first may mean that rows were deleted.

        Raises:
            RestartError: Lev now counts more rows than came.
        """
        read, most = self._counter.rows_read, self._counter.max_total
        if read is None or most is None or read >= most:
            return
        total = self._asking.total()
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
            f"Lev's counts of {self._source.name} differ from page to page, so all rows are read "
            "again.",
            is_final=True,
        )

    def _shortfall(self, lost: Collection[int]) -> int | None:
        """Return how many rows are missing without a word; None if that is not known."""
        shortfall = self._counter.shortfall
        # A row that is kept to be asked for again is not missing without a word.
        return None if shortfall is None else max(0, shortfall - len(self._rows_kept(lost)))

    def _read_all_rows(self, reason: str) -> NoReturn:
        self._asking.all_rows = True
        raise RestartError(f"{reason}, so all rows are read.", is_final=True)

    def finish(self, *, by_its_word: bool, lost: Collection[int]) -> None:
        """Complete the streams for which everything came.

        Args:
            by_its_word: Whether the list ended because Lev said so.
            lost: The ids of rows that no page brought, and that were requested by id.
        """
        filtered = self._asking.is_filtered
        shortfall = None if filtered else self._shortfall(lost)
        proof = self._asking.proof
        if self._was_unproven and proof.is_proven:
            self._source.warn(
                f"Lev does not honour {FILTER}: a row that it must return did not come. All rows "
                "are read instead."
            )
        for member in list(self._members):
            bookmark = member.walking.bookmark
            bookmark.undated = bookmark.undated or proof.undated
            self._guard(partial(self._finish_stream, member, shortfall, by_its_word), member)
            if member in self._members and self._source.replication_key is not None:
                # Only with the bookmark: a canary that changed after it does not show that rows
                # from before it come.
                bookmark.canaries = proof.canaries
        self._tap.write_state(at_once=True)

    def _finish_stream(self, member: LevStream, shortfall: int | None, by_its_word: bool) -> None:  # noqa: FBT001
        """Complete a stream.

        Raises:
            LevError: It is not proven that everything came.
        """
        walking = member.walking
        try:
            if isinstance(member, ChildStream):
                self._check_parents(member)
                self._check_embed(member)
            for field in member.includes:
                if (fault := self._source.embeds[field].unread) is not None:
                    raise fault
            if shortfall is not None:
                self._check_count(member, shortfall, by_its_word=by_its_word)
            if self._source.replication_key is not None:
                # The next walk would not bring such a row again, once it has its key.
                self._check_keys(member)
        except LevError:
            # The pages are read to their end, so the next run needs a new walk.
            walking.begin_anew()
            raise
        # Over several runs, different rows cannot be counted where pages have no order.
        uncounted = self._counter.rows_read is None
        self._tell_shortfall(member)
        walking.finish(drop=not shortfall and not uncounted and not self._counter.keyless)
        member.report_row_faults()
        if self._source.replication_key is None:
            self._check_keys(member)

    def _check_keys(self, member: LevStream) -> None:
        """Name rows that came without a key: no count shows them where Lev gives none.

        Raises:
            LevError: They are missing, and nobody has accepted that.
        """
        keyless, name = self._counter.keyless, self._source.name
        if not keyless or member.report.failure is not None:
            return
        if not (member.accepts_gap() or self._source.accepts_gap()):
            raise LevError(
                f"{keyless} {'row' if keyless == 1 else 'rows'} of {name} came without a key and "
                "cannot be loaded. To accept the gap, set accepted_gaps to "
                f"{json.dumps({member.name: 'total'})}."
            )
        if member.walking.bookmark.shortfall is None:
            member.report.gaps.append(f"{member.name}: {keyless} without a key")

    def check_resumed(self, lost: Collection[int]) -> None:
        """Find out whether a walk has to be read again because an earlier run began it.

        Args:
            lost: The ids of rows that no page brought, and that were requested by id.

        Raises:
            RestartError: Only a walk of one run shows what is missing.
        """
        # 1. What the parents of the first part answered, only that run knew.
        for member in self._members:
            if isinstance(member, ChildStream) and _has_only_gone(member):
                raise RestartError(
                    f"Lev answers {member.endpoint} with 404 for each of {member.parents_gone} "
                    f"listed {self._source.name}, so all are read again.",
                    is_final=True,
                )
        # 2. A row may have returned to the first part since.
        shortfall = None if self._asking.is_filtered else self._shortfall(lost)
        known = [member.walking.bookmark.shortfall for member in self._members]
        is_known = all(each is not None and each[0] == shortfall for each in known)
        if shortfall and not (is_known or self._source.accepts_gap()):
            raise RestartError(
                f"Lev counts {self._counter.min_total} rows of {self._source.name}, and "
                f"{self._counter.rows_read} came in this run and an earlier one, so all rows are "
                "read again.",
                is_final=True,
            )

    def _check_parents(self, child: ChildStream) -> None:
        if _has_only_gone(child):
            raise LevError(
                f"Lev answers {child.endpoint} with 404 for each of {child.parents_gone} listed "
                f"{self._source.name}, so nothing shows that the rows are read at all."
            )

    def _check_embed(self, child: ChildStream) -> None:
        """Make sure that an embedded field without an endpoint can be had at all."""
        if not child.awaits_embed or self._asking.shows_block(child.embed or ""):
            return
        raise LevError(f"Lev does not embed {child.embed}, and gives {child.name} in no other way.")

    def _check_count(self, member: LevStream, shortfall: int, *, by_its_word: bool) -> None:
        """Hold the different rows that came against the least count of Lev's.

        A count that does not fit may be Lev's own: then a second whole walk shows the same.
        """
        bookmark, source = member.walking.bookmark, self._source
        before = bookmark.shortfall
        if not shortfall:
            bookmark.shortfall = None
            return
        is_accepted = member.accepts_gap() or source.accepts_gap()
        is_same = before is not None and before[0] == shortfall and by_its_word
        is_same = is_same and not self._counter.keyless  # these did come, so they are no miscount
        walks = before[1] + 1 if before and is_same else 1
        bookmark.shortfall = (shortfall, max(walks, 2) if is_accepted else walks)
        if is_same or is_accepted:
            return
        setting = json.dumps({member.name: "total"})
        raise LevError(
            f"Lev counts {self._counter.min_total} rows of {source.name}, but "
            f"{self._counter.rows_read} came: {shortfall} {'is' if shortfall == 1 else 'are'} "
            "missing. The next run reads all rows again. To accept the gap, set accepted_gaps to "
            f"{setting}."
        )

    def _tell_shortfall(self, member: LevStream) -> None:
        """Name a known gap in each summary."""
        shortfall = member.walking.bookmark.shortfall
        if shortfall is None:
            return
        source = self._source
        if member.accepts_gap() or source.accepts_gap():
            member.report.gaps.append(f"{member.name}: {shortfall[0]} of Lev's count")
        elif member is source or source not in self._members:
            member.warn(
                f"Lev counts {shortfall[0]} more rows of {source.name} than it sends, in each of "
                f"{shortfall[1]} walks through all of them: taken for Lev's own count."
            )

    def _rows_kept(self, lost: Collection[int]) -> set[int]:
        if self._source not in self._members:
            return {*lost}
        return {*lost, *(each.key for each in self._source.walking.bookmark.failed)}


def _has_only_gone(child: ChildStream) -> bool:
    """Say whether nothing but 404 came, for more parents than can be gone by chance."""
    return child.parents_gone >= MIN_GONE and not child.parents_answered
