"""What is compared reads the same, and the figures say what was measured."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import page
from benchmarks.lev import Lev
from benchmarks.pace import floor
from benchmarks.programs import (
    CLIENT_LOOP,
    DEFAULT_LISTS,
    EVERYTHING,
    METRIC,
    PLAIN_TAP,
    QUERY,
    TAP_LEV,
    UNPACED,
    Command,
    Run,
    Workplace,
    client_loop,
    plain_tap,
    tap_lev,
)
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from pathlib import Path

    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

KEYS = {stream.name: stream.primary_keys for stream in STREAMS}
Keys = dict[str, set[tuple[Any, ...]]]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A directory for runs."""
    return Workplace(tmp_path)


def keys(run: Run) -> Keys:
    """The keys of the rows of each stream."""
    found: Keys = {}
    for line in run.output.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            stream, row = message["stream"], message["record"]
            key = tuple(row.get(column) for column in KEYS[stream])
            found.setdefault(stream, set()).add(key)
    return found


def requests(server: SandboxServer) -> Counter[str]:
    """How many requests each endpoint got since the last time."""
    found = Counter(f"{entry.method} {entry.route}" for entry in server.sandbox.requests)
    server.sandbox.clear_log()
    return found


def test_everyone_reads_every_contact(start_lev: StartLev, place: Workplace) -> None:
    server = start_lev(contacts=430)
    lev = Lev(server.url, server.key)
    bare = client_loop(lev, place, None, {})
    commands = {
        TAP_LEV: tap_lev(lev, place, {"contacts"}, UNPACED),
        PLAIN_TAP: plain_tap(lev, place, {"contacts"}, {}),
        CLIENT_LOOP: Command([*bare.arguments, "--ids"], bare.environment),
    }
    for name, command in commands.items():
        run = place.finish(command)
        assert sorted(run.ids()) == list(range(1, 431)), name
        assert run.rows() == {"contacts": 430}, name
        account = {"GET /me": 1} if name == TAP_LEV else {}
        assert requests(server) == {"GET /contacts": 3, **account}, name


def test_both_taps_read_everything(start_lev: StartLev, place: Workplace) -> None:
    server = start_lev(deals=4, placements=5, contacts=4, companies=3, lenders=2)
    lev = Lev(server.url, server.key)
    asked = {"fact_queries": [QUERY], "observation_metric_ids": [METRIC], **UNPACED}
    ours = keys(place.finish(tap_lev(lev, place, EVERYTHING, asked)))
    our_requests = requests(server)
    one = {"fact_query": QUERY, "observation_metric_id": METRIC}
    theirs = keys(place.finish(plain_tap(lev, place, EVERYTHING, one)))
    for stream in ("current_user", "billing_summary", "index_facts"):
        # Their keys are the tap's own: what Lev sends is another row, or one without a key.
        assert len(ours.pop(stream)) >= len(theirs.pop(stream)) >= 1
    flattened = {"deal_properties", "deal_team_members", "deal_pipelines", "checklist_tasks"}
    assert ours.keys() - theirs.keys() == flattened
    assert {stream: ours[stream] for stream in theirs} == theirs
    assert requests(server).keys() == our_requests.keys()


def test_both_default_selections_ask_for_the_same(lev: SandboxServer, place: Workplace) -> None:
    at = Lev(lev.url, lev.key)
    place.finish(tap_lev(at, place, None, UNPACED))
    ours = requests(lev)
    assert ours.pop("GET /me") == 1
    place.finish(plain_tap(at, place, None, {}))
    assert requests(lev) == ours
    assert set(DEFAULT_LISTS) <= {s.name for s in STREAMS if s.selected_by_default}


def test_a_run_tells_its_own_memory_and_how_it_ended(place: Workplace) -> None:
    small = place.run(Command([sys.executable, "-IS", "-c", "pass"], {}))
    large = place.run(Command([sys.executable, "-IS", "-c", "b'0' * 60_000_000"], {}))
    assert 55_000_000 < large.taken.memory - small.taken.memory < 65_000_000
    assert small.taken.memory < 40_000_000
    assert small.taken.cpu > 0
    assert place.run(Command([sys.executable, "-c", "exit(3)"], {})).taken.exit_code == 3
    endless = Command([sys.executable, "-c", "import time; time.sleep(600)"], {})
    assert place.run(endless, patience=1).taken.exit_code == -9
    with pytest.raises(RuntimeError, match="ended with 3"):
        place.finish(Command([sys.executable, "-c", "exit(3)"], {}))


@pytest.mark.parametrize(
    ("counted", "windows", "even"),
    [
        ({"/a": 20}, 0, 1),
        ({"/a": 21}, 1, 1.05),
        ({"/a": 40}, 1, 2),
        ({f"/{n}": 20 for n in range(10)}, 1, 2),
        ({}, 0, 0),
    ],
)
def test_the_floor_is_that_of_the_tightest_bucket(
    counted: dict[str, int], windows: float, even: float
) -> None:
    assert floor(counted, "standard", whole=True) == windows * 3
    assert floor(counted, "standard", whole=False) == pytest.approx(even * 3)


def test_rows_a_second_leave_the_start_out() -> None:
    taken = {"wall": [3, 9, 3.0], "start_wall": [1, 1, 1.0], "cpu": [2.0], "start_cpu": [1.0]}
    rows = {"rows": 1200, "page": 200, "programs": {"x": taken}}
    assert page.per_second(rows, "x") == 500
    assert page.per_second(rows, "x", net=False) == 400
    assert page.cpu_per_million(rows, "x") == 1000


def test_the_page_says_what_was_measured() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    assert page.filled(text, results) == text, "run: make bench BENCH_ARGS='--only drawing'"
    assert {"rows", "memory", "pace", "plan", "startup"} <= results.keys()
    assert all(f"<!-- {name} -->\n" in text for name in page.TABLES)
