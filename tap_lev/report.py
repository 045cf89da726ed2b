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
        waited: Seconds waited between tries.
        notes: What the reader of the summary should know, a sentence each.
        failure: Why the stream is not complete, or None.
    """

    rows: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    waited: float = 0.0
    notes: list[str] = dataclasses.field(default_factory=list)
    failure: Exception | None = None


class RunReport:
    """What all streams of a run did."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamReport] = {}
        self.parents_gone: set[tuple[Any, ...]] = set()
        """Parents that were gone when their children were asked for: stream and ids."""

    def stream(self, name: str) -> StreamReport:
        """Open the report of one stream."""
        return self.streams.setdefault(name, StreamReport())

    @property
    def failures(self) -> dict[str, Exception]:
        """The streams that are not complete, and why."""
        return {name: s.failure for name, s in self.streams.items() if s.failure is not None}

    def totals(self) -> dict[str, Any]:
        """Add the streams up, in a form fit for structured logs."""
        streams = self.streams.values()
        return {
            "streams": len(streams),
            "rows": sum(s.rows for s in streams),
            "requests": sum(s.requests for s in streams),
            "retries": sum(s.retries for s in streams),
            "throttled": sum(s.throttled for s in streams),
            "parents_gone": len(self.parents_gone),
            "seconds_waited": round(sum(s.waited for s in streams), 1),
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
            f"{totals['throttled']} times 429, {totals['seconds_waited']} s waited"
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
