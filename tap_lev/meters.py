"""Meters: what requests cost, counted in the SDK's form and logged as it logs its own counts."""

from __future__ import annotations

import enum
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from singer_sdk.metrics import Counter, Metric, Status, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping


class LevMetric(enum.StrEnum):
    """What the SDK has no name for."""

    HTTP_RETRY_COUNT = "http_retry_count"
    SECONDS_WAITED = "seconds_waited"


class Meters:
    """The counts of a run: each is logged every minute in which it grows, and at the end."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._waited = 0.0

    def request(self, stream: str, endpoint: str, status: int | None) -> None:
        """Count a request.

        Args:
            stream: What it was made for; empty for the run itself.
            endpoint: Method and route template.
            status: The answer's HTTP status, None where none came.
        """
        succeeded = status is not None and status < HTTPStatus.BAD_REQUEST
        tags = {
            Tag.STREAM: stream,
            Tag.ENDPOINT: endpoint.partition(" ")[2],
            Tag.HTTP_STATUS_CODE: status,
            Tag.STATUS: Status.SUCCEEDED if succeeded else Status.FAILED,
        }
        self._count(Metric.HTTP_REQUEST_COUNT, tags, 1)

    def retry(self, stream: str, endpoint: str) -> None:
        """Count that a request is made once more."""
        tags = {Tag.STREAM: stream, Tag.ENDPOINT: endpoint.partition(" ")[2]}
        self._count(LevMetric.HTTP_RETRY_COUNT, tags, 1)

    def waited(self, seconds: float) -> None:
        """Note how long the run has waited, by now."""
        if seconds > self._waited:
            self._count(LevMetric.SECONDS_WAITED, {}, seconds - self._waited)
            self._waited = seconds

    def close(self) -> None:
        """Log what was not logged yet."""
        for counter in self._counters.values():
            if counter.value:
                counter.value = round(counter.value, 3)
                counter.exit()

    def _count(self, metric: Metric | LevMetric, tags: Mapping[Tag, object], value: float) -> None:
        given = {tag.value: value for tag, value in tags.items() if value not in {None, ""}}
        key = (metric.value, *map(str, given.values()))
        if key not in self._counters:
            self._counters[key] = Counter(cast("Metric", metric), given)
        self._counters[key].increment(cast("int", value))
