"""LevStream: rows of Lev as a Singer stream. Its lists are read by a ``Reading``."""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import UNSET
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from singer_sdk.streams import Stream
from typing_extensions import override

from tap_lev import timestamps
from tap_lev.answer import items
from tap_lev.errors import BrokenAnswerError, LevAPIError, LevError, shown
from tap_lev.optional import Option, OptionalParameters
from tap_lev.records import RecordShape
from tap_lev.schema import OBJECT, UNKNOWN_FIELDS
from tap_lev.walk import Bookmark, Walk
from tap_lev.writer import RecordMessage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.metrics import Counter

    from tap_lev.answer import Answer
    from tap_lev.page import PageShape
    from tap_lev.report import StreamReport
    from tap_lev.tap import TapLev

UPDATED_AT = "updated_at"
FIELDS = "fields"


class LevStream(Stream):
    """Rows of Lev. What differs from stream to stream are the class attributes."""

    name: str
    schema: dict[str, Any]
    path: ClassVar[str | None]
    """Route template of what is read, as in the client's allow-list."""
    primary_keys: Sequence[str] = ("id",)
    single: ClassVar[bool] = False
    """Whether ``data`` is one row and not a list of rows."""
    takes_fields: ClassVar[bool] = False
    """Whether the endpoint takes ``fields=`` (lev-api.md §1.7)."""
    includes: ClassVar[Sequence[str]] = ()
    """Columns that Lev adds when asked to by ``include=`` (lev-api.md §1.7)."""
    block: ClassVar[str | None] = None
    """The field of another stream's row that embeds the rows, when ``include=`` asks for it."""

    # The rows come out of JSON and go into JSON: there is nothing to convert.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    _tap: TapLev
    walk: Walk | None = None
    """The walk that is under way."""
    counter: Counter | None = None

    def __init__(self, tap: TapLev) -> None:
        collected = (
            {UNKNOWN_FIELDS: OBJECT} if tap.config.get("unknown_fields") == "collect" else {}
        )
        self.schema = self.schema | {
            "description": (self.__doc__ or "").partition("\n")[0],
            "properties": self.schema["properties"] | collected,
        }
        super().__init__(tap)

    @property
    def report(self) -> StreamReport:
        """What the stream did in this run."""
        return self._tap.report.stream(self.name)

    @property
    def source(self) -> ListStream:
        """The list whose walk brings the stream's rows."""
        raise NotImplementedError

    @property
    def account_id(self) -> int:
        """The id of the account that the key reads."""
        return self._tap.client.account_id(self.report)

    # -- The walk

    @functools.cached_property
    def bookmark(self) -> Bookmark:
        """The stream's place in the state."""
        return Bookmark(self.stream_state, self.replication_key)

    @property
    def asked(self) -> list[Any]:
        """What is asked for. A walk does not go on with anything else."""
        return [
            self.path,
            self.replication_method,
            sorted(self.columns),
            self.config.get("active_account"),
            self.config.get("start_date"),
        ]

    @functools.cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.asked)).hexdigest()[:16]

    def unfinished(self) -> Walk | None:
        """Find the walk to go on with, if an earlier run left one that fits."""
        try:
            walk = self.bookmark.unfinished()
        except ValueError as fault:
            self.tell_restart(f"the state's walk cannot be read: {fault}.")
            return None
        if walk is not None and walk.request != self._fingerprint:
            self.tell_restart("other columns, settings or another account are asked for now.")
            return None
        return walk

    def tell_restart(self, reason: str) -> None:
        """Say why a walk is not gone on with."""
        self.logger.warning("Reading %s again from the beginning: %s", self.name, reason)

    def begin(self, server_time: datetime) -> None:
        """Begin a walk, at a moment of the server's clock."""
        since, bookmark = self.since, self.bookmark.value
        if since is not None and bookmark is not None and bookmark > server_time:
            self.tell_restart(
                f"its bookmark, {timestamps.render(bookmark)}, is later than Lev's clock, "
                f"{timestamps.render(server_time)}: a change since may be dated before it."
            )
            since = self._start_date
        version = self._version_of(server_time)
        self.walk = Walk(self._fingerprint, server_time, since=since, version=version)

    def _version_of(self, started_at: datetime | None) -> int | None:
        """Number the table as a walk leaves it, where the target is to know."""
        whole = self._is_whole and self.config["emit_activate_version_messages"]
        return int(started_at.timestamp()) if whole and started_at is not None else None

    @functools.cached_property
    def _version_to_join(self) -> int | None:
        """The version of a row that is refreshed, which is that of the table it stands in.

        It is the version of the walk that a run has left unfinished, if one has: the walk may be
        past the row, and its end would have the target drop it.
        """
        try:
            walk = self.bookmark.unfinished()
        except ValueError:
            walk = None  # the next walk brings every row anew
        version = walk.version if walk else None
        return version or self._version_of(self.bookmark.value)

    @property
    def since(self) -> datetime | None:
        """The lower bound of a new walk."""
        if self._is_whole:
            return None
        overlap = timedelta(seconds=self.config["overlap_seconds"])
        return self.bookmark.since(overlap, self._start_date)

    @property
    def follows_changes(self) -> bool:
        """Whether only rows of changed parents are read."""
        return False

    @property
    def _is_whole(self) -> bool:
        """Whether each walk brings all rows there are."""
        return self.replication_method == REPLICATION_FULL_TABLE and not self.follows_changes

    @property
    def bound(self) -> datetime | None:
        """The lower bound of the walk that is under way, or of a new one."""
        return self.since if self.walk is None else self.walk.since

    @property
    def _start_date(self) -> datetime | None:
        return timestamps.parse(self.config.get("start_date"))

    def holds(self, row: dict[str, Any]) -> bool:
        """Say whether a row of the list belongs to the stream's walk."""
        if self.walk is None or self.walk.since is None:
            return True
        return self.walk.holds(timestamps.parse(row.get(UPDATED_AT)))

    def held(self, rows: list[Any]) -> list[Any]:
        """Find those of a page's rows that belong to the stream's walk."""
        if self.walk is None or self.walk.since is None:
            return rows
        holds, parse = self.walk.holds, timestamps.parse
        return [row for row in rows if holds(parse(getattr(row, UPDATED_AT, None)))]

    def checkpoint(self, cursor: str | None, parent: int | None, seen: int | None) -> None:
        """Note that everything before a place is written."""
        if self.walk is not None:
            self.walk.cursor, self.walk.parent, self.walk.seen = cursor, parent, seen
            self.bookmark.checkpoint(self.walk)

    def finish(self) -> None:
        """Note that the walk is complete."""
        if self.walk is not None:
            if self.walk.version is not None:
                self._write_activate_version_message(self.walk.version)
            self.bookmark.finish(self.walk)

    # -- Asking

    @functools.cached_property
    def optional(self) -> OptionalParameters:
        """What is known of the parameters that Lev may refuse."""
        return OptionalParameters(self._tell_refusal)

    @property
    def wanted_blocks(self) -> list[str]:
        """The selected columns that ``include=`` has to ask for."""
        return [name for name in self.includes if name in self.columns]

    def field_options(self, *, written: bool) -> list[Option]:
        """Find the columns to ask for, where not all are wanted.

        Args:
            written: Whether the rows are written; otherwise they only lead to their children.
        """
        chosen = set(self.columns) if written else set()
        if not self.takes_fields or chosen.issuperset(self.own_columns):
            return []
        wanted = {*chosen, *self.primary_keys, UPDATED_AT}
        return [Option(FIELDS, ",".join(name for name in self.own_columns if name in wanted))]

    @property
    def own_columns(self) -> list[str]:
        """The columns that are fields of Lev's row, without the blocks."""
        added = {*self.includes, UNKNOWN_FIELDS}
        return [name for name in self.schema["properties"] if name not in added]

    def _tell_refusal(self, option: Option, error: LevAPIError) -> None:
        instead = {
            "include": f"{option.value} does not come with the rows",
            FIELDS: "all columns are read and the others left out here",
        }.get(option.param, "every row is read and the unchanged ones are left out here")
        self.tell(
            f"Lev does not accept {option.name}, so {instead} ({error.status} {error.kind}, "
            f"request_id {error.request_id or 'not given'})."
        )

    # -- Rows

    @functools.cached_property
    def columns(self) -> list[str]:
        """The selected columns, of those that a given catalog knows."""
        known = self.effective_schema["properties"]
        return [
            name
            for name in self.schema["properties"]
            if name in known and self.mask["properties", name]
        ]

    def adapt(self, row: dict[str, Any], answer: Answer) -> dict[str, Any]:  # noqa: ARG002
        """Bring a row of Lev into the schema's form. Most are."""
        return row

    def rows(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """Find the rows of an answer.

        Raises:
            BrokenAnswerError: There are none where some should be, or one without its key.
        """
        for item in items(answer, single=self.single):
            for row in self.expand(item):
                yield self.keyed(self.adapt(row, answer), answer)

    def expand(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Find the rows that one item of an answer holds: itself, as a rule."""
        yield item

    def keyed(self, row: dict[str, Any], answer: Answer) -> dict[str, Any]:
        """Make sure that a row can be told from others.

        Raises:
            BrokenAnswerError: It cannot.
        """
        for key in self.primary_keys:
            if isinstance(value := row.get(key), dict | list | None):
                what = "without" if value is None else f"with a {type(value).__name__} for"
                raise BrokenAnswerError(
                    f"Lev sent a row of {answer.endpoint} {what} {key} "
                    f"(request_id {answer.request_id or 'not given'})."
                )
        return row

    def write(self, row: dict[str, Any], answer: Answer) -> None:
        """Write a RECORD message."""
        self._check_max_record_limit(self.report.rows)
        # A version says which rows are of one table, over all runs of the walk.
        self._stream_version = self.walk.version if self.walk else self._version_to_join
        try:
            self._write_record_message(self._shape.record(row, answer.request_id))
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
        self.report.rows += 1
        if self.counter is not None:
            self.counter.increment()

    def write_all(self, rows: Sequence[Any], shape: PageShape) -> None:
        """Write the RECORD messages of rows that need no look of their own.

        In place of the SDK's ``_write_record_message``, with what it does for each record done
        once. ``is_plain`` says where that is the same.

        Args:
            rows: The rows, as the page's shape decodes them.
            shape: The page's shape.
        """
        shape.tidy(self.name, rows)
        version = self.walk.version if self.walk else None
        now = datetime.now(UTC)
        self._tap.message_writer.write_records(
            [RecordMessage(self.name, row, version or UNSET, now) for row in rows]
        )
        self.state_manager.is_flushed = False
        self.report.rows += len(rows)
        if self.counter is not None:
            self.counter.increment(len(rows))

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether the rows go out as they come in, where they are as the schema says."""
        maps = self.stream_maps
        return (
            hasattr(self._tap.message_writer, "write_records")
            and not self.single
            and not any(
                getattr(type(self), name) is not getattr(LevStream, name)
                for name in ("adapt", "expand", "keyed", "rows")
            )
            and [type(each) for each in maps] == [SameRecordTransform]
            and not maps[0].flattening_enabled
            and len(self.columns) == len(self.schema["properties"])
        )

    @functools.cached_property
    def _shape(self) -> RecordShape:
        blocks = self.blocks if isinstance(self, ListStream) else ()
        return RecordShape(self.schema["properties"], self.columns, blocks, self.tell)

    def tell(self, note: str) -> None:
        """Tell something that whoever reads the summary should know."""
        self.logger.warning("%s: %s", self.name, note)
        self.report.notes.append(f"{self.name}: {note}")

    # -- Failing

    def fail(self, error: Exception) -> None:
        """Give the stream up for this run. Its walk stays in the state."""
        forbidden = isinstance(error, LevAPIError) and error.status == HTTPStatus.FORBIDDEN
        if forbidden and self.config["forbidden_streams"] == "skip":
            self.tell(f"skipped, because the key may not read it. {error}")
            # With a walk of its own it would be read apart from the others ever after.
            self.bookmark.abandon()
            return
        self.report.failure = error
        if not isinstance(error, LevError | SingerSDKError):
            self.logger.error("%s failed by a fault of tap-lev", self.name, exc_info=error)
            return
        advice = (
            " Give the key that scope, deselect the stream, or set forbidden_streams to skip."
            if forbidden
            else ""
        )
        self.logger.error("The stream %s is not complete: %s%s", self.name, error, advice)

    # -- The SDK's side

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
        self._tap.read_alone(self)
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


class ListStream(LevStream):
    """A list of Lev that is walked from its first page to its last."""

    path: ClassVar[str]
    detail: ClassVar[str | None] = None
    """Route template of the read of a single row."""
    paged: ClassVar[bool]
    """Whether the list takes ``limit`` and ``cursor``."""

    @property
    @override
    def source(self) -> ListStream:
        return self

    def write_page(self, rows: Iterable[dict[str, Any]], answer: Answer) -> None:
        """Write the rows of a page that belong to the walk."""
        for row in rows:
            if self.holds(row):
                self.write(row, answer)

    @functools.cached_property
    def embedded_blocks(self) -> set[str]:
        """The blocks that have come with rows in this run."""
        return set()

    @functools.cached_property
    def blocks(self) -> set[str]:
        """The fields that come with a row only because ``include=`` asks for them."""
        streams = self._tap.lev_streams
        return {*self.includes, *(s.block for s in streams if s.block and s.source is self)}


class IncrementalStream(ListStream):
    """A list whose rows say when they changed."""

    replication_key = UPDATED_AT
    paged = True


class FullTableStream(ListStream):
    """A short list that is read as a whole each time."""

    paged = False
