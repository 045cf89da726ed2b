"""Taking: what a page brings is written, with what is read for each of its rows."""

from __future__ import annotations

import operator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from tap_lev.answers import AnswersOfPage
from tap_lev.child import ChildStream
from tap_lev.courses import Courses
from tap_lev.row_counter import keys_of
from tap_lev.walking import UPDATED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_lev.answer import Answer
    from tap_lev.asking import Asking
    from tap_lev.lists import ListStream
    from tap_lev.page import PageShape
    from tap_lev.pagination import Position
    from tap_lev.row_counter import RowCounter
    from tap_lev.stream import LevStream
    from tap_lev.tap import TapLev


class Guard(Protocol):
    """Does some work; if it fails, so do the streams that it was done for."""

    def __call__(self, work: Callable[[], None], *members: LevStream) -> None:
        """Do it."""


class Taking:
    """Writes what the pages of one walk bring.

    Args:
        tap: The tap.
        source: The list.
        members: The streams whose rows are wanted; those that fail are taken out.
        asking: What was asked for.
        counter: Counts the rows.
        guard: What each stream's part is done in.
        checkpoint: Notes the place, the last parent that is written, and the rows before the page.

    Attributes:
        courses: How far the streams are.
        found: Whether the row was found that an earlier run had got to.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        tap: TapLev,
        source: ListStream,
        members: list[LevStream],
        asking: Asking,
        counter: RowCounter,
        guard: Guard,
        checkpoint: Callable[[Position, int, int | None], None],
    ) -> None:
        self.courses = Courses(source, members, tap.report.clock)
        self.found = False
        self._tap = tap
        self._source = source
        self._members = members
        self._asking = asking
        self._counter = counter
        self._guard = guard
        self._checkpoint = checkpoint

    def page(self, answer: Answer, position: Position | None, parent: int | None = None) -> None:
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
        self._count(answer, keys_of(rows, self._source.primary_keys))
        if position is not None and self._counter.is_repeated:
            return  # a page that comes again is not written again
        if position is not None:  # single rows are asked for without a filter
            self._asking.note_ignored_filter(row.get(UPDATED_AT) for row in rows)
        if self._source in self._members:
            self._guard(partial(self._source.write_page, rows, answer), self._source)
        self._children(rows, answer, position, parent)

    def _as_it_is(self, answer: Answer, shape: PageShape) -> None:
        """Write what a page brings, without looking at each row more than it needs."""
        rows: list[Any] = answer.data
        self._count(answer, list(map(operator.attrgetter(*self._source.primary_keys), rows)))
        if self._counter.is_repeated:
            return
        self._asking.note_ignored_filter(getattr(row, UPDATED_AT, None) for row in rows)
        taken: dict[LevStream, list[Any]] = {}
        for member in self._members:
            held = member.walking.held(rows)
            if isinstance(member, ChildStream):
                held = shape.children(member, held)
            taken[member] = held
        shape.strip(rows)
        for member, found in taken.items():
            self._guard(partial(member.write_all, found, shape), member)

    def _children(
        self,
        rows: list[dict[str, Any]],
        answer: Answer,
        position: Position | None,
        parent: int | None,
    ) -> None:
        children = [member for member in self._members if isinstance(member, ChildStream)]
        if not children:
            return
        done = [number for number, row in enumerate(rows, 1) if row["id"] == parent]
        # Pages may be smaller now, and the row on a later one.
        self.found = bool(done)
        # Lev promises no order (lev-api.md §3 row 6): only by ids that rise is it known which of
        # the rows stood before one.
        in_order = _rises(rows)
        first = done[0] if done and in_order else 0
        rows = rows[first:]
        with AnswersOfPage(self._tap, rows, answer, self._counter.left) as page:
            for child in children:
                self._guard(partial(child.prove, rows, page.of), child)
            if self._tap.side_by_side and self._asking.dry_run_rows is None:
                page.read_ahead(children, self._members)
            # A later run cannot tell which rows it reads again, unless ids rise.
            before = self._counter.before_page if self._counter.is_ordered else None
            self.courses.parents(self._counter, first)
            for number, (row, answers) in enumerate(page, first + 1):
                for child in children:
                    if child in self._members and child.walking.holds(row):
                        self._guard(partial(child.visit, row, answer, answers), child)
                if answers.asked and position is not None and in_order:
                    self._checkpoint(position, row["id"], before)
                self.courses.parents(self._counter, number)

    def _count(self, answer: Answer, keys: Sequence[Any]) -> None:
        """Count the rows of a page, and tell the gate how many pages there will be."""
        self._counter.add(answer.pagination, keys)
        self._tap.client.gate.remaining.expect(
            self, f"GET {self._source.path}", self._counter.pages_left
        )
        self.courses.page(self._counter)


def _rises(rows: list[dict[str, Any]]) -> bool:
    keys = [row["id"] for row in rows]
    return all(type(key) is int for key in keys) and all(a < b for a, b in pairwise(keys))
