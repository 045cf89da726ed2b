"""Show how far a long run is: as bars on a terminal, elsewhere as lines of the log."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Self

from tap_lev.progress.status import RunStatus, StreamStatus
from tap_lev.progress.stream_progress import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_lev.progress.report import RunReport
    from tap_lev.progress.stream_progress import StreamProgress
    from tap_lev.ratelimit.scheduler import RequestScheduler

POLL_INTERVAL = 0.25
"""Seconds between two updates of the bars."""
BARS_AFTER = 2.0
"""Seconds after which a run is long enough for bars."""
LOG_INTERVAL = 30.0
"""Seconds between two reports in the log."""
JOIN_TIMEOUT = 2.0
"""Most seconds to wait until the terminal is clean."""


class ProgressReporter:
    """Shows how far a run is while it goes on.

    A separate thread reads plain numbers, without the run lock, and changes nothing: the run
    never waits for it (docs/design/run-lock.md, L8). Use it in a ``with`` statement.

    Args:
        report: What the run has done so far.
        scheduler: Knows what requests wait for, and how many remain.
        logger: Where progress lines go.
    """

    def __init__(
        self, report: RunReport, scheduler: RequestScheduler, logger: logging.Logger
    ) -> None:
        self._report = report
        self._scheduler = scheduler
        self._logger = logger
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread, if the log shows progress at all."""
        if self._logger.isEnabledFor(logging.INFO):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and leave the terminal clean."""
        self._over.set()
        if self._thread.is_alive():
            try:
                self._thread.join(JOIN_TIMEOUT)
            finally:
                # A signal may have ended the first wait, and bars must not outlive the run.
                self._thread.join(JOIN_TIMEOUT)

    def _show(self) -> None:
        if not has_terminal():
            self._show_lines()
        elif not self._over.wait(BARS_AFTER):
            # Here, since a run without a terminal needs none of what it imports.
            from tap_lev.progress.bars import ProgressBars  # noqa: PLC0415

            with ProgressBars(self) as bars:
                while not self._over.wait(POLL_INTERVAL):
                    bars.show()

    def _show_lines(self) -> None:
        next_at = self._report.clock() + LOG_INTERVAL
        while not self._over.wait(POLL_INTERVAL):
            if self._report.clock() >= next_at:
                next_at += LOG_INTERVAL
                self.log()

    def log(self) -> None:
        """Log how far the run is: a line for each stream that is read, and one for the run."""
        statuses = self.stream_statuses()
        lines: list[StreamStatus | RunStatus] = [*statuses, self.run_status(statuses)]
        for line in lines:
            self._logger.info("%s", line, extra=line.log_fields)

    def stream_statuses(self) -> list[StreamStatus]:
        """Compute how far the streams are that are being read."""
        now = self._report.clock()
        reports = [r for r in tuple(self._report.streams.values()) if r.progress.is_under_way]
        seconds_left = {report.name: self._seconds_left(report.progress, now) for report in reports}
        return [
            StreamStatus(
                report,
                [other.name for other in reports if other.progress.follows == report.name],
                report.progress.rate(now),
                # A list ends no earlier than the streams that are read for each of its rows.
                _longest(
                    seconds_left[other.name]
                    for other in reports
                    if other is report
                    or (
                        report.progress.unit == ROWS != other.progress.unit
                        and report.progress.source == other.progress.source
                    )
                ),
                self._scheduler.wait_reason(report.progress.endpoint),
            )
            for report in reports
            if report.progress.follows is None
        ]

    def run_status(self, statuses: list[StreamStatus]) -> RunStatus:
        """Compute how far the whole run is."""
        streams = tuple(self._report.streams.values())
        everything = (self._report.tap, *streams)
        failed = sum(stream.failure is not None for stream in streams)
        ended = sum(stream.progress.ended for stream in streams)
        not_started = len(streams) - ended - sum(stream.progress.is_under_way for stream in streams)
        return RunStatus(
            streams=len(streams),
            completed=ended - failed,
            failed=failed,
            not_started=not_started,
            rows=sum(stream.rows for stream in everything),
            requests=sum(stream.requests for stream in everything),
            throttled=sum(stream.throttled for stream in everything),
            seconds_left=None
            if not_started
            else _longest(status.seconds_left for status in statuses),
            wait=self._scheduler.wait_reason(),
        )

    def _seconds_left(self, progress: StreamProgress, now: float) -> float | None:
        """Estimate the time to the end of a stream, or None if unknown."""
        by_rate = progress.seconds_left(now)
        if by_rate == 0 or progress.total is None:
            return by_rate
        # A window's places are used up within seconds, then nothing goes until they are free again:
        # by its rate alone, a stream that has just begun would end far too soon.
        by_limits = self._scheduler.workload.seconds_left(progress.endpoint)
        return max((s for s in (by_rate, by_limits) if s is not None), default=None)


def _longest(estimates: Iterable[float | None]) -> float | None:
    """Return the longest of several durations, or None if there are none or one is unknown."""
    seconds = list(estimates)
    if not seconds or None in seconds:
        return None
    return max(filter(None, seconds), default=0.0)


def has_terminal() -> bool:
    """Check whether stderr is a terminal that can show bars."""
    environment = os.environ.get
    if not sys.stderr.isatty() or environment("TERM", "dumb") in {"dumb", "unknown", ""}:
        return False
    # Where a log configuration is given, programs read the log.
    if environment("CI") or environment("SINGER_SDK_LOG_CONFIG"):
        return False
    # Bars would be torn by messages on the same terminal.
    same = os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return not (sys.stdout.isatty() and same)
