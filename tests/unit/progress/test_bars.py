"""What the bars look like in terminals of all sizes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tap_lev.progress.bars import ProgressBars
from tap_lev.streams import STREAMS
from tests.unit.progress.test_progress import lock, pass_time, progress, report

if TYPE_CHECKING:
    from tap_lev.progress.report import RunReport
    from tap_lev.progress.reporter import ProgressReporter
    from tests.support.fake_lock import FakeLock

__all__ = ["lock", "progress", "report"]


def drawn(progress: ProgressReporter, width: int, height: int) -> list[str]:
    """What is drawn in a terminal of that size."""
    bars = ProgressBars(progress)
    bars._console = Console(width=width, height=height, file=io.StringIO())
    with bars._console.capture() as text:
        bars._console.print(bars._rendered())
    return text.get().splitlines()


@pytest.fixture(autouse=True)
def streams(report: RunReport, lock: FakeLock) -> None:
    """All streams there are: 3 complete, 25 that are read, 6 that have not begun."""
    for number, stream in enumerate(STREAMS):
        stream_progress = report.stream(stream.name).progress
        stream_progress.source, stream_progress.unit = "deals", "deals"
        if number < 28:
            stream_progress.update(0, 12_000, lock.clock())
            stream_progress.ended = number < 3
    pass_time(lock, 60)
    for stream in report.streams.values():
        if stream.progress.is_under_way:
            stream.progress.update(1_200, 12_000, lock.clock())


@pytest.mark.parametrize("width", [120, 80, 79, 60, 47, 34])
def test_as_many_as_fit_are_shown_and_the_rest_is_counted(
    progress: ProgressReporter, width: int
) -> None:
    lines = drawn(progress, width, 24)
    assert len(lines) == 24 - 8 + 1, "the rest of the terminal is the log's"
    assert all(len(line) < width for line in lines), "a full line would wrap"
    if width == 80:
        assert lines[-1] == (
            "3 of 34 streams done, 9 more under way, 6 to come, 0 rows, 0 requests"
        )


def test_a_narrow_terminal_shows_less_of_each_stream(progress: ProgressReporter) -> None:
    name = STREAMS[3].name
    wide, narrow, narrowest = (drawn(progress, width, 24)[0] for width in (100, 60, 40))
    assert wide.startswith(name)
    assert "━" in wide
    assert wide.rstrip().endswith(" 1,200/12,000 deals 20/s 9 min")
    assert narrow.split() == [name, "1,200/12,000", "9", "min"]
    assert narrowest.split() == narrow.split()


def test_a_terminal_too_narrow_for_streams_has_the_line_for_all(progress: ProgressReporter) -> None:
    assert drawn(progress, 20, 24) == ["3 of 34 streams do…"]


@pytest.mark.parametrize("height", [1, 5])
def test_even_a_flat_terminal_shows_something(progress: ProgressReporter, height: int) -> None:
    assert len(drawn(progress, 80, height)) == 3


def test_before_anything_has_come_there_is_the_line_for_all(
    report: RunReport, progress: ProgressReporter
) -> None:
    report.streams.clear()
    report.stream("deals")
    assert drawn(progress, 80, 24) == ["0 of 1 streams done, 1 to come, 0 rows, 0 requests"]
