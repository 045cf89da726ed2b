"""Send the requests that the rows of a page need, before the rows are written."""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tap_lev.api.cache import ResponseCache
from tap_lev.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_lev.api.response import LevResponse
    from tap_lev.sync.active_streams import ActiveStream, ActiveStreams
    from tap_lev.sync.run import Run

PARENTS_AHEAD = 10
"""Rows that a stream may read ahead of the one whose children are written."""

MAX_FAILURES_AHEAD = 2
"""Rows in a row that may fail before a stream reads nothing more ahead on a page."""

PRIOR_WEIGHT = 3
"""Weight of the first estimate of requests per row, in rows that were read."""


class Prefetcher:
    """Yields the rows of a page while requests for the next rows are in flight.

    Each stream that needs requests sends them in a separate thread, a few rows ahead of the row
    that is written. So requests to several endpoints, and for several rows, are in flight
    together, and the rows are still written one after the other. Use it in a ``with`` statement.

    Args:
        run: The run.
        rows: The rows of the page.
        response: The response that brought them.
        rows_left: Number of rows on later pages; 0 if unknown.
    """

    def __init__(
        self, run: Run, rows: Sequence[dict[str, Any]], response: LevResponse, rows_left: int
    ) -> None:
        self._run = run
        self._rows = rows
        self._response = response
        self._rows_left = rows_left
        self._caches: defaultdict[int, ResponseCache] = defaultdict(
            partial(ResponseCache, run.lock)
        )
        self._written = 0
        self._active: ActiveStreams | None = None
        self._progress = threading.Event()

    def cache_of(self, row: dict[str, Any]) -> ResponseCache:
        """Return the cache of responses for a row."""
        return self._caches[row["id"]]

    def start(self, active: ActiveStreams) -> None:
        """Start the threads.

        Args:
            active: The streams that are still read. A child that leaves them reads no more.
        """
        self._active = active
        for child in active.children:
            reader = child.reader
            if child.is_read_apart and reader is not None and reader.stream.endpoint:
                self._run.workers.start(partial(self._read, child), child.name)

    def _is_wanted(self, child: ActiveStream) -> bool:
        return self._active is not None and child in self._active.streams

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads after their requests in flight."""
        # Also where the page broke off: they wait for a row to be written, which none will be.
        self._active = None
        self._progress.set()

    def __iter__(self) -> Iterator[tuple[dict[str, Any], ResponseCache]]:
        """Yield each row with its cache, which is dropped after it."""
        for row in self._rows:
            yield row, self.cache_of(row)
            self._caches.pop(row["id"], None)
            self._written += 1
            self._progress.set()

    def _read(self, child: ActiveStream) -> None:
        reader = child.reader
        assert reader is not None  # noqa: S101
        endpoints = [reader.stream.endpoint or "", *reader.needed_endpoints]
        before, failures = child.report.requests, 0
        for number, row in enumerate(self._rows):
            # Each row that is ahead holds its responses in memory, and a crash requests it again.
            while number > self._written + PARENTS_AHEAD and self._is_wanted(child):
                self._progress.clear()
                self._run.lock.wait(self._progress)
            if not self._is_wanted(child):
                return
            # The scheduler has to know how many requests are still to come (S5). The first rows may
            # not be typical, so the estimate changes slowly.
            sent = child.report.requests - before
            per_row = (sent + PRIOR_WEIGHT * reader.requests_per_row) / (number + PRIOR_WEIGHT)
            for endpoint in endpoints:
                left = len(self._rows) - number + self._rows_left
                self._run.expect_requests(child, endpoint, per_row * left)
            if number < self._written or not child.takes(row):
                continue
            try:
                reader.prefetch(row, self._response, self.cache_of(row))
            except AuthenticationError:
                raise
            except Exception:  # noqa: BLE001 - the thread that writes the row gets it, too
                # If the stream stops at rows that fail alike, what is requested ahead is lost.
                failures += 1
                if failures == MAX_FAILURES_AHEAD:
                    return
            else:
                failures = 0
