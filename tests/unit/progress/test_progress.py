"""What a long run shows of itself: bars on a terminal, lines of the log elsewhere."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import json
import logging
import os
import re
import signal
import struct
import termios
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.progress.report import RunReport
from tap_lev.progress.reporter import ProgressReporter
from tap_lev.progress.status import format_duration, format_rate
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import Limits
from tap_lev.ratelimit.scheduler import RequestScheduler, WaitReason
from tests.support.fake_lock import FakeLock
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import TapProcess, run_tap, start_tap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lev_sandbox import SandboxServer

HASTY = """
from tap_lev.progress import reporter
reporter.LOG_INTERVAL = reporter.BARS_AFTER = reporter.POLL_INTERVAL = 0.02
from tap_lev.tap import TapLev
TapLev.cli()
"""
"""A tap that shows soon and often what others show after a while."""

ENOUGH = 60
"""Seconds after which a test fails that waits for a process."""

HEIGHT, WIDTH = 30, 250

# -- Lines, on a clock that stands still


@pytest.fixture
def lock() -> FakeLock:
    """A run lock, and a clock that goes on only when something waits."""
    return FakeLock()


@pytest.fixture
def report(lock: FakeLock) -> RunReport:
    """A run that begins now."""
    return RunReport(lock.clock)


@pytest.fixture
def progress(report: RunReport, lock: FakeLock) -> ProgressReporter:
    """A look at that run, with room for 6 requests in 60 s, 2 of them to one endpoint."""
    budget = RateBudget(Limits(6, 2), 1.0, 60.0, lock.clock)
    return ProgressReporter(
        report, RequestScheduler(budget, lock, 4, lock.clock), logging.getLogger("tap")
    )


def pass_time(lock: FakeLock, seconds: float) -> None:
    """Let time go on."""
    lock.waits.append(seconds)


def lines(progress: ProgressReporter) -> list[str]:
    """What the log would say now."""
    statuses = progress.stream_statuses()
    return [*map(str, statuses), str(progress.run_status(statuses))]


def test_a_run_that_has_got_nothing_yet_says_so(
    report: RunReport, progress: ProgressReporter
) -> None:
    report.stream("contacts")
    report.tap.requests = 1
    assert lines(progress) == ["0 of 1 streams done, 1 to come, 0 rows, 1 requests."]


def test_the_time_left_is_not_told_before_it_is_known(
    report: RunReport, lock: FakeLock, progress: ProgressReporter
) -> None:
    contacts = report.stream("contacts")
    contacts.rows = 200
    contacts.progress.update(200, 5_000, lock.clock())
    assert lines(progress)[0] == "contacts: 200 of 5,000 rows (4%)."
    pass_time(lock, 10)
    contacts.rows = 700
    contacts.progress.update(700, 5_000, lock.clock())
    assert lines(progress) == [
        "contacts: 700 of 5,000 rows (14%), 50 a s, about 86 s left.",
        "0 of 1 streams done, about 86 s left, 700 rows, 0 requests.",
    ]


def test_a_list_that_is_not_counted_has_neither_part_nor_time_left(
    report: RunReport, lock: FakeLock, progress: ProgressReporter
) -> None:
    contacts = report.stream("contacts").progress
    contacts.update(200, None, lock.clock())
    pass_time(lock, 100)
    contacts.update(1_200, None, lock.clock())
    assert lines(progress)[0] == "contacts: 1,200 rows, 0 rows written, 10 a s."


def test_what_comes_with_others_is_told_with_them_and_what_is_read_for_them_apart(
    report: RunReport, lock: FakeLock, progress: ProgressReporter
) -> None:
    deals, team, notes = map(report.stream, ("deals", "deal_team_members", "deal_notes"))
    for each in (deals, team, notes):
        each.progress.source = "deals"
    team.progress.follows, notes.progress.unit = "deals", "deals"
    deals.progress.update(200, 600, lock.clock())
    team.progress.update(200, 600, lock.clock())
    notes.progress.update(0, 600, lock.clock())
    pass_time(lock, 60)
    notes.progress.update(20, 600, lock.clock())
    deals.rows, notes.rows = 200, 55
    assert lines(progress) == [
        "deals (with deal_team_members): 200 of 600 rows (33%).",
        "deal_notes: 20 of 600 deals (3%), 55 rows written, 20 a min, about 29 min left.",
        "0 of 3 streams done, 255 rows, 0 requests.",
    ]
    deals.progress.update(600, 600, lock.clock())
    assert lines(progress)[0] == (
        "deals (with deal_team_members): 600 of 600 rows (100%), 200 rows written, "
        "400 a min, about 29 min left."
    ), "its walk ends with what is read for each of its rows"


def test_what_has_ended_is_only_counted(
    report: RunReport, lock: FakeLock, progress: ProgressReporter
) -> None:
    for name in ("contacts", "companies", "placements"):
        report.stream(name).progress.update(1, 1, lock.clock())
        report.stream(name).progress.ended = True
    report.stream("companies").failure = ValueError()
    report.stream("deals")
    assert lines(progress) == ["2 of 4 streams done, 1 failed, 1 to come, 0 rows, 0 requests."]


def test_nothing_is_thought_to_be_faster_than_the_limits_allow(
    report: RunReport, lock: FakeLock, progress: ProgressReporter
) -> None:
    notes = report.stream("deal_notes").progress
    notes.endpoint = "GET /deals/{deal_id}/notes"
    with progress._scheduler.slot(notes.endpoint):
        pass
    notes.update(0, 10, lock.clock())
    with progress._scheduler.slot(notes.endpoint):
        pass
    pass_time(lock, 2)
    notes.update(2, 10, lock.clock())
    progress._scheduler.workload.set_remaining("notes", notes.endpoint, 8)
    assert progress.stream_statuses()[0].seconds_left == 58 + 3 * 60, (
        "two each minute, and two are made"
    )


def test_structured_logs_hold_the_lines_in_numbers(
    report: RunReport, lock: FakeLock, progress: ProgressReporter
) -> None:
    notes = report.stream("deal_notes")
    notes.progress.unit = "deals"
    notes.progress.update(0, 600, lock.clock())
    pass_time(lock, 60)
    notes.progress.update(20, 600, lock.clock())
    notes.rows = 55
    (status,) = progress.stream_statuses()
    assert status.log_fields["stream_name"] == "deal_notes"
    fields = {"done": 20, "total": 600, "unit": "deals", "rows": 55, "rate": 0.3}
    assert status.log_fields["progress"].items() >= (fields | {"seconds_left": 1_740.0}).items()
    (run,) = progress.run_status([status]).log_fields.values()
    assert run.items() >= {"streams": 1, "streams_done": 0, "rows": 55}.items()
    json.dumps([status.log_fields, run])


@pytest.mark.parametrize("endpoint", ["GET /contacts", "GET /companies"])
def test_it_says_what_is_waited_for(
    lock: FakeLock, progress: ProgressReporter, endpoint: str
) -> None:
    scheduler, seen = progress._scheduler, []
    scheduler.budget.limits = Limits(2, 1)
    look = lock.wait

    def wait(event: threading.Event, timeout: float | None = None) -> None:
        seen.append(
            (
                scheduler.wait_reason(),
                scheduler.wait_reason(endpoint),
                scheduler.wait_reason("GET /deals"),
            )
        )
        look(event, timeout)

    lock.wait = wait  # type: ignore[method-assign]
    for _ in range(2):
        with scheduler.slot(endpoint):
            seen.append((scheduler.wait_reason(), scheduler.wait_reason(endpoint)))
    scheduler.sleep(5, endpoint)
    budget, retry = WaitReason("the budget", 60), WaitReason("another try", 5)
    assert seen == [
        (None, None),
        (budget, budget, None),
        (None, None),
        (retry, retry, None),
    ]
    assert scheduler.wait_reason() is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5_900, "98 min"), (6_000, "1 h 40 min")],
)
def test_spans_are_as_exact_as_an_estimate(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(1_234.5, "1,234 s"), (9, "540 min"), (0.02, "1 min"), (0.01, "36 h")]
)
def test_paces_are_whole_numbers(rate: float, text: str) -> None:
    assert " ".join(format_rate(rate)) == text


# -- A real process, while Lev lets it wait


@contextlib.contextmanager
def a_long_run(lev: SandboxServer, **given: Any) -> Iterator[TapProcess]:  # noqa: ANN401
    """Start a tap whose third page of contacts, and first note of a deal, do not come."""
    lev.sandbox.fault("hang", route="/contacts", at=3)
    lev.sandbox.fault("hang", route="/deals/{deal_id}/notes", at=2)
    catalog = catalog_of("contacts", "deals", "deal_team_members", "deal_notes", "pipelines")
    config = config_of(lev, page_size=20)
    with start_tap(config, catalog=catalog, program=("-c", HASTY), **given) as tap:
        yield tap


def let_go(lev: SandboxServer) -> None:
    """Have Lev respond to all requests again."""
    lev.sandbox.clear_faults()
    lev.sandbox.release()


def wait_for(condition: Any) -> None:  # noqa: ANN401 - a call
    """Wait until something is so."""
    late = threading.Event()
    timer = threading.Timer(ENOUGH, late.set)
    timer.start()
    try:
        while not condition():
            assert not late.wait(0.01), "it never came"
    finally:
        timer.cancel()


CONTACTS = "contacts: 40 of 70 rows (57%)"
NOTES = re.compile(r"deal_notes: 1 of 45 deals \(2%\), \d+ rows written")


def test_without_a_terminal_a_long_run_logs_a_line_for_each_stream(lev: SandboxServer) -> None:
    with a_long_run(lev) as tap:
        wait_for(lambda: CONTACTS in tap.stderr and NOTES.search(tap.stderr))
        let_go(lev)
        run = tap.finish()
    assert run.exit_code == 0
    logged = run.log("INFO")
    assert any(line.startswith(CONTACTS) for line in logged)
    assert any(line.startswith("deals (with deal_team_members): ") for line in logged)
    assert any(re.match(r"1 of 5 streams done, .*requests\.$", line) for line in logged)
    assert "\x1b" not in run.stderr
    assert {m["type"] for m in run.messages} == {"SCHEMA", "RECORD", "STATE"}


def test_a_short_run_shows_nothing(lev: SandboxServer) -> None:
    run = run_tap(config_of(lev))
    assert not [line for line in run.log("INFO") if " streams done" in line]


def test_a_log_without_information_has_no_progress(lev: SandboxServer) -> None:
    with a_long_run(lev, env={"TAP_LEV_LOGLEVEL": "WARNING"}) as tap:
        wait_for(lambda: len(lev.sandbox.requests) >= 4)
        let_go(lev)
        assert tap.finish().stderr == ""


# -- On a terminal


class Terminal:
    """A terminal for a process: what it writes, and what is then to be seen."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.written = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        with contextlib.suppress(OSError):  # the other end is closed
            while text := os.read(self.ours, 65_536):
                self.written += decoder.decode(text)

    def close(self) -> None:
        """Read to the end."""
        os.close(self.theirs)
        self._reader.join()
        os.close(self.ours)

    def screen(self) -> list[str]:
        """The lines that are to be seen, those that have scrolled away included."""
        rows, row, column = [""], 0, 0
        for escape, text in re.findall(r"(\x1b\[[\d;?]*[a-zA-Z])|(.)", self.written, re.DOTALL):
            if escape.endswith("m") or escape in {"\x1b[?25l", "\x1b[?25h"}:
                continue
            if escape:
                number, command = int(escape[2:-1] or 1), escape[-1]
                assert command in "AK", repr(escape)
                row -= number if command == "A" else 0
                rows[row] = "" if command == "K" else rows[row]
            elif text == "\r":
                column = 0
            elif text == "\n":
                row += 1
                rows += [""] * (row == len(rows))
            else:
                rows[row] = rows[row][:column].ljust(column) + text + rows[row][column + 1 :]
                column += 1
        return rows


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal of 30 lines."""
    terminal = Terminal()
    yield terminal
    with contextlib.suppress(OSError):
        terminal.close()


BAR = "━"
LOG = re.compile(r"[-\d]+ [:,\d]+ \| [A-Z]+ +\| ")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_on_a_terminal_a_long_run_shows_bars_and_leaves_none_behind(
    lev: SandboxServer, terminal: Terminal, variables: Mapping[str, str]
) -> None:
    env = {"TERM": "xterm-256color", **variables}
    with a_long_run(lev, stderr=terminal.theirs, env=env) as tap:
        seen: list[str] = []

        def shown() -> bool:
            # Once only is looked: between two looks the screen may be half drawn.
            seen[:] = terminal.screen()
            wanted = "40/70 rows", "1/45 deals", "1 of 5 streams done"
            return all(any(text in line for line in seen) for text in wanted)

        wait_for(shown)
        bars = [line for line in seen if BAR in line]
        assert {line.split()[0] for line in bars} == {"contacts", "deals", "deal_notes"}
        assert any(line.startswith("deals +1") for line in bars)
        let_go(lev)
        run = tap.finish()
    terminal.close()
    assert run.exit_code == 0
    assert {m["type"] for m in run.messages} == {"SCHEMA", "RECORD", "STATE"}
    left = [line.rstrip() for line in terminal.screen() if line.strip()]
    assert [line for line in left if not LOG.match(line)] == [], "a line of the log is torn"
    assert "Sync complete: 5 streams" in left[-1]
    assert ("38;" in terminal.written) != bool(variables), "there are colours"


def test_a_signal_leaves_the_terminal_clean(lev: SandboxServer, terminal: Terminal) -> None:
    env = {"TERM": "xterm"}
    with a_long_run(lev, stderr=terminal.theirs, env=env) as tap:
        wait_for(lambda: any("40/70 rows" in line for line in terminal.screen()))
        tap.popen.send_signal(signal.SIGINT)
        assert tap.finish().exit_code == 130
    terminal.close()
    left = [line for line in terminal.screen() if line.strip()]
    assert all(LOG.match(line) for line in left)
    assert "?25l" not in terminal.written, "the cursor is never hidden"


@pytest.mark.parametrize(
    "variables",
    [{"TERM": "dumb"}, {}, {"TERM": "xterm", "CI": "true"}],
    ids=["dumb", "no TERM", "CI"],
)
def test_a_terminal_that_can_show_no_bars_gets_lines(
    lev: SandboxServer, terminal: Terminal, variables: Mapping[str, str]
) -> None:
    with a_long_run(lev, stderr=terminal.theirs, env=variables) as tap:
        wait_for(lambda: CONTACTS in terminal.written)
        let_go(lev)
        assert tap.finish().exit_code == 0
    terminal.close()
    assert "\x1b" not in terminal.written
    assert BAR not in terminal.written


def test_messages_on_the_same_terminal_are_not_torn_by_bars(
    lev: SandboxServer, terminal: Terminal
) -> None:
    ends = {"stdout": terminal.theirs, "stderr": terminal.theirs}
    with a_long_run(lev, **ends, env={"TERM": "xterm"}) as tap:
        wait_for(lambda: CONTACTS in terminal.written)
        let_go(lev)
        assert tap.finish().exit_code == 0
    terminal.close()
    assert "\x1b" not in terminal.written
    messages = [json.loads(line) for line in terminal.screen() if line.startswith("{")]
    assert {message["type"] for message in messages} == {"SCHEMA", "RECORD", "STATE"}


def test_only_a_terminal_costs_the_library_for_bars(lev: SandboxServer, tmp_path: Path) -> None:
    script = tmp_path / "tap.py"
    script.write_text(
        "import atexit, sys\n"
        "atexit.register(lambda: print('rich' in sys.modules, file=open('loaded', 'w')))\n" + HASTY
    )
    loaded = tmp_path / "loaded"
    script.write_text(script.read_text().replace("'loaded'", repr(str(loaded))))
    with start_tap(config_of(lev), program=(str(script),)) as tap:
        assert tap.finish().exit_code == 0
    assert loaded.read_text() == "False\n"
