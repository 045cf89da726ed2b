"""Reading: one walk through a list, for all the streams that live on it."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from singer_sdk.exceptions import SyncLifecycleSignal
from singer_sdk.metrics import Status, Tag

from tap_lev import timestamps
from tap_lev.asking import Asking
from tap_lev.errors import BrokenAnswerError, KeyRefusedError, LevAPIError, LevError
from tap_lev.pagination import Pages
from tap_lev.row_counter import RowCounter, keys_of
from tap_lev.taking import Taking
from tap_lev.walking import UPDATED_AT

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
        self._asking.by_row = True
        answer, position, parent = self._begin()
        rows, counter = list(self._source.rows(answer)), self._counter
        counter.add(answer.pagination, keys_of(rows, self._source.primary_keys))
        self._asking.note_ignored_filter(row.get(UPDATED_AT) for row in rows)
        done = next((n for n, row in enumerate(rows, 1) if parent and row["id"] == parent), 0)
        if self._pages().after(answer, position) is None:
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
        answer, position, parent = self._begin()
        pages, restarts = self._pages(), 0
        while self.members:
            answer = pages.settled(answer, position, self._asking.page)
            self._taking.page(answer, position, parent)
            if self._taking.found:
                parent = None
            following = pages.after(answer, position)
            if following is None or not self.members or self._asking.dry_run_rows:
                break
            position = following
            self._checkpoint(position, parent, self._counter.to_resume)
            try:
                answer = self._asking.page(position)
            except LevAPIError as error:
                if pages.ends_with(error):
                    break
                if not error.refuses_parameters or restarts == MAX_RESTARTS:
                    raise
                restarts += 1
                answer, position = self._start_again(f"Lev refuses the cursor: {error}"), {}
                pages, parent = self._pages(), None
        if not self.members or self._asking.dry_run_rows:
            return  # not all was seen
        # A row that Lev counts but did not send may well be there.
        whole = self._is_whole()
        for member in self.members:
            member.walking.finish(drop=whole)
        self._tap.write_state()

    def _pages(self) -> Pages:
        return Pages(
            f"GET {self._source.path}",
            self._counter,
            cursor_only=self._source.paged,
            api_url=self._tap.config["api_url"],
            limit=self._asking.limit,
            has_pages=not self._source.single,
        )

    def _begin(self) -> tuple[Answer, Position, int | None]:
        walk = self.members[0].walking.walk
        if walk is None:
            return self._start(), {}, None
        position: Position = {"cursor": walk.cursor} if walk.cursor else {}
        self._asking.bound = walk.filter
        self._counter.begin(walk.seen if walk.cursor else 0)
        try:
            answer = self._asking.page(position)
        except LevAPIError as error:
            if not error.refuses_parameters or not position:
                raise
            return self._start_again(f"Lev refuses the stored cursor: {error}"), {}, None
        for member in self.members:
            self._tap.logger.info(
                "Going on with the walk through %s of %s.",
                member.name,
                timestamps.render(walk.started_at),
            )
        return answer, position, walk.parent

    def _start_again(self, reason: str) -> Answer:
        for member in self.members:
            member.walking.tell_restart(reason)
        return self._start()

    def _start(self) -> Answer:
        self._counter.begin(0)
        for member in self.members:
            member.walking.walk = None
        self._asking.begin()
        bound = self._asking.bound
        answer = self._asking.page({})
        for member in self.members:
            member.begin(answer.server_time)
        self._asking.begin()
        return answer if self._asking.bound == bound else self._asking.page({})

    def _checkpoint(self, position: Position, parent: int | None, seen: int | None) -> None:
        cursor = position.get("cursor")
        if isinstance(cursor, int) or (position and not cursor):
            return  # an offset is no place to come back to
        bound = self._asking.sent_bound
        for member in self.members:
            member.walking.checkpoint(cursor, parent, seen, bound)
        self._tap.write_state()

    def _is_whole(self) -> bool:
        """Say whether as many rows came as Lev counted all the time, and tell if not."""
        missing = 0 if self._asking.is_filtered else self._counter.shortfall or 0
        if missing:
            counted, came = self._counter.min_total, self._counter.rows_read
            self._source.tell(f"Lev counts {counted} rows, but {came} came: {missing} are missing.")
        return not missing

    # -- Single rows

    def _refresh(self, key: int, missing: list[int]) -> None:
        try:
            answer = self._asking.row(key)
        except LevAPIError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            missing.append(key)
            self._tap.logger.warning("%s: %s is not there. %s", self._source.name, key, error)
        else:
            self._taking.page(answer, None)
