"""What a run did: counted per stream, told in one line at its end."""

from __future__ import annotations

import dataclasses
from typing import Any

from tap_lev.errors import LevAPIError


@dataclasses.dataclass(slots=True)
class StreamReport:
    """What one stream did.

    Attributes:
        rows: Rows written.
        requests: Requests sent, retries included.
        retries: Requests that had to be repeated.
        throttled: Answers with status 429.
        notes: What the reader of the summary should know, a sentence each.
        failure: Why the stream is not complete, or None.
    """

    rows: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    failure: Exception | None = None


class RunReport:
    """What all streams of a run did."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamReport] = {}
        self.tap = StreamReport()
        """What was done for no stream."""
        self.parents_gone: set[tuple[Any, ...]] = set()
        """Parents that were gone when their children were asked for: stream and ids."""
        self.waited = 0.0
        """Seconds in which there was nothing to do but wait, for the budget or for another try."""
        self.budget_used = 0.0
        """The requests made, as a part of those that the account's limit allowed meanwhile."""

    def stream(self, name: str) -> StreamReport:
        """Open the report of one stream."""
        return self.streams.setdefault(name, StreamReport())

    @property
    def failures(self) -> dict[str, Exception]:
        """The streams that are not complete, and why."""
        return {name: s.failure for name, s in self.streams.items() if s.failure is not None}

    def totals(self) -> dict[str, Any]:
        """Add the streams up, in a form fit for structured logs."""
        streams = [self.tap, *self.streams.values()]
        return {
            "streams": len(self.streams),
            "rows": sum(s.rows for s in streams),
            "requests": sum(s.requests for s in streams),
            "retries": sum(s.retries for s in streams),
            "throttled": sum(s.throttled for s in streams),
            "parents_gone": len(self.parents_gone),
            "seconds_waited": round(self.waited, 1),
            "budget_used": round(self.budget_used, 3),
            "notes": [note for s in streams for note in s.notes],
            "failed": {
                name: error.request_id if isinstance(error, LevAPIError) else None
                for name, error in self.failures.items()
            },
        }

    def summary(self, *, broken_off: bool = False) -> str:
        """Tell the run in one line.

        Args:
            broken_off: Whether the run ended before every stream was read.
        """
        totals = self.totals()
        counts = (
            f"{totals['rows']} rows, {totals['requests']} requests, {totals['retries']} retries, "
            f"{totals['throttled']} times 429, {totals['seconds_waited']} s waited, "
            f"{totals['budget_used']:.0%} of the budget used"
        )
        if totals["parents_gone"]:
            counts += f", {totals['parents_gone']} parents gone"
        notes = "".join(f" {note}" for note in totals["notes"])
        if broken_off:
            return f"Sync broken off: {counts}.{notes}"
        if not totals["failed"]:
            return f"Sync complete: {totals['streams']} streams, {counts}.{notes}"
        failed = ", ".join(
            f"{name} (request_id {request_id})" if request_id else name
            for name, request_id in totals["failed"].items()
        )
        return (
            f"Sync failed: {len(totals['failed'])} of {totals['streams']} streams are not "
            f"complete: {failed}; {counts}.{notes}"
        )
