"""Read one list from page to page, for all streams whose rows its pages bring.

The rules W1 to W12 are in docs/design/walk.md.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from singer_sdk.metrics import Status, Tag

from tap_lev import timestamps
from tap_lev.api.client import ONCE
from tap_lev.api.pagination import ListRules, Paginator
from tap_lev.api.row_counter import RowCounter, total_of
from tap_lev.errors import (
    AuthenticationError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
)
from tap_lev.state.walk import Place
from tap_lev.sync.active_streams import ActiveStreams
from tap_lev.sync.completion import Completion, RestartError
from tap_lev.sync.list_filter import FILTER
from tap_lev.sync.list_requester import ListRequester
from tap_lev.sync.page import is_resumable
from tap_lev.sync.page_processor import PageProcessor
from tap_lev.sync.page_splitter import PageSplitter, id_of, read_cursor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk.metrics import Timer

    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.streams.base import LevStream
    from tap_lev.sync.active_streams import ActiveStream
    from tap_lev.sync.page import Page, RowPage
    from tap_lev.sync.run import Run

MAX_RESTARTS = 3
"""Restarts of a walk in one run because Lev rejects a cursor of that run (W7)."""


class FirstPage(NamedTuple):
    """The page that a walk begins with, or resumes at.

    Attributes:
        response: The response that brought it.
        rows: The rows of the page.
        rows_done: Number of these that an earlier run has written with their children.
        pages: Number of pages from here to the end, this one included.
        rows_left: Number of rows on those pages.
        is_counted: Whether both are known: Lev counts rows, or there is no other page.
    """

    response: LevResponse
    rows: Sequence[dict[str, Any]]
    rows_done: int
    pages: int
    rows_left: int
    is_counted: bool


class ListSync:
    """Reads one list, and saves how far it is.

    Args:
        run: The run.
        streams: The streams whose rows the pages bring. One that fails leaves them.
        writes: Whether rows are written; otherwise the first page is only looked at.

    Attributes:
        active: The streams that are still read.
    """

    def __init__(self, run: Run, streams: Sequence[LevStream], *, writes: bool = True) -> None:
        self.active = ActiveStreams(run, streams)
        self._run = run
        self._writes = writes
        self._list_stream = self.active.list_stream
        self._counter = RowCounter()
        self._requester = ListRequester(run, self.active, by_row=not writes)
        self._processor = PageProcessor(run, self.active, self._requester, self._counter)
        self._completion = Completion(run, self.active, self._requester, self._counter)
        # Set while a page that fails is read in parts.
        self._splitter: PageSplitter | None = None
        # The ids of rows that no page brings. They were requested by id, and explain a shortfall.
        self._lost_rows: set[int] = set()
        self._is_answered = False
        self._is_resumed = False
        self._has_retried = False

    @property
    def name(self) -> str:
        """The names of the streams that are still read."""
        return ", ".join(active.name for active in self.active.streams)

    # -- What a run calls

    def run(self, *, schemas: bool = True) -> None:
        """Write all rows of the streams. One that fails does not stop the others (W2).

        Args:
            schemas: Whether to write the SCHEMA messages.

        Raises:
            AuthenticationError: Lev does not accept the key.
            LevError: Lev cannot be reached at all.
        """
        with self._metered(schemas=schemas), self.active.isolate():
            self._walk()
        if not self._requester.row_limit:
            self._run.state_writer.write(at_once=True)
        self._run.expect_none(self._processor)

    def refresh(self, keys: Iterable[int]) -> None:
        """Write single rows and their children. The state stays as it is."""
        # A state moved by a refresh would cover rows that no walk has read (W8).
        missing: list[int] = []
        keys = list(keys)
        self._processor.progress.expect_rows(len(keys))
        with self._metered(schemas=True):
            for key in keys:
                if self.active:
                    with self.active.isolate():
                        self._refresh_row(key, missing)
        for active in self.active.streams:
            active.tracker.end_streak()
            active.report_row_faults(active.row_faults)
        report = self._list_stream.report
        if missing and report.failure is None:
            ids = ", ".join(map(str, missing))
            name = self._list_stream.name
            error = LevError(f"Lev has no row of {name} with id {ids}.")
            report.failure = error
            self._run.logger.error("The stream %s is not complete: %s", name, error)

    def peek(self) -> FirstPage:
        """Read the page that a run would begin with, and write nothing."""
        try:
            page = self._begin()
        except RestartError as restart:
            page = self._start_again(restart)
        rows, counter = page.rows, self._counter
        counter.add(page.response.pagination, [key for key in page.row_keys() if key is not None])
        if self._requester.filter.detect_ignored(rows):
            self._requester.filter.drop(f"Lev ignores {FILTER}")
        parent = self._processor.resume_after
        done = next((i for i, row in enumerate(rows, 1) if parent and row["id"] == parent), 0)
        if self._paginator().next_position(page.response, page.position or {}) is None:
            return FirstPage(page.response, rows, done, 1, len(rows), is_counted=True)
        is_counted = counter.total is not None and counter.rows_read is not None
        pages = 1 + max(1, math.ceil(counter.pages_left))
        left = len(rows) + counter.rows_left
        return FirstPage(page.response, rows, done, pages, left, is_counted=is_counted)

    @contextlib.contextmanager
    def _metered(self, *, schemas: bool) -> Iterator[None]:
        with contextlib.ExitStack() as meters:
            for active in self.active.streams:
                stream = active.stream
                if schemas:
                    stream._write_schema_message()  # noqa: SLF001 - the SDK's sync() does the same
                stream.counter = meters.enter_context(stream.get_record_counter())
                timer = meters.enter_context(stream.get_sync_timer())
                meters.callback(self._note_outcome, active, timer)
            yield

    @staticmethod
    def _note_outcome(active: ActiveStream, timer: Timer) -> None:
        active.progress.ended = True
        if active.report.failure is not None:
            timer.tags[Tag.STATUS] = Status.FAILED

    # -- The walk

    def _walk(self) -> None:
        """Read the list to its last page, from its first or from the saved place."""
        restarts, restart = 0, None
        while self.active:
            try:
                for page in self._pages(restart):
                    with contextlib.closing(self._processor.write(page)) as places:
                        for place in places:
                            self._checkpoint(place)
            except RestartError as error:
                # An earlier run's cursor may have expired (lev-api.md §3 row 7). If Lev rejects one
                # of this run again and again, the list never ends (W7).
                restarts += not (error.is_once or self._is_resumed)
                if restarts > MAX_RESTARTS:
                    raise (error.cause or error) from None
                restart = error
            else:
                return

    def _pages(self, restart: RestartError | None) -> Iterator[Page]:
        """Yield page after page, and complete the streams after the last.

        Each page is written before the next one is requested.

        Raises:
            RestartError: The list must be read from its first page.
        """
        page = self._begin() if restart is None else self._start_again(restart)
        self._retry_failed_rows(page.response)
        paginator, is_first = self._paginator(), True
        while self.active:
            page = self._settle(page, paginator, is_first=is_first)
            yield page
            # The page is written. The order from here on is that of W8: its time, the place behind
            # it, then the next request. A stream that failed meanwhile keeps the place before it.
            for active in self.active.streams:
                active.tracker.witness(page.response.server_time)
            position = paginator.next_position(page.response, page.position or {})
            if position is None or not self.active or self._requester.row_limit:
                break
            is_first = False
            # A list read by offset keeps no place: the next run begins it anew (W9).
            if is_resumable(position):
                cursor = cast("str | None", position.get("cursor"))
                resume_after = self._processor.resume_after
                bound = self._requester.filter.effective
                self._checkpoint(Place(cursor, resume_after, self._counter.to_resume, bound))
            try:
                page = self._fetch(position)
            except LevAPIError as error:
                if not paginator.ends_with(error):
                    raise
                break
        self._finish(end_is_stated=paginator.end_is_stated)

    def _settle(self, page: Page, paginator: Paginator, *, is_first: bool) -> Page:
        """Request a page once more where one response does not prove enough (W3)."""
        # 1. The list is empty: at its end the target would drop all rows.
        if is_first and not page.response.data and self._says_nothing(page.response):
            page = self._fetch(page.position or {})
        # 2. A full page does not say what follows, and a fault may have cut that off.
        if paginator.is_unclear(page.response, page.position or {}):
            page = self._requester.fetch_page(page.position or {})
        # 3. A cache may have answered with the page before it. In one run the count would show that
        #    rows are missing, but not in a walk that a crash has cut.
        has_cursor = isinstance((page.position or {}).get("cursor"), str)
        if has_cursor and self._is_stale(page):
            page = self._fetch(page.position or {})
        return page

    def _is_stale(self, page: Page) -> bool:
        """Return whether ids have ascended so far, and a page lies before its place."""
        rows = page.response.data if isinstance(page.response.data, list) else ()
        # Lazily: the first id is enough as a rule, and this runs for each page.
        return bool(rows) and self._counter.is_stale(map(id_of, rows))

    def _says_nothing(self, response: LevResponse) -> bool:
        """Return whether an empty response does not say how many rows there are."""
        return not self._requester.filter.is_sent and total_of(response.pagination) is None

    def _finish(self, *, end_is_stated: bool) -> None:
        if not self.active or self._requester.row_limit:
            return  # not all rows were read
        if self._is_resumed:
            self._completion.check_resumed(self._lost_rows)
        self._completion.check_filter()
        self._completion.finish(end_is_stated=end_is_stated, lost=self._lost_rows)

    def _checkpoint(self, place: Place) -> None:
        """Record a place in the state. Nothing else moves it forward (W8)."""
        for active in self.active.streams:
            # Rows came without an embed, and it is not known yet whether Lev omits empty ones or
            # embeds nothing. If it is the latter, these rows have to come again.
            if not active.awaits_embed:
                active.tracker.checkpoint(place)
        self._run.state_writer.write()

    def _paginator(self) -> Paginator:
        rules = ListRules(
            endpoint=f"GET {self._list_stream.path}",
            cursor_only=self._list_stream.paged,
            api_url=self._run.config["api_url"],
            limit=self._requester.page_limit,
            has_pages=not self._list_stream.single_row,
        )
        return Paginator(rules, self._counter)

    # -- The first page

    def _begin(self) -> Page:
        """Resume the walk of an earlier run, or begin one."""
        tracker = self.active.first.tracker
        walk = tracker.walk
        if walk is None:
            return self._start()
        self._is_resumed = True
        place = walk.place
        self._requester.filter.resume(place.filter_from)
        self._processor.resume(place.parent_id)
        # The counter goes on where the earlier run was. With the id in the cursor it also finds out
        # whether the first page of this run is a stale one.
        after = read_cursor(place.cursor)
        self._counter.begin(place.rows_read if place.cursor else 0, after.key if after else None)
        page = self._fetch({"cursor": place.cursor} if place.cursor else {})
        for active in self.active.streams:
            self._run.logger.info(
                "Resuming the walk through %s of %s.",
                active.name,
                timestamps.render(walk.started_at),
            )
        return page

    def _start_again(self, restart: RestartError) -> Page:
        for active in self.active.streams:
            if restart.is_once:
                self._run.logger.info("%s: %s", active.name, restart)
            else:
                active.tracker.log_restart(str(restart))
            active.tracker.give_up()
        # Canaries that came belong to the walk that is given up. A filter that honours them once
        # has to do so again in the new one.
        list_filter = self._requester.filter
        list_filter.proof.restart()
        return self._start()

    def _start(self) -> Page:
        list_filter = self._requester.filter
        self._counter.begin(0)
        self._splitter, self._is_resumed = None, False
        self._processor.resume(None)
        list_filter.reset()
        bound = list_filter.filter_from
        page = self._fetch({})
        for active in self.active.streams:
            # A walk may be there: the first page was read around a row that cannot be sent.
            if active.tracker.walk is None:
                active.begin(page.response.server_time)
        # The bound was chosen before the server's clock was known. If the bookmark is later than
        # that clock, the walk reads all rows, and the page with the filter does not count.
        list_filter.reset()
        if list_filter.filter_from != bound:
            page = self._fetch({})
        if self._writes and any(active.tracker.replaces for active in self.active.streams):
            self._run.state_writer.write(at_once=True)
        return page

    def _retry_failed_rows(self, response: LevResponse) -> None:
        """Request the rows that failed in earlier runs, before the walk comes to them."""
        # Before: a row that still fails is then counted once, and the walk passes it. Else it could
        # stop the stream at the same place in each run (W7).
        if self._requester.row_limit or self._has_retried:
            return
        self._has_retried = True
        for active in self.active.streams:
            for failed in active.bookmark.failed:
                if failed.key in active.row_faults:
                    continue  # the first page was read around it, and it failed again
                with self.active.isolate(active):
                    self._processor.retry_row(active, failed.key, response)

    # -- One page

    def _fetch(self, position: Position) -> Page:
        """Request a page, or its parts around a row that Lev cannot send.

        Raises:
            RestartError: Lev rejects the cursor.
            LevError: Neither the page nor its parts come.
        """
        if self._splitter is not None and not self._splitter.is_over:
            return self._read_around(position)
        self._splitter = None
        was_filtered = self._requester.filter.is_sent
        try:
            page = self._requester.fetch_page(position)
        except LevAPIError as error:
            if error.rejects_parameters and "cursor" in position:
                raise self._rejected_cursor(position, error) from None
            if not self._split_page(position, error):
                raise
            return self._read_around(position)
        except (InvalidResponseError, LevConnectionError) as error:
            if not self._split_page(position, error):
                raise
            return self._read_around(position)
        self._is_answered = True
        for active in self.active.streams:
            if not active.is_read_apart:
                active.is_answered = True
        if was_filtered and "cursor" in position and not self._requester.filter.is_sent:
            # Lev rejected the filter in this request. The cursor was made with it, and may lead
            # elsewhere without it (W11), so this page is not used.
            raise RestartError(f"Lev no longer accepts {FILTER}.")
        return page

    def _rejected_cursor(self, position: Position, error: LevAPIError) -> RestartError:
        """Find out what Lev rejects: the cursor, or the cursor together with the filter."""
        list_filter = self._requester.filter
        if list_filter.is_sent and list_filter.works_without(position):
            list_filter.drop(f"Lev refuses {FILTER} together with a cursor")
            return RestartError("The walk restarts without the filter.", error, is_once=True)
        return RestartError(f"Lev refuses the cursor: {error}", error)

    # -- A page that fails

    def _split_page(self, position: Position, error: LevError) -> bool:
        """Begin to read a page in parts, if one of its rows may make it fail (W2)."""
        # A page is not split, and the stream fails, in these cases:
        # 1. Nothing is written, or Lev has not responded at all.
        if not self._writes or self._requester.row_limit or not self._run.client.has_responded:
            return False
        # 2. The error is not about rows: a rejected parameter, a limit, the key.
        if isinstance(error, LevAPIError) and not error.may_be_of_a_row:
            return False
        # 3. The first page fails on the way to Lev: the list itself does not respond.
        if not position and (error.on_the_way or isinstance(error, LevConnectionError)):
            return False
        # 4. The first response is a 403: the key may not read the list at all.
        if not self._is_answered and isinstance(error, LevAPIError) and error.is_forbidden:
            return False
        splitter = PageSplitter(self._requester, self._list_stream, error)
        if not splitter.is_possible(position):
            return False
        self._splitter = splitter
        self._run.logger.warning(
            "A page of %s cannot be read, so the rows around the faulty one are. %s",
            self._list_stream.name,
            error,
        )
        return True

    def _read_around(self, position: Position) -> Page:
        splitter = self._splitter
        assert splitter is not None  # noqa: S101
        # 1. A shorter page comes. The row is not in it.
        if (page := splitter.shorter(position)) is not None:
            return page
        # 2. Not even one row comes: the row is next.
        skipped = splitter.skip(position)
        list_filter, name = self._requester.filter, self._list_stream.name
        # 3. There is no way past it. A filtered list has gaps between its ids, so a built cursor
        #    may not get far enough. Without the filter it may.
        if skipped is None and list_filter.is_sent:
            list_filter.leave_out()
            raise RestartError(
                f"No way leads past a row of {name} while the list is filtered, so all rows are "
                "read.",
                is_once=True,
            )
        if skipped is None:
            raise LevError(
                f"A page of {name} cannot be read, and neither its ids nor a built cursor lead "
                f"past it, so the list stops there: {splitter.error}"
            ) from None
        self._splitter = None
        for active in self.active.streams:
            if active.tracker.walk is None:  # the first page is the one that fails
                active.begin(self._run.server_time)
        for key in skipped.keys:
            with self.active.isolate():
                self._read_single(key)
        return self._fetch(skipped.position) if skipped.page is None else skipped.page

    def _read_single(self, key: int) -> None:
        """Write a row that no page brings, or record that it cannot be read."""
        if all(key in active.done_rows for active in self.active.streams):
            self._lost_rows.add(key)
            return
        try:
            page = self._requester.fetch_row(key, ONCE)
        except LevAPIError as error:
            if not error.is_gone:
                self._lost_rows.add(key)
                self._processor.fail_row(key, error)
        except (InvalidResponseError, LevConnectionError) as error:
            self._lost_rows.add(key)
            self._processor.fail_row(key, error)
        else:
            self._write_outside_walk(page)

    def _write_outside_walk(self, page: RowPage) -> None:
        for _ in self._processor.write(page):
            pass  # a row that no page brought is no place to resume at (W9)

    def _refresh_row(self, key: int, missing: list[int]) -> None:
        name, faults = self._list_stream.name, self.active.first.row_faults
        try:
            page = self._requester.fetch_row(key)
        except LevAPIError as error:
            if error.is_gone:
                missing.append(key)
                self._run.logger.warning("%s: %s is not there. %s", name, key, error)
            elif error.may_be_of_a_row and not isinstance(error, AuthenticationError):
                faults[key] = error
            else:
                raise
        except (InvalidResponseError, LevConnectionError) as error:
            if not self._run.client.has_responded:
                raise
            faults[key] = error
        else:
            self._write_outside_walk(page)
