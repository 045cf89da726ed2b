"""Bars: the progress of a run on a terminal, below what is logged meanwhile."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Self

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

    from tap_lev.progress.reporter import ProgressReporter
    from tap_lev.progress.status import StreamStatus

    Column = Callable[[StreamStatus], RenderableType]

ROOM_FOR_THE_LOG = 8
"""Lines of the terminal that are left to the log."""
FEWEST = 2
"""How many bars there are in any terminal."""
WIDE, NARROW, TINY = 72, 48, 32
"""Columns from which there is room for bars; for what is waited for; for single streams at all."""


class ProgressBars:
    """A bar for each stream that is read, as many as fit, and a line for all.

    Use it in a ``with`` statement: meanwhile what is logged to stderr goes above the bars.

    Args:
        progress: What there is to show.
    """

    def __init__(self, progress: ProgressReporter) -> None:
        self._progress = progress
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
        self._handlers: list[logging.StreamHandler[Any]] = []
        self._width = 0
        self._lengths: list[int] = []

    def __enter__(self) -> Self:
        """Show them."""
        root = logging.getLogger()
        for logger in (root, *root.manager.loggerDict.values()):
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.StreamHandler) and handler.stream is self._stderr:
                    self._handlers.append(handler)
        for handler in self._handlers:
            handler.setStream(_AboveBars(self._console))
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take them away."""
        try:
            self._live.stop()
        finally:
            for handler in self._handlers:
                handler.setStream(self._stderr)

    def show(self) -> None:
        """Show how the run stands now."""
        self._clear_what_wrapped()
        self._live.refresh()

    def _clear_what_wrapped(self) -> None:
        """Take away the lines that became more lines because the terminal became narrower."""
        width = self._console.width
        more = sum((length - 1) // width for length in self._lengths)
        if width < self._width and more > 0:
            self._stderr.write(f"\r\x1b[{more}A\x1b[J")
        self._width = width

    def _rendered(self) -> RenderableType:
        width, height = self._console.width - 1, self._console.height
        statuses = self._progress.stream_statuses()
        most = max(FEWEST, height - ROOM_FOR_THE_LOG) if width >= TINY else 0
        shown = statuses[:most]
        hidden = sum(len(status.followers) + 1 for status in statuses[len(shown) :])
        overall = Text(self._progress.run_status(statuses).facts(hidden))
        overall.truncate(width, overflow="ellipsis")
        self._lengths = [width] * len(shown) + [len(overall)]
        if not shown:
            return overall
        table = Table.grid(padding=(0, 1), pad_edge=False)
        table.width = width
        table.add_column(no_wrap=True, overflow="ellipsis", style="bold")
        columns: list[Column] = [_counts, _left]
        if width >= NARROW:
            columns.append(_wait)
        if width >= WIDE:
            table.add_column(ratio=1)
            columns = [_bar, _counts_of, _rate, _left, _wait]
        for column in columns[-4:]:
            table.add_column(
                justify="left" if column is _wait else "right", no_wrap=True, overflow="ellipsis"
            )
        for status in shown:
            more = len(status.followers)
            table.add_row(
                status.report.name + (f" +{more}" if more else ""),
                *(column(status) for column in columns),
            )
        return Group(table, overall)


def _bar(status: StreamStatus) -> RenderableType:
    progress = status.report.progress
    return ProgressBar(progress.total, progress.done) if progress.total else ""


def _counts(status: StreamStatus) -> str:
    progress = status.report.progress
    return f"{progress.done:,}" + (f"/{progress.total:,}" if progress.total else "")


def _counts_of(status: StreamStatus) -> str:
    return f"{_counts(status)} {status.report.progress.unit}"


def _rate(status: StreamStatus) -> str:
    return "" if status.rate is None else "/".join(format_rate(status.rate))


def _left(status: StreamStatus) -> str:
    return "" if status.seconds_left is None else format_duration(status.seconds_left)


def _wait(status: StreamStatus) -> str:
    if status.wait is None:
        return ""
    thing, seconds = status.wait
    return thing.removeprefix("the ") + (f" {format_duration(seconds)}" if seconds else "")


class _Console(Console):
    """A console that leaves the cursor as it is: whatever ends this process, it can be seen."""

    @override
    def show_cursor(self, show: bool = True) -> bool:
        return False


class _AboveBars:
    """Where log records go while there are bars."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(Text(text), end="")

    def flush(self) -> None:
        """Nothing is kept back."""
