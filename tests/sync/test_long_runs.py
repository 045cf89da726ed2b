"""Long runs, in miniature: they hold no more at their end, restarts lose nothing, and it shows."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks import long, page
from benchmarks.lev import Lev
from benchmarks.programs import EVERYTHING, UNPACED, Workplace, tap_lev
from benchmarks.watched import PROCESSES, watch
from tests.support.process import EAGER_STATES, Target

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.programs import Command
    from tests.conftest import StartLev

pytestmark = pytest.mark.skipif(not PROCESSES.exists(), reason="/proc is Linux's")

LEAKING = """
import threading
from tap_lev import tap
from tap_lev.sync import state_writer
from tap_lev.api.transport import Transport

kept, send = [], Transport.send

def send_and_leak(self, *request):
    {leak}
    return send(self, *request)

state_writer.STATE_INTERVAL = 0.0
Transport.send = send_and_leak
tap.TapLev.cli()
"""
LEAKS = {
    "memory": "kept.append(b'x' * 100_000)",
    "files": "kept.append(open('/dev/null'))",
    "threads": "threading.Thread(target=threading.Event().wait, daemon=True).start()",
}
AS_MUCH, MORE = 1.05, 1.1


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A directory for runs."""
    return Workplace(tmp_path)


@pytest.fixture
def command(start_lev: StartLev, place: Workplace) -> Command:
    """A tap that makes a few hundred requests, with a STATE for each: it is looked at with one."""
    server = start_lev(contacts=400)
    made = tap_lev(Lev(server.url, server.key), place, {"contacts", "contact_notes"}, UNPACED)
    return run_by(made, *EAGER_STATES)


def run_by(command: Command, *program: str) -> Command:
    """Have Python run a program in place of the tap's own, with what the tap is given."""
    given = command.arguments[command.arguments.index("--config") :]
    return replace(command, arguments=[sys.executable, *program, *given])


def drifts(command: Command, place: Workplace) -> dict[str, float]:
    """How many times what a tap had early in its run it had late in it."""
    run = watch(command, place, Target(), every=0)
    assert run.exit_code == 0, run.log.read_text()
    assert len(run.samples) > 100
    return {kind: page.drift([getattr(each, kind) for each in run.samples]) for kind in LEAKS}


def test_a_run_holds_no_more_at_its_end(command: Command, place: Workplace) -> None:
    found = drifts(command, place)
    assert all(drift <= AS_MUCH for drift in found.values()), found


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_shows(command: Command, place: Workplace, kind: str) -> None:
    program = LEAKING.format(leak=LEAKS[kind])
    assert drifts(run_by(command, "-c", program), place)[kind] > MORE


def test_restarts_lose_nothing(monkeypatch: pytest.MonkeyPatch, place: Workplace) -> None:
    sizes = {"deals": 14, "placements": 30, "contacts": 40, "companies": 8, "lenders": 6}
    small = {
        "SIZES": sizes, "WINDOW": 0.2, "RESTARTS": 3, "AGAIN": 2, "LOOK": 0,
    }  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(long, name, value)
    found = long.measure(place, tell=lambda _: None)
    assert [found["compared"][bad] for bad in ("lost", "wrong")] == [0, 0]
    assert found["compared"]["rows"] > 500
    *ended, last = found["restarts"]
    assert len(ended) == 3
    assert {part["signal"] for part in ended} <= {"SIGKILL", "SIGTERM"}
    assert last["requests"] > 0
    assert len(found["following"]) == 2
    assert page.TABLES["long"]({"long": found}).count("\n") == 6
    table = page.TABLES["restarts"]({"long": found})
    assert "| **rows lost** | 0 |" in table
    assert f"| requests of the long run | {found['run']['requests']:,} |" in table


def test_a_row_that_is_lost_or_wrong_is_noticed(start_lev: StartLev, place: Workplace) -> None:
    server = start_lev(deals=3, placements=2, contacts=4, companies=2, lenders=1)
    lev, target = Lev(server.url, server.key), Target()
    long.finish(lev, long.command(lev, place, EVERYTHING, **UNPACED), place, target)
    found = long.differences(lev, target)
    assert [found[bad] for bad in ("lost", "wrong", "left")] == [0, 0, 0]
    server.sandbox.remove("contacts", 4)
    server.sandbox.add("contacts")
    server.sandbox.touch("companies", ids=[1, 2])
    found = long.differences(lev, target)
    assert [found[bad] for bad in ("lost", "wrong")] == [1, 2]
    assert found["left"] >= 1
