"""PerParentStream: rows that Lev is asked for, parent by parent."""

from __future__ import annotations

import functools
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.api.pagination import PageCap, Paginator
from tap_lev.api.request import LevRequest
from tap_lev.api.response import extract_rows
from tap_lev.api.row_counter import RowCounter, keys_of, total_of
from tap_lev.errors import InvalidResponseError, LevAPIError
from tap_lev.streams.base import LevStream
from tap_lev.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_lev.api.cache import ResponseCache
    from tap_lev.api.pagination import Position
    from tap_lev.api.request import PathParams
    from tap_lev.api.response import LevResponse
    from tap_lev.progress.report import StreamReport
    from tap_lev.streams.lists import ListStream

PARENTS_PER_ROW = 10
"""How many parents are thought to be below a row of the list, where they are not its row."""


class PerParentStream(LevStream):
    """Rows of a parent's row, as an endpoint of their own gives them."""

    parent: ClassVar[type[LevStream]]
    """The stream whose rows have the rows. It may be a child itself."""
    parent_key: ClassVar[str]
    """The column with the parent's id, and the placeholder in the path."""
    path: ClassVar[str | None] = None
    page_limit: ClassVar[int | None] = None
    """Rows to ask for with each page, where the endpoint takes a limit."""
    page_numbered: ClassVar[bool] = False
    """Whether pages are asked for by number."""
    missing_is_empty: ClassVar[bool] = False
    """Whether 404, null and an empty object mean that there is no row."""

    parents_gone = 0
    """Parents in the walk that are not archived, and of which Lev says that they are not there."""
    parents_answered = 0
    """Parents in the walk whose rows were read."""
    parent_is_archived = False
    """Whether the row of the list that is visited is archived."""

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
        calls = [[call.endpoint, call.body, call.columns] for call in self.requests()]
        return [*super().asked, self.config["per_parent_scope"], calls]

    def requests(self) -> Iterable[LevRequest]:
        """Find the reads for one parent."""
        return [LevRequest(f"GET {self.path}")] if self.path else []

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
        each = len(list(self.requests()))
        return each if self._parent is self.source else PARENTS_PER_ROW * each

    @functools.cached_property
    def endpoint(self) -> str | None:
        """Method and route template of the reads for each parent, None where there are none."""
        return next((call.endpoint for call in self.requests()), None)

    @property
    @override
    def row_fields(self) -> list[str]:
        return [name for name in super().row_fields if name != self.parent_key]

    # -- One call for one parent

    def _called(
        self, call: LevRequest, ids: PathParams, answers: ResponseCache, report: StreamReport
    ) -> Iterator[tuple[dict[str, Any], LevResponse]]:
        try:
            for answer in answers.of(call, ids, self._pages(call, ids, report)):
                if self.missing_is_empty and not answer.data:
                    continue
                for child in self._read(call, ids, answer):
                    yield child, answer
            self.parents_answered += 1
        except LevAPIError as error:
            if not error.is_gone:
                raise
            if not self.missing_is_empty:
                self._note_gone(ids, report, str(error))

    def _note_gone(self, ids: PathParams, report: StreamReport, why: str) -> None:
        """Count a parent that is listed, but whose rows Lev says are not there.

        Its rows may be hidden, and not gone. So if the parent itself can still be read, no row is
        dropped from the target in this run.
        """
        if self.parent_is_archived:
            self.logger.info("%s: the parent is archived, so it is skipped. %s", self.name, why)
        else:
            self.parents_gone += 1
            gone = (self.parent.name, *ids.values())
            # Each of many streams may ask for the same parent: once is logged.
            level = logging.DEBUG if gone in self._tap.report.parents_gone else logging.WARNING
            self._tap.report.parents_gone.add(gone)
            self.logger.log(level, "%s: the parent is gone, so it is skipped. %s", self.name, why)
        if self.version is None or self.walking.keeps_rows or self._is_gone(ids, report):
            return
        self.walking.keep_rows()

    def _is_gone(self, ids: PathParams, report: StreamReport) -> bool:
        """Whether Lev says that a parent's own row is not there, either."""
        try:
            self.source.read_row(next(iter(ids.values())), {}, report)
        except LevAPIError as error:
            return error.is_gone
        return False

    def _read(
        self, call: LevRequest, ids: PathParams, answer: LevResponse
    ) -> Iterator[dict[str, Any]]:
        for item in extract_rows(answer, single_row=self.single_row):
            for child in self.split(item):
                yield self._of_parent(self.transform(child, answer), ids, call.columns, answer)

    def _pages(
        self, call: LevRequest, ids: PathParams, report: StreamReport
    ) -> Iterator[LevResponse]:
        first: Position = {} if self.page_limit is None else {"limit": self.page_limit}

        def ask(position: Position) -> LevResponse:
            return self._ask(call, ids, first | position, report)

        # A read by POST has pages only where they have numbers.
        has_pages = not self.single_row and (call.body is None or self.page_numbered)
        counter = RowCounter()
        pages = Paginator(
            call.endpoint,
            counter,
            cursor_only=False,
            api_url=self.config["api_url"],
            limit=self.page_limit,
            has_pages=has_pages,
            cap=self._page_caps[call.endpoint],
        )
        position: Position | None = {**first, "page": 1} if self.page_numbered else {}
        while position is not None:
            try:
                answer = pages.settled(ask(position), position, ask)
            except LevAPIError as error:
                if pages.ends_with(error):
                    break
                raise
            counter.add(answer.pagination, self._keys(call, answer))
            if not counter.is_repeated:
                yield answer
            if not has_pages and counter.page_rows == self.page_limit:
                self._note_limit(call, ids, answer)
                return
            position = pages.next_position(answer, position)
        if counter.shortfall and self.accepts_gap():
            self.walking.keep_rows()
            gap = f"{self.name}: rows of a parent that Lev counts and does not send"
            if gap not in self.report.gaps:
                self.report.gaps.append(gap)
        elif counter.shortfall:
            raise InvalidResponseError(
                f"Lev counts {counter.min_total} rows of {call.endpoint} for {_named(ids)}, but "
                f"{counter.rows_read} different ones came: {counter.shortfall} are missing."
            )

    @functools.cached_property
    def _page_caps(self) -> defaultdict[str, PageCap]:
        """How long the pages of each endpoint are."""
        return defaultdict(PageCap)

    def _keys(self, call: LevRequest, answer: LevResponse) -> list[Any]:
        """Find what tells the rows of one parent apart."""
        if self.single_row or not answer.data:
            return []
        known = {self.parent_key, *call.columns}
        rows = (self.transform(item, answer) for item in extract_rows(answer))
        return keys_of(rows, [key for key in self.primary_keys if key not in known])

    def _note_limit(self, call: LevRequest, ids: PathParams, answer: LevResponse) -> None:
        """Tell once that a read brings no more rows than its limit, though there may be more."""
        if total_of(answer.pagination) == self.page_limit:
            return
        self.report.at_limit += 1
        if self.report.at_limit == 1:
            told = {n: v for n, v in call.columns.items() if n not in self.primary_keys}
            whose = _named({**ids, **told})
            self.warn(
                f"Lev sent {self.page_limit} rows of {call.endpoint} for {whose}, as many as one "
                "request can bring, so rows may be missing."
            )

    def _ask(
        self, call: LevRequest, ids: PathParams, position: Position, report: StreamReport
    ) -> LevResponse:
        client = self._tap.client
        if call.body is not None:
            return client.read(call.endpoint, report, ids=ids, json={**call.body, **position})
        return self.optional.request(
            self.fields_option(written=True),
            lambda params: client.read(call.endpoint, report, position | params, ids=ids),
        )

    def _of_parent(
        self, row: dict[str, Any], ids: PathParams, columns: Mapping[str, Any], answer: LevResponse
    ) -> dict[str, Any]:
        known = self.schema["properties"]
        row = self.mended({**row, **columns}, answer)
        for name, value in ids.items():
            if name in known and row.get(name) is None:
                row[name] = value
        return self.require_key(row, answer)


def _named(values: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} {shown(value)}" for name, value in values.items())
