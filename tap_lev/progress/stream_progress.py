"""Record how far a stream is, in plain numbers."""

from __future__ import annotations

import dataclasses

ROWS = "rows"


@dataclasses.dataclass(slots=True)
class StreamProgress:
    """How far one stream is in this run.

    The thread that reads the stream updates it, with the run lock held, after each page or parent.
    The progress thread reads it at any time, without the lock (docs/design/run-lock.md, L8).

    Attributes:
        source: The list whose walk brings the rows.
        endpoint: Method and route template of its requests, or None if unknown.
        unit: What ``done`` and ``total`` count: rows, or the parents that it is read for, such as
            deals.
        follows: The stream in whose rows its own come, and whose progress it shares, or None.
        done: How many are done, including those of earlier runs.
        total: How many there are, or None if unknown.
        ended: Whether this run reads no more of it.
    """

    source: str = ""
    endpoint: str | None = None
    unit: str = ROWS
    follows: str | None = None
    done: int = 0
    total: int | None = None
    ended: bool = False
    _first: int = 0
    _began: float | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun, and has not ended."""
        return self._began is not None and not self.ended

    def update(self, done: int, total: int | None, now: float) -> None:
        """Record how far it is.

        Args:
            done: How many are done.
            total: How many there are, or None if unknown.
            now: The time in seconds.
        """
        # The rate counts from the first page on, which took unknown time, and from the first page
        # again when a walk restarts.
        if self._began is None or done < self._first:
            self._first, self._began = done, now
        self.done, self.total = done, total

    def rate(self, now: float) -> float | None:
        """Compute how many are done in a second, or None if unknown."""
        done, began = self.done - self._first, self._began
        return None if began is None or done <= 0 or now <= began else done / (now - began)

    def seconds_left(self, now: float) -> float | None:
        """Estimate the seconds to the end at the rate of this run, or None if unknown."""
        if self.total is None or self.done >= self.total:
            return None if self.total is None else 0.0
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate else None
