"""A tap in this process: for tests that need hundreds of runs, or a cut at an exact line."""

from __future__ import annotations

import copy
import json
import signal
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typing_extensions import override

from tap_lev.errors import LevError
from tap_lev.records.writer import MessageWriter, RecordMessage
from tap_lev.sync import state_writer
from tap_lev.tap import TapLev
from tests.support.process import UNLIMITED, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from singer_sdk.singerlib.encoding.simple import Message

    from lev_sandbox import SandboxServer


class Killed(BaseException):
    """The process is gone: nothing after this line was written."""


class Lines(MessageWriter):
    """Collects what would go to stdout, up to where the process is killed."""

    def __init__(self, kill_after: int | None) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._kill_after = kill_after

    @override
    def write_message(self, message: Message) -> None:
        if len(self.lines) == self._kill_after:
            raise Killed
        self.lines.append(bytes(self.format_message(message)).decode())

    @override
    def write_records(self, records: Sequence[RecordMessage]) -> None:
        for record in records:
            if len(self.lines) == self._kill_after:
                raise Killed
            self.lines.append(msgspec.json.encode(record).decode() + "\n")


def config_of(server: SandboxServer, **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """Settings for a sandbox."""
    return {"api_url": server.url, "api_key": server.key, "max_retries": 2} | UNLIMITED | settings


def sync(  # noqa: PLR0913
    config: Mapping[str, Any],
    *,
    state: Mapping[str, Any] | None = None,
    catalog: Mapping[str, Any] | None = None,
    streams: tuple[str, ...] = (),
    kill_after: int | None = None,
    state_interval: float = 0.0,
    clock: Callable[[], float] | None = None,
) -> Run:
    """Run a tap in this process.

    Args:
        config: The settings.
        state: The state to go on from.
        catalog: The catalog.
        streams: The streams to select, where there is no catalog.
        kill_after: Kill it when so many lines are written.
        state_interval: Seconds from one STATE to the next, while pages come.
        clock: Tells the tap the time in seconds.
    """
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    threads = set(threading.enumerate())
    writer = Lines(kill_after)
    patch = pytest.MonkeyPatch()
    patch.setattr(state_writer, "STATE_INTERVAL", state_interval)
    try:
        tap = TapLev(
            config=dict(config),
            state=copy.deepcopy(dict(state or {})),
            catalog=copy.deepcopy(catalog or catalog_of(*streams, config=config)),
            message_writer=writer,
        )
        if clock is not None:
            tap.report.clock = clock
        tap.run()
        exit_code = 0
    except LevError as error:
        exit_code = error.exit_code
    except Killed:
        exit_code = -signal.SIGKILL
    finally:
        for thread in set(threading.enumerate()) - threads:
            thread.join()  # it ends as soon as its request is answered
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        patch.undo()
    return Run(exit_code, writer.lines, "")


def catalog_of(
    *streams: str, config: Mapping[str, Any] | None = None, **columns: set[str]
) -> dict[str, Any]:
    """A catalog with some streams selected, or some of their columns.

    Args:
        streams: The selected streams; those that are selected by default, if none is named.
        config: The settings that it is discovered with, as far as the catalog depends on them.
        columns: For a stream, the selected columns; the keys come in any case.
    """
    settings = {name: config[name] for name in ("unknown_fields",) if config and name in config}
    tap = TapLev(config=settings, validate_config=False, setup_mapper=False)
    catalog: dict[str, Any] = json.loads(tap.catalog_json_text)
    for entry in catalog["streams"]:
        name = entry["tap_stream_id"]
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                if streams:
                    metadata["metadata"]["selected"] = name in streams
            elif name in columns:
                chosen = metadata["breadcrumb"][1] in columns[name]
                metadata["metadata"]["selected"] = chosen
    return catalog
