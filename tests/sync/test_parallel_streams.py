"""Streams side by side, from outside: what they write, how they end, what they ask of Lev."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lev_sandbox import Clock, Sandbox, SandboxServer
from tap_lev.api import account
from tap_lev.concurrency.workers import Workers
from tap_lev.ratelimit.limits import TIERS, Limits
from tap_lev.tap import TapLev
from tests.support.expected_rows import ALL, QUERIES, key_of, landed, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import UNLIMITED, Target, run_tap, start_tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import StartLev
    from tests.support.process import Run, TapProcess

NOTES, DOCUMENTS = "/deals/{deal_id}/notes", "/deals/{deal_id}/documents"
OF_DEALS = ("deal_notes", "documents", "deal_properties")
LISTS = ("deals", "contacts", "companies")
ROOTS = {
    **dict.fromkeys(OF_DEALS, ("deals", "deal_id")),
    **{stream: (stream, "id") for stream in LISTS},
    "contact_notes": ("contacts", "contact_id"),
}
"""The list whose walk brings a stream, and the column with the id of the list's row."""
SOME = tuple(ROOTS)
PAGE = 5


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def seconds_of(lev: SandboxServer, *routes: str, status: int | None = None) -> list[float]:
    """When requests came."""
    return [
        datetime.fromisoformat(entry.time).timestamp()
        for entry in lev.sandbox.requests
        if (not routes or entry.route in routes) and status in {None, entry.status}
    ]


# -- What is written


def test_all_streams_together_write_whole_lines(start_lev: StartLev) -> None:
    lev = start_lev(deals=8, placements=6, contacts=12, companies=6)
    lev.sandbox.switch(latency_jitter=0.002)
    config = config_of(lev, page_size=PAGE, **QUERIES)
    run = run_tap(config, catalog=catalog_of(*ALL))
    assert run.exit_code == 0, run.stderr
    assert all(line.endswith("\n") for line in run.lines)
    assert Counter(message["type"] for message in run.messages)["SCHEMA"] == len(ALL)
    for stream in ALL:
        assert landed(run, stream) == truth(lev, stream), stream


class Covered:
    """Holds each STATE against the rows that there were all the time."""

    def __init__(self, lev: SandboxServer) -> None:
        self.rows = {
            stream: [(row[ROOTS[stream][1]], key_of(stream, row)) for row in truth(lev, stream)]
            for stream in SOME
        }

    def remove(self, source: str, key: int) -> None:
        """Note that a row of a list is removed, and its children."""
        for stream, rows in self.rows.items():
            if ROOTS[stream][0] == source:
                self.rows[stream] = [row for row in rows if row[0] != key]

    def check(self, run: Run, target: Target) -> None:
        """Make sure that no STATE covers a row that was not written before it."""
        written = {stream: set(target.tables.get(stream, {})) for stream in SOME}
        for message in run.messages:
            match message["type"]:
                case "RECORD":
                    stream = message["stream"]
                    written[stream].add(key_of(stream, message["record"]))
                case "STATE":
                    for stream, entry in message["value"]["bookmarks"].items():
                        due = {key for root, key in self.rows[stream] if root <= last(entry)}
                        assert due <= written[stream], f"{stream}: {entry}"


def last(entry: dict[str, Any]) -> float:
    """Find the last row of the list that a stream's entry in the state covers."""
    walk = entry["walk"]
    if walk["started_at"] is None:
        complete = entry["completed_at"] or entry["replication_key_value"]
        return float("inf") if complete else 0
    before = json.loads(base64.b64decode(walk["cursor"]))["id"] if walk["cursor"] else 0
    return max(before, walk["parent"] or 0)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 160), min_size=1, max_size=3),
    parallel=st.sampled_from((2, 8)),
    rate=st.sampled_from((0.0, 0.3)),
)
def test_no_state_covers_an_unwritten_row_of_any_stream(
    seed: int, cuts: list[int], parallel: int, rate: float
) -> None:
    sandbox = Sandbox(
        seed=seed, deals=13, contacts=11, companies=7, placements=0, lenders=0,
        clock=Clock("2026-11-02T08:00:00Z", frozen=True),
    )  # fmt: skip
    chance, target = random.Random(seed), Target()
    with SandboxServer(sandbox) as lev:
        covered = Covered(lev)

        def disturb(_: object) -> None:
            if chance.random() < rate:
                source = chance.choice(LISTS)
                keys = [row["id"] for row in sandbox.rows(source)]
                key = chance.choice(keys)
                if chance.random() < 0.2 and len(keys) > PAGE:
                    sandbox.remove(source, key)
                    covered.remove(source, key)
                else:
                    sandbox.touch(source, ids=[key], seed=seed)

        end = sandbox.on_request(disturb)
        config = config_of(lev, page_size=PAGE, max_parallel_streams=parallel)
        for cut in [*cuts, None]:
            run = sync(config, state=target.state, streams=SOME, kill_after=cut)
            covered.check(run, target)
            target.load(run.messages, crash=run.exit_code != 0)
        end()
        assert run.exit_code == 0
        for stream in SOME:
            assert {key for _, key in covered.rows[stream]} <= set(target.tables.get(stream, {}))


# -- How they end


@pytest.mark.parametrize(
    ("route", "failing", "at", "walk"),
    [
        pytest.param("/contacts", "contacts", 3, {"cursor"}, id="list"),
        pytest.param(NOTES, "deal_notes", 8, {"parent"}, id="child"),
    ],
)
def test_a_stream_that_fails_stops_itself_alone(
    start_lev: StartLev, route: str, failing: str, at: int, walk: set[str]
) -> None:
    lev = start_lev(deals=12, contacts=25, companies=12)
    lev.sandbox.fault("status", route=route, at=at, times=None)
    streams = ("deals", "contacts", "companies", *OF_DEALS)
    config = config_of(lev, page_size=PAGE, max_retries=0)
    run = sync(config, streams=streams)
    assert run.exit_code == 1
    for stream in set(streams) - {failing}:
        assert landed(run, stream) == truth(lev, stream), stream
    assert run.state is not None
    bookmarks = run.state["bookmarks"]
    assert walk <= {name for name, value in bookmarks[failing]["walk"].items() if value}
    others = set(streams) - {failing}
    assert all(bookmarks[stream]["walk"]["started_at"] is None for stream in others)
    lev.sandbox.clear_faults()
    again = sync(config, streams=(failing,), state=run.state)
    first, rest = run.records(failing), again.records(failing)
    assert first
    assert sorted(key_of(failing, row) for row in first + rest) == sorted(
        key_of(failing, row) for row in truth(lev, failing)
    )


def test_a_key_that_is_refused_on_the_way_ends_all_streams(start_lev: StartLev) -> None:
    lev = start_lev(deals=40)
    lev.sandbox.switch(latency=0.005)
    lev.sandbox.fault("status", status=401, at=40, times=None)
    run = run_tap(config_of(lev, page_size=PAGE), catalog=catalog_of(*SOME))
    assert run.exit_code == 3
    assert "Traceback" not in run.stderr
    assert 40 <= len(lev.sandbox.requests) <= 40 + 7, "no more than were under way"
    assert all(line.endswith("\n") for line in run.lines)
    assert run.log("ERROR")[-1].startswith("Lev answered GET /")
    assert len(run.log("ERROR")) == 1


def hanging(lev: SandboxServer, number: int) -> None:
    """Wait until so many requests hang."""
    wait_for(lambda: lev.sandbox.counters()["faults"].get("hang", 0) >= number)


def collect(tap: TapProcess) -> tuple[list[str], threading.Thread]:
    lines: list[str] = []
    assert tap.popen.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(tap.popen.stdout,))
    reader.start()
    return lines, reader


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_many_requests_that_hang(start_lev: StartLev, signum: int) -> None:
    lev = start_lev(deals=12, contacts=12, companies=6)
    covered = Covered(lev)
    for route, at in ((NOTES, 4), (DOCUMENTS, 3), ("/contacts", 2), ("/companies", 2)):
        lev.sandbox.fault("hang", route=route, at=at)
    config = config_of(lev, page_size=PAGE)
    with start_tap(config, catalog=catalog_of(*SOME)) as tap:
        lines, reader = collect(tap)
        hanging(lev, 4)
        tap.popen.send_signal(signum)
        tap.popen.wait(20)
        reader.join()
        run = tap.finish(lines)
    assert run.exit_code == 128 + signum
    assert "Traceback" not in run.stderr
    assert run.log("ERROR") == ["Ended by a signal; the state written last is consistent."]
    assert all(line.endswith("\n") for line in run.lines)
    target = Target()
    covered.check(run, target)
    target.load(run.messages, crash=True)
    assert target.state
    lev.sandbox.clear_faults()
    again = sync(config, streams=SOME, state=target.state)
    covered.check(again, target)
    target.load(again.messages)
    for stream in SOME:
        assert target.rows(stream) == truth(lev, stream)


def test_a_target_that_goes_ends_requests_that_hang(start_lev: StartLev) -> None:
    lev = start_lev(deals=12, contacts=1000)
    lev.sandbox.fault("hang", route=NOTES)
    lev.sandbox.fault("hang", route="/companies", at=2)
    lev.sandbox.switch(latency=0.01)
    reader, writer = os.pipe()
    config = config_of(lev, page_size=1)
    catalog = catalog_of("contacts", "companies", "deal_notes")
    with start_tap(config, catalog=catalog, stdout=writer) as tap:
        os.close(writer)
        os.set_blocking(reader, False)

        def reads() -> bool:
            with contextlib.suppress(BlockingIOError):
                os.read(reader, 1 << 20)
            return lev.sandbox.counters()["faults"].get("hang", 0) == 2

        wait_for(reads)
        os.close(reader)
        tap.popen.wait(20)
        assert tap.popen.returncode == 1
        assert "Traceback" not in tap.stderr
        assert "Exception" not in tap.stderr
        assert "Fatal" not in tap.stderr


# -- How many at a time


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_no_more_are_under_way_than_the_setting_says(start_lev: StartLev, parallel: int) -> None:
    latency = 0.02
    lev = start_lev(deals=6, contacts=6, companies=6)
    lev.sandbox.switch(latency=latency)
    run = sync(config_of(lev, page_size=PAGE, max_parallel_streams=parallel), streams=SOME)
    assert run.exit_code == 0
    times = seconds_of(lev)
    # Of any so many requests at least one was answered before the next one came.
    beyond = [b - a for a, b in zip(times, times[parallel:], strict=False)]
    assert min(beyond) >= 0.95 * latency
    if parallel > 1:
        within = [b - a for a, b in itertools.pairwise(times)]
        assert min(within) < 0.95 * latency, "it is never more than one"


def test_one_after_the_other_needs_no_thread(
    lev: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "start", lambda *_: pytest.fail("a thread"))
    run = sync(config_of(lev, max_parallel_streams=1), streams=SOME)
    assert run.exit_code == 0
    assert landed(run, "deal_notes") == truth(lev, "deal_notes")


# -- Under which limits


@pytest.fixture
def learn() -> Iterator[Callable[..., Limits]]:
    """Make a tap, have it ask whose key it is, return the limits."""
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def made(lev: SandboxServer, **settings: Any) -> Limits:  # noqa: ANN401
        config = {"api_url": lev.url, "api_key": lev.key, "max_retries": 0, **settings}
        run = TapLev(config=config).current_run
        with run.lock:
            account.identify(run.client, run.config)
        return run.scheduler.budget.limits

    yield made
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({"api_tier": "enterprise"}, TIERS["enterprise"]),
        ({"requests_per_minute": 77, "requests_per_minute_per_endpoint": 7}, Limits(77, 7)),
        ({"api_tier": "free", "requests_per_minute": 77}, Limits(77, 10)),
    ],
)
def test_limits_that_are_set_are_kept_whatever_lev_says(
    start_lev: StartLev, learn: Callable[..., Limits], config: dict[str, Any], limits: Limits
) -> None:
    lev = start_lev(tier="standard")
    assert learn(lev, **config) == limits
    assert [entry.route for entry in lev.sandbox.requests] == ["/me"], "whose key it is"


@pytest.mark.parametrize("form", ["empty", "flat", "nested", "absent"])
@pytest.mark.parametrize("tier", ["standard", "enterprise"])
def test_limits_are_asked_for_once(
    start_lev: StartLev,
    learn: Callable[..., Limits],
    caplog: pytest.LogCaptureFixture,
    form: str,
    tier: str,
) -> None:
    lev = start_lev(tier=tier)
    lev.sandbox.switch(me_rate_limits=form)
    assert learn(lev) == TIERS[tier]
    lev.sandbox.limits.configure(account=70, endpoint=7)
    assert learn(lev) == TIERS[tier], "what the numbers beside the tier mean is not documented"
    assert learn(lev, requests_per_minute=50) == Limits(50, TIERS[tier].endpoint)
    assert [entry.route for entry in lev.sandbox.requests] == ["/me"] * 3
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


NO_LIMITS: dict[str, dict[str, Any]] = {
    "nothing": {"kind": "wrong_shape", "data": {}},
    "another tier": {"kind": "wrong_shape", "data": {"platform": {"api_tier": "gold"}}},
    "forbidden": {"kind": "status", "status": 403},
    "failing": {"kind": "status", "status": 500},
    "no JSON": {"kind": "not_json"},
}


@pytest.mark.parametrize("fault", NO_LIMITS.values(), ids=NO_LIMITS)
@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({}, Limits(30, 10)),
        ({"requests_per_minute": 5}, Limits(5, 10)),
        ({"requests_per_minute_per_endpoint": 3}, Limits(30, 3)),
    ],
    ids=["auto", "account", "endpoint"],
)
def test_limits_that_nobody_knows_are_the_smallest_and_told_once(  # noqa: PLR0913, PLR0917
    lev: SandboxServer,
    learn: Callable[..., Limits],
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
    config: dict[str, Any],
    limits: Limits,
) -> None:
    lev.sandbox.fault(route="/me", times=None, **fault)
    assert learn(lev, **config) == limits
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "set api_tier, or requests_per_minute and requests_per_minute_per_endpoint" in told
    assert f"{limits.account} requests a minute, {limits.endpoint} of them to one endpoint" in told


# -- Within the limits


@pytest.mark.parametrize("mode", ["sliding", "fixed"])
def test_a_sync_of_several_windows_is_never_refused(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    window = 0.4
    lev = start_lev(deals=26, tier="free", window=window, limit_mode=mode)
    lev.sandbox.switch(me_rate_limits="nested", latency=0.003)
    config = config_of(lev, page_size=200, rate_limit_window_seconds=window)
    for name in UNLIMITED:
        del config[name]
    streams = ("deals", "deal_notes", "documents", "term_sheets", "contacts")
    with caplog.at_level("INFO"):
        run = sync(config, streams=streams)
    assert run.exit_code == 0
    for stream in streams:
        assert landed(run, stream) == truth(lev, stream), stream
    assert {entry.status for entry in lev.sandbox.requests} == {200}
    times = seconds_of(lev)
    assert times[-1] - times[0] > 2 * window, "it does not even take several windows"
    (summary,) = [text for text in caplog.messages if text.startswith("Sync complete")]
    found = re.search(r"0 times 429, ([\d.]+) s waited, (\d+)% of the budget used", summary)
    assert found
    assert 2 * window - 0.3 < float(found[1]) < times[-1] - times[0]
    # 80 of 30 in each of the 3 or more windows; 27 of them are the most that is taken.
    assert 0 < int(found[2]) <= 90


# -- Refused all the same


HINTS: dict[str, dict[str, Any]] = {
    "header": {"headers": {"Retry-After": "0.4"}, "form": "A"},
    "text": {"message": "Rate limit exceeded. Retry after 0.4 seconds.", "form": "B"},
    "header before text": {
        "headers": {"Retry-After": "0.4"}, "form": "C", "message": "Retry after 900 seconds.",
    },
}  # fmt: skip


@pytest.mark.parametrize("hint", HINTS.values(), ids=HINTS)
def test_a_refusal_of_the_account_pauses_all_and_is_told_once(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, hint: dict[str, Any]
) -> None:
    lev = start_lev(deals=12, contacts=30, companies=30)
    lev.sandbox.switch(latency=0.03)
    lev.sandbox.fault("status", status=429, at=8, times=3, **hint)
    with caplog.at_level("INFO"):
        run = sync(config_of(lev, page_size=PAGE, max_retries=8), streams=SOME)
    assert run.exit_code == 0
    refused = seconds_of(lev, status=429)
    assert len(refused) == 3
    pauses = [b for a, b in zip([0.0, *refused], refused, strict=False) if b - a > 0.3]
    for begun in pauses:
        # What was under way when the first refusal came may still arrive; then nothing does.
        assert not [t for t in seconds_of(lev) if begun + 0.1 < t < begun + 0.38]
    told = [text for text in caplog.messages if "All requests wait for 0.4 s" in text]
    assert len(told) == len(pauses)
    (summary,) = [text for text in caplog.messages if text.startswith("Sync complete")]
    waited = re.search(r"3 times 429, ([\d.]+) s waited", summary)
    assert waited
    assert float(waited[1]) >= 0.2


def test_a_refusal_of_an_endpoint_pauses_it_and_no_other(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture
) -> None:
    # By the body's field, of whole seconds. Only /contacts has so many pages.
    lev = start_lev(deals=15, contacts=25, companies=4)
    lev.sandbox.limits.configure(endpoint=16, window=1.0)
    lev.sandbox.switch(latency=0.01)
    streams = ("contacts", "companies", "deal_notes", "documents")
    with caplog.at_level("INFO"):
        run = sync(config_of(lev, page_size=1, max_retries=8), streams=streams)
    assert run.exit_code == 0
    for stream in streams:
        assert landed(run, stream) == truth(lev, stream), stream
    told = [text for text in caplog.messages if " wait for " in text]
    refused = [entry for entry in lev.sandbox.requests if entry.status == 429]
    assert {entry.route for entry in refused} == {"/contacts"}
    assert len(told) == len(refused) == 1
    assert "Requests to GET /contacts wait for 1.0 s" in told[0]
    (begun,) = seconds_of(lev, status=429)
    assert not [t for t in seconds_of(lev, "/contacts") if begun < t < begun + 0.95]
    assert [t for t in seconds_of(lev, NOTES, DOCUMENTS, "/deals") if begun < t < begun + 0.95]
