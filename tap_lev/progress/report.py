"""What a run did: counted per stream, told in one line at its end."""

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
        name: The stream's name; empty where it is none.
        rows: Rows written.
        requests: Requests sent, retries included.
        retries: Requests that had to be repeated.
        statuses: The HTTP statuses of the answers.
        mended: Values that were mended, since no target takes them as they came.
        at_limit: Reads that brought as many rows as one request can bring.
        notes: What the reader of the summary should know, a sentence each.
        failure: Why the stream is not complete, or None.
        skipped: Whether it was left out, because the key may not read it.
        gaps: What is known to be missing and accepted, a phrase each.
        bookmark: Up to when its rows are complete, as the state has it.
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
        """Answers with status 429."""
        return self.statuses[HTTPStatus.TOO_MANY_REQUESTS]

    def totals(self) -> dict[str, Any]:
        """Say it in a form fit for structured logs."""
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
        clock: Tells the time in seconds; it never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.streams: dict[str, StreamReport] = {}
        self.tap = StreamReport()
        """What was done for no stream."""
        self.parents_gone: set[tuple[Any, ...]] = set()
        """Parents that were gone when their children were asked for: stream and ids."""
        self.waited = 0.0
        """Seconds in which there was nothing to do but wait, for the budget or for another try."""
        self.budget_used = 0.0
        """The requests made, as a part of those that the account's limit allowed meanwhile."""
        self._began = clock()

    def stream(self, name: str) -> StreamReport:
        """Open the report of one stream."""
        return self.streams.setdefault(name, StreamReport(name))

    @property
    def failures(self) -> dict[str, Exception]:
        """The streams that are not complete, and why."""
        return {name: s.failure for name, s in self.streams.items() if s.failure is not None}

    @property
    def oldest_bookmark(self) -> str | None:
        """Up to when the rows of all streams are complete, None while one never was."""
        bookmarks = [stream.bookmark for stream in self.streams.values()]
        return min(filter(None, bookmarks)) if bookmarks and all(bookmarks) else None

    def totals(self, cause: BaseException | None = None) -> dict[str, Any]:
        """Add the streams up, in a form fit for structured logs.

        Args:
            cause: What broke the run off, if something did.
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
        """Tell the run in one line.

        Args:
            cause: What broke the run off, before every stream was read, if something did.
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
        failed = ", ".join(_named(name, of) for name, of in totals["failed"].items())
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
