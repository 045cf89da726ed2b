"""Read the rows of a child stream, from the parent's row or by requests for it.

The rules W1 to W12 are in docs/design/walk.md.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import TYPE_CHECKING, Any

from tap_lev.api.response import extract_rows
from tap_lev.errors import (
    AuthenticationError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
)
from tap_lev.records.rows import value_of
from tap_lev.streams.child import ChildStream
from tap_lev.sync.child_requester import ChildRequester
from tap_lev.sync.row_request import request_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_lev.api.cache import ResponseCache
    from tap_lev.api.request import LevRequest, PathParams
    from tap_lev.api.response import LevResponse
    from tap_lev.sync.run import Run

PARENTS_PER_ROW = 10
"""Parents to assume below a row of the list, where the parent is not that row itself."""

Row = dict[str, Any]
RowSource = tuple[Row, "LevResponse"]
"""A row, and the response that brought it."""


class ChildReader:
    """Reads the rows of a child stream for the rows of its list.

    Args:
        run: The run.
        stream: The child stream.
        reads_for: The stream that requests count for, or None for the child itself.

    Attributes:
        stream: The child stream.
        list_stream: The list whose walk brings the parents.
        embed_is_complete: Whether the embed holds all that the endpoint returns, or None if
            unknown.
        parents_gone: Number of listed parents, not archived, for which Lev answered 404.
        parents_answered: Number of parents in the walk that Lev answered with success.
    """

    def __init__(self, run: Run, stream: ChildStream, reads_for: ChildStream | None = None) -> None:
        self.stream = stream
        self.list_stream = run.list_of(stream)
        self.embed_is_complete: bool | None = None
        self.parents_gone = self.parents_answered = 0
        self._run = run
        self._reads_for = reads_for or stream
        self._client = run.client_for(self._reads_for)
        parent = run.streams[stream.parent.name]
        self._parent_reader = (
            ChildReader(run, parent, self._reads_for) if isinstance(parent, ChildStream) else None
        )
        self._proven_fields: frozenset[str] = frozenset()
        self._has_full_embeds = False
        # The keys of the walk's rows, where many parents share a row.
        self._written: set[Any] = set()
        self._requester = ChildRequester(run, stream, self._reads_for)

    def begin(self) -> None:
        """Forget what belongs to another walk."""
        # A row that an earlier walk has written is not part of this one's version: it has to be
        # written again, or the end of a full table drops it.
        self._has_full_embeds = False
        self.parents_gone = self.parents_answered = 0
        self._written.clear()
        if not self.stream.embed and self.stream.endpoint is None:
            self.stream.warn("selected, but the setting that says what to ask for is empty.")

    # -- What requests are needed

    @property
    def is_embedded(self) -> bool:
        """Whether the rows come in the parent's row."""
        stream = self.stream
        if stream.embed is None or self.list_stream.optional.is_rejected(f"include={stream.embed}"):
            return False
        return not stream.verify_embed or bool(self.embed_is_complete)

    @property
    def is_plain_embed(self) -> bool:
        """Whether the rows leave the parent's row as they are."""
        stream = self.stream
        return (
            stream.is_plain
            and self.is_embedded
            and not (stream.verify_embed or stream.deduplicate)
            and self._parent_reader is None
        )

    @property
    def awaits_embed(self) -> bool:
        """Whether an embed without an endpoint has not come, and rows came without it."""
        if self.stream.path or self.stream.embed is None or not self.is_embedded:
            return False
        embed = self.list_stream.embeds[self.stream.embed]
        return embed.missing > 0 and not embed.seen

    @property
    def needs_row(self) -> bool:
        """Whether reading the children takes the row itself, and not its id alone."""
        above = self._parent_reader is not None and self._parent_reader.needs_row
        return self.is_embedded or self.stream.verify_embed or above

    @functools.cached_property
    def needed_endpoints(self) -> list[str]:
        """The endpoints that return the parents, where these are not rows of the list."""
        # Without a response from there no request for the child can be made, so each is as urgent.
        parent = self._parent_reader
        if parent is None or parent.stream.endpoint is None:
            return []
        return [parent.stream.endpoint, *parent.needed_endpoints]

    @property
    def requests_per_row(self) -> float:
        """The estimated number of requests for a row of the list, before any row is read."""
        requests = len(list(self.stream.requests()))
        return requests if self._parent_reader is None else PARENTS_PER_ROW * requests

    # -- For one row of the list

    def write_children(self, row: Row, response: LevResponse, cache: ResponseCache) -> None:
        """Write the children of one row of the list."""
        for child, child_response in self.rows(row, response, cache):
            if self.stream.deduplicate:
                key = tuple(child[name] for name in self.stream.primary_keys)
                if key in self._written:
                    continue
                self._written.add(key)
            self.stream.write(child, child_response)

    def prefetch(self, row: Row, response: LevResponse, cache: ResponseCache) -> None:
        """Send the requests that ``write_children`` needs first.

        Raises:
            Exception: A request fails that others depend on.
        """
        for params in self.parent_params(row, response, cache):
            for request in self._bound_requests(params):
                try:
                    cache.fetch_first(request, self._requester.pages(request))
                except LevAPIError as error:
                    # The cache raises it again where the row is written: there it is counted.
                    if not error.is_gone:
                        raise

    def sample(
        self, row: Row, response: LevResponse, cache: ResponseCache
    ) -> tuple[list[Row], LevResponse] | None:
        """Read the first children of a row, at one request for each level below it.

        Returns:
            The rows, and the response that brought them; None if there is nothing to request.
        """
        params = next(iter(self.parent_params(row, response, cache)), None)
        request = None if params is None else next(iter(self._bound_requests(params)), None)
        if request is None:
            return None
        missing_is_empty = self.stream.missing_is_empty
        try:
            page = next(cache.pages(request, self._requester.pages(request)))
        except LevAPIError as error:
            if not error.is_gone:
                raise
            return ([], response) if missing_is_empty else None
        is_empty = missing_is_empty and not page.data
        return [] if is_empty else list(self._rows_of_page(request, page)), page

    def rows(self, row: Row, response: LevResponse, cache: ResponseCache) -> Iterator[RowSource]:
        """Yield the children of a row, each with the response that brought it.

        Args:
            row: The row of the list.
            response: The response that brought it.
            cache: Keeps the responses for that row.
        """
        stream, params = self.stream, {self.stream.parent_key: row["id"]}
        embed = row.get(stream.embed) if stream.embed else None
        # There are three places to read them from:
        # 1. The row itself, if it has the embed with all fields that the endpoint returns.
        if self.is_embedded and stream.embed in row and not self._lacks_proven_fields(embed):
            for child in self._embedded(row, response):
                yield self._of_parent(child, params, {}, response), response
            return
        # 2. Wherever they can be found, if the row should have the embed and has not.
        if self.is_embedded and stream.embed and stream.embed not in row:
            yield from self._rows_elsewhere(row, cache)
            return
        if not stream.path:
            raise LevError(
                f"Lev does not embed {stream.embed}, and gives {stream.name} in no other way."
            )
        # 3. Their endpoint.
        for parent_params in self.parent_params(row, response, cache):
            for request in self._bound_requests(parent_params):
                is_empty = True
                for child_source in self._rows_for(request, cache, row):
                    is_empty = False
                    yield child_source
                # 404 or null means that there is nothing, unless the embed shows the contrary.
                if is_empty and embed and stream.missing_is_empty:
                    self._check_empty(request, row)

    def parent_params(
        self, row: Row, response: LevResponse, cache: ResponseCache
    ) -> Iterator[PathParams]:
        """Yield the path parameters of each parent at or below a row of the list."""
        if self._parent_reader is None:
            yield {self.stream.parent_key: row["id"]}
            return
        for parent, _ in self._parent_reader.rows(row, response, cache):
            key = self._parent_reader.stream.parent_key
            yield {key: row["id"], self.stream.parent_key: parent["id"]}

    # -- Embeds

    def verify_embed(self, rows: Iterable[Row], cache_of: Callable[[Row], ResponseCache]) -> None:
        """Compare the first embed that comes with what the endpoint returns.

        Args:
            rows: The rows whose children are wanted.
            cache_of: Returns the cache of a row; the endpoint's response is added.
        """
        # Lev may embed a reduced form (lev-api.md §3 row 22). One request more shows whether the
        # requests for all other parents can be spared.
        stream = self.stream
        if not stream.verify_embed or self.embed_is_complete is not None:
            return
        embed = stream.embed or ""
        row = next((row for row in rows if isinstance(row.get(embed), dict)), None)
        if row is None:
            return
        params = {stream.parent_key: row["id"]}
        (request,) = self._bound_requests(params)
        try:
            sources = list(self._rows_for(request, cache_of(row), row))
        except AuthenticationError:
            raise
        except (InvalidResponseError, LevAPIError, LevConnectionError):
            return  # it may be that row's own fault, so another row decides
        for child, _ in sources:
            fields = child.keys() - params.keys()
            missing = [f for f in fields if f not in row[embed] or row[embed][f] != child[f]]
            self.embed_is_complete = not missing
            self._proven_fields = frozenset(fields)
            stream.logger.info(
                "%s: %s comes with each row %s",
                stream.name,
                embed,
                f"without {len(missing)} of its fields, or with other values, so it is read for "
                "each."
                if missing
                else "and whole, so no further request is made.",
            )

    def warn_of_full_embeds(self, rows: Iterable[Any]) -> None:
        """Warn if an embed holds as many rows as Lev embeds, so that more may be missing.

        Args:
            rows: Rows of the list, as dicts or as structs.
        """
        stream = self.stream
        if stream.embed_limit is None or not self.is_embedded:
            return
        for row in rows:
            embed = value_of(row, stream.embed or "")
            if isinstance(embed, list) and len(embed) >= stream.embed_limit:
                # The rows that are cut off are in Lev, and must not be dropped (W4).
                stream.tracker.keep_rows()
                if not self._has_full_embeds:
                    self._has_full_embeds = True
                    stream.warn(
                        f"{stream.parent.name} {value_of(row, 'id')} comes with {len(embed)} "
                        f"{stream.embed}, the most that Lev embeds: it may have more."
                    )

    def _lacks_proven_fields(self, embed: object) -> bool:
        # One complete embed does not prove the next one: each row is held against its fields.
        is_verified = self.stream.verify_embed and isinstance(embed, dict)
        return is_verified and not self._proven_fields <= embed.keys()  # type: ignore[attr-defined]

    def _embedded(self, row: Row, response: LevResponse) -> Iterator[Row]:
        stream = self.stream
        content = row.get(stream.embed or "")
        if not content:
            return
        endpoint = f"{response.endpoint} ({stream.embed})"
        embedded = dataclasses.replace(response, data=content, endpoint=endpoint)
        for item in extract_rows(embedded, single_row=stream.single_row):
            for child in stream.split(item):
                yield stream.transform(child, response)

    def _rows_elsewhere(self, row: Row, cache: ResponseCache) -> Iterator[RowSource]:
        """Read rows that should be embedded: at their endpoint, or by the row's id."""
        stream, list_stream, name = self.stream, self.list_stream, self.stream.embed or ""
        embed, params = list_stream.embeds[name], {self.stream.parent_key: row["id"]}
        # Nothing says whether Lev omits empty embeds (lev-api.md §1.7), so the first rows without
        # it are read elsewhere. If these have nothing there, it does, and further ones are not
        # read. But where the embed has never come, rows without it show only that Lev does not
        # embed it: then the endpoint is read for each.
        if embed.is_omitted_when_empty and (embed.seen or not stream.path):
            return
        sources: list[RowSource] = []
        if stream.path:
            for request in self._bound_requests(params):
                sources += self._rows_for(request, cache, row)
        else:
            try:
                response = request_row(self._client, list_stream, row["id"], {"include": name})
            except LevAPIError as error:
                if not error.is_gone:
                    raise
                self._count_gone(params, row, str(error))
                return
            (single,) = response.data
            if name in single:  # even if it is empty: then Lev does not omit empty ones
                embed.seen = True
                for child in self._embedded(single, response):
                    yield self._of_parent(child, params, {}, response), response
                return
        embed.check(found=bool(sources))
        # Lev accepts the parameter and ignores it: it is not sent any more.
        if sources and stream.path and not embed.seen:
            list_stream.optional.drop(f"include={name}")
            list_stream.warn(f"Lev embeds no {name} though it is asked to, so it is read for each.")
        yield from sources

    # -- Requests for one parent

    def _bound_requests(self, params: PathParams) -> Iterator[LevRequest]:
        for request in self.stream.requests():
            yield dataclasses.replace(request, path_params=params)

    def _rows_for(self, request: LevRequest, cache: ResponseCache, row: Row) -> Iterator[RowSource]:
        stream = self.stream
        try:
            for page in cache.pages(request, self._requester.pages(request)):
                if stream.missing_is_empty and not page.data:
                    continue
                for child in self._rows_of_page(request, page):
                    yield child, page
            self.parents_answered += 1
        except LevAPIError as error:
            if not error.is_gone:
                raise
            if not stream.missing_is_empty:
                self._count_gone(dict(request.path_params), row, str(error))

    def _rows_of_page(self, request: LevRequest, page: LevResponse) -> Iterator[Row]:
        stream = self.stream
        for item in extract_rows(page, single_row=stream.single_row):
            for child in stream.split(item):
                child = stream.transform(child, page)  # noqa: PLW2901
                yield self._of_parent(child, request.path_params, request.extra_columns, page)

    def _of_parent(
        self,
        row: Row,
        params: Mapping[str, Any],
        extra_columns: Mapping[str, Any],
        response: LevResponse,
    ) -> Row:
        # The parent's id comes from the request where Lev's row lacks it. It is part of the key of
        # many streams.
        known = self.stream.schema["properties"]
        row = self.stream.mend({**row, **extra_columns}, response)
        for name, value in params.items():
            if name in known and row.get(name) is None:
                row[name] = value
        return self.stream.require_key(row, response)

    # -- Parents that are gone or hidden

    def _check_empty(self, request: LevRequest, row: Row) -> None:
        """Look into an empty response for a parent whose embed has something.

        Raises:
            InvalidResponseError: The parent can be read, so the response is wrong.
        """
        stream, params = self.stream, dict(request.path_params)
        reason = (
            f"Lev answers {request.endpoint} with nothing for {self.list_stream.name} "
            f"{row['id']}, but embeds its {stream.embed}."
        )
        # What is below an archived row may be hidden as a whole.
        if not (_is_archived(row) or self._is_gone(params)):
            raise InvalidResponseError(reason)
        self._count_gone(params, row, reason)

    def _count_gone(self, params: PathParams, row: Row, reason: str) -> None:
        """Count a listed parent for which Lev answers 404 (lev-api.md §3 row 30)."""
        stream, tracker = self.stream, self._reads_for.tracker
        if _is_archived(row):
            stream.logger.info(
                "%s: the parent is archived, so it is skipped. %s", stream.name, reason
            )
        else:
            self.parents_gone += 1
            gone = (stream.parent.name, *params.values())
            # Each of many streams may read the same parent: one warning is enough.
            known = self._run.report.parents_gone
            level = logging.DEBUG if gone in known else logging.WARNING
            known.add(gone)
            stream.logger.log(
                level, "%s: the parent is gone, so it is skipped. %s", stream.name, reason
            )
        # If the parent itself can still be read, its rows are hidden and not gone: none is dropped
        # (W4). One request shows that, and is sent only where it can change something.
        if tracker.version is None or tracker.keeps_rows or self._is_gone(params):
            return
        tracker.keep_rows()

    def _is_gone(self, params: PathParams) -> bool:
        """Return whether Lev answers 404 for the row of the list, too."""
        try:
            request_row(self._client, self.list_stream, next(iter(params.values())), {})
        except LevAPIError as error:
            return error.is_gone
        return False


def _is_archived(row: Mapping[str, Any]) -> bool:
    return bool(row.get("archived") or row.get("archived_at"))
