"""Writing what a page brings, with what is read for each of its rows."""

from __future__ import annotations

import operator
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET

from tap_lev.api.cache import ResponseCache
from tap_lev.api.response import LevResponse
from tap_lev.api.row_counter import keys_of
from tap_lev.errors import InvalidResponseError, LevAPIError, LevConnectionError, LevError
from tap_lev.state.tracker import MAX_STREAK, UPDATED_AT
from tap_lev.streams.child import ChildStream
from tap_lev.sync.courses import Courses
from tap_lev.sync.filter_proof import value_of
from tap_lev.sync.list_requester import ListRequester, has
from tap_lev.sync.prefetch import Prefetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_lev.api.pagination import Position
    from tap_lev.api.row_counter import RowCounter
    from tap_lev.records.page_decoder import PageDecoder
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.lists import ListStream
    from tap_lev.tap import TapLev

ROW_FAULTS = (InvalidResponseError, LevAPIError, LevConnectionError)
"""Failures of one row, as long as other rows come."""


class Guard(Protocol):
    """Does some work; if it fails, so do the streams that it was done for."""

    def __call__(self, work: Callable[[], None], *members: LevStream) -> None:
        """Do it."""


class PageProcessor:
    """Writes what the pages of one walk bring.

    Args:
        tap: The tap.
        source: The list.
        members: The streams whose rows are wanted; those that fail are taken out.
        asking: The requests.
        counter: Counts the rows.
        guard: What each stream's part is done in.
        checkpoint: Notes the place, the last parent that is written, and the rows before the page.

    Attributes:
        courses: How far the streams are.
        found: Whether the row was found that an earlier run had got to.
        is_filter_ignored: Whether rows came that the filter should leave out.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        tap: TapLev,
        source: ListStream,
        members: list[LevStream],
        asking: ListRequester,
        counter: RowCounter,
        guard: Guard,
        checkpoint: Callable[[Position, int, int | None], None],
    ) -> None:
        self.courses = Courses(source, members, tap.report.clock)
        self.found = False
        self.is_filter_ignored = False
        self._tap = tap
        self._source = source
        self._members = members
        self._asking = asking
        self._counter = counter
        self._guard = guard
        self._checkpoint = checkpoint

    def page(
        self, answer: LevResponse, position: Position | None, parent: int | None = None
    ) -> None:
        """Write what a page brings.

        Args:
            answer: The page.
            position: Where it stands; None for rows that are no part of a walk.
            parent: The last row of the page that is written with its children.
        """
        if answer.shaped and (shape := self._asking.shape_of_page):
            self._as_it_is(answer, shape)
            return
        rows = list(self._source.rows(answer))
        keys = keys_of(rows, self._source.primary_keys)
        self._count(answer, [*keys, *[None] * self._source.take_keyless()])
        if position is not None:
            if self._counter.is_repeated:
                return  # a page that comes again is not written again
            self._look(rows)  # single rows are requested without a filter
        self._fill_fields(rows)
        if self._source in self._members:
            wanted = [row for row in rows if not self._source.is_done(row)]
            self._guard(partial(self._write_page, wanted, answer), self._source)
        self._children(rows, answer, position, parent)

    def _as_it_is(self, answer: LevResponse, shape: PageDecoder) -> None:
        """Write what a page brings, without looking at each row more than it needs."""
        rows: list[Any] = answer.data
        self._count(answer, list(map(operator.attrgetter(*self._source.primary_keys), rows)))
        if self._counter.is_repeated:
            return
        self._fill_fields(rows)
        self._look(rows)
        taken: dict[LevStream, list[Any]] = {}
        lacking: dict[ChildStream, list[dict[str, Any]]] = {}
        for member in self._members:
            held = member.walking.held(rows)
            if isinstance(member, ChildStream):
                bare = shape.lacking(member, held)
                lacking[member] = [_row_without_blocks(row) for row in bare]
                self._guard(partial(member.note_full_embeds, held), member)
                held = shape.children(member, held)
            elif member.done_rows:
                held = [row for row in held if row.id not in member.done_rows]
            taken[member] = held
        shape.strip(rows)
        for member, found in taken.items():
            if member in self._members:
                self._guard(partial(self._write_all, member, found, shape), member)
        for child, parents in lacking.items():
            for row in parents:
                if child in self._members:
                    self._visit(child, row, answer, ResponseCache(self._tap.lock))

    def _write_page(self, rows: list[dict[str, Any]], answer: LevResponse) -> None:
        self._source.write_page(rows, answer)
        if rows:
            self._source.walking.end_streak()

    @staticmethod
    def _write_all(member: LevStream, rows: list[Any], shape: PageDecoder) -> None:
        member.write_typed(rows, shape)
        if rows:
            member.walking.end_streak()

    def _look(self, rows: list[Any]) -> None:
        """Find out from the rows what Lev does with the filter."""
        walks = [member.walking.walk for member in self._members]
        started_at = min((walk.started_at for walk in walks if walk), default=None)
        if self._source.replication_key is None or started_at is None:
            return
        # A row proves the next walk's filter only if it is not newer than the bound of that walk.
        overlap = timedelta(seconds=self._tap.config["overlap_seconds"])
        self._asking.proof.look(rows, started_at, overlap, self._asking.sent)
        self.is_filter_ignored = self.is_filter_ignored or self._asking.ignores_filter(rows)

    def _fill_fields(self, rows: Iterable[Any]) -> None:
        """Read the embedded columns of the list's own rows that came without them.

        Where this server omits what is empty, they are null: a target may keep an old value else.
        """
        source = self._source
        if source not in self._members:
            return
        for field in source.wanted_embeds:
            if source.optional.is_rejected(f"include={field}"):
                continue
            for row in rows:
                if not has(row, field):
                    self._guard(partial(self._fill_field, row, field), source)

    def _fill_field(self, row: Any, field: str) -> None:  # noqa: ANN401 - a row of either form
        source, key = self._source, value_of(row, "id")
        if source not in self._members or not source.walking.includes(value_of(row, UPDATED_AT)):
            return
        try:
            value = self._asking.field_of(key, field)
        except ROW_FAULTS as error:
            if not (isinstance(error, LevAPIError) and error.is_gone):
                self._fail(source, key, error)
            return
        source.walking.end_streak()
        if value is UNSET:
            return
        if isinstance(row, dict):
            row[field] = value
        else:
            setattr(row, field, value)

    def _children(
        self,
        rows: list[dict[str, Any]],
        answer: LevResponse,
        position: Position | None,
        parent: int | None,
    ) -> None:
        children = [member for member in self._members if isinstance(member, ChildStream)]
        if not children:
            return
        for child in children:
            self._guard(
                partial(child.note_full_embeds, [r for r in rows if child.walking.holds(r)]), child
            )
        done = [number for number, row in enumerate(rows, 1) if row["id"] == parent]
        # Pages may be smaller now, and the row on a later one.
        self.found = bool(done)
        # Lev promises no order (lev-api.md §3 row 6): only by ids that rise is it known which of
        # the rows stood before one.
        in_order = _rises(rows)
        first = done[0] if done and in_order else 0
        rows = rows[first:]
        with Prefetcher(self._tap, rows, answer, self._counter.rows_left) as page:
            for child in children:
                self._guard(partial(child.prove, rows, page.of), child)
            if self._tap.side_by_side and self._asking.dry_run_rows is None:
                page.read_ahead(children, self._members)
            # A later run cannot tell which rows it reads again, unless ids rise.
            before = self._counter.before_page if self._counter.is_ordered else None
            self.courses.parents(self._counter, first)
            for number, (row, answers) in enumerate(page, first + 1):
                for child in children:
                    if child in self._members and child.takes(row):
                        self._visit(child, row, answer, answers)
                if answers.asked and position is not None and in_order:
                    self._checkpoint(position, row["id"], before)
                self.courses.parents(self._counter, number)

    # -- Single rows

    def _visit(
        self, child: ChildStream, row: dict[str, Any], answer: LevResponse, answers: ResponseCache
    ) -> None:
        """Write the children of a row. If they cannot be read, the others still are."""

        def visit() -> None:
            try:
                child.visit(row, answer, answers)
            except RecursionError:
                self._fail(
                    child,
                    row["id"],
                    InvalidResponseError("Lev sends something that is nested too deeply."),
                )
            except ROW_FAULTS as error:
                self._fail(child, row["id"], error)
            else:
                child.walking.end_streak()
                child.is_answered = True

        self._guard(visit, child)

    def _fail(self, stream: LevStream, key: int, error: LevError) -> None:
        """Record that a row failed.

        Raises:
            LevError: The failure is the stream's.
        """
        status = error.status if isinstance(error, LevAPIError) else None
        if status == HTTPStatus.UNAUTHORIZED:
            raise error
        if key in stream.done_rows:
            return  # it was requested first of all, and is counted
        stream.row_faults[key] = error
        if stream.accepts_gap(key):
            stream.walking.keep_failed(key)
            return
        most = MAX_STREAK
        is_first = not stream.is_answered and not stream.walking.is_resumed
        if isinstance(error, LevAPIError) and error.is_forbidden and is_first:
            # No row was answered yet. If the message names a scope, the key may not read the
            # stream. If not, one deal may be restricted by itself: several rows decide.
            most = 1 if "scope" in error.message.lower() else MAX_STREAK
        stream.walking.fail_row(key, error, (type(error), status), most)

    def fail_row(self, key: int, error: LevError) -> None:
        """Record that a row of the list cannot be read. What is read by its id alone still is.

        Args:
            key: Its id.
            error: Why.
        """
        for member in list(self._members):
            if key in member.done_rows:
                continue
            if isinstance(member, ChildStream) and not member.needs_row:
                nothing = LevResponse(
                    endpoint=f"GET {self._source.path}",
                    data=[],
                    pagination=None,
                    request_id=None,
                    server_time=self._tap.client.clock.now(),
                )
                self._visit(member, {"id": key}, nothing, ResponseCache(self._tap.lock))
            else:
                self._guard(partial(self._fail, member, key, error), member)

    def again(self, member: LevStream, key: int, answer: LevResponse) -> None:
        """Ask for a row again that failed in an earlier run.

        Args:
            member: The stream that lacks it.
            key: The id of the row of the list.
            answer: The first page of the walk.
        """
        walking = member.walking
        try:
            if isinstance(member, ChildStream) and not member.needs_row:
                member.visit({"id": key}, answer, ResponseCache(self._tap.lock))
            else:
                answer = self._asking.row(key)
                for row in self._source.rows(answer):
                    if isinstance(member, ChildStream):
                        member.visit(row, answer, ResponseCache(self._tap.lock))
                    else:
                        member.write(row, answer)
        except ROW_FAULTS as error:
            if isinstance(error, LevAPIError) and error.is_gone:
                walking.heal(key)
                return
            if isinstance(error, LevAPIError) and error.status == HTTPStatus.UNAUTHORIZED:
                raise
            member.row_faults[key] = error
            walking.keep_failed(key)
        else:
            walking.heal(key)
        member.done_rows.add(key)

    def _count(self, answer: LevResponse, keys: list[Any]) -> None:
        """Count the rows of a page, and tell the gate how many pages there will be."""
        self._counter.add(answer.pagination, keys)
        self._tap.client.scheduler.workload.set_remaining(
            self, f"GET {self._source.path}", self._counter.pages_left
        )
        self.courses.page(self._counter)


def _row_without_blocks(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a class made by page.py
    """Return what the reads for a row need of it."""
    fields = ("id", UPDATED_AT, "archived", "archived_at")
    given = {name: getattr(row, name, UNSET) for name in fields}
    return {name: value for name, value in given.items() if value is not UNSET}


def _rises(rows: list[dict[str, Any]]) -> bool:
    keys = [row["id"] for row in rows]
    return all(type(key) is int for key in keys) and all(a < b for a, b in pairwise(keys))
