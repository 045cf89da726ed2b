"""Course: how far a stream has come, in plain numbers."""

from __future__ import annotations

import dataclasses

ROWS = "rows"


@dataclasses.dataclass(slots=True)
class StreamProgress:
    """How far one stream has come in this run.

    Whoever reads the stream writes it, with the baton in hand, once for each page or parent.
    Whoever shows it reads it at any time, without the baton.

    Attributes:
        source: The list in whose walk it comes.
        endpoint: Method and route template of its reads; None while it is not known.
        unit: What is counted: rows, or the rows of the list that it is read for, such as deals.
        follows: The stream in whose rows its own come, so that its progress is that one's.
        done: How many have come, with those of earlier runs.
        total: How many there are. None: not known.
        ended: Whether nothing more is read of it in this run.
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
        """Whether something has come, and more may."""
        return self._began is not None and not self.ended

    def update(self, done: int, total: int | None, now: float) -> None:
        """Note how far it is.

        Args:
            done: How many have come.
            total: How many there are, None where that is not known.
            now: The time, in seconds.
        """
        # The first page came in the time before it; and a walk may begin again.
        if self._began is None or done < self._first:
            self._first, self._began = done, now
        self.done, self.total = done, total

    def rate(self, now: float) -> float | None:
        """Say how many come in a second, None while that is not known."""
        done, began = self.done - self._first, self._began
        return None if began is None or done <= 0 or now <= began else done / (now - began)

    def seconds_left(self, now: float) -> float | None:
        """Say how long it takes at the pace of this run, None while that is not known."""
        if self.total is None or self.done >= self.total:
            return None if self.total is None else 0.0
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate else None
