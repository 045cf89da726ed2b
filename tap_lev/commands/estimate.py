"""The survey: what each stream of a sync would need, found out by a request for each at most."""

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
        stream: Its name.
        walk: The number of the walk that brings its rows.
        rows: Rows that are read for it. None: nobody knows before they are.
        endpoints: The requests that it cannot do without, by endpoint. Another stream of the walk
            that needs the same ones takes no more.
        before: The endpoints of these that are asked before its own.
        about: Which of ``rows`` and ``requests`` are estimated by a part of the list's rows.
        notes: What else there is to say, a sentence each.
        failed: Whether it cannot be read, as far as it was tried.
    """

    stream: str
    walk: int
    rows: int | None = None
    endpoints: dict[str, int] = dataclasses.field(default_factory=dict)
    before: list[str] = dataclasses.field(default_factory=list)
    about: set[str] = dataclasses.field(default_factory=set)
    notes: list[str] = dataclasses.field(default_factory=list)
    failed: bool = False


class Estimator:
    """Asks for the first page of each walk that a sync would do, and writes nothing.

    Args:
        run: The run, with the account's limits known.
        clock: Returns seconds, to measure how long a response takes.

    Raises:
        KeyRefusedError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._caches: defaultdict[Any, ResponseCache] = defaultdict(lambda: ResponseCache(run.lock))
        for stream in run.selected:
            stream.tracker.resume()
        groups = group_streams(run.selected)
        walks = [ListSync(run, streams, writes=False) for streams in groups]
        # What is read for each row of a list costs nothing here: it pays for a look at some rows.
        self._samples = max(1, len(run.selected) - len(walks) - 1)
        found = {
            need.stream: need for number, r in enumerate(walks) for need in self._walk(number, r)
        }
        self.needs = [found[stream.name] for stream in STREAMS if stream.name in found]

    def latency(self, endpoint: str) -> float:
        """Find how long an answer takes, in seconds: what is usual, where none came from there."""
        known = self._latencies.get(endpoint) or [
            taken for each in self._latencies.values() for taken in each
        ]
        return median(known) if known else 0.0

    def _timed(self, endpoint: str, work: Callable[[], T]) -> T:
        """Do something that makes requests, and note how long an answer took."""
        scheduler, totals = self._run.client.scheduler, self._run.report.totals
        begun, waited, requests = self._clock(), scheduler.waited, totals()["requests"]
        done = work()
        if made := totals()["requests"] - requests:
            taken = self._clock() - begun - (scheduler.waited - waited)
            self._latencies[endpoint].append(taken / made)
        return done

    def _walk(self, number: int, sync: ListSync) -> list[StreamEstimate]:
        needs = {active: StreamEstimate(active.name, number) for active in sync.active.streams}
        list_stream = sync.active.list_stream
        endpoint = f"GET {list_stream.path}"
        try:
            first: FirstPage = self._timed(endpoint, sync.peek)
        except LevError as error:
            for need in needs.values():
                self._fail(need, error)
            return list(needs.values())
        for active, need in needs.items():
            need.endpoints[endpoint] = first.pages
            if not first.is_counted:
                need.about |= {ROWS, REQUESTS}
                need.notes.append(f"Lev does not count {list_stream.name}, so it may take longer.")
            try:
                self._stream(need, active, first)
            except LevError as error:
                self._fail(need, error)
            own = f"{active.name}: "
            need.notes += [note.removeprefix(own) for note in active.report.notes]
        return list(needs.values())

    def _fail(self, need: StreamEstimate, error: LevError) -> None:
        if isinstance(error, AuthenticationError) or not self._run.client.has_responded:
            raise error
        forbidden = isinstance(error, LevAPIError) and error.is_forbidden
        need.failed = not forbidden or self._run.config["forbidden_streams"] == "fail"
        need.endpoints.clear()
        need.notes.append(str(error))

    def _stream(self, need: StreamEstimate, active: ActiveStream, first: FirstPage) -> None:
        reader = active.reader
        if reader is None:
            need.rows = first.rows_left
            return
        stream = reader.stream
        rows = first.rows[first.rows_done :]
        included = [row for row in rows if active.includes(row)]
        # Where Lev leaves no row out, those on the page tell how many of the others count.
        part = len(included) / len(rows) if rows else 1
        parents = (first.rows_left - first.rows_done) * part
        need.before += need.endpoints
        if stream.verify_embed and stream.endpoint:
            caches, wanted = self._caches, [row for row in included if active.takes(row)]
            self._timed(
                stream.endpoint, lambda: reader.verify_embed(wanted, lambda r: caches[r["id"]])
            )
            if reader.embed_is_complete:
                need.endpoints[stream.endpoint] = 1
        if reader.is_embedded:
            counts = [
                len(list(reader.rows(row, first.response, self._caches[None]))) for row in included
            ]
            need.rows = round(mean(counts) * parents) if counts else 0
            need.about |= {ROWS} if first.pages > 1 else set()
            return
        if len(included) < len(rows) and first.pages > 1:
            need.about.add(REQUESTS)
        for endpoint in reader.needed_endpoints:
            need.endpoints[endpoint] = math.ceil(parents)
            need.before.append(endpoint)
        if reader.needed_endpoints and included:
            parents *= self._below(need, reader, first, included)
        for request in stream.requests():
            earlier = need.endpoints.get(request.endpoint, 0)
            need.endpoints[request.endpoint] = earlier + math.ceil(parents)

    def _below(
        self,
        need: StreamEstimate,
        reader: ChildReader,
        first: FirstPage,
        held: Sequence[dict[str, Any]],
    ) -> float:
        """Find how many parents there are below a row, by rows from all over the page."""
        size = min(self._samples, len(held))
        sample = [held[number * len(held) // size] for number in range(size)]

        def below(row: dict[str, Any]) -> int:
            return len(list(reader.parents(row, first.response, self._caches[row["id"]])))

        endpoint = reader.needed_endpoints[0]
        counts = [self._timed(endpoint, partial(below, row)) for row in sample]
        if size < (rows := first.rows_left - first.rows_done):
            need.about.add(REQUESTS)
            margin = ""
            if size > 1 and any(counts):
                error = stdev(counts) / mean(counts) * math.sqrt((1 - size / rows) / size)
                margin = f": give or take {error:.0%}"
            need.notes.append(
                f"Estimated by {size} of {reader.list_stream.name}, which have {sum(counts)} of "
                f"{reader.stream.parent.name}{margin}."
            )
        return mean(counts)
