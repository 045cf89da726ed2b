"""ChildStream: rows that belong to a row of another stream, embedded in it or read for it."""

from __future__ import annotations

import dataclasses
import functools
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.answer import items
from tap_lev.answers import Call
from tap_lev.errors import BrokenAnswerError, LevAPIError, LevError
from tap_lev.pagination import Pages
from tap_lev.stream import LevStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from tap_lev.answer import Answer
    from tap_lev.answers import Answers, Ids
    from tap_lev.lists import ListStream
    from tap_lev.pagination import Position
    from tap_lev.report import StreamReport

PARENTS_PER_ROW = 10
"""How many parents are thought to be below a row of the list, where they are not its row."""


class ChildStream(LevStream):
    """Rows of a parent's row."""

    parent: ClassVar[type[LevStream]]
    """The stream whose rows have the rows. It may be a child itself."""
    parent_key: ClassVar[str]
    """The column with the parent's id, and the placeholder in the path."""
    path: ClassVar[str | None] = None
    probe: ClassVar[bool] = False
    """Whether the block may be less than the endpoint gives."""
    limit: ClassVar[int | None] = None
    """Rows to ask for with each page, where the endpoint takes a limit."""
    numbered: ClassVar[bool] = False
    """Whether pages are asked for by number."""
    absent_is_none: ClassVar[bool] = False
    """Whether 404, null and an empty object mean that there is no row."""
    unique: ClassVar[bool] = False
    """Whether the same row comes with many parents."""
    selected_by_default = False

    @functools.cached_property
    def _parent(self) -> LevStream:
        return self._tap.stream(self.parent.name)

    @property
    @override
    def source(self) -> ListStream:
        return self._parent.source

    @property
    @override
    def follows_changes(self) -> bool:
        # What many parents share is whole only if all of them are asked.
        return self.config["per_parent_scope"] == "changed" and not self.unique

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
        if not isinstance(parent, ChildStream) or parent.endpoint is None:
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

    # -- Embedded or read

    @functools.cached_property
    def _seen(self) -> set[Any]:
        return set()

    whole: bool | None = None
    """Whether the block was found to hold all that the endpoint gives. None: not known."""

    @property
    def embedded(self) -> bool:
        """Whether the rows are taken out of the parent's row."""
        if self.block is None or self.source.optional.is_refused(f"include={self.block}"):
            return False
        return not self.probe or bool(self.whole)

    @property
    def is_plain_block(self) -> bool:
        """Whether the rows can be taken out of the parent's row as they are."""
        return (
            self.is_plain
            and self.embedded
            and not (self.probe or self.unique)
            and self._parent is self.source
        )

    def prove(
        self, rows: Iterable[dict[str, Any]], answers_of: Callable[[dict[str, Any]], Answers]
    ) -> None:
        """Find out, by the first row that has a block, whether it is as good as the endpoint.

        Args:
            rows: The rows of a page.
            answers_of: Finds what Lev answers for a row. The endpoint's answer is added.
        """
        if not self.probe or self.whole is not None:
            return
        block = self.block or ""
        both = (row for row in rows if self.walking.holds(row) and isinstance(row.get(block), dict))
        row = next(both, None)
        if row is None:
            return
        (call,) = self.calls()
        ids = {self.parent_key: row["id"]}
        for given, _ in self._called(call, ids, answers_of(row), self.report):
            missing = given.keys() - row[block].keys() - ids.keys()
            self.whole = not missing
            self.logger.info(
                "%s: %s comes with each row %s",
                self.name,
                self.block,
                f"without {len(missing)} of its fields, so it is read for each."
                if missing
                else "and whole, so no further request is made.",
            )

    def read_ahead(self, row: dict[str, Any], answer: Answer, answers: Answers) -> None:
        """Read what ``visit`` will need first.

        Raises:
            Exception: Something that ``visit`` needs before it cannot be read.
        """
        for ids in self.parents(row, answer, answers, self.report):
            for call in self.calls():
                try:
                    answers.begin(call, ids, self._pages(call, ids, self.report))
                except LevAPIError as error:
                    if error.status != HTTPStatus.NOT_FOUND:
                        raise

    def look(
        self, row: dict[str, Any], answer: Answer, answers: Answers
    ) -> tuple[list[dict[str, Any]], Answer] | None:
        """Read what a row of the list has first, at the cost of one request for each level below.

        Returns:
            The rows, and the answer that brought them. None: there is nothing to ask for.
        """
        call = next(iter(self.calls()), None)
        ids = next(iter(self.parents(row, answer, answers, self.report)), None)
        if call is None or ids is None:
            return None
        try:
            given = next(answers.of(call, ids, self._pages(call, ids, self.report)))
        except LevAPIError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return ([], answer) if self.absent_is_none else None
        none = self.absent_is_none and not given.data
        return [] if none else list(self._read(call, ids, given)), given

    def visit(self, row: dict[str, Any], answer: Answer, answers: Answers) -> None:
        """Write the rows of one row of the list."""
        for child, given in self.children(row, answer, answers, self.report):
            if self.unique:
                key = tuple(child[key] for key in self.primary_keys)
                if key in self._seen:
                    continue
                self._seen.add(key)
            self.write(child, given)

    def children(
        self, row: dict[str, Any], answer: Answer, answers: Answers, report: StreamReport
    ) -> Iterator[tuple[dict[str, Any], Answer]]:
        """Find the rows of one row of the list, each with the answer that brought it.

        Args:
            row: The row of the list.
            answer: What brought it.
            answers: What Lev answered for that row so far.
            report: Counts what it costs: the report of the stream that the rows are found for.
        """
        if self.embedded:
            ids = {self.parent_key: row["id"]}
            for child in self._embedded(row, answer):
                yield self._of_parent(child, ids, {}, answer), answer
            return
        if not self.path:
            raise LevError(
                f"Lev does not embed {self.block}, and gives {self.name} in no other way."
            )
        for ids in self.parents(row, answer, answers, report):
            for call in self.calls():
                yield from self._called(call, ids, answers, report)

    def parents(
        self, row: dict[str, Any], answer: Answer, answers: Answers, report: StreamReport
    ) -> Iterator[Ids]:
        """Find the ids of the parents at or below a row of the list."""
        if isinstance(self._parent, ChildStream):
            for parent, _ in self._parent.children(row, answer, answers, report):
                yield {self._parent.parent_key: row["id"], self.parent_key: parent["id"]}
        else:
            yield {self.parent_key: row["id"]}

    def _embedded(self, row: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
        given = row.get(self.block or "")
        if not given:
            return
        block = dataclasses.replace(
            answer, data=given, endpoint=f"{answer.endpoint} ({self.block})"
        )
        for item in items(block, single=self.single):
            for child in self.expand(item):
                yield self.adapt(child, answer)

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
            if error.status != HTTPStatus.NOT_FOUND:
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
            rows = len(answer.data) if isinstance(answer.data, list) else 1
            if self.numbered and rows and answer.data == before:
                raise BrokenAnswerError(
                    f"Lev sends the same page of {call.endpoint} again and again."
                )
            before = answer.data
            yield answer
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

    @property
    @override
    def wanted_blocks(self) -> list[str]:
        return [] if self.block is None or self.whole is False else [self.block]

    @property
    @override
    def own_columns(self) -> list[str]:
        return [name for name in super().own_columns if name != self.parent_key]

    @override
    def begin(self, server_time: datetime) -> None:
        super().begin(server_time)
        self._seen.clear()  # what was written before is of another walk, and of another table
        if not self.block and not list(self.calls()):
            self.tell("selected, but the setting that says what to ask for is empty.")
