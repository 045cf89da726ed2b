"""PerParentStream: rows that Lev is asked for, parent by parent."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.answer import items
from tap_lev.answers import Call
from tap_lev.errors import BrokenAnswerError, LevAPIError
from tap_lev.pagination import Pages
from tap_lev.stream import LevStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_lev.answer import Answer
    from tap_lev.answers import Answers, Ids
    from tap_lev.lists import ListStream
    from tap_lev.pagination import Position
    from tap_lev.report import StreamReport

PARENTS_PER_ROW = 10
"""How many parents are thought to be below a row of the list, where they are not its row."""


class PerParentStream(LevStream):
    """Rows of a parent's row, as an endpoint of their own gives them."""

    parent: ClassVar[type[LevStream]]
    """The stream whose rows have the rows. It may be a child itself."""
    parent_key: ClassVar[str]
    """The column with the parent's id, and the placeholder in the path."""
    path: ClassVar[str | None] = None
    limit: ClassVar[int | None] = None
    """Rows to ask for with each page, where the endpoint takes a limit."""
    numbered: ClassVar[bool] = False
    """Whether pages are asked for by number."""
    absent_is_none: ClassVar[bool] = False
    """Whether 404, null and an empty object mean that there is no row."""

    @functools.cached_property
    def _parent(self) -> LevStream:
        return self._tap.stream(self.parent.name)

    @property
    @override
    def source(self) -> ListStream:
        return self._parent.source

    @property
    @override
    def asked(self) -> list[Any]:
        calls = [[call.endpoint, call.body, call.columns] for call in self.calls()]
        return [*super().asked, self.config["per_parent_scope"], calls]

    def calls(self) -> Iterable[Call]:
        """Find the reads for one parent."""
        return [Call(f"GET {self.path}")] if self.path else []

    @functools.cached_property
    def needed_endpoints(self) -> list[str]:
        """The endpoints whose answers tell which parents there are: as urgent as its own."""
        parent = self._parent
        if not isinstance(parent, PerParentStream) or parent.endpoint is None:
            return []
        return [parent.endpoint, *parent.needed_endpoints]

    @property
    def requests_per_row(self) -> float:
        """How many requests a row of the list takes, before it is known."""
        each = len(list(self.calls()))
        return each if self._parent is self.source else PARENTS_PER_ROW * each

    @functools.cached_property
    def endpoint(self) -> str | None:
        """Method and route template of the reads for each parent, None where there are none."""
        return next((call.endpoint for call in self.calls()), None)

    @property
    @override
    def own_columns(self) -> list[str]:
        return [name for name in super().own_columns if name != self.parent_key]

    # -- One call for one parent

    def _called(
        self, call: Call, ids: Ids, answers: Answers, report: StreamReport
    ) -> Iterator[tuple[dict[str, Any], Answer]]:
        try:
            for answer in answers.of(call, ids, self._pages(call, ids, report)):
                if self.absent_is_none and not answer.data:
                    continue
                for child in self._read(call, ids, answer):
                    yield child, answer
        except LevAPIError as error:
            if not error.is_gone:
                raise
            if not self.absent_is_none:
                gone = (self.parent.name, *ids.values())
                # Each of many streams may ask for the same parent: once is told.
                level = logging.DEBUG if gone in self._tap.report.parents_gone else logging.WARNING
                self._tap.report.parents_gone.add(gone)
                self.logger.log(
                    level, "%s: the parent is gone, so it is skipped. %s", self.name, error
                )

    def _read(self, call: Call, ids: Ids, answer: Answer) -> Iterator[dict[str, Any]]:
        for item in items(answer, single=self.single):
            for child in self.expand(item):
                yield self._of_parent(self.adapt(child, answer), ids, call.columns, answer)

    def _pages(self, call: Call, ids: Ids, report: StreamReport) -> Iterator[Answer]:
        pages = Pages(call.endpoint, cursor_only=False)
        first: Position = {} if self.limit is None else {"limit": self.limit}
        position: Position | None = {**first, "page": 1} if self.numbered else {}
        before: Any = None
        while position is not None:
            answer = self._ask(call, ids, first | position, report)
            if self.numbered and answer.data and answer.data == before:
                raise BrokenAnswerError(
                    f"Lev sends the same page of {call.endpoint} again and again."
                )
            before = answer.data
            yield answer
            # An object may hold the rows: taken for one row, it would lead to the wrong offset.
            rows = len(items(answer, single=self.single)) if answer.data else 0
            position = pages.after(answer.pagination, position, rows)

    def _ask(self, call: Call, ids: Ids, position: Position, report: StreamReport) -> Answer:
        client = self._tap.client
        if call.body is not None:
            return client.read(call.endpoint, report, ids=ids, json={**call.body, **position})
        return self.optional.ask(
            self.field_options(written=True),
            lambda params: client.read(call.endpoint, report, position | params, ids=ids),
        )

    def _of_parent(
        self, row: dict[str, Any], ids: Ids, columns: Mapping[str, Any], answer: Answer
    ) -> dict[str, Any]:
        known = self.schema["properties"]
        for name, value in ids.items():
            if name in known and row.get(name) is None:
                row = {**row, name: value}
        return self.keyed({**row, **columns}, answer)
