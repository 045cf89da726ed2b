"""Write a page: the list's own rows, and the rows of its child streams.

The rules W1 to W12 are in docs/design/walk.md.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from msgspec import UNSET

from tap_lev.api.cache import ResponseCache
from tap_lev.api.response import LevResponse
from tap_lev.errors import InvalidResponseError, LevAPIError, LevError
from tap_lev.records.rows import has, value_of
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.state.walk import Place
from tap_lev.sync.active_streams import ROW_FAULTS
from tap_lev.sync.page import RowPage, TypedPage, is_resumable
from tap_lev.sync.pass_progress import PassProgress
from tap_lev.sync.prefetch import Prefetcher

if TYPE_CHECKING:
    from collections.abc import Generator

    from tap_lev.api.pagination import Position
    from tap_lev.api.row_counter import RowCounter
    from tap_lev.sync.active_streams import ActiveStream, ActiveStreams
    from tap_lev.sync.child_reader import ChildReader
    from tap_lev.sync.list_requester import ListRequester
    from tap_lev.sync.page import Page
    from tap_lev.sync.run import Run


class PageProcessor:
    """Writes the pages of one list.

    Args:
        run: The run.
        active: The streams whose rows are wanted.
        requester: Sends the requests for the list.
        counter: Counts the rows.

    Attributes:
        progress: Updates the progress of the streams.
        resume_after: Id of the last row that an earlier run has written with its children, until
            that row comes; None if the page begins with its first row.
    """

    def __init__(
        self, run: Run, active: ActiveStreams, requester: ListRequester, counter: RowCounter
    ) -> None:
        self.progress = PassProgress(active, counter, run.report.clock)
        self.resume_after: int | None = None
        self._run = run
        self._active = active
        self._list_stream = active.list_stream
        self._requester = requester
        self._counter = counter

    def resume(self, parent_id: int | None) -> None:
        """Skip the children of a page up to the row that an earlier run stopped at."""
        self.resume_after = parent_id

    def write(self, page: Page) -> Generator[Place]:
        """Write a page.

        Yields:
            The place within a page of dicts, after each row whose children cost a request, if
                the ids ascend and the page has a cursor.
        """
        self._count(page)
        if page.position is not None:
            # Its rows are written and counted. The paginator decides whether the list ends here.
            if self._counter.is_repeated:
                return
            # Single rows are requested without a filter, so they say nothing of it.
            self._requester.filter.inspect(page.rows)
        self._fill_embeds(page)
        if isinstance(page, TypedPage):
            self._write_typed(page)
        elif isinstance(page, RowPage):
            yield from self._write_by_row(page)

    def _write_by_row(self, page: RowPage) -> Generator[Place]:
        if (active := self._active.list_member) is not None:
            with self._active.isolate(active):
                # A row that was read ends a streak of rows that failed (W12).
                if page.write(active):
                    active.tracker.end_streak()
        yield from self._write_children(page)

    def _count(self, page: Page) -> None:
        self._counter.add(page.response.pagination, page.row_keys())
        endpoint = f"GET {self._list_stream.path}"
        self._run.expect_requests(self, endpoint, self._counter.pages_left)
        self.progress.on_page()

    # -- The list's own rows

    def _fill_embeds(self, page: Page) -> None:
        """Read the embedded columns of the list's own rows that came without them."""
        # Such a row has to say null where this server omits what is empty: if the column is absent
        # from the record, a target keeps the old value.
        active, list_stream = self._active.list_member, self._list_stream
        if active is None:
            return
        for field in list_stream.wanted_embeds:
            if list_stream.optional.is_rejected(f"include={field}"):
                continue
            for row in page.rows:
                if not has(row, field):
                    with self._active.isolate(active):
                        self._fill_embed(page, row, field, active)

    def _fill_embed(self, page: Page, row: Any, field: str, active: ActiveStream) -> None:  # noqa: ANN401
        key = value_of(row, "id")
        if active not in self._active.streams or not active.tracker.includes(
            value_of(row, UPDATED_AT)
        ):
            return
        try:
            value = self._requester.embed_of(key, field)
        except ROW_FAULTS as error:
            if not (isinstance(error, LevAPIError) and error.is_gone):
                active.fail_row(key, error)
            return
        active.tracker.end_streak()
        if value is not UNSET:
            page.set_field(row, field, value)

    # -- A page of structs

    def _write_typed(self, page: TypedPage) -> None:
        """Write each stream's rows as a whole."""
        taken: dict[ActiveStream, list[Any]] = {}
        lacking: dict[ActiveStream, list[dict[str, Any]]] = {}
        for active in self._active.streams:
            rows = page.included(active)
            if active.reader is not None:
                child = active.reader.stream
                lacking[active] = page.lacking(child, rows)
                with self._active.isolate(active):
                    active.reader.warn_of_full_embeds(rows)
                taken[active] = page.children(child, rows)
            else:
                done = active.done_rows
                taken[active] = [row for row in rows if row.id not in done] if done else rows
        # After all children are taken out, and before the list's own rows are encoded.
        page.drop_embeds()
        for active, rows in taken.items():
            if active in self._active.streams:
                with self._active.isolate(active):
                    page.write_rows(active, rows)
                    if rows:
                        active.tracker.end_streak()
        # Last: these cost requests, and the rest of the page is written by then.
        for active, parents in lacking.items():
            for row in parents:
                if active in self._active.streams:
                    cache = ResponseCache(self._run.lock)
                    self._read_children(active, row, page.response, cache)

    # -- A page of dicts, and where it resumes

    def _write_children(self, page: RowPage) -> Generator[Place]:
        children = [(a, a.reader) for a in self._active.children if a.reader is not None]
        if not children:
            return
        rows = list(page.rows)
        for active, reader in children:
            with self._active.isolate(active):
                reader.warn_of_full_embeds([row for row in rows if active.includes(row)])
        # Where does this page resume? Lev promises no order (lev-api.md §3 row 6): only if ids
        # ascend is it known which rows came before the one where an earlier run stopped (W9).
        # 1. That row is here, and ids ascend: after it.
        # 2. It is here, but ids do not ascend: at the first row, so some children come twice.
        # 3. It is not here. Pages may be smaller now, and it is on a later one; or it is gone. Up
        #    to it all children come twice.
        ids_ascend = page.ids_ascend
        done = [i for i, row in enumerate(rows, 1) if row["id"] == self.resume_after]
        first = done[0] if done and ids_ascend else 0
        if done:
            self.resume_after = None
        rows = rows[first:]
        with Prefetcher(self._run, rows, page.response, self._counter.rows_left) as prefetcher:
            # Before anything is read ahead: if the embed proves complete, no requests are needed.
            for active, reader in children:
                with self._active.isolate(active):
                    reader.verify_embed(filter(active.takes, rows), prefetcher.cache_of)
            if self._run.is_parallel and self._requester.row_limit is None:
                prefetcher.start(self._active)
            self.progress.on_parents(first)
            for number, (row, cache) in enumerate(prefetcher, first + 1):
                for active, _ in children:
                    if active in self._active.streams and active.takes(row):
                        self._read_children(active, row, page.response, cache)
                # A row without requests costs nothing to read again, so it makes no new place.
                position = page.position
                if cache.is_used and ids_ascend and position is not None and is_resumable(position):
                    yield self._place(position, row["id"])
                self.progress.on_parents(number)

    def _place(self, position: Position, parent_id: int) -> Place:
        # The place is the page's, so the rows on it count again in a later run, which knows them
        # only by the order of their ids.
        rows_read = self._counter.before_page if self._counter.is_ordered else None
        cursor = cast("str | None", position.get("cursor"))
        return Place(cursor, parent_id, rows_read, self._requester.filter.effective)

    # -- Single rows

    def _read_children(
        self, active: ActiveStream, row: dict[str, Any], response: LevResponse, cache: ResponseCache
    ) -> None:
        """Write the children of a row. If that fails, other rows are still read (W2)."""
        assert active.reader is not None  # noqa: S101
        with self._active.isolate(active):
            try:
                active.reader.write_children(row, response, cache)
            except RecursionError:
                error = InvalidResponseError("Lev sends something that is nested too deeply.")
                active.fail_row(row["id"], error)
            except ROW_FAULTS as error:
                active.fail_row(row["id"], error)
            else:
                active.tracker.end_streak()
                active.is_answered = True

    def fail_row(self, key: int, error: LevError) -> None:
        """Record that a row cannot be read, and read what its id is enough for.

        Args:
            key: The row's id.
            error: Why it cannot be read.
        """
        for active in self._active.streams:
            if key in active.done_rows:
                continue
            if _needs_id_only(active.reader):
                nothing = LevResponse(
                    endpoint=f"GET {self._list_stream.path}",
                    data=[],
                    pagination=None,
                    request_id=None,
                    server_time=self._run.server_time,
                )
                cache = ResponseCache(self._run.lock)
                self._read_children(active, {"id": key}, nothing, cache)
            else:
                with self._active.isolate(active):
                    active.fail_row(key, error)

    def retry_row(self, active: ActiveStream, key: int, response: LevResponse) -> None:
        """Request a row again that failed in an earlier run.

        Args:
            active: The stream that lacks the row or its children.
            key: The id of the row of the list.
            response: The first page of the walk.
        """
        tracker = active.tracker
        try:
            self._write_row(active, key, response)
        except ROW_FAULTS as error:
            if isinstance(error, LevAPIError) and error.is_gone:
                tracker.heal(key)  # Lev no longer has it
                return
            if isinstance(error, LevAPIError) and error.status == HTTPStatus.UNAUTHORIZED:
                raise
            active.row_faults[key] = error
            tracker.keep_failed(key)
        else:
            tracker.heal(key)
        # Also if it failed: the walk passes it, and it fails once in a run.
        active.done_rows.add(key)

    def _write_row(self, active: ActiveStream, key: int, response: LevResponse) -> None:
        reader = active.reader
        if reader is not None and _needs_id_only(reader):
            reader.write_children({"id": key}, response, ResponseCache(self._run.lock))
            return
        page = self._requester.fetch_row(key)
        for row in page.rows:
            if reader is not None:
                reader.write_children(row, page.response, ResponseCache(self._run.lock))
            else:
                active.stream.write(row, page.response)


def _needs_id_only(reader: ChildReader | None) -> bool:
    """Return whether the id of a row is enough to read a stream's rows."""
    return reader is not None and not reader.needs_row
