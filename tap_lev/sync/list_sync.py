"""Reading: one walk through a list, for all the streams that live on it."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from singer_sdk.exceptions import SyncLifecycleSignal
from singer_sdk.metrics import Status, Tag

from tap_lev import timestamps
from tap_lev.api.client import ONCE
from tap_lev.api.pagination import Paginator
from tap_lev.api.row_counter import RowCounter, keys_of, total_of
from tap_lev.errors import (
    AuthenticationError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
)
from tap_lev.sync.completion import Completion, RestartError
from tap_lev.sync.courses import is_read_apart
from tap_lev.sync.list_requester import FILTER, ListRequester
from tap_lev.sync.page import PageProcessor
from tap_lev.sync.page_splitter import PageSplitter, id_of, read_cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from singer_sdk.metrics import Timer

    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.lists import ListStream
    from tap_lev.tap import TapLev

_Place: TypeAlias = "tuple[LevResponse, Position, int | None]"
"""A page, where it is, and the last of its rows that is written with its children."""

MAX_RESTARTS = 3
"""How often one run begins a walk again because Lev refuses its own cursor."""


class FirstPage(NamedTuple):
    """The page that a walk begins with, or goes on with.

    Attributes:
        answer: What brought it.
        rows: Its rows.
        done: How many of these an earlier run has written with their children.
        pages: How many pages there are from here to the end, with this one.
        left: How many rows they hold.
        counted: Whether that is known, because Lev counts rows or because there is no other page.
    """

    answer: LevResponse
    rows: list[dict[str, Any]]
    done: int
    pages: int
    left: int
    counted: bool


class ListSync:
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
        self._asking = ListRequester(tap, source, self.members)
        self._taking = PageProcessor(
            tap, source, self.members, self._asking, self._counter, self._guard, self._checkpoint
        )
        self._completion = Completion(
            tap, source, self.members, self._asking, self._counter, self._guard
        )
        self._rescue: PageSplitter | None = None
        self._lost_rows: set[int] = set()
        self._is_answered = False
        self._is_resumed = False
        self._has_asked_again = False
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
        self._tap.client.scheduler.workload.remove(self._taking)

    def refresh(self, keys: Iterable[int]) -> None:
        """Write single rows and their children. The state stays as it is."""
        missing: list[int] = []
        keys = list(keys)
        self._taking.courses.wanted = len(keys)
        with self._metered(schemas=True):
            for key in keys:
                self._guard(partial(self._refresh, key, missing), *self.members)
        for member in self.members:
            member.walking.end_streak()
            member.report_row_faults(member.row_faults)
        if missing and self._source.report.failure is None:
            ids = ", ".join(map(str, missing))
            self._source.fail(LevError(f"Lev has no row of {self._source.name} with id {ids}."))

    def look(self) -> FirstPage:
        """Read the page that a run would begin with, and write nothing."""
        self._asking.by_row, self._writes = True, False
        try:
            answer, position, parent = self._begin()
        except RestartError as restart:
            answer, position, parent = self._start_again(restart)
        rows, counter = list(self._source.rows(answer)), self._counter
        counter.add(answer.pagination, keys_of(rows, self._source.primary_keys))
        if self._asking.ignores_filter(rows):
            self._asking.drop_filter(f"Lev ignores {FILTER}")
        done = next((n for n, row in enumerate(rows, 1) if parent and row["id"] == parent), 0)
        if self._pages().next_position(answer, position) is None:
            return FirstPage(answer, rows, done, 1, len(rows), counted=True)
        counted = counter.total is not None and counter.rows_read is not None
        pages = 1 + max(1, math.ceil(counter.pages_left))
        return FirstPage(answer, rows, done, pages, len(rows) + counter.rows_left, counted=counted)

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
        except (AuthenticationError, OSError, SyncLifecycleSignal):
            raise
        except Exception as error:
            if not self._tap.client.reached:
                raise
            if isinstance(error, RecursionError):
                error = InvalidResponseError("Lev sends something that is nested too deeply.")
            for member in members:
                if member in self.members:
                    self.members.remove(member)
                    self._tap.client.scheduler.workload.remove(member)
                    member.report.course.ended = True
                    member.fail(error)

    # -- The walk

    def _walk(self) -> None:
        """Read the list from its first page, or from where an earlier run stopped, to its last."""
        restarts, restart = 0, None
        while self.members:
            try:
                place = self._begin() if restart is None else self._start_again(restart)
                answer, position, parent = place
                self._ask_failed_rows(answer)
                if self.members and not self._asking.is_as_decoded:
                    # A row that failed before has shown that more is needed of each row.
                    answer, position = self._fetch(position)
                by_its_word = self._read_pages(answer, position, parent)
                if not self.members or self._asking.dry_run_rows:
                    return  # not all was seen
                if self._is_resumed:
                    self._completion.check_resumed(self._lost_rows)
                self._completion.check_filter(is_ignored=self._taking.is_filter_ignored)
            except RestartError as error:
                # A cursor of an earlier run may well be refused; one of this run, only so often.
                restarts += not (error.is_final or self._is_resumed)
                if restarts > MAX_RESTARTS:
                    raise (error.cause or error) from None
                restart = error
            else:
                self._completion.finish(by_its_word=by_its_word, lost=self._lost_rows)
                return

    def _read_pages(self, answer: LevResponse, position: Position, parent: int | None) -> bool:
        """Write page after page.

        Returns:
            Whether the list ended because Lev said so.

        Raises:
            RestartError: It must be read from the beginning.
        """
        pages, is_first = self._pages(), True
        while self.members:
            if is_first and not answer.data and self._says_nothing(answer):
                # An empty list may empty a table, so one response is not enough.
                answer, position = self._fetch(position)
            answer = pages.settled(answer, position, self._asking.page)
            if isinstance(position.get("cursor"), str) and self._is_stale(answer):
                # A cache may have answered with the page before it: rows would be missing.
                answer, position = self._fetch(position)
            self._taking.page(answer, position, parent)
            for member in self.members:
                member.walking.witness(answer.server_time)
            if self._taking.found:
                parent = None
            following = pages.next_position(answer, position)
            if following is None or not self.members or self._asking.dry_run_rows:
                return pages.end_is_stated
            position, is_first = following, False
            self._checkpoint(position, parent, self._counter.to_resume)
            try:
                answer, position = self._fetch(position)
            except LevAPIError as error:
                if not pages.ends_with(error):
                    raise
                return False
        return False

    def _is_stale(self, answer: LevResponse) -> bool:
        """Whether a page of a list in the order of its ids lies before its place."""
        rows = answer.data if isinstance(answer.data, list) else ()
        # Lazily: as a rule the first id tells, and this is done for every page.
        return bool(rows) and self._counter.is_stale(map(id_of, rows))

    def _says_nothing(self, answer: LevResponse) -> bool:
        """Whether a response does not say how many rows there are, though it should have some."""
        return not self._asking.is_filtered and total_of(answer.pagination) is None

    def _pages(self) -> Paginator:
        return Paginator(
            f"GET {self._source.path}",
            self._counter,
            cursor_only=self._source.paged,
            api_url=self._tap.config["api_url"],
            limit=self._asking.limit,
            has_pages=not self._source.single_row,
        )

    # -- One page

    def _fetch(self, position: Position) -> tuple[LevResponse, Position]:
        """Request a page, if need be by a way around a row that Lev cannot send.

        Returns:
            The page, and its place.

        Raises:
            RestartError: Lev refuses the cursor.
            LevError: There is no way.
        """
        if self._rescue is None or self._rescue.is_over:
            self._rescue = None
            was_filtered = self._asking.is_filtered
            try:
                answer = self._asking.page(position)
            except LevAPIError as error:
                if error.rejects_parameters and "cursor" in position:
                    raise self._refused_cursor(position, error) from None
                if not self._begin_rescue(position, error):
                    raise
            except (InvalidResponseError, LevConnectionError) as error:
                if not self._begin_rescue(position, error):
                    raise
            else:
                self._note_answer()
                if was_filtered and "cursor" in position and not self._asking.is_filtered:
                    # The cursor was made with the filter, and may not be valid without it.
                    raise RestartError(f"Lev no longer accepts {FILTER}.")
                return answer, position
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
        if not position and (error.on_the_way or isinstance(error, LevConnectionError)):
            return False  # the list does not answer at all
        if not self._is_answered and isinstance(error, LevAPIError) and error.is_forbidden:
            return False  # the key may not read the list at all
        rescue = PageSplitter(self._asking, self._source, self._tap.config["page_size"], error)
        if not rescue.is_possible(position):
            return False
        self._rescue = rescue
        self._tap.logger.warning(
            "A page of %s cannot be read, so the rows around the faulty one are. %s",
            self._source.name,
            error,
        )
        return True

    def _read_around(self, position: Position) -> tuple[LevResponse, Position]:
        rescue = self._rescue
        assert rescue is not None  # noqa: S101
        if (answer := rescue.shorter(position)) is not None:
            return answer, position
        skipped = rescue.skip(position)
        if skipped is None and self._asking.is_filtered:
            self._asking.all_rows = True
            raise RestartError(
                f"No way leads past a row of {self._source.name} while the list is filtered, so "
                "all rows are read.",
                is_final=True,
            )
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
        if all(key in member.done_rows for member in self.members):
            self._lost_rows.add(key)
            return
        try:
            answer = self._asking.row(key, patience=ONCE)
        except LevAPIError as error:
            if not error.is_gone:
                self._lost_rows.add(key)
                self._taking.fail_row(key, error)
        except (InvalidResponseError, LevConnectionError) as error:
            self._lost_rows.add(key)
            self._taking.fail_row(key, error)
        else:
            self._taking.page(answer, None)

    def _refused_cursor(self, position: Position, error: LevAPIError) -> RestartError:
        """Find out what Lev refuses: the cursor, or the cursor together with the filter."""
        if self._asking.is_filtered and self._asking.takes_without_filter(position):
            self._asking.drop_filter(f"Lev refuses {FILTER} together with a cursor")
            return RestartError("The walk restarts without the filter.", error, is_final=True)
        return RestartError(f"Lev refuses the cursor: {error}", error)

    # -- Beginnings

    def _begin(self) -> _Place:
        walk = self.members[0].walking.walk
        if walk is None:
            return self._start()
        self._is_resumed = True
        self._asking.bound = walk.filter
        after = read_cursor(walk.cursor)
        self._counter.begin(walk.seen if walk.cursor else 0, after.key if after else None)
        answer, position = self._fetch({"cursor": walk.cursor} if walk.cursor else {})
        for member in self.members:
            self._tap.logger.info(
                "Resuming the walk through %s of %s.",
                member.name,
                timestamps.render(walk.started_at),
            )
        return answer, position, walk.parent

    def _start_again(self, restart: RestartError) -> _Place:
        for member in self.members:
            if restart.is_final:
                self._tap.logger.info("%s: %s", member.name, restart)
            else:
                member.walking.log_restart(str(restart))
            member.walking.give_up()
        self._asking.proof.restart()
        return self._start()

    def _start(self) -> _Place:
        self._counter.begin(0)
        self._rescue, self._is_resumed = None, False
        self._taking.is_filter_ignored = False
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
        return answer, position, None

    def _ask_failed_rows(self, answer: LevResponse) -> None:
        """Ask for the rows that failed in earlier runs, before the walk comes to them."""
        if self._asking.dry_run_rows or self._has_asked_again:
            return
        self._has_asked_again = True
        for member in list(self.members):
            for failed in member.walking.bookmark.failed:
                if failed.key in member.row_faults:
                    continue  # the way around a page came to it already
                self._guard(partial(self._taking.again, member, failed.key, answer), member)

    # -- Places

    def _checkpoint(self, position: Position, parent: int | None, seen: int | None) -> None:
        cursor = position.get("cursor")
        if isinstance(cursor, int) or (position and not cursor):
            return  # an offset is no place to come back to
        bound = self._asking.sent_bound
        for member in self.members:
            # Rows count as having nothing in a block only once the block is known to come.
            if not member.awaits_embed:
                member.walking.checkpoint(cursor, parent, seen, bound)
        self._tap.write_state()

    # -- Single rows

    def _refresh(self, key: int, missing: list[int]) -> None:
        try:
            answer = self._asking.row(key)
        except LevAPIError as error:
            if error.is_gone:
                missing.append(key)
                self._tap.logger.warning("%s: %s is not there. %s", self._source.name, key, error)
            elif error.may_be_of_a_row and not isinstance(error, AuthenticationError):
                self._source.row_faults[key] = error
            else:
                raise
        except (InvalidResponseError, LevConnectionError) as error:
            if not self._tap.client.reached:
                raise
            self._source.row_faults[key] = error
        else:
            self._taking.page(answer, None)
