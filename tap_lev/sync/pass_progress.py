"""Update the progress of the streams that one list is read for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.progress.stream_progress import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_lev.api.row_counter import RowCounter
    from tap_lev.sync.active_streams import ActiveStream, ActiveStreams


class PassProgress:
    """Updates the progress of streams, page by page or row by row.

    Args:
        active: The streams.
        counter: Counts the rows of the list.
        clock: Returns seconds.
    """

    def __init__(
        self, active: ActiveStreams, counter: RowCounter, clock: Callable[[], float]
    ) -> None:
        self._expected_rows: int | None = None
        self._active = active
        self._counter = counter
        self._clock = clock

    def expect_rows(self, rows: int) -> None:
        """Record how many rows a refresh requests by id, where no list is counted."""
        self._expected_rows = rows

    def on_page(self) -> None:
        """Update the streams whose rows are in a page that has come."""
        list_stream = self._active.list_stream
        # Streams in the same pages advance together, so one of them counts and the others follow.
        # One that sends requests for each row has another endpoint, and another pace.
        together = []
        for active in self._active.streams:
            progress = active.progress
            progress.source = list_stream.name
            if active.is_read_apart and active.reader is not None:
                child = active.reader.stream
                progress.follows, progress.endpoint = None, child.endpoint
                progress.unit = list_stream.name
            else:
                progress.unit, progress.endpoint = ROWS, f"GET {list_stream.path}"
                together.append(active)
        together.sort(key=lambda active: active.stream is not list_stream)
        for active in together:
            is_first = active is together[0]
            active.progress.follows = None if is_first else together[0].name
        self._move(together, self._counter.rows_read)

    def on_parents(self, done: int) -> None:
        """Update the streams that send requests for each row.

        Args:
            done: Rows of the page whose children are written.
        """
        before = self._counter.before_page
        apart = (active for active in self._active.streams if active.is_read_apart)
        self._move(apart, None if before is None else before + done)

    def _move(self, moved: Iterable[ActiveStream], done: int | None) -> None:
        total, now = self._expected_rows or self._counter.total, self._clock()
        for active in moved:
            active.progress.update(done or 0, None if done is None else total, now)
