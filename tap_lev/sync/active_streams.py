"""Hold the streams that one list is read for, and contain their failures.

The rules W1 to W12 are in docs/design/walk.md.
"""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import SingerSDKError, SyncLifecycleSignal

from tap_lev.errors import (
    AuthenticationError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
    RowsFailedError,
)
from tap_lev.state.tracker import MAX_STREAK, UPDATED_AT
from tap_lev.streams.child import ChildStream
from tap_lev.sync.child_reader import ChildReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_lev.streams.base import LevStream
    from tap_lev.sync.run import Run

ROW_FAULTS = (InvalidResponseError, LevAPIError, LevConnectionError)
"""Errors that may be those of one row, as long as other rows come (W2)."""

MAX_LISTED = 10
"""Rows that an error names."""


class ActiveStream:
    """A stream while its list is read.

    Args:
        run: The run.
        stream: The stream.

    Attributes:
        bookmark: The stream's entry in the state.
        progress: The stream's progress.
        client: Sends the stream's requests.
        reader: Reads the rows of a child stream; None for the list itself.
        row_faults: Errors of rows, or of their children, by the row's id.
        done_rows: Ids of the rows that were requested in this run before the walk came to them.
        is_answered: Whether Lev has answered a request for the stream in this run.
    """

    def __init__(self, run: Run, stream: LevStream) -> None:
        self.stream = stream
        self.name = stream.name
        self.tracker = stream.tracker
        self.bookmark = stream.tracker.bookmark
        self.report = stream.report
        self.progress = stream.report.progress
        self.client = run.client_for(stream)
        self.reader = ChildReader(run, stream) if isinstance(stream, ChildStream) else None
        self.row_faults: dict[int, Exception] = {}
        self.done_rows: set[int] = set()
        self.is_answered = False
        self._list_stream = run.list_of(stream)
        self._skips_forbidden = run.skips_forbidden

    def begin(self, server_time: datetime) -> None:
        """Begin a walk, at a moment of the server's clock."""
        self.tracker.begin(server_time)
        if self.reader is not None:
            self.reader.begin()

    @property
    def is_read_apart(self) -> bool:
        """Whether the stream sends requests for each row of the list."""
        return self.reader is not None and not self.reader.is_embedded

    @property
    def awaits_embed(self) -> bool:
        """Whether rows came without an embed that Lev may have: they must come again."""
        if self.reader is not None:
            return self.reader.awaits_embed
        embeds = self._list_stream.embeds
        return any(embeds[field].unread is not None for field in self.stream.includes)

    def includes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the list belongs to the stream's walk."""
        return self.tracker.includes(row.get(UPDATED_AT))

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is wanted, and was not read before in this run."""
        return self.includes(row) and row["id"] not in self.done_rows

    # -- Failing

    def fail(self, error: Exception) -> None:
        """Give the stream up for this run. Its walk stays in the state."""
        stream = self.stream
        # A 403 after a response is no missing scope: something is hidden, and rows are missing.
        forbidden = isinstance(error, LevAPIError) and error.is_forbidden and not self.is_answered
        if forbidden and self._skips_forbidden:
            stream.warn(f"skipped, because the key may not read it. {error}")
            self.report.skipped = True
            # At another place than the others it would be read apart from them in each later run.
            self.tracker.restart_next_run()
            return
        self.report.failure = error
        if not isinstance(error, LevError | SingerSDKError):
            stream.logger.error("%s failed by a fault of tap-lev", self.name, exc_info=error)
            return
        advice = (
            " Give the key that scope, deselect the stream, or set forbidden_streams to skip."
            if forbidden
            else ""
        )
        stream.logger.error("The stream %s is not complete: %s%s", self.name, error, advice)

    def fail_row(self, key: int, error: LevError) -> None:
        """Record that a row or its children cannot be read, while others can (W2).

        Args:
            key: The id of the row of the list.
            error: Why it cannot be read.

        Raises:
            LevError: The failure is the stream's.
        """
        # 1. The key is refused: that is no row's fault.
        status = error.status if isinstance(error, LevAPIError) else None
        if status == HTTPStatus.UNAUTHORIZED:
            raise error
        if key in self.done_rows:
            return  # 2. it was requested by its id before, and is recorded
        self.row_faults[key] = error
        # 3. The settings name it. It is requested again in each run, but stops nothing.
        if self.stream.accepts_gap(key):
            self.tracker.keep_failed(key)
            return
        # 4. It fails alone, unless others in a row fail alike (W12).
        most = MAX_STREAK
        is_first = not self.is_answered and not self.tracker.is_resumed
        if isinstance(error, LevAPIError) and error.is_forbidden and is_first:
            # No row was answered yet. If the message names a scope, the key may not read the
            # stream. If not, one deal may be restricted by itself: several rows decide.
            most = 1 if "scope" in error.message.lower() else MAX_STREAK
        self.tracker.fail_row(key, error, (type(error), status), most)

    def report_row_faults(self, keys: Iterable[int] | None = None) -> None:
        """Report the rows that are still to be read, once the others are.

        Args:
            keys: Their ids, or None for those that the state keeps.
        """
        list_name, rest = self._list_stream.name, []
        is_kept = keys is None
        if keys is None:
            keys = [row.key for row in self.bookmark.failed]
        for key in sorted(keys):
            if self.stream.accepts_gap(key):
                self.report.add_gap(f"{self.name}: {list_name} {key} (accepted_gaps)")
            else:
                rest.append(key)
        if not rest:
            return
        first = self.row_faults.get(rest[0])
        setting = json.dumps({self.name: rest})
        error = RowsFailedError(
            f"{_listed(rest)} of {list_name} could not be read"
            + ("" if list_name == self.name else f" for {self.name}")
            + (f": {first}" if first else ".")
            + " The next run asks for them first." * is_kept
            + f" To accept the gap, add to the setting accepted_gaps: {setting}.",
            first,
        )
        self.report.failure = error
        self.stream.logger.error("The stream %s is not complete: %s", self.name, error)


class ActiveStreams:
    """Holds the streams that a list is still read for. One that fails leaves them.

    Args:
        run: The run.
        streams: The streams.

    Attributes:
        list_stream: The list. Its rows are written only if it is one of the streams.
        streams: The streams that are still read; a new tuple when one leaves.
        list_member: The list's own stream, or None where only its children are wanted.
        children: The child streams.
        first: The list's own stream, else its first child. Requests for pages count for it.
    """

    def __init__(self, run: Run, streams: Sequence[LevStream]) -> None:
        self.list_stream = run.list_of(streams[0])
        self._run = run
        self._set(tuple(ActiveStream(run, stream) for stream in streams))
        self.first = self.list_member or self.streams[0]

    def _set(self, streams: tuple[ActiveStream, ...]) -> None:
        self.streams = streams
        self.children = tuple(active for active in streams if active.reader is not None)
        self.list_member = next((a for a in streams if a.reader is None), None)

    def __bool__(self) -> bool:
        """Return whether any stream is still read."""
        return bool(self.streams)

    @contextlib.contextmanager
    def isolate(self, *concerned: ActiveStream) -> Iterator[None]:
        """Contain a failure: the streams concerned leave, the others are still read.

        Args:
            concerned: The streams that the work is done for; by default all.

        Raises:
            AuthenticationError: Lev does not accept the key.
            Exception: Lev cannot be reached at all, or the output cannot be written.
        """
        try:
            yield
        except (AuthenticationError, OSError, SyncLifecycleSignal):
            # The key is refused, nobody reads the output, or the SDK ends the stream.
            raise
        except Exception as error:
            # Without any response of Lev's, each stream would fail by itself after all its retries.
            if not self._run.client.has_responded:
                raise
            if isinstance(error, RecursionError):
                error = InvalidResponseError("Lev sends something that is nested too deeply.")
            for active in concerned or self.streams:
                if active in self.streams:
                    self._leave(active, error)

    def _leave(self, active: ActiveStream, error: Exception) -> None:
        self._set(tuple(stream for stream in self.streams if stream is not active))
        if self.streams:
            self.first = self.list_member or self.streams[0]
        # The scheduler reserves places for requests that are to come (S6): none of this stream.
        self._run.expect_none(active)
        active.progress.ended = True
        active.fail(error)


def _listed(keys: Sequence[int]) -> str:
    shown = ", ".join(map(str, keys[:MAX_LISTED]))
    more = f" and {len(keys) - MAX_LISTED} more" if len(keys) > MAX_LISTED else ""
    return f"{'Row' if len(keys) == 1 else 'Rows'} {shown}{more}"
