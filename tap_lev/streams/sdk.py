"""Adapt the SDK's Stream: write rows, and override what moves its state."""

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

    # A Protocol: ``tap`` imports the streams, so the streams cannot import it.

    report: RunReport
    message_writer: MessageWriter

    def read_alone(self, name: str) -> None:
        """Read one stream without the others, as the SDK's dry runs do."""


class SDKStream(Stream):
    """A stream that writes its rows singly, or a page at a time."""

    # Rows come out of JSON and go into JSON, so there is nothing to convert. The check of each
    # value would cost more than any other step of a row.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    schema: dict[str, Any]
    counter: Counter | None = None
    """The SDK's counter of records, or None before the stream is read."""

    @property
    def host(self) -> Host:
        """The tap, as far as a stream needs it."""
        return cast("Host", self._tap)

    @functools.cached_property
    def report(self) -> StreamReport:
        """The stream's part of the run's report."""
        return self.host.report.stream(self.name)

    def warn(self, note: str) -> None:
        """Log a warning and add it to the run summary."""
        self.logger.warning("%s: %s", self.name, note)
        self.report.notes.append(f"{self.name}: {note}")

    @functools.cached_property
    def columns(self) -> list[str]:
        """The selected columns, of those that the catalog knows."""
        # A catalog of an earlier release lacks newer columns. Its SCHEMA lacks them, too, so no row
        # may have them.
        known = self.effective_schema["properties"]
        return [
            name
            for name in self.schema["properties"]
            if name in known and self.mask["properties", name]
        ]

    @property
    def embed_fields(self) -> Collection[str]:
        """The fields that come with a row only if ``include=`` names them."""
        return ()

    # -- Writing

    @property
    def version(self) -> int | None:
        """The version that records carry, or None where versions are off."""
        raise NotImplementedError

    def write(self, row: dict[str, Any], response: LevResponse) -> None:
        """Write a row as a RECORD message."""
        self._check_max_record_limit(self.report.rows)
        self._stream_version = self.version
        try:
            self._write_record_message(self._record(row, response))
        except (OSError, SingerSDKError):
            raise
        except Exception as error:
            # An expression of a user's stream map may fail in any way, depending on the row.
            if not self.config.get("stream_maps"):
                raise
            raise LevError(
                f"An expression of the setting stream_maps fails on a row of {self.name}: "
                f"{shown(error)}"
            ) from None
        self._count(1)

    def write_typed(self, rows: Sequence[Any], decoder: PageDecoder) -> None:
        """Write rows that nothing changes, as the RECORD messages of one page.

        Args:
            rows: The rows, as structs of the decoder.
            decoder: What decoded the page.
        """
        # In place of the SDK's _write_record_message, which does for each record what is done once
        # here. ``is_passthrough`` says where the result is the same.
        decoder.normalize(self.name, rows)
        version, now = self.version, datetime.now(UTC)
        self.host.message_writer.write_records(
            [RecordMessage(self.name, row, version or UNSET, now) for row in rows]
        )
        # As the SDK does after each record: rows are written that no STATE covers yet.
        self.state_manager.is_flushed = False
        self._count(len(rows))

    def write_activate_version(self, version: int) -> None:
        """Write ACTIVATE_VERSION: the target drops the rows of other versions."""
        self._write_activate_version_message(version)

    def _count(self, rows: int) -> None:
        self.report.rows += rows
        if self.counter is not None:
            self.counter.increment(rows)

    @functools.cached_property
    def is_passthrough(self) -> bool:
        """Whether rows are written with all their columns, and unchanged."""
        # 1. The writer can take a page of structs at once.
        # 2. One stream map, the SDK's that changes nothing, and no flattening.
        # 3. All columns are selected.
        maps = self.stream_maps
        return (
            hasattr(self.host.message_writer, "write_records")
            and [type(stream_map) for stream_map in maps] == [SameRecordTransform]
            and not maps[0].flattening_enabled
            and len(self.columns) == len(self.schema["properties"])
        )

    def inspect(self, row: dict[str, Any], response: LevResponse) -> None:
        """Log what is new in a row, without writing it."""
        self._record(row, response)

    def _record(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        if isinstance(row, Mended):
            self._note_mends(row, response)
        return self._record_mapper.to_record(row, response.request_id)

    def _note_mends(self, row: Mended, response: LevResponse) -> None:
        """Count the values that were mended in a row, and log the first of each kind."""
        for column, kind in row.mends:
            if column not in self.columns and UNKNOWN_FIELDS not in self.columns:
                continue
            self.report.mended += 1
            if kind in self._logged_kinds:
                continue
            self._logged_kinds.add(kind)
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
    def _logged_kinds(self) -> set[Kind]:
        return set()

    @property
    def unknown_fields(self) -> list[str]:
        """The fields that rows had so far and that this release does not know."""
        return sorted(self._record_mapper.unknown_fields)

    @functools.cached_property
    def _record_mapper(self) -> RecordMapper:
        return RecordMapper(self.schema["properties"], self.columns, self.embed_fields, self.warn)

    @functools.cached_property
    def _flattened(self) -> dict[str, Collection[str]]:
        """The columns of the flattened streams that stream maps make of this one."""
        return {
            stream_map.stream_alias: stream_map.transformed_schema["properties"]
            for stream_map in self.stream_maps
            if stream_map.flattening_enabled
        }

    # -- Hooks of the SDK. Its own loop over records is not used: its bookmark follows the records,
    #    and here it is the beginning of a walk (W10 in docs/design/walk.md).

    @override
    def _generate_record_messages(self, record: Record) -> Generator[SDKRecordMessage, None, None]:
        for message in super()._generate_record_messages(record):
            # Where an object is null, the SDK's flattening keeps the object itself, which is no
            # column of the flattened SCHEMA.
            if columns := self._flattened.get(message.stream):
                message.record = {n: v for n, v in message.record.items() if n in columns}
            yield message

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        # Abstract in the SDK, and never called: _sync_records below does without it.
        raise NotImplementedError("The rows of a stream are written by a ListSync.")

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """Read the stream without the others, as the SDK's dry runs do."""
        # A run does not come here: ListSync reads all streams of a list together. The SDK's own
        # loop moves the bookmark with each record, and writes a STATE every 10,000 records, in the
        # middle of a page or of a row's children (W8).
        self.host.read_alone(self.name)
        yield from ()

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: a signpost serves bookmarks that move with each record."""

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        """Return False, so that the SDK never writes ACTIVATE_VERSION itself."""
        # It does so at the beginning of each run, with a new version. A resumed full table would
        # lose what its first part loaded. Here the message ends a walk, with the version that the
        # walk began with (W4).
        return False
