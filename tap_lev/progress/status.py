"""Standing: how a run stands, as a person and as a log pipeline read it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tap_lev.progress.stream_progress import ROWS

if TYPE_CHECKING:
    from tap_lev.progress.report import StreamReport
    from tap_lev.ratelimit.scheduler import WaitReason

EXACT = 100
"""Up to how many of a unit of time an estimate is told in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class StreamStatus:
    """How one stream stands, with those whose rows come in its rows.

    Attributes:
        report: The stream's report.
        followers: The names of the others.
        rate: How many come in a second; None while that is not known.
        seconds_left: How many seconds it takes; None while that is not known.
        wait: What it waits for, if for anything.
    """

    report: StreamReport
    followers: list[str]
    rate: float | None
    seconds_left: float | None
    wait: WaitReason | None

    @property
    def log_fields(self) -> dict[str, Any]:
        """It, in a form fit for structured logs."""
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
        """Say it in a line."""
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
    """How the whole run stands.

    Attributes:
        streams: How many streams there are.
        completed: How many are complete.
        failed: How many are not, and no longer read.
        not_started: How many have not begun.
        rows: Rows written.
        requests: Requests sent.
        throttled: Answers with status 429.
        seconds_left: How many seconds the run takes; None while that is not known.
        wait: What all of it waits for, if for anything.
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
        """It, in a form fit for structured logs."""
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
        """Say it in short.

        Args:
            hidden: How many of the streams that are read are not told one by one.
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
        """Say it in a line."""
        return f"{self.facts()}{_waiting(self.wait)}."


def format_duration(seconds: float) -> str:
    """Write how long something takes, as exactly as an estimate can be."""
    minutes = round(seconds / 60)
    if seconds < EXACT:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < EXACT else f"{minutes // 60} h {minutes % 60} min"


def format_rate(rate: float) -> tuple[str, str]:
    """Write how often something happens: a number, and the time it is for."""
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
