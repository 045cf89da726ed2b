"""Progress: what a long run is at, as bars on a terminal, and as lines of the log elsewhere."""

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
"""Seconds between two looks at what goes on."""
BARS_AFTER = 2.0
"""Seconds after which a run is long enough for bars."""
LOG_INTERVAL = 30.0
"""Seconds between two reports in the log."""
JOIN_TIMEOUT = 2.0
"""Seconds that it may take to leave the terminal clean."""


class ProgressReporter:
    """Looks on while a run goes on, and shows how far it is.

    It does so in a thread of its own, without the baton, and only reads plain numbers: the run
    never waits for it. Use it in a ``with`` statement.

    Args:
        report: What the run has done so far.
        gate: What its requests wait for.
        logger: Where lines go.
    """

    def __init__(
        self, report: RunReport, scheduler: RequestScheduler, logger: logging.Logger
    ) -> None:
        self._report = report
        self._scheduler = scheduler
        self._logger = logger
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="progress", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look on."""
        if self._logger.isEnabledFor(logging.INFO):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and leave the terminal clean."""
        self._over.set()
        if self._thread.is_alive():
            try:
                self._thread.join(JOIN_TIMEOUT)
            finally:  # a second signal may come
                self._thread.join(JOIN_TIMEOUT)

    def _look_on(self) -> None:
        if not has_terminal():
            self._show_lines()
        elif not self._over.wait(BARS_AFTER):
            from tap_lev.progress.bars import ProgressBars  # noqa: PLC0415 - a run without a terminal needs none

            with ProgressBars(self) as bars:
                while not self._over.wait(POLL_INTERVAL):
                    bars.show()

    def _show_lines(self) -> None:
        due = self._report.clock() + LOG_INTERVAL
        while not self._over.wait(POLL_INTERVAL):
            if self._report.clock() >= due:
                due += LOG_INTERVAL
                self.log()

    def log(self) -> None:
        """Say in the log how far the run is: a line for each stream that is read, one for all."""
        statuses = self.stream_statuses()
        lines: list[StreamStatus | RunStatus] = [*statuses, self.run_status(statuses)]
        for line in lines:
            self._logger.info("%s", line, extra=line.log_fields)

    # -- What there is to show

    def stream_statuses(self) -> list[StreamStatus]:
        """Find how the streams stand that are being read."""
        now = self._report.clock()
        reports = [r for r in tuple(self._report.streams.values()) if r.progress.is_under_way]
        lefts = {report.name: self._left(report.progress, now) for report in reports}
        return [
            StreamStatus(
                report,
                [other.name for other in reports if other.progress.follows == report.name],
                report.progress.rate(now),
                # The walk through a list waits for what is read for each of its rows.
                _longest(
                    lefts[other.name]
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
        """Find how the whole run stands."""
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

    def _left(self, progress: StreamProgress, now: float) -> float | None:
        """Say how long a stream takes: at its pace so far, but not faster than the limits allow."""
        by_pace, by_limits = (
            progress.seconds_left(now),
            self._scheduler.workload.seconds(progress.endpoint),
        )
        if by_pace == 0 or progress.total is None:
            return by_pace
        return max((s for s in (by_pace, by_limits) if s is not None), default=None)


def _longest(lefts: Iterable[float | None]) -> float | None:
    known = list(lefts)
    return None if None in known else max(filter(None, known), default=0.0) if known else None


def has_terminal() -> bool:
    """Whether somebody looks at stderr, on a terminal that can show bars.

    Nobody does where a log configuration is given, and no bars fit where the messages go to the
    same terminal.
    """
    environment = os.environ.get
    if not sys.stderr.isatty() or environment("TERM", "dumb") in {"dumb", "unknown", ""}:
        return False
    if environment("CI") or environment("SINGER_SDK_LOG_CONFIG"):
        return False
    same = os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return not (sys.stdout.isatty() and same)
