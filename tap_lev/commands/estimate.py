"""Estimate what each stream of a sync needs, with one request for each stream at most."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict
from functools import partial
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any, TypeVar

from tap_lev.api.cache import ResponseCache
from tap_lev.errors import AuthenticationError, LevAPIError, LevError
from tap_lev.streams import STREAMS
from tap_lev.sync.grouping import group_streams
from tap_lev.sync.list_sync import ListSync

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_lev.sync.active_streams import ActiveStream
    from tap_lev.sync.child_reader import ChildReader
    from tap_lev.sync.list_sync import FirstPage
    from tap_lev.sync.run import Run

T = TypeVar("T")
ROWS, REQUESTS = "rows", "requests"


@dataclasses.dataclass
class StreamEstimate:
    """What one stream needs.

    Attributes:
        stream: The stream's name.
        walk: The number of the pass that brings its rows.
        rows: Rows to read, or None if only reading them tells.
        endpoints: The requests that it needs, by endpoint. Streams of one pass share them.
        prerequisites: The endpoints that are read before the stream's own.
        estimated: Which of ``rows`` and ``requests`` come from a sample of the list's rows.
        notes: Remarks, a sentence each.
        failed: Whether a sync would fail to read it.
    """

    stream: str
    walk: int
    rows: int | None = None
    endpoints: dict[str, int] = dataclasses.field(default_factory=dict)
    prerequisites: list[str] = dataclasses.field(default_factory=list)
    estimated: set[str] = dataclasses.field(default_factory=set)
    notes: list[str] = dataclasses.field(default_factory=list)
    failed: bool = False


class Estimator:
    """Requests the first page of each pass of a sync, and writes nothing.

    Args:
        run: The run, with the account's limits known.
        clock: Returns seconds; measures how long responses take.

    Attributes:
        estimates: The estimates of the selected streams.

    Raises:
        AuthenticationError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._caches: defaultdict[Any, ResponseCache] = defaultdict(lambda: ResponseCache(run.lock))
        for stream in run.selected:
            stream.tracker.resume()
        syncs = [ListSync(run, streams, writes=False) for streams in group_streams(run.selected)]
        # One request for each stream at most: a child needs none of its own here, which leaves some
        # for a sample of its parents.
        self._sample_size = max(1, len(run.selected) - len(syncs) - 1)
        by_name = {
            estimate.stream: estimate
            for number, sync in enumerate(syncs)
            for estimate in self._estimate_pass(number, sync)
        }
        self.estimates = [by_name[stream.name] for stream in STREAMS if stream.name in by_name]

    def latency(self, endpoint: str) -> float:
        """Return the median seconds to a response of an endpoint, or of all if it was not read."""
        seconds = self._latencies.get(endpoint) or [
            seconds for latencies in self._latencies.values() for seconds in latencies
        ]
        return median(seconds) if seconds else 0.0

    def _timed(self, endpoint: str, work: Callable[[], T]) -> T:
        """Do something that makes requests, and record the seconds to a response."""
        scheduler, totals = self._run.scheduler, self._run.report.totals
        begun, waited, requests = self._clock(), scheduler.waited, totals()["requests"]
        result = work()
        if made := totals()["requests"] - requests:
            # Waiting for the rate limit is no latency.
            seconds = self._clock() - begun - (scheduler.waited - waited)
            self._latencies[endpoint].append(seconds / made)
        return result

    def _estimate_pass(self, number: int, sync: ListSync) -> list[StreamEstimate]:
        estimates = {active: StreamEstimate(active.name, number) for active in sync.active.streams}
        list_stream = sync.active.list_stream
        endpoint = f"GET {list_stream.path}"
        try:
            first: FirstPage = self._timed(endpoint, sync.peek)
        except LevError as error:
            for estimate in estimates.values():
                self._record_failure(estimate, error)
            return list(estimates.values())
        for active, estimate in estimates.items():
            estimate.endpoints[endpoint] = first.pages
            if not first.is_counted:
                estimate.estimated |= {ROWS, REQUESTS}
                estimate.notes.append(
                    f"Lev does not count {list_stream.name}, so it may take longer."
                )
            try:
                self._estimate_stream(estimate, active, first)
            except LevError as error:
                self._record_failure(estimate, error)
            prefix = f"{active.name}: "
            estimate.notes += [note.removeprefix(prefix) for note in active.report.notes]
        return list(estimates.values())

    def _record_failure(self, estimate: StreamEstimate, error: LevError) -> None:
        if isinstance(error, AuthenticationError) or not self._run.client.has_responded:
            raise error
        is_forbidden = isinstance(error, LevAPIError) and error.is_forbidden
        estimate.failed = not (is_forbidden and self._run.skips_forbidden)
        estimate.endpoints.clear()
        estimate.notes.append(str(error))

    def _estimate_stream(
        self, estimate: StreamEstimate, active: ActiveStream, first: FirstPage
    ) -> None:
        reader = active.reader
        if reader is None:
            estimate.rows = first.rows_left
            return
        stream = reader.stream
        rows = first.rows[first.rows_done :]
        included = [row for row in rows if active.includes(row)]
        # Where Lev does not filter, the other pages count with this page's share of rows.
        share = len(included) / len(rows) if rows else 1
        parents = (first.rows_left - first.rows_done) * share
        estimate.prerequisites += estimate.endpoints
        if stream.verify_embed and stream.endpoint:
            self._verify_embed(stream.endpoint, reader, [r for r in included if active.takes(r)])
            if reader.embed_is_complete:
                estimate.endpoints[stream.endpoint] = 1
        # 1. The rows come with the list.
        if reader.is_embedded:
            counts = [
                len(list(reader.rows(row, first.response, self._caches[None]))) for row in included
            ]
            estimate.rows = round(mean(counts) * parents) if counts else 0
            estimate.estimated |= {ROWS} if first.pages > 1 else set()
            return
        # 2. Each parent takes requests. How many rows these bring, nobody knows.
        if len(included) < len(rows) and first.pages > 1:
            estimate.estimated.add(REQUESTS)
        for endpoint in reader.needed_endpoints:
            estimate.endpoints[endpoint] = math.ceil(parents)
            estimate.prerequisites.append(endpoint)
        if reader.needed_endpoints and included:
            parents *= self._parents_per_row(estimate, reader, first, included)
        for request in stream.requests():
            known = estimate.endpoints.get(request.endpoint, 0)
            estimate.endpoints[request.endpoint] = known + math.ceil(parents)

    def _verify_embed(
        self, endpoint: str, reader: ChildReader, rows: Sequence[dict[str, Any]]
    ) -> None:
        caches = self._caches
        self._timed(endpoint, lambda: reader.verify_embed(rows, lambda row: caches[row["id"]]))

    def _parents_per_row(
        self,
        estimate: StreamEstimate,
        reader: ChildReader,
        first: FirstPage,
        rows: Sequence[dict[str, Any]],
    ) -> float:
        """Return the mean number of parents below a row, by rows from all over the page."""
        size = min(self._sample_size, len(rows))
        sample = [rows[number * len(rows) // size] for number in range(size)]

        def count_parents(row: dict[str, Any]) -> int:
            return len(list(reader.parent_params(row, first.response, self._caches[row["id"]])))

        endpoint = reader.needed_endpoints[0]
        counts = [self._timed(endpoint, partial(count_parents, row)) for row in sample]
        if size < (population := first.rows_left - first.rows_done):
            estimate.estimated.add(REQUESTS)
            margin = ""
            if size > 1 and any(counts):
                # The standard error of the mean, for a sample without replacement.
                error = stdev(counts) / mean(counts) * math.sqrt((1 - size / population) / size)
                margin = f": give or take {error:.0%}"
            parent = reader.stream.parent
            estimate.notes.append(
                f"Estimated by {size} of {reader.list_stream.name}, which have {sum(counts)} of "
                f"{parent.name}{margin}."
            )
        return mean(counts)
