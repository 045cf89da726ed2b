"""Build and send the requests for one list: pages, and single rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from tap_lev import timestamps
from tap_lev.api.client import ONCE
from tap_lev.api.embeds import CHECKED_ROWS, MAX_REPEATS
from tap_lev.api.optional_params import OptionalParam
from tap_lev.api.request import LevRequest
from tap_lev.api.response import extract_rows
from tap_lev.errors import LevAPIError, LevError, NoRowError
from tap_lev.records.page_decoder import PageDecoder
from tap_lev.records.rows import has, value_of
from tap_lev.streams.base import FIELDS
from tap_lev.streams.child import ChildStream
from tap_lev.sync.list_filter import FILTER, ListFilter
from tap_lev.sync.page import RowPage, TypedPage
from tap_lev.sync.row_request import request_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.api.client import BoundClient, RetryPolicy
    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.sync.active_streams import ActiveStream, ActiveStreams
    from tap_lev.sync.page import Page
    from tap_lev.sync.run import Run

DRY_RUN_ROWS = 5
"""How many rows of a list a dry run looks at, at least, to find some with children."""


class ListRequester:
    """Requests the pages and the single rows of one list.

    Args:
        run: The run.
        active: The streams that the rows are for.
        by_row: Whether pages are always read row by row, whatever their form.

    Attributes:
        filter: The filter that the requests send.
        row_limit: Rows that a dry run looks at, or None where rows are written.
    """

    def __init__(self, run: Run, active: ActiveStreams, *, by_row: bool = False) -> None:
        self.filter = ListFilter(run, active)
        self._run = run
        self._active = active
        self._list_stream = active.list_stream
        self._by_row = by_row
        self._options_for: tuple[ActiveStream, ...] | None = None
        self._options: list[OptionalParam] = []
        self._decoders: dict[tuple[ChildStream, ...], PageDecoder] = {}
        limits = [a.stream.ABORT_AT_RECORD_COUNT for a in active.streams]
        known = [limit for limit in limits if limit is not None]
        is_dry_run = bool(limits) and len(known) == len(limits)
        self.row_limit: int | None = max(DRY_RUN_ROWS, *known) if is_dry_run else None

    @property
    def page_limit(self) -> int | None:
        """Rows to request with each page, or None where the list accepts no limit."""
        if not self._list_stream.paged:
            return None
        page_size: int = self._run.config["page_size"]
        return min(page_size, self.row_limit or page_size)

    @property
    def _client(self) -> BoundClient:
        return self._active.first.client

    # -- Pages

    def fetch_page(
        self, position: Position, limit: int | None = None, policy: RetryPolicy | None = None
    ) -> Page:
        """Request a page, with the optional parameters that Lev accepts.

        Args:
            position: The position of the page.
            limit: Rows to request, or None for the setting.
            policy: How long to retry, or None for the settings.

        Raises:
            InvalidResponseError: There is no list of rows in the response.
        """
        page, sent = self._request_page(position, limit, policy)
        embeds = _embeds_of(sent)
        if not embeds or not page.response.data:
            return page
        # A page without an embed says nothing: its rows may have nothing in it, or the response may
        # be wrong. Taken for empty, the target would drop the children of all its rows.
        # 1. Lev may leave embeds out because of `fields`, which then stays away.
        if FIELDS in sent and self._drop_missing_embeds(page, embeds):
            return self.fetch_page(position, limit, policy)
        # 2. One response may have lost an embed that the next one has.
        known = self._list_stream.embeds
        missing = [name for name in embeds if not self._has_come(page, name)]
        if missing and any(known[name].repeats < MAX_REPEATS for name in missing):
            page, _ = self._request_page(position, limit, policy)
            for name in missing:
                if not self._has_come(page, name):
                    # Where Lev never sends the embed, each page would cost two requests.
                    known[name].count_repeat()
        # 3. A row with an empty embed shows that Lev does not leave empty ones out.
        for name in embeds:
            known[name].seen_empty = known[name].seen_empty or any(
                has(row, name) and not value_of(row, name) for row in page.items
            )
        return page

    def _request_page(
        self, position: Position, limit: int | None, policy: RetryPolicy | None
    ) -> tuple[Page, dict[str, str]]:
        list_stream, page_limit = self._list_stream, self.page_limit
        size: Position = {} if page_limit is None else {"limit": limit or page_limit}
        column = list_stream.account_id_column

        def send(params: dict[str, str]) -> tuple[Page, dict[str, str]]:
            # Called several times where Lev rejects a parameter, to find out which. What each
            # request sends decides how its own response is decoded: without an embed, or with
            # `fields`, rows lack what the structs expect.
            decoder = self._decoder
            is_usual = (
                decoder
                and FIELDS not in params
                and decoder.embed_fields.issubset(_embeds_of(params))
            )
            decoder = decoder if is_usual else None
            response = self._client.send(
                LevRequest(f"GET {list_stream.path}", size | position | params),
                decoder.decoder if decoder else None,
                policy,
            )
            if decoder and response.is_typed:
                return TypedPage(response, position, decoder), params
            extra = {column: self._run.client.account_id()} if column else {}
            return RowPage(list_stream, response, position, extra), params

        # Other streams of the list may learn what Lev rejects at the same time. So what was sent
        # with this page comes from its own request, not from what is known afterwards.
        page, sent = list_stream.optional.request(self.filter.options + self._row_options, send)
        if isinstance(page, RowPage):
            page.check_form()
        return page, sent

    @property
    def _row_options(self) -> list[OptionalParam]:
        """The parameters that choose the content of rows; new when a stream has left."""
        streams = self._active.streams
        if self._options_for is not streams:
            self._options_for, self._options = streams, self._find_row_options()
        return self._options

    def _find_row_options(self) -> list[OptionalParam]:
        streams = [active.stream for active in self._active.streams]
        embeds = {name for stream in streams for name in stream.wanted_embeds}
        is_written = self._active.list_member is not None
        return [
            *self._list_stream.fields_option(written=is_written),
            *(OptionalParam("include", name) for name in sorted(embeds)),
        ]

    @property
    def _decoder(self) -> PageDecoder | None:
        """Decodes pages into structs, or None where a stream needs each row as a dict."""
        # 1. A stream changes its rows, or sends requests for each.
        readers = [child.reader for child in self._active.children if child.reader is not None]
        if not self._list_stream.is_plain or not all(reader.is_plain_embed for reader in readers):
            return None
        # 2. The walk resumes within a page: only single rows show where (W9).
        walks = [active.tracker.walk for active in self._active.streams]
        is_within_page = any(walk is not None and walk.place.parent_id for walk in walks)
        # 3. The run looks at single rows: in a dry run, or where nothing is written.
        if is_within_page or self._by_row or self.row_limit:
            return None
        children = tuple(reader.stream for reader in readers)
        if children not in self._decoders:
            self._decoders[children] = PageDecoder(self._list_stream, children)
        return self._decoders[children]

    # -- Single rows

    def fetch_row(self, key: int, policy: RetryPolicy | None = None) -> RowPage:
        """Request a single row by its id.

        Returns:
            A page with that row alone.
        """
        list_stream = self._list_stream

        def send(params: dict[str, str]) -> tuple[LevResponse, dict[str, str]]:
            return request_row(self._client, list_stream, key, params, policy), params

        response, sent = list_stream.optional.request(self._row_options, send)
        page = RowPage(list_stream, response, None, {})
        embeds = _embeds_of(sent)
        if embeds and FIELDS in sent and self._drop_missing_embeds(page, embeds):
            return self.fetch_row(key, policy)
        for name in embeds:
            self._has_come(page, name)
        return page

    def fetch_id(self, position: Position) -> LevResponse:
        """Request only the id of the next row, and the cursor behind it."""
        # Not by ``optional``: if Lev rejects `fields` here, the splitter builds a cursor instead.
        # The filter has to stay, for the cursor was made with it (W11).
        params: Position = {"limit": 1, FIELDS: "id", **position}
        if self.filter.effective is not None:
            params[FILTER] = timestamps.render(self.filter.effective)
        request = LevRequest(f"GET {self._list_stream.path}", params)
        response = self._client.send(request, policy=ONCE)
        extract_rows(response)
        return response

    # -- Embeds

    def _has_come(self, page: Page, name: str) -> bool:
        """Return whether a row of the page has an embed, and note it."""
        rows = page.items
        has_come = not rows or any(has(row, name) for row in rows)
        if has_come and rows:
            self._list_stream.embeds[name].come()
        return has_come

    def _drop_missing_embeds(self, page: Page, embeds: Sequence[str]) -> bool:
        """Stop sending ``fields`` where Lev leaves the embeds out because of it.

        Whether it does so is not documented (lev-api.md §1.7).

        Returns:
            Whether the page has to be requested again.
        """
        list_stream = self._list_stream
        # 1. Another walk of the list has found out while this request was in flight, which sent
        #    `fields`. Without a new request its rows would count as rows without children.
        if list_stream.optional.is_rejected(FIELDS):
            return True
        # 2. All embeds are there.
        missing = sorted(name for name in embeds if not self._has_come(page, name))
        if not missing:
            return False
        # 3. Some are not.
        list_stream.optional.drop(FIELDS)
        list_stream.warn(
            f"Lev leaves {', '.join(missing)} out where {FIELDS} are named, so all are read."
        )
        return True

    def shows_embed(self, name: str) -> bool:
        """Return whether a row of the list's first page has an embed, whatever its age."""
        params = {"limit": self._run.config["page_size"], "include": name}
        response = self._client.send(LevRequest(f"GET {self._list_stream.path}", params))
        page = RowPage(self._list_stream, response, None, {})
        return bool(response.data) and self._has_come(page, name)

    def embed_of(self, key: int, field: str) -> Any:  # noqa: ANN401 - JSON is anything
        """Read an embedded column of a row that came without it.

        Returns:
            Its value; None where this server omits empty ones; UNSET where it cannot be read, so
            that a target keeps its value.

        Raises:
            LevError: The row cannot be read.
        """
        list_stream = self._list_stream
        embed = list_stream.embeds[field]
        # 1. Lev has no read of single rows of this list.
        if list_stream.detail_path is None:
            return None
        # 2. The first rows had nothing by id, either: this server omits what is empty, and further
        #    requests would cost one for each row of the list.
        if embed.unread_rows >= CHECKED_ROWS and not embed.seen_empty:
            return UNSET if embed.unread else None
        if embed.gone_rows >= CHECKED_ROWS and not embed.seen:
            return UNSET
        # 3. The row by its id has the field.
        row: dict[str, Any] = {}
        try:
            response = request_row(self._client, list_stream, key, {"include": field})
            row = list_stream.mend(response.data[0], response)
        except LevAPIError as error:
            embed.gone_rows += error.is_gone
            raise
        except NoRowError:
            pass  # the list has the row, so only the field is missing
        if field in row:
            return row[field]
        # 4. It has not. The embed's own endpoint shows whether there is something: then Lev embeds
        #    it not with this row, and null would erase what the target has.
        embed.unread_rows += 1
        if embed.unread is None and self._endpoint_has(key, field):
            embed.unread = LevError(
                f"Lev does not embed {field} in {list_stream.name} though it is asked to, but its "
                f"own endpoint has {field} of {list_stream.name} {key}. The column is left out. To "
                "do without it, deselect it."
            )
        return UNSET if embed.unread else None

    def _endpoint_has(self, key: int, field: str) -> bool:
        """Return whether the endpoint of an embed returns something for a row."""
        for stream in self._run.streams.values():
            if isinstance(stream, ChildStream) and stream.embed == field and stream.path:
                request = LevRequest(f"GET {stream.path}", path_params={stream.parent_key: key})
                try:
                    response = self._client.send(request)
                except LevAPIError as error:
                    if error.is_gone or error.is_forbidden:
                        continue
                    raise
                if response.data:
                    return True
        return False


def _embeds_of(params: dict[str, str]) -> list[str]:
    return params["include"].split(",") if "include" in params else []
