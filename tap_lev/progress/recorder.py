"""Count what the client sends: for the summary of the run, and as the SDK's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from tap_lev.api.observer import RequestObserver
from tap_lev.progress.metrics import RequestMetrics

if TYPE_CHECKING:
    from tap_lev.progress.report import RunReport, StreamReport


class RequestRecorder(RequestObserver):
    """Records requests and responses in the run's report and its metrics.

    Args:
        report: The report of the run.
    """

    def __init__(self, report: RunReport) -> None:
        self._report = report
        self._metrics = RequestMetrics()

    @override
    def on_request(self, stream: str) -> None:
        self._of(stream).requests += 1

    @override
    def on_response(self, stream: str, endpoint: str, status: int | None) -> None:
        self._metrics.request(stream, endpoint, status)
        if status is not None:
            self._of(stream).statuses[status] += 1

    @override
    def on_retry(self, stream: str, endpoint: str) -> None:
        self._of(stream).retries += 1
        self._metrics.retry(stream, endpoint)

    @override
    def on_wait(self, seconds: float) -> None:
        self._metrics.waited(seconds)

    @override
    def on_mended(self, stream: str, values: int) -> None:
        self._of(stream).mended += values

    def close(self) -> None:
        """Log the metrics that were not logged yet."""
        self._metrics.close()

    def _of(self, stream: str) -> StreamReport:
        return self._report.stream(stream) if stream else self._report.tap
