"""LevStream: a list of Lev as a stream, walked page by page, resumable after each page."""

from __future__ import annotations

import functools
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from singer_sdk.streams import Stream
from typing_extensions import override

from tap_lev import timestamps
from tap_lev.errors import BrokenAnswerError, LevAPIError, LevError
from tap_lev.optional import Option, OptionalParameters
from tap_lev.pagination import Pages
from tap_lev.walk import Bookmark, Walk

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from datetime import datetime

    from singer_sdk.helpers.types import Context, Record

    from tap_lev.client import Answer
    from tap_lev.pagination import Position
    from tap_lev.report import StreamReport
    from tap_lev.tap import TapLev

UPDATED_AT = "updated_at"
FILTER = "filter[updated_at][gte]"
MAX_RESTARTS = 3
"""How often one run begins a walk again because Lev refuses its own cursor."""


class LevStream(Stream):
    """A list of Lev. What differs from list to list are the class attributes."""

    path: ClassVar[str]
    """Route template, as in the client's allow-list."""
    name: str
    schema: ClassVar[dict[str, Any]]
    primary_keys: Sequence[str] = ("id",)
    includes: ClassVar[Sequence[str]] = ()
    """Columns that Lev adds when asked to by ``include=`` (lev-api.md §1.7)."""
    paged: ClassVar[bool]
    """Whether the list takes ``limit`` and ``cursor``."""

    # The rows come out of JSON and go into JSON: there is nothing to convert.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    _tap: TapLev

    @property
    def report(self) -> StreamReport:
        """What the stream did in this run."""
        return self._tap.report.stream(self.name)

    # -- The walk

    @functools.cached_property
    def _bookmark(self) -> Bookmark:
        return Bookmark(self.stream_state, self.replication_key)

    @functools.cached_property
    def _optional(self) -> OptionalParameters:
        return OptionalParameters(self._tell_refusal)

    @functools.cached_property
    def _request(self) -> str:
        """Fingerprint of what is asked for: a walk does not go on with anything else."""
        asked = [
            self.path,
            self.replication_method,
            sorted(self._columns),
            self.config.get("active_account"),
            self.config.get("start_date"),
        ]
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:16]

    def walk_pages(self) -> Iterator[list[Record]]:
        """Read the list from where it stands to its end.

        Yields:
            The records of one page. When the next page is asked for, those are taken as written:
            the state moves on and a STATE message says so.
        """
        walk, answer = self._begin()
        pages, position = self._pages(), _position(walk)
        restarts = 0
        while True:
            # A version says which rows are of one table, over all runs of the walk.
            self._stream_version = walk.version
            yield self._records(walk, answer)
            following = pages.after(answer.pagination, position)
            if following is None:
                break
            position = following
            if isinstance(cursor := position.get("cursor"), str):
                walk.cursor = cursor
                self._bookmark.checkpoint(walk)
                self._write_state()
            try:
                answer = self._ask(walk.since, position)
            except LevAPIError as error:
                if not error.refuses_parameters or restarts == MAX_RESTARTS:
                    raise
                restarts += 1
                walk, answer = self._start_again(f"Lev refuses the cursor: {error}")
                pages, position = self._pages(), _position(walk)
        if walk.version is not None:
            self._write_activate_version_message(walk.version)
        self._bookmark.finish(walk)
        self._write_state()

    def _pages(self) -> Pages:
        return Pages(f"GET {self.path}", cursor_only=self.paged)

    def _begin(self) -> tuple[Walk, Answer]:
        try:
            walk = self._bookmark.unfinished()
        except ValueError as fault:
            return self._start_again(f"the state's walk cannot be read: {fault}.")
        if walk is None:
            return self._start()
        if walk.request != self._request:
            return self._start_again("other columns, dates or another account are asked for now.")
        try:
            answer = self._ask(walk.since, _position(walk))
        except LevAPIError as error:
            if not error.refuses_parameters:
                raise
            return self._start_again(f"Lev refuses the stored cursor: {error}")
        self.logger.info(
            "Going on with the walk through %s of %s.",
            self.name,
            timestamps.render(walk.started_at),
        )
        return walk, answer

    def _start_again(self, reason: str) -> tuple[Walk, Answer]:
        self.logger.warning("Reading %s again from the beginning: %s", self.name, reason)
        return self._start()

    def _start(self) -> tuple[Walk, Answer]:
        since = self._since()
        answer = self._ask(since, {})
        bookmark = self._bookmark.value
        if since is not None and bookmark is not None and bookmark > answer.server_time:
            self.logger.warning(
                "The bookmark of %s, %s, is later than Lev's clock, %s: a change since then may "
                "be dated before it. Reading all of %s once.",
                self.name,
                timestamps.render(bookmark),
                timestamps.render(answer.server_time),
                self.name,
            )
            since = self._start_date
            answer = self._ask(since, {})
        walk = Walk(self._request, answer.server_time, since=since)
        if self._replaces_table:
            walk.version = int(walk.started_at.timestamp())
        return walk, answer

    @property
    def _start_date(self) -> datetime | None:
        return timestamps.parse(self.config.get("start_date"))

    def _since(self) -> datetime | None:
        if self.replication_method == REPLICATION_FULL_TABLE:
            return None
        overlap = timedelta(seconds=self.config["overlap_seconds"])
        return self._bookmark.since(overlap, self._start_date)

    @property
    def _replaces_table(self) -> bool:
        return self.replication_method == REPLICATION_FULL_TABLE and self.config.get(
            "emit_activate_version_messages", False
        )

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        """Never by the SDK: it sends the message first, with a new version in each run.

        Rows would be gone from the target before their successors are there. The walk ends with
        the message instead, with the version that it began with.
        """
        return False

    def _write_state(self) -> None:
        self._tap.state_writer.write_state(self.tap_state)

    # -- Asking

    def _ask(self, since: datetime | None, position: Position) -> Answer:
        limit: Position = {"limit": self.config["page_size"]} if self.paged else {}
        return self._optional.ask(
            self._options(since),
            lambda params: self._tap.client.read(
                f"GET {self.path}", self.report, limit | position | params
            ),
        )

    def _options(self, since: datetime | None) -> list[Option]:
        mode = self.config["updated_at_filter"]
        options = [Option("include", name) for name in self.includes if name in self._columns]
        if since is not None and mode != "client":
            options.insert(0, Option(FILTER, timestamps.render(since), required=mode == "server"))
        return options

    def _tell_refusal(self, option: Option, error: LevAPIError) -> None:
        instead = (
            "every row is read and the unchanged ones are left out here"
            if option.param == FILTER
            else f"{option.value} stays empty"
        )
        self._tell(
            f"Lev does not accept {option.name}, so {instead} ({error.status} {error.kind}, "
            f"request_id {error.request_id or 'not given'})."
        )

    # -- Rows

    @functools.cached_property
    def _columns(self) -> list[str]:
        """The selected columns, of those that a given catalog knows."""
        known = self.effective_schema["properties"]
        return [
            name
            for name in self.schema["properties"]
            if name in known and self.mask["properties", name]
        ]

    @functools.cached_property
    def _instants(self) -> list[str]:
        properties = self.schema["properties"]
        return [name for name in self._columns if properties[name].get("format") == "date-time"]

    def adapt(self, row: dict[str, Any], answer: Answer) -> dict[str, Any]:  # noqa: ARG002
        """Bring a row of Lev into the schema's form. Most are."""
        return row

    def _records(self, walk: Walk, answer: Answer) -> list[Record]:
        records = []
        older = False
        for row in self._rows(answer):
            changed_at = timestamps.parse(row.get(UPDATED_AT)) if walk.since else None
            if walk.holds(changed_at):
                records.append(self._record(row))
            else:
                older = True
        if older:
            self._tell_ignored(walk)
        return records

    def _tell_ignored(self, walk: Walk) -> None:
        """Note that rows come which the filter, if it was sent, should have left out."""
        for option in self._optional.sent(self._options(walk.since)):
            if option.param == FILTER:
                self._optional.leave_out(option.name)
                self._tell(
                    f"Lev ignores {FILTER}, so every row is read and the unchanged ones are "
                    "left out here."
                )

    def _tell(self, note: str) -> None:
        self.logger.warning("%s: %s", self.name, note)
        self.report.notes.append(f"{self.name}: {note}")

    def _rows(self, answer: Answer) -> Iterator[dict[str, Any]]:
        for row in _list(answer):
            adapted = self.adapt(row, answer) if isinstance(row, dict) else {}
            if any(adapted.get(key) is None for key in self.primary_keys):
                missing = " and ".join(self.primary_keys)
                raise BrokenAnswerError(
                    f"Lev sent a row of {answer.endpoint} without {missing} "
                    f"(request_id {answer.request_id or 'not given'})."
                )
            yield adapted

    def _record(self, row: dict[str, Any]) -> Record:
        record = {name: row[name] for name in self._columns if name in row}
        if len(record) < len(row):
            self._tell_unknown(row)
        for name in self._instants:
            if isinstance(value := record.get(name), str):
                record[name] = timestamps.normalise(value)
        return record

    @functools.cached_property
    def _known(self) -> set[str]:
        return {*self.schema["properties"], *self.includes}

    def _tell_unknown(self, row: dict[str, Any]) -> None:
        unknown = row.keys() - self._known
        if unknown:
            self._known.update(unknown)
            self._tell(
                "Lev sends columns that this release does not know and leaves out: "
                f"{', '.join(sorted(unknown))}."
            )

    # -- The SDK's side

    def run(self) -> None:
        """Write the SCHEMA message and the walk's records.

        The tap's own runs begin here. ``sync``, which the SDK's dry runs call, does the same with
        more words.
        """
        self._write_schema_message()
        for _ in self._sync_records():
            pass

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: a signpost in the state serves bookmarks that move with each record."""

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        for page in self.walk_pages():
            yield from page

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """Write the walk's records, a page at a time.

        In place of the SDK's own loop, which moves the bookmark with every record and tells the
        state every 10,000: here only a page that is written moves the state.
        """
        with self.get_record_counter() as counter, self.get_sync_timer():
            for page in self.walk_pages():
                for record in page:
                    self._check_max_record_limit(self.report.rows)
                    if write_messages:
                        self._write_record(record)
                    self.report.rows += 1
                    counter.increment()
                    yield record

    def _write_record(self, record: Record) -> None:
        try:
            self._write_record_message(record)
        except (OSError, SingerSDKError):
            raise
        except Exception as error:
            # An expression of the user's may fail in any way, by what stands in the row.
            if not self.config.get("stream_maps"):
                raise
            raise LevError(
                f"An expression of the setting stream_maps fails on a row of {self.name}: {error!r}"
            ) from None


class IncrementalStream(LevStream):
    """A list whose rows say when they changed."""

    replication_key = UPDATED_AT
    paged = True


class FullTableStream(LevStream):
    """A short list that is read as a whole each time."""

    paged = False


def _position(walk: Walk) -> Position:
    return {"cursor": walk.cursor} if walk.cursor else {}


def _list(answer: Answer) -> list[Any]:
    """Find the rows in ``data``.

    A list as a rule; some endpoints are also described as an object that holds a list, or whose
    values are the rows (lev-api.md §3 row 23). Null is an empty list only where Lev counts none.
    """
    data = answer.data
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else list(data.values())
    if data is None and (answer.pagination or {}).get("total") == 0:
        return []
    if not isinstance(data, list):
        raise BrokenAnswerError(
            f"Lev answered {answer.endpoint} without a list of rows "
            f"(request_id {answer.request_id or 'not given'})."
        )
    return data
