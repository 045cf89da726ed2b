"""Run: what the parts of a run share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tap_lev.errors import ConfigError
from tap_lev.streams.lists import ListStream

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    from tap_lev.api.client import BoundClient, LevClient
    from tap_lev.concurrency.lock import RunLock
    from tap_lev.concurrency.workers import Workers
    from tap_lev.progress.metrics import RequestRecorder
    from tap_lev.progress.report import RunReport
    from tap_lev.ratelimit.scheduler import RequestScheduler
    from tap_lev.streams.base import LevStream
    from tap_lev.sync.state_writer import StateWriter


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the tap, from the first request to the summary.

    Attributes:
        config: The tap's settings.
        client: Sends requests.
        scheduler: Decides when the client may send the next request.
        lock: Held by the one thread that runs.
        workers: The threads of the run.
        report: Counts what the run does.
        recorder: Counts the requests in the report and in the SDK's metrics.
        streams: All streams by name, selected or not.
        state_writer: Writes STATE messages.
        logger: The tap's logger.
    """

    config: Mapping[str, Any]
    client: LevClient
    scheduler: RequestScheduler
    lock: RunLock
    workers: Workers
    report: RunReport
    recorder: RequestRecorder
    streams: Mapping[str, LevStream]
    state_writer: StateWriter
    logger: logging.Logger

    @property
    def selected(self) -> list[LevStream]:
        """The streams to write."""
        return [stream for stream in self.streams.values() if stream.selected]

    def check_selection(self) -> None:
        """Make sure that at least one stream is selected.

        Raises:
            ConfigError: None is: a sync would be complete and bring no rows.
        """
        if not self.selected:
            raise ConfigError(
                "No stream is selected. Select one: in Meltano by a line such as deals.* below "
                "select in meltano.yml (meltano select --list --all tap-lev shows what there is), "
                'elsewhere by "selected": true in the catalog.'
            )

    @property
    def is_parallel(self) -> bool:
        """Whether several requests may be in flight at the same time."""
        return bool(self.config["max_parallel_streams"] > 1)

    @property
    def skips_forbidden(self) -> bool:
        """Whether a stream that the key may not read (403) is left out, and is no failure."""
        return bool(self.config["forbidden_streams"] == "skip")

    def list_of(self, stream: LevStream) -> ListStream:
        """Return the list whose walk brings a stream's rows."""
        list_stream = self.streams[stream.list_type().name]
        assert isinstance(list_stream, ListStream)  # noqa: S101
        return list_stream

    @property
    def server_time(self) -> datetime:
        """The server's time, by the responses so far."""
        return self.client.clock.now()

    def client_for(self, stream: LevStream) -> BoundClient:
        """Return the client, bound to the stream that requests count for."""
        return self.client.bind(stream.name)

    def expect_requests(self, reader: object, endpoint: str, requests: float) -> None:
        """Record how many more requests a reader will make, in place of the last number.

        Args:
            reader: The object that makes them.
            endpoint: Method and route template.
            requests: Their number.
        """
        self.scheduler.workload.set_remaining(reader, endpoint, requests)

    def expect_none(self, reader: object) -> None:
        """Record that a reader makes no more requests."""
        self.scheduler.workload.remove(reader)
