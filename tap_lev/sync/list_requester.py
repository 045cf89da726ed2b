"""The requests for one list: pages, single rows, and what Lev refuses, ignores or leaves out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from tap_lev import timestamps
from tap_lev.api.client import ONCE
from tap_lev.api.embeds import CHECKED_ROWS, MAX_REPEATS
from tap_lev.api.optional_params import OptionalParam
from tap_lev.api.response import extract_rows
from tap_lev.api.row_counter import total_of
from tap_lev.errors import AuthenticationError, LevAPIError, LevError, NoRowError
from tap_lev.records.page_decoder import PageDecoder
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.streams.base import FIELDS
from tap_lev.streams.child import ChildStream
from tap_lev.sync.filter_proof import INEXACT, MARGIN, FilterProof, Sent, oldest_of, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.api.client import RetryPolicy
    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.progress.report import StreamReport
    from tap_lev.state.bookmark import Canary
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.lists import ListStream
    from tap_lev.tap import TapLev

FILTER = "filter[updated_at][gte]"
DRY_RUN_ROWS = 5
"""How many rows of a list a dry run looks at, at least, to find some with children."""


class ListRequester:
    """Requests the pages and the rows of one list.

    Args:
        tap: The tap.
        source: The list.
        members: The streams that the rows are for; those that leave are taken out.
    """

    def __init__(self, tap: TapLev, source: ListStream, members: list[LevStream]) -> None:
        self._tap = tap
        self._source = source
        self._members = members
        self._shapes: dict[tuple[ChildStream, ...], PageDecoder] = {}
        known = {c for member in members for c in member.walking.bookmark.canaries}
        self.proof = FilterProof(known)
        """Whether the filter can be trusted, by the rows so far."""

        limits = [member.ABORT_AT_RECORD_COUNT for member in members]
        known_limits = [limit for limit in limits if limit is not None]
        self.dry_run_rows: int | None = (
            max(DRY_RUN_ROWS, *known_limits)
            if members and len(known_limits) == len(limits)
            else None
        )
        """How many rows are looked at, None where it is no dry run."""

        self.by_row = False
        """Whether each row is looked at, whatever it is like."""

        self._decoded: PageDecoder | None = None
        """What the last page was decoded into, None where it has rows of any form."""

        self.all_rows = False
        """Whether the filter is left out, because it is not proven."""

        self.bound: datetime | None = None
        """The lower bound that the request sends, the same from the first page to the last.

        A member may leave in the middle of a walk, or another run resume it for some of them: a
        cursor is good only with what it was made with.
        """

    def begin(self) -> None:
        """Find the bound of a new walk: one that leaves out no row that a member wants."""
        bounds = [member.walking.bound for member in self._members]
        known = [bound for bound in bounds if bound is not None]
        self.bound = None
        if known and len(known) == len(bounds) and not self.all_rows and not self._is_whole_due:
            since = min(known)
            # With `server` the user vouches for the filter, so no row has to prove it.
            insists = self._tap.config["updated_at_filter"] == "server"
            self.bound = since if insists else self.proof.bound(since)

    @property
    def _is_whole_due(self) -> bool:
        """Whether the next walk has to do without the filter, whatever it is worth."""
        now = self._tap.identity.server_time or datetime.now(UTC)
        for member in self._members:
            bookmark = member.walking.bookmark
            # A count that did not fit is judged by a second walk through all rows.
            if bookmark.shortfall is not None and bookmark.shortfall[1] == 1:
                return True
            # No filter returns a row without a date: once a day all rows are read.
            if bookmark.undated and (
                bookmark.value is None or bookmark.value.date() != now.astimezone(UTC).date()
            ):
                return True
        return False

    @property
    def sent_bound(self) -> datetime | None:
        """The bound, where Lev takes it."""
        return self.bound if self.bound is not None and self.is_filtered else None

    @property
    def sent(self) -> Sent | None:
        """The filter that the request sends, if it sends one."""
        bounds = [member.walking.bound for member in self._members]
        known = [bound for bound in bounds if bound is not None]
        if self.sent_bound is None or not known:
            return None
        return Sent(self.sent_bound, min(known))

    @property
    def report(self) -> StreamReport:
        """The report of the stream that the requests count for."""
        return (self._source if self._source in self._members else self._members[0]).report

    def page(
        self, position: Position, *, limit: int | None = None, patience: RetryPolicy | None = None
    ) -> LevResponse:
        """Request a page, with as much of what is wanted as Lev accepts.

        Args:
            position: Where the page is.
            limit: Rows to ask for; the setting by default.
            patience: How long to try; as the settings say by default.

        Raises:
            BrokenAnswerError: There is no list of rows in the answer.
        """
        answer, sent = self._page(position, limit, patience)
        embeds = self._blocks_of(sent)
        if not embeds or not answer.data:
            return answer
        if FIELDS in sent and self._loses_blocks_by_fields(answer, embeds):
            return self.page(position, limit=limit, patience=patience)
        blank = [block for block in embeds if not self._has_come(answer, block)]
        if blank and any(self._source.embeds[block].repeats < MAX_REPEATS for block in blank):
            # One response may have lost what the next one has.
            answer, _ = self._page(position, limit, patience)
            for block in blank:
                if not self._has_come(answer, block):
                    self._source.embeds[block].repeats += 1
        for block in embeds:
            embed = self._source.embeds[block]
            embed.seen_empty = embed.seen_empty or any(
                has(row, block) and not value_of(row, block)
                for row in (answer.data if answer.shaped else extract_rows(answer))
            )
        return answer

    def _page(
        self, position: Position, limit: int | None, patience: RetryPolicy | None
    ) -> tuple[LevResponse, dict[str, str]]:
        size: Position = {} if self.limit is None else {"limit": limit or self.limit}

        def request(
            params: dict[str, str],
        ) -> tuple[LevResponse, dict[str, str], PageDecoder | None]:
            shape = self.shape_of_page
            embeds = params.get("include", "").split(",")
            usual = shape and FIELDS not in params and shape.embed_fields.issubset(embeds)
            decoded = shape if usual else None
            answer = self._tap.client.read(
                f"GET {self._source.path}",
                self.report,
                size | position | params,
                decoder=decoded.decoder if decoded else None,
                patience=patience,
            )
            return answer, params, decoded

        # Several requests may find out what Lev refuses: the form is that of the one answered.
        answer, sent, self._decoded = self._source.optional.request(self._options, request)
        if not answer.shaped:
            extract_rows(answer, single_row=self._source.single_row)
        return answer, sent

    def row(self, key: int, *, patience: RetryPolicy | None = None) -> LevResponse:
        """Request a single row.

        Returns:
            The answer, with the row as the only one of a list.
        """

        def request(params: dict[str, str]) -> tuple[LevResponse, dict[str, str]]:
            return self._source.read_row(key, params, self.report, patience=patience), params

        answer, sent = self._source.optional.request(self._shape, request)
        embeds = self._blocks_of(sent)
        if embeds and FIELDS in sent and self._loses_blocks_by_fields(answer, embeds):
            return self.row(key, patience=patience)
        for block in embeds:
            self._has_come(answer, block)
        return answer

    def ids(self, position: Position) -> LevResponse:
        """Request one row's id and the way on, where the whole row cannot be sent."""
        params: Position = {"limit": 1, FIELDS: "id", **position}
        if self.sent_bound is not None:
            params[FILTER] = timestamps.render(self.sent_bound)
        answer = self._tap.client.read(
            f"GET {self._source.path}", self.report, params, patience=ONCE
        )
        extract_rows(answer)
        return answer

    @property
    def limit(self) -> int | None:
        """How many rows a page is to have, None where the list takes no limit."""
        if not self._source.paged:
            return None
        page_size: int = self._tap.config["page_size"]
        return min(page_size, self.dry_run_rows or page_size)

    @property
    def _options(self) -> list[OptionalParam]:
        """What to ask for that Lev may refuse."""
        mode, options = self._tap.config["updated_at_filter"], []
        if self.bound is not None and mode != "client":
            bound = timestamps.render(self.bound)
            options.append(OptionalParam(FILTER, bound, required=mode == "server"))
        return options + self._shape

    @property
    def _shape(self) -> list[OptionalParam]:
        """What to ask for in each row."""
        embeds = {block for member in self._members for block in member.wanted_embeds}
        return [
            *self._source.fields_option(written=self._source in self._members),
            *(OptionalParam("include", block) for block in sorted(embeds)),
        ]

    @property
    def shape_of_page(self) -> PageDecoder | None:
        """What pages are decoded into, where all members take the rows as they come."""
        children = [member for member in self._members if isinstance(member, ChildStream)]
        if not self._source.is_plain or not all(child.is_plain_embed for child in children):
            return None
        key = tuple(children)
        if key not in self._shapes:
            self._shapes[key] = PageDecoder(self._source, children)
        # Within a page only single rows tell where to resume.
        walks = [member.walking.walk for member in self._members]
        within = any(walk is not None and walk.parent for walk in walks)
        return None if within or self.by_row or self.dry_run_rows else self._shapes[key]

    @property
    def is_as_decoded(self) -> bool:
        """Whether the last page is still in the form that the members take."""
        return self._decoded is None or self._decoded is self.shape_of_page

    # -- Embedded fields

    @staticmethod
    def _blocks_of(sent: dict[str, str]) -> list[str]:
        return sent["include"].split(",") if "include" in sent else []

    def _has_come(self, answer: LevResponse, block: str) -> bool:
        """Whether a row of the answer has an embedded field."""
        rows = answer.data if answer.shaped else extract_rows(answer)
        come = not rows or any(has(row, block) for row in rows)
        if come and rows:
            self._source.embeds[block].come()
        return come

    def _loses_blocks_by_fields(self, answer: LevResponse, embeds: Sequence[str]) -> bool:
        """Whether Lev leaves out what ``include=`` asks for, because ``fields=`` is sent as well.

        Whether it does so is not documented (lev-api.md §1.7).
        """
        optional = self._source.optional
        if optional.is_rejected(FIELDS):
            return True  # another walk of the list has found out meanwhile
        lost = sorted(block for block in embeds if not self._has_come(answer, block))
        if not lost:
            return False
        optional.drop(FIELDS)
        self._source.warn(
            f"Lev leaves {', '.join(lost)} out where {FIELDS} are named, so all are read."
        )
        return True

    def field_of(self, key: int, field: str) -> Any:  # noqa: ANN401 - JSON is anything
        """Read an embedded column of a row that came without it.

        Returns:
            Its value; None where this server leaves empty ones out; UNSET where it cannot be had,
            so that a target keeps what it has.

        Raises:
            LevError: The row cannot be read.
        """
        embed, source = self._source.embeds[field], self._source
        if source.detail_path is None:
            return None
        if embed.unread_rows >= CHECKED_ROWS and not embed.seen_empty:
            return UNSET if embed.unread else None
        if embed.gone_rows >= CHECKED_ROWS and not embed.seen:
            return UNSET  # this server gives no single rows
        row: dict[str, Any] = {}
        try:
            answer = source.read_row(key, {"include": field}, self.report)
            row = source.mended(answer.data[0], answer)
        except LevAPIError as error:
            embed.gone_rows += error.is_gone
            raise
        except NoRowError:
            pass  # the list has the row, so it is the field that is not there
        if field in row:
            return row[field]
        embed.unread_rows += 1
        if embed.unread is None and self._endpoint_has(key, field):
            embed.unread = LevError(
                f"Lev does not embed {field} in {source.name} though it is asked to, but its own "
                f"endpoint has {field} of {source.name} {key}. The column is left out. To do "
                "without it, deselect it."
            )
        return UNSET if embed.unread else None

    def _endpoint_has(self, key: int, field: str) -> bool:
        """Whether the endpoint of an embedded field has something for a row."""
        for stream in self._tap.lev_streams:
            if isinstance(stream, ChildStream) and stream.embed == field and stream.path:
                try:
                    answer = self._tap.client.read(
                        f"GET {stream.path}", self.report, ids={stream.parent_key: key}
                    )
                except LevAPIError as error:
                    if error.is_gone or error.is_forbidden:
                        continue
                    raise
                if answer.data:
                    return True
        return False

    def shows_block(self, block: str) -> bool:
        """Whether any row of the list's first page has an embedded field, whatever its age."""
        answer = self._tap.client.read(
            f"GET {self._source.path}",
            self.report,
            {"limit": self._tap.config["page_size"], "include": block},
        )
        return bool(answer.data) and self._has_come(answer, block)

    # -- The filter

    @property
    def is_filtered(self) -> bool:
        """Whether Lev leaves rows out."""
        return any(option.param == FILTER for option in self._source.optional.active(self._options))

    def ignores_filter(self, rows: Sequence[Any]) -> bool:
        """Whether rows come that the filter, if it was sent, should have left out by far."""
        if self.bound is None or not self.is_filtered:
            return False
        oldest = oldest_of(rows)
        return oldest is not None and oldest < self.bound - INEXACT

    def drop_filter(self, reason: str) -> None:
        """Send the filter no more in this run, and say why."""
        self._source.optional.drop(FILTER)
        self._source.warn(
            f"{reason}, so every row is read and the unchanged ones are left out here."
        )

    def takes_without_filter(self, position: Position) -> bool:
        """Whether Lev answers without the filter where it refused or failed with it."""
        try:
            self._tap.client.read(
                f"GET {self._source.path}", self.report, {"limit": 1} | position, patience=ONCE
            )
        except AuthenticationError:
            raise
        except LevError:
            return False
        return True

    def proves_filter(self) -> bool:
        """Find out whether Lev honours the filter: a canary must have come, or must come now.

        A row that was sent proves it if its own moment as the bound returns it, and not one that
        is older. That costs a request for each row that is tried.
        """
        if self.proof.is_proven or self._tap.config["updated_at_filter"] == "server":
            return True
        for canary in self.proof.candidates:
            if self._returns(canary):
                self.proof.accept(canary)
                return True
        return False

    def _returns(self, canary: Canary) -> bool:
        bound = canary.updated_at - MARGIN
        params = {"limit": self._tap.config["page_size"], FILTER: timestamps.render(bound)}
        try:
            answer = self._tap.client.read(f"GET {self._source.path}", self.report, params)
            rows = extract_rows(answer)
        except AuthenticationError:
            raise
        except LevError:
            return False  # no answer is no proof
        oldest = oldest_of(rows)
        if oldest is not None and oldest < bound - INEXACT:
            return False
        return any(
            row.get("id") == canary.key
            and timestamps.parse_row_time(row.get(UPDATED_AT)) == canary.updated_at
            for row in rows
        )

    def total(self) -> int | None:
        """Return how many rows the list has now without the filter, None if unknown."""
        answer = self._first_row()
        return total_of(answer.pagination) if answer else None

    def _first_row(self) -> LevResponse | None:
        """Request one row without the filter, None if there is no answer."""
        try:
            answer = self._tap.client.read(f"GET {self._source.path}", self.report, {"limit": 1})
            extract_rows(answer)
        except AuthenticationError:
            raise
        except LevError:
            return None
        return answer

    def counts_all_rows(self, total: int) -> bool:
        """Whether ``total`` of a filtered list counts the rows that the filter leaves out, too.

        One row without the filter is requested: its ``total`` is of all rows. If it is the same
        number, and that row is older than the bound, the filter does not change the count.
        """
        answer = self._first_row()
        if answer is None:
            return False
        oldest = oldest_of(extract_rows(answer))
        is_left_out = oldest is not None and self.bound is not None and oldest < self.bound
        return is_left_out and total_of(answer.pagination) == total


def has(row: Any, field: str) -> bool:  # noqa: ANN401 - a row of either form
    """Whether a row has a field, null included."""
    return field in row if isinstance(row, dict) else getattr(row, field) is not UNSET
