"""Reading: one walk through a list, for all the streams that live on it."""

from __future__ import annotations

import contextlib
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from singer_sdk.exceptions import SyncLifecycleSignal
from singer_sdk.metrics import Status, Tag

from tap_lev import timestamps
from tap_lev.asking import FILTER, Asking
from tap_lev.child import ChildStream
from tap_lev.client import ONCE
from tap_lev.courses import is_read_apart
from tap_lev.errors import (
    BrokenAnswerError,
    KeyRefusedError,
    LevAPIError,
    LevConnectionError,
    LevError,
)
from tap_lev.pagination import Pages
from tap_lev.rescue import Rescue
from tap_lev.row_counter import RowCounter
from tap_lev.taking import Taking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from singer_sdk.metrics import Timer

    from tap_lev.answer import Answer
    from tap_lev.lists import ListStream
    from tap_lev.pagination import Position
    from tap_lev.stream import LevStream
    from tap_lev.tap import TapLev

MAX_RESTARTS = 3
"""How often one run begins a walk again because Lev refuses its own cursor."""

MIN_GONE = 5
"""From how many listed parents on nothing but 404 is no answer."""


class First(NamedTuple):
    """The page that a walk begins with, or goes on with.

    Attributes:
        answer: What brought it.
        rows: Its rows.
        done: How many of these an earlier run has written with their children.
        pages: How many pages there are from here to the end, with this one.
        left: How many rows they hold.
        counted: Whether that is known, because Lev counts rows or because there is no other page.
    """

    answer: Answer
    rows: list[dict[str, Any]]
    done: int
    pages: int
    left: int
    counted: bool


class Reading:
    """A pass through one list.

    Args:
        tap: The tap.
        source: The list. It is written only if it is one of the members.
        members: The streams whose rows the walk brings. One that fails leaves them.
    """

    def __init__(self, tap: TapLev, source: ListStream, members: Sequence[LevStream]) -> None:
        self._tap = tap
        self._source = source
        self.members = list(members)
        """The streams that are still read."""
        self._counter = RowCounter()
        self._asking = Asking(tap, source, self.members)
        self._taking = Taking(
            tap, source, self.members, self._asking, self._counter, self._guard, self._checkpoint
        )
        self._rescue: Rescue | None = None
        self._lost_rows: set[int] = set()
        self._is_answered = False
        self._was_unproven = False
        self._writes = True

    @property
    def name(self) -> str:
        """The names of the streams that are still read."""
        return ", ".join(member.name for member in self.members)

    # -- Running

    def run(self, *, schemas: bool = True) -> None:
        """Write all rows of the members. One that fails does not stop the others.

        Args:
            schemas: Whether to write the SCHEMA messages.

        Raises:
            KeyRefusedError: Lev does not accept the key.
            LevError: Lev cannot be reached at all.
        """
        with self._metered(schemas=schemas):
            self._guard(self._walk, *self.members)
        if not self._asking.dry_run_rows:
            self._tap.write_state(at_once=True)
        self._tap.client.gate.remaining.forget(self._taking)

    def refresh(self, keys: Iterable[int]) -> None:
        """Write single rows and their children. The state stays as it is."""
        missing: list[int] = []
        keys = list(keys)
        self._taking.courses.wanted = len(keys)
        with self._metered(schemas=True):
            for key in keys:
                self._guard(partial(self._refresh, key, missing), *self.members)
        if missing and self._source.report.failure is None:
            ids = ", ".join(map(str, missing))
            self._source.fail(LevError(f"Lev has no row of {self._source.name} with id {ids}."))

    def look(self) -> First:
        """Read the page that a run would begin with, and write nothing."""
        self._asking.by_row, self._writes = True, False
        answer, position, parent = self._begin()
        rows, counter = list(self._source.rows(answer)), self._counter
        counter.add(answer.pagination, [*map(self._source.key_of, rows)])
        if self._asking.ignores_filter(rows):
            self._asking.drop_filter(f"Lev ignores {FILTER}")
        done = next((n for n, row in enumerate(rows, 1) if parent and row["id"] == parent), 0)
        keys = [row.get("id") for row in rows]
        if self._pages().after(answer.pagination, position, keys) is None:
            return First(answer, rows, done, 1, len(rows), counted=True)
        counted = counter.total is not None and counter.rows_read is not None
        pages = 1 + max(1, math.ceil(counter.pages_left))
        return First(answer, rows, done, pages, len(rows) + counter.left, counted=counted)

    @contextlib.contextmanager
    def _metered(self, *, schemas: bool) -> Iterator[None]:
        with contextlib.ExitStack() as meters:
            for member in self.members:
                if schemas:
                    member._write_schema_message()  # noqa: SLF001 - the SDK's sync() does the same
                member.counter = meters.enter_context(member.get_record_counter())
                timer = meters.enter_context(member.get_sync_timer())
                meters.callback(self._note_outcome, member, timer)
            yield

    @staticmethod
    def _note_outcome(member: LevStream, timer: Timer) -> None:
        member.report.course.ended = True
        if member.report.failure is not None:
            timer.tags[Tag.STATUS] = Status.FAILED

    def _guard(self, work: Callable[[], None], *members: LevStream) -> None:
        """Do some work; if it fails, so do the streams that it was done for."""
        try:
            work()
        except (KeyRefusedError, OSError, SyncLifecycleSignal):
            raise
        except Exception as error:
            if not self._tap.client.reached:
                raise
            if isinstance(error, RecursionError):
                error = BrokenAnswerError("Lev sends something that is nested too deeply.")
            for member in members:
                if member in self.members:
                    self.members.remove(member)
                    self._tap.client.gate.remaining.forget(member)
                    member.report.course.ended = True
                    member.fail(error)

    # -- The walk

    def _walk(self) -> None:
        """Read the list from its first page, or from where an earlier run stopped, to its last."""
        restarts = 0
        answer, position, parent = self._begin()
        self._ask_failed_rows(answer)
        while self.members:
            try:
                by_its_word = self._read_pages(answer, position, parent)
                if not self.members or self._asking.dry_run_rows:
                    return  # not all was seen
                self._check_filter()
            except _RestartError as restart:
                restarts += not restart.is_final
                if restarts > MAX_RESTARTS:
                    raise (restart.cause or restart) from None
                answer, position, parent = self._start_again(restart), {}, None
            else:
                self._finish(by_its_word=by_its_word)
                return

    def _read_pages(self, answer: Answer, position: Position, parent: int | None) -> bool:
        """Write page after page.

        Returns:
            Whether the list ended because Lev said so.

        Raises:
            _RestartError: It must be read from the beginning.
        """
        pages, is_first = self._pages(), True
        while self.members:
            keys = self._taking.page(answer, position, parent)
            for member in self.members:
                member.walking.witness(answer.server_time)
            if self._taking.found:
                parent = None
            if self._taking.is_filter_ignored:
                self._taking.is_filter_ignored = False
                self._asking.drop_filter(f"Lev ignores {FILTER}")
                if not is_first:
                    raise _RestartError("Lev filters some pages and not others.")
            following = pages.after(answer.pagination, position, keys)
            if following is None or not self.members or self._asking.dry_run_rows:
                return pages.was_told_the_end
            position, is_first = following, False
            self._checkpoint(position, parent, self._counter.rows_to_keep)
            answer, position = self._fetch(position)
        return False

    def _pages(self) -> Pages:
        return Pages(
            f"GET {self._source.path}",
            self._counter,
            cursor_only=self._source.paged,
            api_url=self._tap.config["api_url"],
            limit=self._asking.limit,
            has_pages=not self._source.single,
        )

    # -- One page

    def _fetch(self, position: Position) -> tuple[Answer, Position]:
        """Request a page, if need be by a way around a row that Lev cannot send.

        Returns:
            The page, and its place.

        Raises:
            _RestartError: Lev refuses the cursor.
            LevError: There is no way.
        """
        if self._rescue is None or self._rescue.is_over:
            self._rescue = None
            try:
                answer = self._asking.page(position)
                self._note_answer()
                return answer, position
            except LevAPIError as error:
                if error.refuses_parameters and position:
                    raise self._refused_cursor(position, error) from None
                if not self._begin_rescue(position, error):
                    raise
            except (BrokenAnswerError, LevConnectionError) as error:
                if not self._begin_rescue(position, error):
                    raise
        return self._read_around(position)

    def _note_answer(self) -> None:
        self._is_answered = True
        for member in self.members:
            if not is_read_apart(member):
                member.is_answered = True

    def _begin_rescue(self, position: Position, error: LevError) -> bool:
        if not self._writes or self._asking.dry_run_rows or not self._tap.client.reached:
            return False
        if isinstance(error, LevAPIError) and not error.may_be_of_a_row:
            return False
        if not self._is_answered and isinstance(error, LevAPIError) and error.is_forbidden:
            return False  # the key may not read the list at all
        rescue = Rescue(self._asking, self._source, self._tap.config["page_size"], error)
        if not rescue.is_possible(position):
            return False
        self._rescue = rescue
        self._tap.logger.warning(
            "A page of %s cannot be read, so the rows around the faulty one are. %s",
            self._source.name,
            error,
        )
        return True

    def _read_around(self, position: Position) -> tuple[Answer, Position]:
        rescue = self._rescue
        assert rescue is not None  # noqa: S101
        if (answer := rescue.shorter(position)) is not None:
            return answer, position
        skipped = rescue.skip(position)
        if skipped is None:
            raise LevError(
                f"A page of {self._source.name} cannot be read, and neither its ids nor a built "
                f"cursor lead past it, so the list stops there: {rescue.error}"
            ) from None
        self._rescue = None
        for member in self.members:
            if member.walking.walk is None:  # it is the first page that cannot be read
                member.begin(self._tap.client.clock.now())
        for key in skipped.keys:
            self._guard(partial(self._read_single, key), *self.members)
        if skipped.answer is not None:
            return skipped.answer, skipped.position
        return self._fetch(skipped.position)

    def _read_single(self, key: int) -> None:
        """Write a row that does not come in a page, or record that it cannot be read."""
        try:
            answer = self._asking.row(key, patience=ONCE)
        except LevAPIError as error:
            if not error.is_gone:
                self._lost_rows.add(key)
                self._taking.fail_row(key, error)
        except (BrokenAnswerError, LevConnectionError) as error:
            self._lost_rows.add(key)
            self._taking.fail_row(key, error)
        else:
            self._taking.page(answer, None)

    def _refused_cursor(self, position: Position, error: LevAPIError) -> _RestartError:
        """Find out what Lev refuses: the cursor, or the cursor together with the filter."""
        if self._asking.is_filtered and self._asking.takes_cursor_without_filter(position):
            self._asking.drop_filter(f"Lev refuses {FILTER} together with a cursor")
        return _RestartError(f"Lev refuses the cursor: {error}", error)

    # -- Beginnings

    def _begin(self) -> tuple[Answer, Position, int | None]:
        walk = self.members[0].walking.walk
        if walk is None:
            answer, position = self._start()
            return answer, position, None
        position: Position = {"cursor": walk.cursor} if walk.cursor else {}
        self._asking.bound = walk.filter
        self._counter.begin(walk.seen if walk.cursor else 0)
        try:
            answer, position = self._fetch(position)
        except _RestartError as restart:
            answer, position = self._start_again(restart)
            return answer, position, None
        for member in self.members:
            self._tap.logger.info(
                "Resuming the walk through %s of %s.",
                member.name,
                timestamps.render(walk.started_at),
            )
        return answer, position, walk.parent

    def _start_again(self, restart: _RestartError) -> tuple[Answer, Position]:
        for member in self.members:
            if restart.is_final:
                self._tap.logger.info("%s: %s", member.name, restart)
            else:
                member.walking.log_restart(str(restart))
            member.walking.give_up()
        self._asking.proof.restart()
        return self._start()

    def _start(self) -> tuple[Answer, Position]:
        self._counter.begin(0)
        self._rescue = None
        self._asking.begin()
        bound = self._asking.bound
        answer, position = self._fetch({})
        for member in self.members:
            if member.walking.walk is None:
                member.begin(answer.server_time)
        self._asking.begin()
        if self._asking.bound != bound:
            answer, position = self._fetch({})
        if self._writes and any(member.walking.replaces for member in self.members):
            self._tap.write_state(at_once=True)
        return answer, position

    def _ask_failed_rows(self, answer: Answer) -> None:
        """Ask for the rows that failed in earlier runs, before the walk comes to them."""
        if self._asking.dry_run_rows:
            return
        for member in list(self.members):
            for failed in member.walking.bookmark.failed:
                self._guard(partial(self._taking.again, member, failed.key, answer), member)

    # -- Ends

    def _check_filter(self) -> None:
        """Find out whether the filter can be trusted, now that all pages have come.

        Raises:
            _RestartError: It cannot: all rows must be read.
        """
        if not self._asking.is_filtered:
            return
        name = self._source.name
        if not self._asking.proves_filter():
            self._asking.all_rows = self._was_unproven = True
            raise _RestartError(
                f"No row proves that Lev honours {FILTER} for {name}, so all rows are read.",
                is_final=True,
            )
        total = self._counter.min_total
        if self._counter.shortfall and total and not self._asking.counts_all_rows(total):
            self._asking.all_rows = True
            raise _RestartError(
                f"Lev counts {total} changed rows of {name} and sends {self._counter.rows_read}, "
                "so all rows are read.",
                is_final=True,
            )

    def _finish(self, *, by_its_word: bool) -> None:
        """Complete the streams for which everything came."""
        filtered = self._asking.is_filtered
        shortfall = None if filtered else self._counter.shortfall
        if shortfall is not None:
            # A row that is kept to be asked for again is not missing without a word.
            shortfall = max(0, shortfall - len(self._rows_kept()))
        proof = self._asking.proof
        if self._was_unproven and proof.is_proven:
            self._source.tell(
                f"Lev does not honour {FILTER}: a row that it must return did not come. All rows "
                "are read instead."
            )
        for member in list(self.members):
            bookmark = member.walking.bookmark
            if self._source.replication_key is not None:
                bookmark.canaries = proof.canaries
                bookmark.undated = bookmark.undated or proof.undated
            self._guard(partial(self._finish_stream, member, shortfall, by_its_word), member)
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
            if shortfall is not None:
                self._check_count(member, shortfall, by_its_word=by_its_word)
        except LevError:
            # The pages are read to their end: the next run needs a walk of its own.
            walking.begin_anew()
            raise
        # Over several runs, different rows cannot be counted where pages have no order.
        uncounted = self._counter.rows_read is None
        self._tell_shortfall(member)
        walking.finish(drop=not shortfall and not uncounted and not self._counter.keyless)
        member.report_row_faults()

    def _check_parents(self, child: ChildStream) -> None:
        if child.parents_gone >= MIN_GONE and not child.parents_answered:
            raise LevError(
                f"Lev answers {child.endpoint} with 404 for each of {child.parents_gone} listed "
                f"{self._source.name}, so nothing shows that the rows are read at all."
            )

    def _check_embed(self, child: ChildStream) -> None:
        """Make sure that an embedded field without an endpoint can be had at all."""
        if not child.embedded or child.path or child.block is None:
            return
        embed = self._source.embeds[child.block]
        if not embed.is_omitted_when_empty or embed.seen or self._asking.shows_block(child.block):
            return
        raise LevError(f"Lev does not embed {child.block}, and gives {child.name} in no other way.")

    def _check_count(self, member: LevStream, shortfall: int, *, by_its_word: bool) -> None:
        """Hold the different rows that came against the least count of Lev's.

        A count that does not fit may be Lev's own: then a second whole walk shows the same.
        """
        bookmark, source = member.walking.bookmark, self._source
        before = bookmark.shortfall
        if not shortfall:
            bookmark.shortfall = None
            return
        is_same = before is not None and before[0] == shortfall
        bookmark.shortfall = (shortfall, before[1] + 1 if before and is_same and by_its_word else 1)
        if is_same and by_its_word:
            return
        if member.accepts_gap() or source.accepts_gap():
            return
        setting = json.dumps({member.name: "total"})
        raise LevError(
            f"Lev counts {self._counter.min_total} rows of {source.name}, but {self._counter.rows_read} "
            f"came: {shortfall} {'is' if shortfall == 1 else 'are'} missing. The next run reads all "
            f"rows again. To accept the gap, set accepted_gaps: {setting}."
        )

    def _tell_shortfall(self, member: LevStream) -> None:
        """Name a known gap in each summary."""
        shortfall = member.walking.bookmark.shortfall
        if shortfall is None:
            return
        source = self._source
        if member.accepts_gap() or source.accepts_gap():
            member.report.gaps.append(f"{member.name}: {shortfall[0]} of Lev's count")
        elif member is source or source not in self.members:
            member.tell(
                f"Lev counts {shortfall[0]} more rows of {source.name} than it sends, in each of "
                f"{shortfall[1]} walks through all of them: taken for Lev's own count."
            )

    def _rows_kept(self) -> set[int]:
        kept = {each.key for each in self._source.walking.bookmark.failed}
        return self._lost_rows | (kept if self._source in self.members else set())

    # -- Places

    def _checkpoint(self, position: Position, parent: int | None, seen: int | None) -> None:
        cursor = position.get("cursor")
        if isinstance(cursor, int) or (position and not cursor):
            return  # an offset is no place to come back to
        bound = self._asking.sent_bound
        for member in self.members:
            member.walking.checkpoint(cursor, parent, seen, bound)
        self._tap.write_state()

    # -- Single rows

    def _refresh(self, key: int, missing: list[int]) -> None:
        try:
            answer = self._asking.row(key)
        except LevAPIError as error:
            if not error.is_gone:
                raise
            missing.append(key)
            self._tap.logger.warning("%s: %s is not there. %s", self._source.name, key, error)
        else:
            self._taking.page(answer, None)


class _RestartError(LevError):
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
