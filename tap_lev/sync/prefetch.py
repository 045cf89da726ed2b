"""Read what the rows of a page need before they are written."""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tap_lev.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from tap_lev.api.response import LevResponse
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.child import ChildStream
    from tap_lev.tap import TapLev
from tap_lev.api.cache import ResponseCache

PARENTS_AHEAD = 10
"""How many rows a stream may read ahead of the one whose children are written."""


MAX_FAILURES_AHEAD = 2
"""How many rows in a row may fail before nothing more is read ahead on a page."""


PRIOR_WEIGHT = 3
"""How many rows what was thought at first is worth, against what the rows so far have taken."""


class Prefetcher:
    """The answers for all rows of a page, in turn, while those for the next rows are read.

    Each stream that has something to read does so in a thread of its own, a few rows ahead of the
    row that is written. So requests to several endpoints, and for several rows, are under way
    together, and the rows are still written one after the other. Use it in a ``with`` statement.

    Args:
        tap: The tap.
        rows: The rows of the page.
        answer: What brought them.
        more: How many rows follow on later pages, as far as it is known.
    """

    def __init__(
        self, tap: TapLev, rows: Sequence[dict[str, Any]], answer: LevResponse, more: int
    ) -> None:
        self._tap = tap
        self._rows = rows
        self._answer = answer
        self._more = more
        self._answers: defaultdict[int, ResponseCache] = defaultdict(
            partial(ResponseCache, tap.lock)
        )
        self._written = 0
        self._wanted: Container[LevStream] = ()
        self._progress = threading.Event()

    def of(self, row: dict[str, Any]) -> ResponseCache:
        """Find the answers for a row."""
        return self._answers[row["id"]]

    def read_ahead(self, children: Sequence[ChildStream], wanted: Container[LevStream]) -> None:
        """Begin to read.

        Args:
            children: Those whose rows may be wanted.
            wanted: Those whose rows are. A stream that is taken out reads no more.
        """
        self._wanted = wanted
        for child in children:
            if child in wanted and not child.embedded and child.endpoint:
                self._tap.workers.start(partial(self._read, child, child.endpoint), child.name)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Read nothing more."""
        self._wanted = ()
        self._progress.set()

    def __iter__(self) -> Iterator[tuple[dict[str, Any], ResponseCache]]:
        """Go through the rows. What was read for a row is forgotten after it."""
        for row in self._rows:
            yield row, self.of(row)
            self._answers.pop(row["id"], None)
            self._written += 1
            self._progress.set()

    def _read(self, child: ChildStream, endpoint: str) -> None:
        scheduler, before, failures = self._tap.client.scheduler, child.report.requests, 0
        for number, row in enumerate(self._rows):
            while number > self._written + PARENTS_AHEAD and child in self._wanted:
                self._progress.clear()
                self._tap.lock.wait(self._progress)
            if child not in self._wanted:
                return
            made = child.report.requests - before
            each = (made + PRIOR_WEIGHT * child.requests_per_row) / (number + PRIOR_WEIGHT)
            for needed in (endpoint, *child.needed_endpoints):
                scheduler.workload.set_remaining(
                    child, needed, each * (len(self._rows) - number + self._more)
                )
            if number < self._written or not child.takes(row):
                continue
            try:
                child.read_ahead(row, self._answer, self.of(row))
            except AuthenticationError:
                raise
            except Exception:  # noqa: BLE001 - whoever writes the row meets it, too, and tells it
                failures += 1
                if failures == MAX_FAILURES_AHEAD:
                    return
            else:
                failures = 0
