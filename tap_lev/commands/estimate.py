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
from tap_lev.streams.child import ChildStream
from tap_lev.sync.grouping import group_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_lev.streams.base import LevStream
    from tap_lev.sync.list_sync import FirstPage, ListSync
    from tap_lev.tap import TapLev

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
        tap: The tap, with its limits known.
        clock: Seconds, to measure how long an answer takes.

    Raises:
        KeyRefusedError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """

    def __init__(self, tap: TapLev, clock: Callable[[], float] = time.monotonic) -> None:
        self._tap = tap
        self._clock = clock
        self._latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._answers: defaultdict[Any, ResponseCache] = defaultdict(
            lambda: ResponseCache(tap.lock)
        )
        for stream in tap.selected:
            stream.walking.resume()
        walks = group_streams(tap, tap.selected)
        # What is read for each row of a list costs nothing here: it pays for a look at some rows.
        self._samples = max(1, len(tap.selected) - len(walks) - 1)
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
        scheduler, totals = self._tap.client.scheduler, self._tap.report.totals
        begun, waited, requests = self._clock(), scheduler.waited, totals()["requests"]
        done = work()
        if made := totals()["requests"] - requests:
            taken = self._clock() - begun - (scheduler.waited - waited)
            self._latencies[endpoint].append(taken / made)
        return done

    def _walk(self, number: int, reading: ListSync) -> list[StreamEstimate]:
        members = list(reading.members)
        needs = {stream: StreamEstimate(stream.name, number) for stream in members}
        source = members[0].source
        endpoint = f"GET {source.path}"
        try:
            first: FirstPage = self._timed(endpoint, reading.look)
        except LevError as error:
            for need in needs.values():
                self._fail(need, error)
            return list(needs.values())
        for stream, need in needs.items():
            need.endpoints[endpoint] = first.pages
            if not first.counted:
                need.about |= {ROWS, REQUESTS}
                need.notes.append(f"Lev does not count {source.name}, so it may take longer.")
            try:
                self._stream(need, stream, first)
            except LevError as error:
                self._fail(need, error)
            own = f"{stream.name}: "
            need.notes += [note.removeprefix(own) for note in stream.report.notes]
        return list(needs.values())

    def _fail(self, need: StreamEstimate, error: LevError) -> None:
        if isinstance(error, AuthenticationError) or not self._tap.client.reached:
            raise error
        forbidden = isinstance(error, LevAPIError) and error.is_forbidden
        need.failed = not forbidden or self._tap.config["forbidden_streams"] == "fail"
        need.endpoints.clear()
        need.notes.append(str(error))

    def _stream(self, need: StreamEstimate, stream: LevStream, first: FirstPage) -> None:
        if not isinstance(stream, ChildStream):
            need.rows = first.left
            return
        rows = first.rows[first.done :]
        held = [row for row in rows if stream.walking.holds(row)]
        # Where Lev leaves no row out, those on the page tell how many of the others count.
        parents = (first.left - first.done) * (len(held) / len(rows) if rows else 1)
        need.before += need.endpoints
        if stream.verify_embed and stream.endpoint:
            answers = self._answers
            self._timed(stream.endpoint, lambda: stream.prove(held, lambda r: answers[r["id"]]))
            if stream.whole:
                need.endpoints[stream.endpoint] = 1
        if stream.embedded:
            found = [
                len(list(stream.children(row, first.answer, self._answers[None], stream.report)))
                for row in held
            ]
            need.rows = round(mean(found) * parents) if found else 0
            need.about |= {ROWS} if first.pages > 1 else set()
            return
        if len(held) < len(rows) and first.pages > 1:
            need.about.add(REQUESTS)
        for needed in stream.needed_endpoints:
            need.endpoints[needed] = math.ceil(parents)
            need.before.append(needed)
        if stream.needed_endpoints and held:
            parents *= self._below(need, stream, first, held)
        for call in stream.requests():
            asked = need.endpoints.get(call.endpoint, 0)
            need.endpoints[call.endpoint] = asked + math.ceil(parents)

    def _below(
        self,
        need: StreamEstimate,
        child: ChildStream,
        first: FirstPage,
        held: Sequence[dict[str, Any]],
    ) -> float:
        """Find how many parents there are below a row, by rows from all over the page."""
        size = min(self._samples, len(held))
        sample = [held[number * len(held) // size] for number in range(size)]

        def below(row: dict[str, Any]) -> int:
            answers = self._answers[row["id"]]
            return len(list(child.parents(row, first.answer, answers, child.report)))

        endpoint = child.needed_endpoints[0]
        counts = [self._timed(endpoint, partial(below, row)) for row in sample]
        if size < (rows := first.left - first.done):
            need.about.add(REQUESTS)
            margin = ""
            if size > 1 and any(counts):
                error = stdev(counts) / mean(counts) * math.sqrt((1 - size / rows) / size)
                margin = f": give or take {error:.0%}"
            need.notes.append(
                f"Estimated by {size} of {child.source.name}, which have {sum(counts)} of "
                f"{child.parent.name}{margin}."
            )
        return mean(counts)
