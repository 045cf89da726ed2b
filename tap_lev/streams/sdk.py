"""SingerStream: a stream as the SDK has it. What it writes, and what the SDK leaves to us."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from msgspec import UNSET
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.streams import Stream
from typing_extensions import override

from tap_lev.errors import LevError
from tap_lev.records.mapper import RecordMapper
from tap_lev.records.schema import UNKNOWN_FIELDS
from tap_lev.records.values import Kind, Mended
from tap_lev.records.writer import MessageWriter, RecordMessage
from tap_lev.text import name_request, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Sequence

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.metrics import Counter
    from singer_sdk.singerlib import RecordMessage as SDKRecordMessage

    from tap_lev.api.response import LevResponse
    from tap_lev.progress.report import RunReport, StreamReport
    from tap_lev.records.page_decoder import PageDecoder


class Host(Protocol):
    """What a stream needs of the tap."""

    report: RunReport
    message_writer: MessageWriter

    def read_alone(self, name: str) -> None:
        """Read one stream by itself, as the SDK's dry runs do."""


class SDKStream(Stream):
    """A stream whose rows are written one by one, or a page at a time."""

    # The rows come out of JSON and go into JSON: there is nothing to convert.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    schema: dict[str, Any]
    counter: Counter | None = None
    """The SDK's count of rows, while the stream is read."""

    @property
    def host(self) -> Host:
        """The tap, as far as a stream needs it."""
        return cast("Host", self._tap)

    @functools.cached_property
    def report(self) -> StreamReport:
        """What the stream did in this run."""
        return self.host.report.stream(self.name)

    def warn(self, note: str) -> None:
        """Log a warning and add it to the run summary."""
        self.logger.warning("%s: %s", self.name, note)
        self.report.notes.append(f"{self.name}: {note}")

    @functools.cached_property
    def columns(self) -> list[str]:
        """The selected columns, of those that a given catalog knows."""
        known = self.effective_schema["properties"]
        return [
            name
            for name in self.schema["properties"]
            if name in known and self.mask["properties", name]
        ]

    @property
    def embed_fields(self) -> Collection[str]:
        """The fields that come with a row only because ``include=`` asks for them."""
        return ()

    # -- Writing

    @property
    def version(self) -> int | None:
        """The number of the table that the rows are of, where the target is to know."""
        raise NotImplementedError

    def write(self, row: dict[str, Any], response: LevResponse) -> None:
        """Write a RECORD message."""
        self._check_max_record_limit(self.report.rows)
        self._stream_version = self.version
        try:
            self._write_record_message(self._record(row, response))
        except (OSError, SingerSDKError):
            raise
        except Exception as error:
            # An expression of the user's may fail in any way, by what stands in the row.
            if not self.config.get("stream_maps"):
                raise
            raise LevError(
                f"An expression of the setting stream_maps fails on a row of {self.name}: "
                f"{shown(error)}"
            ) from None
        self._count(1)

    def write_typed(self, rows: Sequence[Any], shape: PageDecoder) -> None:
        """Write the RECORD messages of rows that need no look of their own.

        In place of the SDK's ``_write_record_message``, with what it does for each record done
        once. ``is_passthrough`` says where that is the same.

        Args:
            rows: The rows, as the page's shape decodes them.
            shape: The page's shape.
        """
        shape.normalize(self.name, rows)
        version, now = self.version, datetime.now(UTC)
        self.host.message_writer.write_records(
            [RecordMessage(self.name, row, version or UNSET, now) for row in rows]
        )
        self.state_manager.is_flushed = False
        self._count(len(rows))

    def write_activate_version(self, version: int) -> None:
        """Write the message by which the target drops what is not of this table."""
        self._write_activate_version_message(version)

    def _count(self, rows: int) -> None:
        self.report.rows += rows
        if self.counter is not None:
            self.counter.increment(rows)

    @functools.cached_property
    def is_passthrough(self) -> bool:
        """Whether nothing is left out of a row or changed in it on its way to the target."""
        maps = self.stream_maps
        return (
            hasattr(self.host.message_writer, "write_records")
            and [type(each) for each in maps] == [SameRecordTransform]
            and not maps[0].flattening_enabled
            and len(self.columns) == len(self.schema["properties"])
        )

    def inspect(self, row: dict[str, Any], response: LevResponse) -> None:
        """Tell what is new in a row, without writing it."""
        self._record(row, response)

    def _record(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        if isinstance(row, Mended):
            self._note_mends(row, response)
        return self._shape.to_record(row, response.request_id)

    def _note_mends(self, row: Mended, response: LevResponse) -> None:
        """Count the values that were mended in a row, and tell the first of each kind."""
        for column, kind in row.mends:
            if column not in self.columns and UNKNOWN_FIELDS not in self.columns:
                continue
            self.report.mended += 1
            if kind in self._kinds_told:
                continue
            self._kinds_told.add(kind)
            what, becomes = kind.value
            key = ", ".join(f"{name} {shown(row[name])}" for name in self.primary_keys)
            self.logger.warning(
                "%s: Lev sends %s in %s, in the row with %s (%s). %s This is logged once.",
                self.name,
                what,
                quoted(column),
                key,
                name_request(response.request_id),
                becomes,
            )

    @functools.cached_property
    def _kinds_told(self) -> set[Kind]:
        return set()

    @property
    def unknown_fields(self) -> list[str]:
        """The fields of the rows so far that this release does not know."""
        return sorted(self._shape.unknown_fields)

    @functools.cached_property
    def _shape(self) -> RecordMapper:
        return RecordMapper(self.schema["properties"], self.columns, self.embed_fields, self.warn)

    @functools.cached_property
    def _flattened(self) -> dict[str, Collection[str]]:
        """The columns of the flattened streams that this one becomes."""
        return {
            each.stream_alias: each.transformed_schema["properties"]
            for each in self.stream_maps
            if each.flattening_enabled
        }

    # -- What the SDK would do

    @override
    def _generate_record_messages(self, record: Record) -> Generator[SDKRecordMessage, None, None]:
        for message in super()._generate_record_messages(record):
            # Of an object that is null the SDK's flattening keeps the object, which is no column.
            if columns := self._flattened.get(message.stream):
                message.record = {n: v for n, v in message.record.items() if n in columns}
            yield message

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        raise NotImplementedError("The rows of a stream are written by a Reading.")

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """Read the stream by itself, as the SDK's dry runs do.

        In place of the SDK's own loop, which moves the bookmark with every record and tells the
        state every 10,000: here only what is written moves the state.
        """
        self.host.read_alone(self.name)
        yield from ()

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: a signpost in the state serves bookmarks that move with each record."""

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        """Never by the SDK: it sends the message first, with a new version in each run.

        Rows would be gone from the target before their successors are there. The walk ends with
        the message instead, with the version that it began with.
        """
        return False
