"""Courses: how far the streams of one walk have come, said for whoever looks on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from tap_lev.progress.stream_progress import ROWS
from tap_lev.streams.child import ChildStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tap_lev.api.row_counter import RowCounter
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.lists import ListStream


class Courses:
    """Moves the courses of the streams that one walk brings.

    Args:
        source: The list.
        members: The streams; those that leave the walk leave here.
        clock: Seconds.

    Attributes:
        wanted: How many rows are asked for one by one; None in a walk.
    """

    def __init__(
        self, source: ListStream, members: Sequence[LevStream], clock: Callable[[], float]
    ) -> None:
        self.wanted: int | None = None
        self._source = source
        self._members = members
        self._clock = clock

    def page(self, counter: RowCounter) -> None:
        """Say that a page has come, and move those that it brings rows of."""
        together = []
        for member in self._members:
            course = member.report.progress
            course.source = self._source.name
            if is_read_apart(member):
                course.follows, course.endpoint = None, member.endpoint
                course.unit = self._source.name
            else:
                course.unit, course.endpoint = ROWS, f"GET {self._source.path}"
                together.append(member)
        together.sort(key=lambda member: member is not self._source)
        for member in together:
            member.report.progress.follows = together[0].name if member is not together[0] else None
        self._move(together, counter, counter.rows_read)

    def parents(self, counter: RowCounter, number: int) -> None:
        """Say that so many rows of the page are done, with what is read for each of them."""
        before = counter.before_page
        apart = [member for member in self._members if is_read_apart(member)]
        self._move(apart, counter, None if before is None else before + number)

    def _move(self, members: Iterable[LevStream], counter: RowCounter, done: int | None) -> None:
        total, now = self.wanted or counter.total, self._clock()
        for member in members:
            member.report.progress.update(done or 0, None if done is None else total, now)


def is_read_apart(member: LevStream) -> TypeGuard[ChildStream]:
    """Whether a stream is read for each row of the list."""
    return isinstance(member, ChildStream) and not member.embedded
