"""Request the pages of the rows that belong to one parent."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tap_lev.api.pagination import ListRules, PageCap, Paginator
from tap_lev.api.response import extract_rows
from tap_lev.api.row_counter import RowCounter, keys_of, total_of
from tap_lev.errors import InvalidResponseError, LevAPIError
from tap_lev.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_lev.api.pagination import Position
    from tap_lev.api.request import LevRequest
    from tap_lev.api.response import LevResponse
    from tap_lev.streams.child import ChildStream
    from tap_lev.sync.run import Run


class ChildRequester:
    """Sends the requests for the rows of one parent, page by page.

    Args:
        run: The run.
        stream: The child stream that the rows are of.
        reads_for: The stream that requests count for: the child itself, or one below it.
    """

    def __init__(self, run: Run, stream: ChildStream, reads_for: ChildStream) -> None:
        self._stream = stream
        self._reads_for = reads_for
        self._client = run.client_for(reads_for)
        self._api_url: str = run.config["api_url"]
        # What one parent's pages show of the endpoint's page length serves the next parent, too.
        self._page_caps: defaultdict[str, PageCap] = defaultdict(PageCap)

    def pages(self, request: LevRequest) -> Iterator[LevResponse]:
        """Yield the pages of a request, to an end that is proven.

        Args:
            request: The request, with the parent's id.

        Raises:
            InvalidResponseError: Lev counts more rows than it sends, and the settings do not
                accept that.
        """
        stream, limit = self._stream, self._stream.page_limit
        first: Position = {} if limit is None else {"limit": limit}

        def fetch(position: Position) -> LevResponse:
            return self._fetch(request, first | position)

        # A read by POST has pages only where they have numbers.
        has_pages = not stream.single_row and (request.json is None or stream.page_numbered)
        counter = RowCounter()
        rules = ListRules(
            endpoint=request.endpoint,
            cursor_only=False,
            api_url=self._api_url,
            limit=limit,
            has_pages=has_pages,
        )
        paginator = Paginator(rules, counter, self._page_caps[request.endpoint])
        position: Position | None = {**first, "page": 1} if stream.page_numbered else {}
        while position is not None:
            try:
                page = fetch(position)
                # Full, and silent about what follows: a fault may have cut that off (W3).
                if paginator.is_unclear(page, position):
                    page = fetch(position)
            except LevAPIError as error:
                if paginator.ends_with(error):
                    break
                raise
            counter.add(page.pagination, self._keys(request, page))
            if not counter.is_repeated:
                yield page
            if not has_pages and counter.page_rows == limit:
                self._warn_of_limit(request, page)
                return
            position = paginator.next_position(page, position)
        if counter.shortfall:
            self._report_shortfall(request, counter)

    def _report_shortfall(self, request: LevRequest, counter: RowCounter) -> None:
        """Report rows that Lev counts and does not send, if the settings accept it.

        Raises:
            InvalidResponseError: The settings do not accept it.
        """
        stream = self._stream
        if stream.accepts_gap():
            self._reads_for.tracker.keep_rows()
            gap = f"{stream.name}: rows of a parent that Lev counts and does not send"
            stream.report.add_gap(gap)
        else:
            raise InvalidResponseError(
                f"Lev counts {counter.min_total} rows of {request.endpoint} for "
                f"{_named(request.path_params)}, but {counter.rows_read} different ones came: "
                f"{counter.shortfall} are missing."
            )

    def _fetch(self, request: LevRequest, position: Position) -> LevResponse:
        if request.json is not None:
            body = {**request.json, **position}
            return self._client.send(dataclasses.replace(request, json=body))
        stream = self._stream
        return stream.optional.request(
            stream.fields_option(written=True),
            lambda params: self._client.send(
                dataclasses.replace(request, params=position | params)
            ),
        )

    def _keys(self, request: LevRequest, page: LevResponse) -> list[Any]:
        """Return the keys of a page's rows, without the columns that all of them share."""
        stream = self._stream
        if stream.single_row or not page.data:
            return []
        known = {stream.parent_key, *request.extra_columns}
        rows = (stream.transform(item, page) for item in extract_rows(page))
        return keys_of(rows, [key for key in stream.primary_keys if key not in known])

    def _warn_of_limit(self, request: LevRequest, page: LevResponse) -> None:
        """Warn once that a response is as long as its limit, so that rows may be missing."""
        stream, limit = self._stream, self._stream.page_limit
        if total_of(page.pagination) == limit:
            return
        stream.report.at_limit += 1
        if stream.report.at_limit == 1:
            extra = {n: v for n, v in request.extra_columns.items() if n not in stream.primary_keys}
            stream.warn(
                f"Lev sent {limit} rows of {request.endpoint} for "
                f"{_named({**request.path_params, **extra})}, as many as one request can bring, "
                "so rows may be missing."
            )


def _named(values: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} {shown(value)}" for name, value in values.items())
