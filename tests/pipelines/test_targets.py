"""Streams side by side: no order of them, and no end of a run, leaves a table incomplete."""

from __future__ import annotations

import functools
import itertools
import json
import random
import signal
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Sandbox, SandboxServer
from tests.pipelines.tables import CORE, SMALL, UNPACED, in_lev
from tests.pipelines.targets import TARGETS, needs_duckdb, new_target, pipeline
from tests.support.expected_rows import ALL, QUERIES
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import run_tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from devtools.postgres import Server
    from tests.conftest import StartLev
    from tests.pipelines.tables import Table
    from tests.pipelines.targets import Target

SOME = (*CORE, "deal_properties", "deal_pipelines", "pipelines", "placement_notes")
FEW = {"deals": 12, "placements": 15, "contacts": 40, "companies": 8}
"""Fewer companies than a batch has rows: the first state is of rows that a target holds back."""
SECONDS = 60


@dataclass
class Account:
    """A Lev, what is in it, and what the tap says of it."""

    lev: SandboxServer

    @functools.cached_property
    def tables(self) -> dict[str, Table]:
        """What is in it."""
        return {stream: in_lev(self.lev, stream) for stream in ALL}

    @functools.cached_property
    def one_after_the_other(self) -> list[str]:
        """A run that reads its streams so."""
        return self._run(1)

    @functools.cached_property
    def side_by_side(self) -> list[str]:
        """A run that reads its streams so."""
        return self._run(8)

    @functools.cached_property
    def shuffled(self) -> list[str]:
        """The same run, its streams mixed as no run would mix them."""
        return shuffled(self.side_by_side, seed=4)

    def _run(self, parallel: int) -> list[str]:
        config = settings(self.lev, parallel, emit_activate_version_messages=True, **QUERIES)
        run = run_tap(config, catalog=catalog_of(*ALL, config=config))
        assert run.exit_code == 0, run.stderr
        return run.lines


def settings(lev: SandboxServer, parallel: int, **more: object) -> dict[str, Any]:
    """Settings of the tap: small pages, so that streams take turns."""
    return config_of(lev, page_size=5, max_parallel_streams=parallel, **UNPACED, **more)


def shuffled(lines: Iterable[str], seed: int) -> list[str]:
    """Mix the messages of a run by chance, as far as Singer allows.

    The messages of one stream keep their order, and so do the states. A state stays behind
    whatever it was behind.
    """
    chance = random.Random(seed)
    streams: dict[str, deque[str]] = defaultdict(deque)
    states: deque[tuple[Counter[str], str]] = deque()
    seen: Counter[str] = Counter()
    for line in lines:
        stream = json.loads(line).get("stream")
        if stream is None:
            states.append((seen.copy(), line))
        else:
            streams[stream].append(line)
            seen[stream] += 1
    mixed: list[str] = []
    written: Counter[str] = Counter()
    while streams or states:
        due = bool(states) and states[0][0] <= written
        name = chance.choice([*streams, *([None] if due else [])])
        if name is None:
            mixed.append(states.popleft()[1])
        else:
            mixed.append(streams[name].popleft())
            written[name] += 1
            if not streams[name]:
                del streams[name]
    return mixed


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """A small account."""
    with SandboxServer(Sandbox(**{**SMALL, "deals": 6})) as lev:
        yield Account(lev)


# -- The order of streams


def turns(lines: Iterable[str]) -> int:
    """How often a row is of another stream than the row before it."""
    messages = [json.loads(line) for line in lines]
    streams = [m["stream"] for m in messages if m["type"] == "RECORD"]
    return sum(stream != before for before, stream in itertools.pairwise(streams))


@pytest.mark.parametrize("order", ["one_after_the_other", "side_by_side", "shuffled"])
@pytest.mark.parametrize("name", TARGETS)
def test_no_order_of_streams_matters_to_a_target(
    account: Account, order: str, name: str, tmp_path: Path, postgres: Server
) -> None:
    lines = getattr(account, order)
    target = new_target(name, tmp_path, postgres, batch_size_rows=30)
    target.load(lines)

    landed = target.tables(ALL)
    for stream, table in account.tables.items():
        assert table, f"there is nothing to compare of {stream}"
        assert landed[stream] == table, stream
    assert target.state == json.loads(lines[-1])["value"]


def test_the_shuffled_run_is_permitted_and_far_from_the_first(account: Account) -> None:
    lines, mixed = account.side_by_side, account.shuffled
    assert sorted(mixed) == sorted(lines)
    assert turns(mixed) > 2 * turns(lines)

    behind: dict[str, Counter[str]] = {}
    for order in (lines, mixed):
        seen: Counter[str] = Counter()
        for line in order:
            message = json.loads(line)
            if message["type"] == "STATE":
                assert behind.setdefault(line, seen.copy()) <= seen
            seen[message.get("stream", "")] += 1
    for stream in ALL:
        before, after = (
            [line for line in order if json.loads(line).get("stream") == stream]
            for order in (lines, mixed)
        )
        assert before == after
        assert json.loads(after[0])["type"] == "SCHEMA"


@needs_duckdb
def test_a_row_is_not_lost_by_being_the_first_of_its_batch(
    account: Account, tmp_path: Path, postgres: Server
) -> None:
    kept, rows = [], Counter[str]()
    for line in account.one_after_the_other:
        message = json.loads(line)
        stream = message.get("stream", "")
        rows[stream] += message["type"] == "RECORD"
        if message["type"] != "RECORD" or rows[stream] <= 5:
            kept.append(line)
    target = new_target("target-duckdb", tmp_path, postgres, batch_size_rows=1)
    target.load(kept)
    landed = target.tables(ALL)
    assert {stream: len(table) for stream, table in landed.items()} == {
        stream: min(count, 5) for stream, count in rows.items() if stream
    }


# -- Runs that are broken off


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def wait_for_the_middle(lev: SandboxServer, target: Target) -> None:
    """Wait until the target is at work, and the tap at a page that does not come."""
    wait_for(lambda: [entry.fault for entry in lev.sandbox.requests].count("hang"))
    wait_for(lambda: target.is_at_work)


def assert_the_next_run_makes_it_whole(
    lev: SandboxServer, config: dict[str, Any], target: Target
) -> None:
    lev.sandbox.clock.advance(60)  # a run in the same second could have nothing new to state
    with pipeline(config, target, catalog_of(*SOME)) as (tap, loader):
        assert tap.popen.wait(SECONDS) == 0, tap.stderr
        assert loader.wait(SECONDS) == 0, target.log[-2000:]
    landed = target.tables(SOME)
    for stream in SOME:
        assert landed[stream] == in_lev(lev, stream), stream
    assert target.state is not None
    bookmarks = target.state["bookmarks"]
    assert set(bookmarks) == set(SOME)
    # If the last row fills a batch, target-duckdb gives back no later state than that batch's.
    if target.name != "target-duckdb":
        assert not any(bookmark["walk"]["started_at"] for bookmark in bookmarks.values())


@pytest.fixture
def lev(start_lev: StartLev) -> SandboxServer:
    """An account one of whose pages hangs."""
    server = start_lev(**FEW)
    server.sandbox.fault("hang", route="/contacts", at=4)
    return server


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path, postgres: Server) -> Target:
    """Each target, with batches small enough to be full before the end of a run."""
    return new_target(request.param, tmp_path, postgres, batch_size_rows=10)


PARALLEL = pytest.mark.parametrize("parallel", [1, 8])


@PARALLEL
def test_a_target_that_is_killed_ends_the_tap_at_once_and_nothing_is_lost(
    lev: SandboxServer, parallel: int, target: Target
) -> None:
    config = settings(lev, parallel)
    with pipeline(config, target, catalog_of(*SOME)) as (tap, loader):
        wait_for_the_middle(lev, target)
        loader.kill()
        loader.wait(SECONDS)
        asked = len(lev.sandbox.requests)
        lev.sandbox.release()
        assert tap.popen.wait(SECONDS) == 1
        assert "Traceback" not in tap.stderr
        assert "ERROR" not in tap.stderr
    assert len(lev.sandbox.requests) - asked < parallel

    assert_the_next_run_makes_it_whole(lev, config, target)


@PARALLEL
def test_a_tap_that_is_terminated_leaves_a_state_and_nothing_is_lost(
    lev: SandboxServer, parallel: int, target: Target
) -> None:
    config = settings(lev, parallel)
    with pipeline(config, target, catalog_of(*SOME)) as (tap, loader):
        wait_for_the_middle(lev, target)
        tap.popen.terminate()
        assert tap.popen.wait(SECONDS) == 128 + signal.SIGTERM
        assert "Traceback" not in tap.stderr
        assert loader.wait(SECONDS) == 0, target.log[-2000:]
    assert target.state is not None
    assert target.state["bookmarks"]["contacts"]["walk"]["cursor"]

    lev.sandbox.clear_log()
    assert_the_next_run_makes_it_whole(lev, config, target)
    first = next(entry for entry in lev.sandbox.requests if entry.path == "/contacts")
    assert "cursor" in dict(first.query)
