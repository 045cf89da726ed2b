"""Meters: what requests cost, counted in the SDK's form and logged as it logs its own counts."""

from __future__ import annotations

import enum
from http import HTTPStatus
from typing import Any, cast

from singer_sdk.metrics import Counter, Metric, Status, Tag


class LevMetric(enum.StrEnum):
    """What the SDK has no name for."""

    HTTP_RETRY_COUNT = "http_retry_count"
    SECONDS_WAITED = "seconds_waited"


class RequestMetrics:
    """The counts of a run: each is logged every minute in which it grows, and at the end."""

    def __init__(self) -> None:
        self._counters: dict[tuple[Any, ...], Counter] = {}
        self._waited = 0.0

    def request(self, stream: str, endpoint: str, status: int | None) -> None:
        """Count a request.

        Args:
            stream: What it was made for; empty for the run itself.
            endpoint: Method and route template.
            status: The answer's HTTP status, None where none came.
        """
        self._count(Metric.HTTP_REQUEST_COUNT, stream, endpoint, status)

    def retry(self, stream: str, endpoint: str) -> None:
        """Count that a request is made once more."""
        self._count(LevMetric.HTTP_RETRY_COUNT, stream, endpoint)

    def waited(self, seconds: float) -> None:
        """Note how long the run has waited, by now."""
        if seconds > self._waited:
            self._count(LevMetric.SECONDS_WAITED, value=round(seconds - self._waited, 3))
            self._waited = seconds

    def close(self) -> None:
        """Log what was not logged yet."""
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
            given = {tag: told for tag, told in tags.items() if told}
            counter = self._counters[key] = Counter(cast("Metric", metric), given)
        counter.increment(cast("int", value))
