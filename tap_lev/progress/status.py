"""Render how far a run is, for a person and for structured logs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tap_lev.progress.stream_progress import ROWS

if TYPE_CHECKING:
    from tap_lev.progress.report import StreamReport
    from tap_lev.ratelimit.scheduler import WaitReason

MAX_OF_UNIT = 100
"""Seconds, or minutes, from which a duration is shown in the next larger unit."""


@dataclasses.dataclass(frozen=True, slots=True)
class StreamStatus:
    """How far one stream is, with the streams that come in its rows.

    Attributes:
        report: The stream's report.
        followers: Names of the streams that come in its rows.
        rate: Rows or parents a second, or None if unknown.
        seconds_left: Estimated seconds to the end, or None if unknown.
        wait: What it waits for, or None.
    """

    report: StreamReport
    followers: list[str]
    rate: float | None
    seconds_left: float | None
    wait: WaitReason | None

    @property
    def log_fields(self) -> dict[str, Any]:
        """Its fields for structured logs."""
        progress, wait = self.report.progress, self.wait
        fields = {
            "together_with": self.followers,
            "done": progress.done,
            "total": progress.total,
            "unit": progress.unit,
            "rows": self.report.rows,
            "rate": _rounded(self.rate),
            "seconds_left": _rounded(self.seconds_left),
            "waits_for": wait.thing if wait else None,
            "seconds_to_wait": _rounded(wait.seconds) if wait else None,
        }
        return {"stream_name": self.report.name, "progress": fields}

    def __str__(self) -> str:
        """Render it as a line for people."""
        progress, rows = self.report.progress, self.report.rows
        name = self.report.name + (f" (with {', '.join(self.followers)})" if self.followers else "")
        facts = [f"{progress.done:,} {progress.unit}"]
        if progress.total:
            part = min(1.0, progress.done / progress.total)
            facts = [f"{progress.done:,} of {progress.total:,} {progress.unit} ({part:.0%})"]
        if (progress.unit, progress.done) != (ROWS, rows):
            facts.append(f"{rows:,} rows written")
        if self.rate:
            facts.append("{} a {}".format(*format_rate(self.rate)))
        if self.seconds_left is not None:
            facts.append(f"about {format_duration(self.seconds_left)} left")
        return f"{name}: {', '.join(facts)}{_waiting(self.wait)}."


@dataclasses.dataclass(frozen=True, slots=True)
class RunStatus:
    """How far the whole run is.

    Attributes:
        streams: Number of streams.
        completed: How many are complete.
        failed: How many failed, and are no longer read.
        not_started: How many have not begun.
        rows: Rows written.
        requests: Requests sent.
        throttled: Responses with status 429.
        seconds_left: Estimated seconds to the end, or None if unknown.
        wait: What the whole run waits for, or None.
    """

    streams: int
    completed: int
    failed: int
    not_started: int
    rows: int
    requests: int
    throttled: int
    seconds_left: float | None
    wait: WaitReason | None

    @property
    def log_fields(self) -> dict[str, Any]:
        """Its fields for structured logs."""
        progress = {
            "streams": self.streams,
            "streams_done": self.completed,
            "streams_failed": self.failed,
            "streams_to_come": self.not_started,
            "rows": self.rows,
            "requests": self.requests,
            "throttled": self.throttled,
            "seconds_left": _rounded(self.seconds_left),
            "waits_for": self.wait.thing if self.wait else None,
            "seconds_to_wait": _rounded(self.wait.seconds) if self.wait else None,
        }
        return {"progress": progress}

    def facts(self, hidden: int = 0) -> str:
        """Render it without what it waits for.

        Args:
            hidden: How many of the streams that are read have no line.
        """
        facts = [
            f"{self.completed} of {self.streams} streams done",
            f"{self.failed} failed" if self.failed else "",
            f"about {format_duration(self.seconds_left)} left"
            if self.seconds_left is not None
            else "",
            f"{hidden} more under way" if hidden else "",
            f"{self.not_started} to come" if self.not_started else "",
            f"{self.rows:,} rows",
            f"{self.requests:,} requests",
            f"{self.throttled:,} times 429" if self.throttled else "",
        ]
        return ", ".join(filter(None, facts))

    def __str__(self) -> str:
        """Render it as a line for people."""
        return f"{self.facts()}{_waiting(self.wait)}."


def format_duration(seconds: float) -> str:
    """Render a duration, no more exactly than an estimate is."""
    minutes = round(seconds / 60)
    if seconds < MAX_OF_UNIT:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < MAX_OF_UNIT else f"{minutes // 60} h {minutes % 60} min"


def format_rate(rate: float) -> tuple[str, str]:
    """Render a rate: a whole number, and the unit of time that it is for."""
    if rate >= 10:  # noqa: PLR2004
        return f"{rate:,.0f}", "s"
    return (f"{rate * 60:,.0f}", "min") if rate * 60 >= 1 else (f"{rate * 3600:,.0f}", "h")


def _waiting(wait: WaitReason | None) -> str:
    if wait is None:
        return ""
    return f"; waiting for {wait.thing}" + (
        f" ({format_duration(wait.seconds)})" if wait.seconds else ""
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
