"""Nothing is lost when a run is cut: at any line, with rows changing all the while."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lev_sandbox import Clock, Sandbox, SandboxServer
from tap_lev.state.walk import NO_WALK, digest_of
from tap_lev.streams import STREAMS
from tests.support.expected_rows import truth as rows_of
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import EAGER_STATES, Target, merged, run_tap

if TYPE_CHECKING:
    from lev_sandbox import Request
    from tests.conftest import StartLev
    from tests.support.process import Run

CORE = ("deals", "placements", "contacts", "companies")
EMBEDDED = ("deal_properties", "deal_team_members", "deal_pipelines")
FILTER = "filter[updated_at][gte]"
PAGE = 10
MAX_RUNS = 40
MOST_PROOFS = 4
"""How many requests find out whether the filter can be trusted, at most: one for each canary."""

Page = tuple[str, tuple[tuple[str, str], ...]]
"""A request for a page: its path and its parameters."""


class Unrest:
    """Changes rows while they are read: before, on and after the page that is asked for."""

    def __init__(self, sandbox: Sandbox, seed: int, rate: float) -> None:
        self._sandbox = sandbox
        self._random = random.Random(seed)
        self._rate = rate
        self.removed: dict[str, set[int]] = {stream: set() for stream in CORE}
        self._stop = sandbox.on_request(self._disturb)

    def stop(self) -> None:
        """Leave the account alone."""
        self._stop()

    def _disturb(self, request: Request) -> None:
        stream = request.path.strip("/")
        if stream not in CORE or self._random.random() > self._rate:
            return
        self._sandbox.clock.advance(self._random.choice((0, 1, 30)))
        ids = [row["id"] for row in self._sandbox.rows(stream)]
        chosen = self._random.choice(ids or [0])
        kinds = ("update", "update", "add", "remove", "archive") if ids else ("add",)
        match self._random.choice(kinds):
            case "add" if stream == "placements":
                self._sandbox.add(stream, deal_id=1)
            case "add":
                self._sandbox.add(stream)
            case "remove" if len(ids) > PAGE:
                self._sandbox.remove(stream, chosen)
                self.removed[stream].add(chosen)
            case "archive" if stream in {"deals", "placements"}:
                self._sandbox.archive(stream, chosen)
            case _:
                self._sandbox.touch(stream, ids=[chosen], seed=self._random.randrange(1 << 30))


def truth(sandbox: Sandbox, stream: str) -> dict[int, dict[str, Any]]:
    """The rows of a stream as Lev says them, by id."""
    rows = sandbox.rows(stream, include="financials" if stream == "deals" else "")
    return {row["id"]: row for row in rows}


def landed(target: Target, stream: str) -> dict[int, dict[str, Any]]:
    """The rows of a stream in the target, by id."""
    return {row["id"]: row for row in target.rows(stream)}


def check_states(run: Run, before: Target, streams: tuple[str, ...]) -> None:
    """Hold every STATE of a run against the rows that were written before it."""
    written = {stream: set(landed(before, stream)) for stream in streams}
    for message in run.messages:
        if message["type"] == "RECORD":
            written[message["stream"]].add(message["record"]["id"])
        elif message["type"] == "STATE":
            for stream in streams:
                walk = message["value"]["bookmarks"][stream]["walk"]
                if walk["cursor"] is not None and walk["since"] is None:
                    last = json.loads(base64.b64decode(walk["cursor"]))["id"]
                    assert last in written[stream], f"{stream}: {walk} covers an unwritten row"


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    contacts=st.integers(0, 65),
    rate=st.sampled_from((0.0, 0.3, 0.9)),
    answer=st.sampled_from(("honoured", "ignored", "400", "422")),
    cuts=st.lists(st.integers(0, 130), max_size=5),
    before=st.booleans(),
)
def test_whatever_is_cut_the_next_runs_make_it_whole(  # noqa: PLR0913
    seed: int, contacts: int, rate: float, answer: str, cuts: list[int], *, before: bool
) -> None:
    sandbox = Sandbox(
        seed=seed, contacts=contacts, companies=15, deals=5, placements=3,
        clock=Clock("2026-11-02T08:00:00Z", frozen=True),
    )  # fmt: skip
    sandbox.switch(updated_at_filter=dict.fromkeys(CORE, answer))
    streams = ("contacts", "companies")
    target = Target()
    with SandboxServer(sandbox) as lev:
        config = config_of(lev, page_size=PAGE)
        if before:  # an account that was synced in peace, an hour ago
            target.load(sync(config, streams=streams).messages)
            sandbox.clock.advance(3600)
        unrest = Unrest(sandbox, seed, rate)
        for cut in [*cuts, None]:
            sandbox.clear_log()
            state = target.state
            run = sync(config, state=state, streams=streams, kill_after=cut)
            check_states(run, target, streams)
            target.load(run.messages, crash=run.exit_code != 0)
            check_repeats(sandbox)
        assert run.exit_code == 0
        unrest.stop()
        sandbox.clock.advance(1)
        target.load(sync(config, state=target.state, streams=streams).messages)
        for stream in streams:
            rows = landed(target, stream)
            for gone in unrest.removed[stream]:
                rows.pop(gone, None)
            assert rows == truth(sandbox, stream)


def check_repeats(sandbox: Sandbox) -> None:
    """No page is asked for twice within a run, but for a filter that is refused, and twice.

    A row that proves the filter may be asked for by what is also the first page of the walk, and
    Lev's count of all rows by the same row again, where rows come and go.
    """
    pages = Counter((entry.path, tuple(entry.query)) for entry in sandbox.requests)
    refused = sum(entry.status in {400, 422} for entry in sandbox.requests)
    again = Counter[str]()
    for page, times in pages.items():
        again[kind(page)] += times - 1
    assert again.pop("without a cursor, filtered", 0) <= max(refused, 2 * MOST_PROOFS)
    assert again.pop("one row", 0) <= len(CORE)
    assert again.total() <= refused <= 4


@pytest.mark.parametrize("seed", range(6))
def test_a_process_that_is_killed_is_made_whole_by_the_next(start_lev: StartLev, seed: int) -> None:
    lev = start_lev(seed=seed)
    config = config_of(lev, page_size=PAGE)
    chance = random.Random(seed)
    target = Target()
    seen: set[Page] = set()
    crashes = 0
    unrest = Unrest(lev.sandbox, seed, 0.5)
    for _ in range(MAX_RUNS):
        lev.sandbox.clear_log()
        before = {stream: completed(target, stream) for stream in CORE}
        run = run_tap(
            config, state=target.state, kill_after=chance.randrange(1, 250), program=EAGER_STATES
        )
        target.load(run.messages, crash=run.exit_code != 0)
        # A set: what the killed process had in flight may be logged with the next one's requests.
        pages = {(entry.path, tuple(entry.query)) for entry in lev.sandbox.requests}
        for stream in CORE:
            again = Counter(kind(page) for page in pages & seen if page[0] == f"/{stream}")
            proofs = again.pop("without a cursor, filtered", 0)
            again.pop("one row", None)
            assert set(again.values()) <= {1}, "a crash repeats at most one page of a walk"
            assert proofs <= 1 + MOST_PROOFS
        seen.update(pages)
        for stream in CORE:
            if completed(target, stream) != before[stream]:  # the next walk asks for it all anew
                seen -= {page for page in seen if page[0] == f"/{stream}"}
        if run.exit_code == 0:
            break
        crashes += 1
    assert run.exit_code == 0
    assert crashes > 1
    unrest.stop()
    lev.sandbox.clock.advance(1)
    target.load(run_tap(config, state=target.state).messages)
    for stream in CORE:
        rows = landed(target, stream)
        for gone in unrest.removed[stream]:
            rows.pop(gone, None)
        assert rows == truth(lev.sandbox, stream)
    for stream in EMBEDDED:
        kept = [r for r in target.rows(stream) if r["deal_id"] not in unrest.removed["deals"]]
        assert kept == rows_of(lev, stream)


def kind(page: Page) -> str:
    """Which walk a page is of: one without the filter may follow one with it, in the same run."""
    query = dict(page[1])
    if query.get("limit") == "1":
        return "one row"  # Lev's count of all rows is compared with that of a filtered list
    return f"{'by' if 'cursor' in query else 'without a'} cursor, " + (
        "filtered" if FILTER in query else "of all rows"
    )


def completed(target: Target, stream: str) -> object:
    """When a stream's last complete walk began, as far as the target's state knows."""
    bookmarks = (target.state or {}).get("bookmarks", {})
    return bookmarks.get(stream, {}).get("replication_key_value")


def test_a_row_changed_behind_the_walk_comes_with_the_run_after(start_lev: StartLev) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    first = sync(config, streams=("contacts",), kill_after=25)
    lev.sandbox.clock.advance(60)
    lev.sandbox.update("contacts", 3, title="Changed behind the walk")
    resumed = sync(config, state=first.state, streams=("contacts",))
    assert 3 not in {row["id"] for row in resumed.records("contacts")}
    after = sync(config, state=resumed.state, streams=("contacts",))
    changed = {row["id"]: row["title"] for row in after.records("contacts")}
    assert changed[3] == "Changed behind the walk"


def asked(lev: SandboxServer, path: str) -> list[dict[str, str]]:
    """The parameters of each request for a list."""
    return [dict(entry.query) for entry in lev.sandbox.requests if entry.path == path]


def filters(lev: SandboxServer, path: str) -> list[str | None]:
    """What each page of a list was filtered by."""
    return [query.get(FILTER) for query in asked(lev, path)]


def moment(text: str) -> datetime:
    """A moment as the state writes it."""
    return datetime.fromisoformat(text)


def check_filter(entry: dict[str, Any]) -> None:
    """Make sure that a walk is filtered from before its bound and the rows that prove it."""
    walk, canaries = entry["walk"], [moment(at) for _, at in entry["canaries"]]
    assert len(canaries) == 2
    earliest = min(moment(walk["since"]), *canaries)
    assert moment(walk["filter"]) == earliest - timedelta(seconds=1)


def cut_in_what_changed(lev: SandboxServer, config: dict[str, Any]) -> dict[str, Any]:
    """End a run in the middle of the contacts that changed, and return its state."""
    whole = sync(config, streams=("contacts",))
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("contacts", 30)
    cut = sync(config, state=whole.state, streams=("contacts",), kill_after=15)
    assert cut.state is not None
    lev.sandbox.clear_log()
    return cut.state


def test_a_resumed_walk_keeps_its_since_and_its_start(start_lev: StartLev) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    state = cut_in_what_changed(lev, config)
    walk = state["bookmarks"]["contacts"]["walk"]
    lev.sandbox.clock.advance(3600)
    resumed = sync(config, state=state, streams=("contacts",))
    assert resumed.state is not None
    entry = resumed.state["bookmarks"]["contacts"]
    assert entry["replication_key_value"] == walk["started_at"]
    assert entry["walk"] == NO_WALK
    check_filter(state["bookmarks"]["contacts"])
    by_cursor = [query for query in asked(lev, "/contacts") if "cursor" in query]
    assert len(by_cursor) == 3, "of the 30 rows that changed, and the canaries"
    assert {query[FILTER] for query in by_cursor} == {walk["filter"]}


@pytest.mark.parametrize("order", ["as before", "moved"])
def test_a_page_in_another_order_than_before_is_read_whole(start_lev: StartLev, order: str) -> None:
    """Lev promises none, and the children of what stands before the place are not to be lost."""
    lev = start_lev(deals=8, deal_notes=4)
    rows = lev.sandbox.rows("deals")
    config = config_of(lev)
    cut = sync(config, streams=("deal_notes",), kill_after=12)
    assert cut.state is not None
    parent = cut.state["bookmarks"]["deal_notes"]["walk"]["parent"]
    if order == "moved":
        rows = rows[parent:] + rows[:parent]
    body = json.dumps({"data": rows, "pagination": {"has_more": False}})
    lev.sandbox.fault("not_json", route="/deals", body=body, times=None)
    rest = sync(config, state=cut.state, streams=("deal_notes",))
    assert rest.exit_code == 0
    came = {row["id"] for run in (cut, rest) for row in run.records("deal_notes")}
    assert came == {row["id"] for row in rows_of(lev, "deal_notes")}
    again = {row["deal_id"] for row in rest.records("deal_notes")} & set(range(1, parent + 1))
    assert bool(again) is (order == "moved")


def test_in_a_page_without_an_order_no_place_is_noted(start_lev: StartLev) -> None:
    lev = start_lev(deals=8, deal_notes=4)
    body = json.dumps({"data": lev.sandbox.rows("deals")[::-1], "pagination": {}})
    lev.sandbox.fault("not_json", route="/deals", body=body, times=None)
    cut = sync(config_of(lev), streams=("deal_notes",), kill_after=12)
    assert len(cut.records("deal_notes")) > 8
    assert cut.state is not None
    assert cut.state["bookmarks"]["deal_notes"]["walk"] == NO_WALK


@pytest.mark.parametrize("kill_after", [6, 10, 14])
def test_an_empty_page_where_a_walk_resumes_is_no_empty_list(
    start_lev: StartLev, kill_after: int
) -> None:
    lev = start_lev(contacts=12)
    # Pages without rows lead on by cursor, and nothing counts the rows.
    lev.sandbox.switch(pagination_total=False, empty_page_every=1)
    config = config_of(lev, page_size=2)
    first = sync(config, streams=("contacts",), kill_after=kill_after)
    cursor = first.state and first.state["bookmarks"]["contacts"]["walk"]["cursor"]
    assert cursor
    lev.sandbox.clear_log()
    second = sync(config, streams=("contacts",), state=first.state)
    assert second.exit_code == 0
    pages = asked(lev, "/contacts")
    assert pages[0]["cursor"] == cursor
    assert all("cursor" in query for query in pages), "the walk goes on from its place"
    assert {row["id"] for row in (*first.records("contacts"), *second.records("contacts"))} == {
        row["id"] for row in lev.sandbox.rows("contacts")
    }


def test_a_stream_that_leaves_does_not_change_what_the_cursor_is_of(start_lev: StartLev) -> None:
    """What a cursor means with another filter than it was made with, nobody knows."""
    lev = start_lev(deals=40)
    config = config_of(lev, page_size=PAGE, forbidden_streams="skip")
    first = sync(config, streams=("deals",))
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("deals", 30)
    lev.sandbox.switch(missing_scopes=["termsheets:read"])
    lev.sandbox.clear_log()
    run = sync(config, state=first.state, streams=("deals", "term_sheets"))
    assert run.exit_code == 0
    assert len(filters(lev, "/deals")) > 2
    assert set(filters(lev, "/deals")) == {None}
    assert len({row["id"] for row in run.records("deals")}) == 30


def test_a_run_of_other_streams_goes_on_with_the_filter_of_the_first(start_lev: StartLev) -> None:
    lev = start_lev(deals=40)
    config = config_of(lev, page_size=PAGE)
    first = sync(config, streams=("deals",))
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("deals", 30)
    both = sync(config, state=first.state, streams=("deals", "deal_properties"), kill_after=70)
    assert both.state is not None
    walk = both.state["bookmarks"]["deals"]["walk"]
    assert walk["cursor"]
    assert walk["since"]
    lev.sandbox.clear_log()
    alone = sync(config, state=both.state, streams=("deals",))
    assert alone.exit_code == 0
    assert set(filters(lev, "/deals")) == {None}
    lev.sandbox.touch("deals", 30)
    lev.sandbox.clock.advance(3600)
    cut = sync(config, state=alone.state, streams=("deals",), kill_after=15)
    assert cut.state is not None
    check_filter(cut.state["bookmarks"]["deals"])


def test_who_filters_is_a_part_of_what_is_asked(start_lev: StartLev) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    state = cut_in_what_changed(lev, config)
    sync(config | {"updated_at_filter": "client"}, state=state, streams=("contacts",))
    assert "cursor" not in asked(lev, "/contacts")[0]
    assert set(filters(lev, "/contacts")) == {None}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("answer", ["honoured", "422"])
def test_a_cursor_that_lev_refuses_begins_the_walk_again(
    start_lev: StartLev, status: int, answer: str
) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    whole = sync(config)
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("contacts", 30)
    lev.sandbox.switch(updated_at_filter={"contacts": answer})
    cut = sync(config, state=whole.state, streams=("contacts",), kill_after=25)
    assert cut.state is not None
    walk = cut.state["bookmarks"]["contacts"]["walk"]
    walk["cursor"] = "bm90IGEgY3Vyc29y"
    walk["digest"] = digest_of(walk)
    lev.sandbox.switch(refused_cursor_status=status)
    resumed = run_tap(config, state=cut.state)
    assert resumed.exit_code == 0
    assert "Reading contacts again from the beginning: Lev refuses the cursor" in resumed.stderr
    assert len(resumed.records("contacts")) == 30


def test_a_cursor_that_expires_on_the_way_begins_the_walk_again(start_lev: StartLev) -> None:
    lev = start_lev()
    lev.sandbox.switch(cursor_lifetime_seconds=100)
    pages = 0

    def dawdle(request: Request) -> None:
        nonlocal pages
        pages += request.path == "/contacts"
        if pages == 4:
            lev.sandbox.clock.advance(200)

    lev.sandbox.on_request(dawdle)
    run = run_tap(config_of(lev, page_size=PAGE))
    assert run.exit_code == 0
    target = Target()
    target.load(run.messages)
    assert landed(target, "contacts") == truth(lev.sandbox, "contacts")


def test_a_cursor_that_never_lasts_ends_in_an_error(start_lev: StartLev) -> None:
    lev = start_lev()
    lev.sandbox.switch(cursor_lifetime_requests=0)
    run = run_tap(config_of(lev, page_size=PAGE))
    assert run.exit_code == 1
    assert "Traceback" not in run.stderr
    requests = [entry for entry in lev.sandbox.requests if entry.path == "/contacts"]
    assert len(requests) == 2 * (1 + 3), "a walk is begun again three times"


@pytest.mark.parametrize("columns", [{"email"}, set()], ids=["some", "none"])
def test_other_columns_than_before_restart_the_walk(
    start_lev: StartLev, columns: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    cut = sync(config, streams=("contacts",), kill_after=35)
    catalog = catalog_of("contacts", contacts=columns)
    restarted = sync(config, state=cut.state, catalog=catalog)
    assert len(restarted.records("contacts")) == 70
    assert "from the beginning: other columns or settings are selected now." in caplog.text


@pytest.mark.parametrize("setting", [{"start_date": "2020-01-01"}, {"active_account": "another"}])
def test_what_the_entry_says_by_itself_does_not_restart_the_walk(
    start_lev: StartLev, setting: dict[str, str]
) -> None:
    """Of the account it has the id, and start_date is no later bound than that of the walk."""
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    cut = sync(config, streams=("contacts",), kill_after=35)
    resumed = sync(config | setting, state=cut.state, streams=("contacts",))
    assert len(resumed.records("contacts")) == 40


def test_another_page_size_is_no_change(start_lev: StartLev) -> None:
    lev = start_lev()
    cut = sync(config_of(lev, page_size=PAGE), streams=("contacts",), kill_after=35)
    resumed = sync(config_of(lev, page_size=7), state=cut.state, streams=("contacts",))
    assert len(resumed.records("contacts")) == 40


def test_a_store_that_merges_states_does_not_bring_a_walk_back(start_lev: StartLev) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    cut = sync(config | {"max_parallel_streams": 1}, kill_after=60)
    finished = sync(config, state=cut.state)
    assert cut.state is not None
    assert finished.state is not None
    assert any(entry["walk"] != NO_WALK for entry in cut.state["bookmarks"].values())
    stored = merged(finished.state, cut.state)
    assert stored == finished.state
    lev.sandbox.clock.advance(3600)
    changed = {stream: lev.sandbox.touch(stream, 3)[0]["id"] for stream in CORE}
    after = sync(config, state=stored)
    for stream, row in changed.items():
        assert row in {record["id"] for record in after.records(stream)}


def test_runs_that_never_get_to_their_end_bring_every_stream_there(start_lev: StartLev) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=PAGE)
    streams = {stream.name for stream in STREAMS if stream.selected_by_default}
    target = Target()
    for _ in range(3 * MAX_RUNS):
        run = sync(config, state=target.state, kill_after=100)  # a page of deals and a bit
        target.load(run.messages, crash=True)
        lev.sandbox.clock.advance(60)
        bookmarks = (target.state or {}).get("bookmarks", {})
        complete = {
            stream
            for stream, entry in bookmarks.items()
            if entry["replication_key_value"] or entry["completed_at"]
        }
        if complete == streams:
            break
    assert complete == streams
    assert landed(target, "placements") == truth(lev.sandbox, "placements")


def test_an_offset_is_no_place_to_come_back_to(start_lev: StartLev) -> None:
    lev = start_lev()
    for _ in range(120):
        lev.sandbox.add("pipelines")
    lev.sandbox.switch(pagination_shape={"pipelines": "offset"})
    config = config_of(lev)
    cut = sync(config, streams=("pipelines",), kill_after=100)
    assert len(cut.records("pipelines")) > 50, "it was cut behind the first page"
    assert cut.state is not None
    assert cut.state["bookmarks"]["pipelines"]["walk"] == NO_WALK
    resumed = sync(config, state=cut.state, streams=("pipelines",))
    assert len(resumed.records("pipelines")) == 123
