"""Count requests, retries and waits, and log them in the form of the SDK's metrics."""

from __future__ import annotations

import enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from singer_sdk.metrics import Counter, Metric, Status, Tag
from typing_extensions import override

from tap_lev.api.observer import RequestObserver

if TYPE_CHECKING:
    from tap_lev.progress.report import RunReport, StreamReport


class LevMetric(enum.StrEnum):
    """Metrics that the SDK has no name for."""

    HTTP_RETRY_COUNT = "http_retry_count"
    SECONDS_WAITED = "seconds_waited"


class RequestMetrics:
    """Counts what a run requests, and logs each count once a minute and at the end."""

    def __init__(self) -> None:
        self._counters: dict[tuple[Any, ...], Counter] = {}
        self._waited = 0.0

    def request(self, stream: str, endpoint: str, status: int | None) -> None:
        """Count a request.

        Args:
            stream: Name of the stream that it was sent for; empty for the run itself.
            endpoint: Method and route template.
            status: The response's HTTP status, or None without a response.
        """
        self._count(Metric.HTTP_REQUEST_COUNT, stream, endpoint, status)

    def retry(self, stream: str, endpoint: str) -> None:
        """Count a retry."""
        self._count(LevMetric.HTTP_RETRY_COUNT, stream, endpoint)

    def waited(self, seconds: float) -> None:
        """Set how many seconds the run has waited so far."""
        if seconds > self._waited:
            self._count(LevMetric.SECONDS_WAITED, value=round(seconds - self._waited, 3))
            self._waited = seconds

    def close(self) -> None:
        """Log the counts that are not logged yet."""
        for counter in self._counters.values():
            if counter.value:
                counter.exit()

    def _count(
        self,
        metric: Metric | LevMetric,
        stream: str = "",
        endpoint: str = "",
        status: int | None = None,
        value: float = 1,
    ) -> None:
        key = (metric, stream, endpoint, status)
        counter = self._counters.get(key)
        if counter is None:
            tags: dict[str, Any] = {
                Tag.STREAM: stream,
                Tag.ENDPOINT: endpoint.partition(" ")[2],
                Tag.HTTP_STATUS_CODE: status,
            }
            if metric is Metric.HTTP_REQUEST_COUNT:
                failed = status is None or status >= HTTPStatus.BAD_REQUEST
                tags[Tag.STATUS] = Status.FAILED if failed else Status.SUCCEEDED
            known = {tag: value for tag, value in tags.items() if value}
            counter = self._counters[key] = Counter(cast("Metric", metric), known)
        counter.increment(cast("int", value))


class RequestRecorder(RequestObserver):
    """Records requests and responses in the run's report and its metrics.

    Args:
        report: The report of the run.
    """

    def __init__(self, report: RunReport) -> None:
        self._report = report
        self._metrics = RequestMetrics()
        self._streams = {"": report.tap}

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
        if stream not in self._streams:
            self._streams[stream] = self._report.stream(stream)
        return self._streams[stream]
