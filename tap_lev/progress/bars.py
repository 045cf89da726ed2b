"""Draw the progress of a run on a terminal, below what is logged meanwhile."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from tap_lev.progress.status import format_duration, format_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from tap_lev.progress.status import RunStatus, StreamStatus

    Column = Callable[[StreamStatus], RenderableType]

LOG_LINES = 8
"""Lines of the terminal that are left to the log."""
MIN_BARS = 2
"""Bars in a terminal that is too low for both."""
WIDE, NARROW, TINY = 72, 48, 32
"""Columns from which there is room for bars, for waits, and for a line per stream at all."""


class StatusSource(Protocol):
    """Computes how far a run is."""

    def stream_statuses(self) -> list[StreamStatus]:
        """Compute how far the streams are that are being read."""

    def run_status(self, statuses: list[StreamStatus]) -> RunStatus:
        """Compute how far the whole run is."""


class ProgressBars:
    """Draws a bar for each stream that is read, as many as fit, and a line for the run.

    Use it in a ``with`` statement: meanwhile what is logged to stderr goes above the bars.

    Args:
        source: Computes what to show.
    """

    def __init__(self, source: StatusSource) -> None:
        self._source = source
        self._stderr = sys.stderr
        self._console = _Console(file=self._stderr, highlight=False, soft_wrap=True)
        self._live = Live(
            console=self._console,
            get_renderable=self._rendered,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        # rich computes where a log line goes before it writes it. A refresh in between, with
        # another number of bars, would leave lines of the old ones behind.
        self._drawing = threading.RLock()
        self._handlers: list[logging.StreamHandler[Any]] = []
        self._width = 0
        self._lengths: list[int] = []

    def __enter__(self) -> Self:
        """Draw the bars, and move the log above them."""
        root = logging.getLogger()
        for logger in (root, *root.manager.loggerDict.values()):
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.StreamHandler) and handler.stream is self._stderr:
                    self._handlers.append(handler)
        for handler in self._handlers:
            handler.setStream(_AboveBars(self._console, self._drawing))
        with self._drawing:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars."""
        try:
            with self._drawing:
                self._live.stop()
        finally:
            for handler in self._handlers:
                handler.setStream(self._stderr)

    def show(self) -> None:
        """Draw how far the run is now."""
        with self._drawing:
            self._clear_what_wrapped()
            self._live.refresh()

    def _clear_what_wrapped(self) -> None:
        """Clear the lines that wrapped because the terminal became narrower."""
        # rich moves the cursor up by the lines that it wrote, and would leave the others behind.
        width = self._console.width
        wrapped = sum((length - 1) // width for length in self._lengths)
        if width < self._width and wrapped > 0:
            self._stderr.write(f"\r\x1b[{wrapped}A\x1b[J")
        self._width = width

    def _rendered(self) -> RenderableType:
        # A line as wide as the terminal would wrap.
        width, height = self._console.width - 1, self._console.height
        statuses = self._source.stream_statuses()
        bars = max(MIN_BARS, height - LOG_LINES) if width >= TINY else 0
        shown, rest = statuses[:bars], statuses[bars:]
        hidden = sum(len(status.followers) + 1 for status in rest)
        run = Text(self._source.run_status(statuses).facts(hidden))
        run.truncate(width, overflow="ellipsis")
        self._lengths = [width] * len(shown) + [len(run)]
        if not shown:
            return run
        # Not rich.progress.Progress: it keeps tasks and computes their speeds, which StreamStatus
        # has already, and one set of columns for terminals of all widths.
        table = Table.grid(padding=(0, 1), pad_edge=False)
        table.width = width
        table.add_column(no_wrap=True, overflow="ellipsis", style="bold")
        columns: list[Column] = [_counts, _seconds_left]
        if width >= NARROW:
            columns.append(_wait)
        if width >= WIDE:
            table.add_column(ratio=1)  # the bar takes what the texts leave
            columns = [_bar, _counts_of, _rate, _seconds_left, _wait]
        for column in columns[-4:]:
            table.add_column(
                justify="left" if column is _wait else "right", no_wrap=True, overflow="ellipsis"
            )
        for status in shown:
            followers = len(status.followers)
            table.add_row(
                status.report.name + (f" +{followers}" if followers else ""),
                *(column(status) for column in columns),
            )
        return Group(table, run)


def _bar(status: StreamStatus) -> RenderableType:
    progress = status.report.progress
    return ProgressBar(progress.total, progress.done) if progress.total else ""


def _counts(status: StreamStatus) -> str:
    progress = status.report.progress
    return f"{progress.done:,}" + (f"/{progress.total:,}" if progress.total else "")


def _counts_of(status: StreamStatus) -> str:
    progress = status.report.progress
    return f"{_counts(status)} {progress.unit}"


def _rate(status: StreamStatus) -> str:
    return "" if status.rate is None else "/".join(format_rate(status.rate))


def _seconds_left(status: StreamStatus) -> str:
    return "" if status.seconds_left is None else format_duration(status.seconds_left)


def _wait(status: StreamStatus) -> str:
    if status.wait is None:
        return ""
    thing, seconds = status.wait
    return thing.removeprefix("the ") + (f" {format_duration(seconds)}" if seconds else "")


class _Console(Console):
    """A console that never hides the cursor: the process may be killed before it shows it again."""

    @override
    def show_cursor(self, show: bool = True) -> bool:
        return False


class _AboveBars:
    """The stream that log records go to while there are bars."""

    def __init__(self, console: Console, drawing: threading.RLock) -> None:
        self._console = console
        self._drawing = drawing

    def write(self, text: str) -> None:
        with self._drawing:
            self._console.print(Text(text), end="")

    def flush(self) -> None:
        """Do nothing: each text is written at once."""
