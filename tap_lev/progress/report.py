"""Count what a run did, per stream, and render its summary line."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tap_lev.progress.stream_progress import StreamProgress

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(slots=True)
class StreamReport:
    """What one stream did.

    Attributes:
        name: The stream's name; empty for the run itself.
        rows: Rows written.
        requests: Requests sent, including retries.
        retries: Requests that were sent again.
        statuses: How often each HTTP status came.
        mended: Values that were changed because no target takes them as they are.
        at_limit: Reads that brought as many rows as one request can bring.
        notes: Sentences for the summary.
        failure: Why the stream is not complete, or None.
        skipped: Whether it was left out because the key may not read it.
        gaps: Gaps that the settings accept, a phrase each.
        bookmark: The time up to which its rows are complete, as in the state, or None.
        progress: How far it is.
    """

    name: str = ""
    rows: int = 0
    requests: int = 0
    retries: int = 0
    statuses: Counter[int] = dataclasses.field(default_factory=Counter)
    mended: int = 0
    at_limit: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    failure: Exception | None = None
    skipped: bool = False
    gaps: list[str] = dataclasses.field(default_factory=list)
    bookmark: str | None = None
    progress: StreamProgress = dataclasses.field(default_factory=StreamProgress)

    @property
    def throttled(self) -> int:
        """Responses with status 429."""
        return self.statuses[HTTPStatus.TOO_MANY_REQUESTS]

    def add_gap(self, gap: str) -> None:
        """Name something that is known to be missing, once."""
        if gap not in self.gaps:
            self.gaps.append(gap)

    def totals(self) -> dict[str, Any]:
        """Return the counts as fields for structured logs."""
        return {
            "rows": self.rows,
            "requests": self.requests,
            "retries": self.retries,
            "mended": self.mended,
            "bookmark": self.bookmark,
            "error": None if self.failure is None else str(self.failure),
        }


class RunReport:
    """What all streams of a run did.

    Args:
        clock: Returns the time in seconds; it never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.streams: dict[str, StreamReport] = {}
        self.tap = StreamReport()
        """What was done for the run itself."""
        self.parents_gone: set[tuple[Any, ...]] = set()
        """Parents that were gone when their children were requested: stream and ids."""
        self.waited = 0.0
        """Seconds in which requests waited and none was in flight."""
        self.budget_used = 0.0
        """Requests sent, as a part of those that the account's limit allowed."""
        self._began = clock()

    def stream(self, name: str) -> StreamReport:
        """Return the report of a stream; the first call creates it."""
        return self.streams.setdefault(name, StreamReport(name))

    @property
    def failures(self) -> dict[str, Exception]:
        """The error of each stream that is not complete."""
        return {name: s.failure for name, s in self.streams.items() if s.failure is not None}

    @property
    def oldest_bookmark(self) -> str | None:
        """The time up to which all rows are complete, or None if a stream never was."""
        bookmarks = [stream.bookmark for stream in self.streams.values()]
        return min(filter(None, bookmarks)) if bookmarks and all(bookmarks) else None

    def totals(self, cause: BaseException | None = None) -> dict[str, Any]:
        """Return the sums of all streams as fields for structured logs.

        Args:
            cause: The error that ended the run early, or None.
        """
        streams = [self.tap, *self.streams.values()]
        statuses = sum((s.statuses for s in streams), Counter[int]())
        is_nothing_read = bool(self.streams) and all(s.skipped for s in self.streams.values())
        outcome = "failed" if self.failures or is_nothing_read else "complete"
        return {
            "outcome": "broken off" if cause else outcome,
            "streams": len(self.streams),
            "rows": sum(s.rows for s in streams),
            "requests": sum(s.requests for s in streams),
            "retries": sum(s.retries for s in streams),
            "throttled": sum(s.throttled for s in streams),
            "statuses": {str(status): statuses[status] for status in sorted(statuses)},
            "parents_gone": len(self.parents_gone),
            "mended": sum(s.mended for s in streams),
            "reads_at_limit": sum(s.at_limit for s in streams),
            "seconds_waited": round(self.waited, 1),
            "seconds": round(self.clock() - self._began, 1),
            "budget_used": round(self.budget_used, 3),
            "notes": [note for s in streams for note in s.notes],
            "accepted_gaps": [gap for s in streams for gap in s.gaps],
            "skipped": [name for name, s in self.streams.items() if s.skipped],
            "failed": {name: _request_id(error) for name, error in self.failures.items()},
            "request_id": _request_id(cause),
            "oldest_bookmark": self.oldest_bookmark,
            "by_stream": {name: s.totals() for name, s in self.streams.items()},
        }

    def summary(self, cause: BaseException | None = None) -> str:
        """Render the run as one line.

        Args:
            cause: The error that ended the run early, or None.
        """
        totals = self.totals(cause)
        counts = (
            f"{totals['rows']} rows, {totals['requests']} requests, {totals['retries']} retries, "
            f"{totals['throttled']} times 429, {totals['seconds_waited']} s waited, "
            f"{totals['budget_used']:.0%} of the budget used, {totals['seconds']} s in all"
        )
        if totals["parents_gone"]:
            counts += f", {totals['parents_gone']} parents gone"
        if totals["mended"]:
            counts += f", {totals['mended']} value{'s'[: totals['mended'] != 1]} mended"
        if totals["reads_at_limit"]:
            counts += f", {totals['reads_at_limit']} reads at their limit"
        notes = "".join(f" {note}" for note in totals["notes"])
        if totals["accepted_gaps"]:
            notes += f" Accepted gaps: {'; '.join(totals['accepted_gaps'])}."
        failed = ", ".join(
            _named(name, request_id) for name, request_id in totals["failed"].items()
        )
        if failed:
            of_all = f"{len(totals['failed'])} of {totals['streams']} streams are not complete"
            counts = f"{of_all}: {failed}; {counts}"
        else:
            counts = f"{totals['streams']} streams, {counts}"
        outcome = _named(totals["outcome"], totals["request_id"])
        return f"Sync {outcome}: {counts}.{notes}"


def _request_id(error: BaseException | None) -> str | None:
    request_id = getattr(error, "request_id", None)
    return request_id if isinstance(request_id, str) else None


def _named(name: str, request_id: str | None) -> str:
    return f"{name} (request_id {request_id})" if request_id else name
