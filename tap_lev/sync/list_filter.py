"""Choose the filter on ``updated_at`` for a list; find out if Lev honours it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_lev import timestamps
from tap_lev.api.client import ONCE
from tap_lev.api.optional_params import OptionalParam
from tap_lev.api.request import LevRequest
from tap_lev.api.response import extract_rows
from tap_lev.api.row_counter import total_of
from tap_lev.errors import AuthenticationError, LevError
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.sync.filter_proof import INEXACT, MARGIN, FilterProof, Sent, oldest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.api.client import RetryPolicy
    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.state.bookmark import Canary
    from tap_lev.sync.active_streams import ActiveStreams
    from tap_lev.sync.run import Run

FILTER = "filter[updated_at][gte]"


class ListFilter:
    """The filter of one list: its bound, and whether Lev accepts and honours it.

    Args:
        run: The run.
        active: The streams that the list is read for.

    Attributes:
        filter_from: The lower bound that the request sends, or None for all rows.
        is_ignored: Whether rows came that the filter should leave out.
        proof: Whether the filter can be trusted, by the rows so far.
    """

    def __init__(self, run: Run, active: ActiveStreams) -> None:
        # The same from the first page to the last: a cursor is good only with the filter that it
        # was made with (W11). Streams may leave in the middle of a walk, and another run may resume
        # it for some of them.
        self.filter_from: datetime | None = None
        self._reads_all = False
        self.is_ignored = False
        known = {canary for stream in active.streams for canary in stream.bookmark.canaries}
        self.proof = FilterProof(known)
        self._run = run
        self._active = active
        self._list_stream = active.list_stream
        self._mode: str = run.config["updated_at_filter"]

    # -- What the requests send

    def reset(self) -> None:
        """Choose the bound of a new walk: one that leaves out no row that a stream wants."""
        bounds = [active.tracker.lower_bound for active in self._active.streams]
        known = [bound for bound in bounds if bound is not None]
        self.filter_from, self.is_ignored = None, False
        # One stream that wants all rows is enough to send no filter: all share the pages.
        if known and len(known) == len(bounds) and not self._reads_all and not self._is_whole_due:
            since = min(known)
            # With `server` the user vouches for the filter, so no row has to prove it.
            self.filter_from = since if self._mode == "server" else self.proof.bound(since)

    def resume(self, filter_from: datetime | None) -> None:
        """Send the filter that an earlier run's cursor was made with."""
        self.filter_from = filter_from

    def leave_out(self) -> None:
        """Send no filter in any walk that begins in this run."""
        self._reads_all = True

    @property
    def _is_whole_due(self) -> bool:
        """Whether the next walk has to read all rows, even if Lev honours the filter."""
        today = self._run.server_time.astimezone(UTC).date()
        for active in self._active.streams:
            bookmark = active.bookmark
            # 1. A count that did not fit is judged by a second walk through all rows.
            if bookmark.shortfall is not None and bookmark.shortfall[1] == 1:
                return True
            # 2. No filter returns a row without a date: once a day all rows are read.
            if bookmark.undated and (bookmark.value is None or bookmark.value.date() != today):
                return True
        return False

    @property
    def options(self) -> list[OptionalParam]:
        """The filter as a parameter that Lev may reject."""
        if self.filter_from is None or self._mode == "client":
            return []
        bound = timestamps.render(self.filter_from)
        return [OptionalParam(FILTER, bound, required=self._mode == "server")]

    @property
    def is_sent(self) -> bool:
        """Whether requests send the filter: it has a bound, and Lev has not rejected it."""
        if self.filter_from is None or self._mode == "client":
            return False
        return not self._list_stream.optional.is_rejected(FILTER)

    @property
    def effective(self) -> datetime | None:
        """The bound that is sent and not rejected, or None."""
        return self.filter_from if self.is_sent else None

    @property
    def _sent(self) -> Sent | None:
        bounds = [active.tracker.lower_bound for active in self._active.streams]
        known = [bound for bound in bounds if bound is not None]
        if self.effective is None or not known:
            return None
        return Sent(self.effective, min(known))

    def drop(self, reason: str) -> None:
        """Stop sending the filter in this run, and log why."""
        self._list_stream.optional.drop(FILTER)
        self._list_stream.warn(
            f"{reason}, so every row is read and the unchanged ones are left out here."
        )

    # -- What the rows show

    def inspect(self, rows: Sequence[Any]) -> None:
        """Find out from the rows of a page what Lev does with the filter."""
        walks = [active.tracker.walk for active in self._active.streams]
        started_at = min((walk.started_at for walk in walks if walk), default=None)
        if self._list_stream.replication_key is None or started_at is None:
            return
        # A row proves the next walk's filter only if it is not newer than the bound of that walk.
        overlap = timedelta(seconds=self._run.config["overlap_seconds"])
        self.proof.look(rows, started_at, overlap, self._sent)
        self.is_ignored = self.is_ignored or self.detect_ignored(rows)

    def detect_ignored(self, rows: Sequence[Any]) -> bool:
        """Return whether rows came that are far older than the bound that was sent."""
        if self.filter_from is None or not self.is_sent:
            return False
        oldest = oldest_of(rows)
        return oldest is not None and oldest < self.filter_from - INEXACT

    # -- What further requests show

    def prove(self) -> bool:
        """Return whether a canary came, or comes now for a bound at its moment."""
        # With `server` the user vouches for the filter.
        if self.proof.is_proven or self._mode == "server":
            return True
        # In the first filtered walk no canary is known, and a known one may have changed. Then a
        # row of this walk proves the filter, if its own moment as the bound returns it and no older
        # row. That costs a request for each row that is tried.
        for canary in self.proof.candidates:
            if self._returns(canary):
                self.proof.accept(canary)
                return True
        return False

    def _returns(self, canary: Canary) -> bool:
        bound = canary.updated_at - MARGIN
        params = {"limit": self._run.config["page_size"], FILTER: timestamps.render(bound)}
        try:
            rows = extract_rows(self._request(params))
        except AuthenticationError:
            raise
        except LevError:
            return False  # an error proves nothing
        oldest = oldest_of(rows)
        # The row comes, but only because all rows do.
        if oldest is not None and oldest < bound - INEXACT:
            return False
        return any(
            row.get("id") == canary.key
            and timestamps.parse_row_time(row.get(UPDATED_AT)) == canary.updated_at
            for row in rows
        )

    def works_without(self, position: Position) -> bool:
        """Return whether Lev responds without the filter where it fails with it."""
        # A link to the next page repeats the parameters of the request, the filter among them.
        params = {"limit": 1, **{n: v for n, v in position.items() if n != FILTER}}
        try:
            self._request(params, ONCE)
        except AuthenticationError:
            raise
        except LevError:
            return False
        return True

    def total(self) -> int | None:
        """Return how many rows the list has now without the filter, or None if unknown."""
        response = self._first_row()
        return total_of(response.pagination) if response else None

    def counts_all_rows(self, total: int) -> bool:
        """Return whether ``total`` of a filtered list counts all rows."""
        # Without the filter ``total`` is of all rows. If it is the same number, and that row is one
        # that the filter leaves out, the filter does not change the count.
        response = self._first_row()
        if response is None:
            return False
        oldest = oldest_of(extract_rows(response))
        bound = self.filter_from
        is_left_out = oldest is not None and bound is not None and oldest < bound
        return is_left_out and total_of(response.pagination) == total

    def _first_row(self) -> LevResponse | None:
        """Request one row without the filter; return None if that fails."""
        try:
            response = self._request({"limit": 1})
            extract_rows(response)
        except AuthenticationError:
            raise
        except LevError:
            return None
        return response

    def _request(self, params: Position, policy: RetryPolicy | None = None) -> LevResponse:
        client = self._active.first.client
        request = LevRequest(f"GET {self._list_stream.path}", params)
        return client.send(request, policy=policy)
