"""What a stream's entry in the state is for: merged, old, edited, of another account, out of time.

Each test is a story of several runs, seen at the messages, the tables and the exit codes.
"""

from __future__ import annotations

import copy
import json
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Clock
from tap_lev import timestamps
from tap_lev.state.walk import KEYS as WALK_KEYS
from tap_lev.state.walk import digest_of
from tests.support.expected_rows import ALL, QUERIES, ask, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import EAGER_STATES, Run, Target, merged, run_tap, start_tap
from tests.unit.state.test_bookmark import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lev_sandbox import Request, SandboxServer
    from tests.conftest import StartLev

FILTER = "filter[updated_at][gte]"
PAGE = 10
HOUR = 3600
CORE = ("deals", "placements", "contacts", "companies")
State = dict[str, Any]


def entry(state: State | None, stream: str = "contacts") -> dict[str, Any]:
    """A stream's entry in a state."""
    assert state is not None
    return dict(state["bookmarks"][stream])


def ids(*runs: Run, stream: str = "contacts") -> set[int]:
    """The rows that came in some runs."""
    return {row["id"] for run in runs for row in run.records(stream)}


def full_table(*streams: str) -> dict[str, Any]:
    """A catalog in which some streams are selected and read as full tables."""
    catalog = catalog_of(*streams)
    for each in catalog["streams"]:
        each["replication_method"] = "FULL_TABLE"
    return catalog


def moment(text: str) -> datetime:
    """A moment as the state writes it."""
    found = timestamps.parse(text)
    assert found is not None
    return found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse since the last time."""
    found = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    caplog.clear()
    return found


def asked(lev: SandboxServer, path: str = "/contacts") -> list[dict[str, str]]:
    """The parameters of each request for a list."""
    return [dict(each.query) for each in lev.sandbox.requests if each.path == path]


def check_entries(run: Run, streams: tuple[str, ...]) -> None:
    """Make sure that each STATE has each selected stream, whole."""
    states = run.of("STATE")
    assert states
    for message in states:
        bookmarks = message["value"]["bookmarks"]
        for stream in streams:
            assert list(bookmarks[stream]) == list(EMPTY), stream
            assert sorted(bookmarks[stream]["walk"]) == sorted(WALK_KEYS), stream


# -- Entries are whole

OLD_WALK = {
    "started_at": "2026-11-01T08:00:00Z", "since": None, "cursor": "eyJpZCI6IDIwfQ==",
    "request": "abc", "seen": 20,
}  # fmt: skip
"""A walk as the old release wrote it."""


def old_entry(value: str, **walk: Any) -> State:  # noqa: ANN401
    """An entry of contacts as the old release wrote it."""
    kept = {"walk": OLD_WALK | walk} if walk else {}
    return {
        "bookmarks": {
            "contacts": {"replication_key": "updated_at", "replication_key_value": value} | kept
        }
    }


STATES: list[Any] = [
    pytest.param(None, id="none"),
    pytest.param({"bookmarks": {}}, id="empty"),
    pytest.param({"bookmarks": {"contacts": {"walk": None}}}, id="walk null"),
    pytest.param({"bookmarks": {"contacts": {"walk": {}}}}, id="walk empty"),
    pytest.param({"bookmarks": {"contacts": {"walk": 5}}}, id="walk a number"),
    pytest.param(old_entry("2026-11-02T08:00:00Z"), id="old"),
    pytest.param(old_entry("2026-11-02T08:00:00Z", parent=5), id="old, a walk that has ended"),
    pytest.param(old_entry("2026-10-31T08:00:00Z", parent=5), id="old, in a walk"),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fault", [None, 500, 401])
def test_each_state_has_each_selected_stream_whole(
    lev: SandboxServer, state: State | None, fault: int | None
) -> None:
    if fault is not None:
        lev.sandbox.fault("status", status=fault, route="/contacts", at=2, times=None)
    run = sync(
        config_of(lev, page_size=PAGE, max_retries=0), state=state,
        streams=("contacts", "pipelines"),
    )  # fmt: skip
    assert run.exit_code == (0 if fault is None else 1)
    check_entries(run, ("contacts", "pipelines"))


def test_each_state_of_all_streams_is_whole_and_small(start_lev: StartLev) -> None:
    lev = start_lev(clock=Clock("2026-11-02T08:00:00Z"))
    config = config_of(lev, page_size=PAGE, emit_activate_version_messages=True, **QUERIES)
    first = sync(config, streams=ALL)
    lev.sandbox.clock.advance(HOUR)
    for stream in CORE:
        lev.sandbox.touch(stream, 20)
    second = sync(config, streams=ALL, state=first.state)
    for run in (first, second):
        assert run.exit_code == 0
        check_entries(run, ALL)
        largest = max(len(json.dumps(message["value"])) for message in run.of("STATE"))
        assert largest <= 20_000
    walking = [
        sum(each["walk"]["cursor"] is not None for each in message["value"]["bookmarks"].values())
        for message in first.of("STATE")
    ]
    assert max(walking) > 10, "it is small in the middle of many walks, too"


# -- A store that merges states


def cut_by_a_fault(
    lev: SandboxServer,
    config: Mapping[str, Any],
    route: str,
    at: int,
    **given: Any,  # noqa: ANN401
) -> Run:
    """A run in which Lev fails from a request on."""
    lev.sandbox.fault("status", status=500, route=route, at=at, times=None)
    run = sync(config, **given)
    lev.sandbox.clear_faults()
    assert run.exit_code == 1
    return run


def test_what_is_left_of_an_older_filter_bounds_no_newer_walk(start_lev: StartLev) -> None:
    lev = start_lev(contacts=600)
    config = config_of(lev, page_size=50, max_retries=0)
    only: dict[str, Any] = {"streams": ("contacts",)}
    first = sync(config, **only)
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", 300)
    broken = cut_by_a_fault(lev, config, "/contacts", 4, state=first.state, **only)
    refresh = cut_by_a_fault(lev, config, "/contacts", 3, **only)
    assert broken.state is not None
    assert refresh.state is not None
    assert entry(broken.state)["walk"]["filter"] is not None
    stored = merged(refresh.state, broken.state)
    assert stored == refresh.state
    assert merged(broken.state, refresh.state) == broken.state
    last = sync(config, state=stored, **only)
    assert last.exit_code == 0
    assert ids(refresh, last) == set(range(1, 601))


def test_what_is_left_of_an_older_place_skips_no_children(start_lev: StartLev) -> None:
    lev = start_lev(deals=60)
    config = config_of(lev, page_size=20, max_parallel_streams=1, max_retries=0)
    only: dict[str, Any] = {"streams": ("deal_notes",)}
    first = sync(config, **only)
    lev.sandbox.clock.advance(HOUR)
    route = "/deals/{deal_id}/notes"
    broken = cut_by_a_fault(lev, config, route, 37, state=first.state, **only)
    refresh = cut_by_a_fault(lev, config, "/deals", 2, **only)
    assert broken.state is not None
    assert refresh.state is not None
    assert entry(broken.state, "deal_notes")["walk"]["parent"] is not None
    assert entry(refresh.state, "deal_notes")["walk"]["cursor"] is not None
    last = sync(config, state=merged(refresh.state, broken.state), **only)
    assert last.exit_code == 0
    assert ids(refresh, last, stream="deal_notes") == {r["id"] for r in truth(lev, "deal_notes")}


@pytest.mark.parametrize("refresh_fails_at", [1, 3])
@pytest.mark.parametrize("drops_older_only", [False, True])
def test_what_is_left_of_an_older_version_empties_no_table(
    start_lev: StartLev, refresh_fails_at: int, *, drops_older_only: bool
) -> None:
    """Of an hourly run that broke off, and of a weekly full table that reads all anew and does."""
    lev = start_lev(contacts=200)
    config = config_of(lev, page_size=20, max_retries=0, emit_activate_version_messages=True)
    target = Target(drops_older_only=drops_older_only)
    target.load(sync(config, streams=("contacts",)).messages)
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", 100)
    hourly = cut_by_a_fault(lev, config, "/contacts", 4, streams=("contacts",), state=target.state)
    target.load(hourly.messages)
    lev.sandbox.clock.advance(HOUR)
    weekly = full_table("contacts")
    refresh = cut_by_a_fault(lev, config, "/contacts", refresh_fails_at, catalog=weekly)
    target.load(refresh.messages)
    assert hourly.state is not None
    assert refresh.state is not None
    lev.sandbox.remove("contacts", 199)
    last = sync(config, state=merged(refresh.state, hourly.state), catalog=weekly)
    target.load(last.messages)
    assert last.exit_code == 0
    assert len(last.of("ACTIVATE_VERSION")) == 1
    assert target.rows("contacts") == truth(lev, "contacts")


def test_a_full_refresh_that_fails_at_once_is_not_continued_from_the_old_bookmark(
    lev: SandboxServer,
) -> None:
    config = config_of(lev, page_size=PAGE, max_retries=0)
    old = sync(config, streams=("contacts", "companies"))
    assert old.state is not None
    lev.sandbox.clock.advance(HOUR)
    refresh = cut_by_a_fault(lev, config, "/contacts", 1, streams=("contacts", "companies"))
    for message in refresh.of("STATE"):
        assert entry(message["value"])["replication_key_value"] is None
    assert refresh.state is not None
    stored = merged(refresh.state, old.state)
    assert entry(stored)["replication_key_value"] is None
    again = sync(config, state=stored, streams=("contacts", "companies"))
    assert again.exit_code == 0
    assert ids(again) == set(range(1, 71))


def test_a_merge_with_the_state_of_an_unselected_stream_keeps_that(lev: SandboxServer) -> None:
    config = config_of(lev)
    both = sync(config, streams=("contacts", "companies"))
    assert both.state is not None
    one = sync(config, streams=("contacts",))
    assert one.state is not None
    assert one.state["bookmarks"].keys() == {"contacts"}
    assert entry(merged(one.state, both.state), "companies") == entry(both.state, "companies")


# -- A state of the old release


@pytest.fixture
def yesterday(lev: SandboxServer) -> str:
    """When contacts were complete in an old release; seven and eight have changed since."""
    value = lev.sandbox.timestamp()
    lev.sandbox.clock.advance(24 * HOUR)
    lev.sandbox.touch("contacts", ids=[7, 8])
    lev.sandbox.clock.advance(HOUR)
    return value


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("walk", [{}, {"started_at": "2000-01-01T00:00:00Z"}], ids=["", "stale"])
def test_the_first_run_after_the_upgrade_is_as_usual(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, walk: dict[str, Any], *, changed: bool
) -> None:
    value = lev.sandbox.timestamp()
    lev.sandbox.clock.advance(24 * HOUR)
    if changed:
        lev.sandbox.touch("contacts", ids=[7, 8])
        lev.sandbox.clock.advance(HOUR)
    run = sync(config_of(lev), state=old_entry(value, **walk), streams=("contacts",))
    assert run.exit_code == 0
    assert ids(run) == ({7, 8} if changed else set())
    assert warnings(caplog) == []
    check_entries(run, ("contacts",))
    lev.sandbox.clear_log()
    lev.sandbox.clock.advance(HOUR)
    following = sync(config_of(lev), state=run.state, streams=("contacts",))
    assert warnings(caplog) == []
    assert ids(following) == set()
    assert [FILTER in query for query in asked(lev)] == [True], "it is proven from then on"


def test_an_old_release_s_walk_restarts_without_a_bound(
    lev: SandboxServer, yesterday: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = old_entry(yesterday, started_at=lev.sandbox.timestamp(), since=yesterday)
    run = sync(config_of(lev, page_size=PAGE), state=state, streams=("contacts",))
    assert run.exit_code == 0
    assert ids(run) == set(range(1, 71))
    (told,) = warnings(caplog)
    assert told == (
        "Reading contacts again from the beginning: the state's walk cannot be used: an older "
        "release of tap-lev wrote it."
    )


# -- A walk that restarts keeps the wider bound


def wide_walk(lev: SandboxServer) -> State:
    """A state in a walk two hours wide; contact 65 changed an hour before the bookmark."""
    config = config_of(lev, page_size=PAGE)
    first = sync(config, streams=("contacts",))
    bookmark = moment(entry(first.state)["replication_key_value"])
    hour_ago = timestamps.render(bookmark - timedelta(hours=1))
    lev.sandbox.update("contacts", 65, updated_at=hour_ago)
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", ids=range(1, 31))
    cut = sync(
        config | {"overlap_seconds": 2 * HOUR}, state=first.state, streams=("contacts",),
        kill_after=15,
    )  # fmt: skip
    walk = entry(cut.state)["walk"]
    assert walk["cursor"] is not None
    assert moment(walk["since"]) < moment(hour_ago)
    assert cut.state is not None
    return cut.state


def other_columns() -> dict[str, Any]:
    """A catalog in which one column of contacts is deselected."""
    columns = catalog_of("contacts")
    (found,) = (each for each in columns["streams"] if each["tap_stream_id"] == "contacts")
    names = set(found["schema"]["properties"]) - {"title"}
    return catalog_of("contacts", contacts=names)


def test_a_restarted_walk_keeps_the_wider_bound(lev: SandboxServer) -> None:
    config = config_of(lev, page_size=PAGE, overlap_seconds=0)
    run = sync(config, state=wide_walk(lev), catalog=other_columns())
    assert run.exit_code == 0
    assert ids(run) == {*range(1, 31), 65}


def test_a_walk_whose_cursor_is_refused_keeps_the_wider_bound(lev: SandboxServer) -> None:
    state = wide_walk(lev)
    walk = state["bookmarks"]["contacts"]["walk"]
    walk["cursor"] = "bm90IGEgY3Vyc29y"
    walk["digest"] = digest_of(walk)
    config = config_of(lev, page_size=PAGE, overlap_seconds=0)
    run = sync(config, state=state, streams=("contacts",))
    assert ids(run) == {*range(1, 31), 65}


@pytest.mark.parametrize("kill_after", range(1, 18))
def test_a_crash_after_the_restart_does_not_narrow_it(lev: SandboxServer, kill_after: int) -> None:
    config = config_of(lev, page_size=PAGE, overlap_seconds=0)
    state = wide_walk(lev)
    crashed = sync(config, state=state, catalog=other_columns(), kill_after=kill_after)
    assert crashed.exit_code < 0
    last = sync(config, state=crashed.state, catalog=other_columns())
    assert last.exit_code == 0
    assert 65 in ids(crashed, last)
    assert ids(crashed, last) == {*range(1, 31), 65}


def test_a_first_walk_keeps_its_start_date_when_it_restarts(lev: SandboxServer) -> None:
    config = config_of(lev, page_size=PAGE, start_date="2022-01-01")
    cut = sync(config, streams=("contacts",), kill_after=35)
    later = config | {"start_date": "2025-06-01"}
    restarted = sync(later, state=cut.state, catalog=other_columns())
    assert restarted.exit_code == 0
    assert ids(restarted) == set(range(1, 71))


@pytest.mark.parametrize("earlier", ["2022-01-01", None])
def test_a_first_walk_restarts_when_start_date_moves_back(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, earlier: str | None
) -> None:
    config = config_of(lev, page_size=PAGE)
    narrow = config | {"start_date": "2024-06-01"}
    first = sync(narrow, streams=("contacts",))
    some = ids(first)
    assert 10 < len(some) < 70
    cut = sync(narrow, streams=("contacts",), kill_after=15)
    assert entry(cut.state)["walk"]["cursor"] is not None
    wide = config | ({"start_date": earlier} if earlier else {})
    restarted = sync(wide, state=cut.state, streams=("contacts",))
    assert ids(restarted) == set(range(1, 71))
    assert warnings(caplog) == [
        "Reading contacts again from the beginning: start_date is earlier now."
    ]


# -- What a complete run left out


def test_a_start_date_that_moves_forth_and_back_leaves_nothing_out(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A scheduler may set it to the day of each run."""
    config = config_of(lev, start_date="2020-01-01", overlap_seconds=0)
    first = sync(config, streams=("contacts",))
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", ids=[7])
    lev.sandbox.clock.advance(23 * HOUR)
    day = lev.sandbox.timestamp()
    second = sync(config | {"start_date": day}, state=first.state, streams=("contacts",))
    assert ids(second) == {7}
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", ids=[8])
    third = sync(config, state=second.state, streams=("contacts",))
    assert ids(third) == {8}
    assert warnings(caplog) == [], "all rows since 2020 have come"


@pytest.mark.parametrize("earlier", ["2022-01-01", None])
def test_a_start_date_that_moves_back_after_a_complete_run_says_what_does_not_come(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, earlier: str | None
) -> None:
    config = config_of(lev)
    first = sync(config | {"start_date": "2024-06-01"}, streams=("contacts", "pipelines"))
    assert warnings(caplog) == []
    lev.sandbox.clock.advance(HOUR)
    wide = config | ({"start_date": earlier} if earlier else {})
    second = sync(wide, state=first.state, streams=("contacts", "pipelines"))
    assert second.exit_code == 0
    (told,) = warnings(caplog)
    assert told == (
        "contacts: start_date is earlier now, but it bounds a first run only. Rows last changed "
        "before 2024-06-01T00:00:00Z do not come until they change. To get them, remove contacts "
        "from the state's bookmarks, or run it once with --full-refresh under Meltano."
    )
    third = sync(wide, state=second.state, streams=("contacts", "pipelines"))
    assert third.exit_code == 0
    assert warnings(caplog) == [], "once is enough"


def test_new_columns_after_a_complete_run_are_named(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    first = sync(config_of(lev), catalog=other_columns())
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", ids=[7])
    second = sync(config_of(lev), state=first.state, streams=("contacts",))
    assert second.exit_code == 0
    (row,) = second.records("contacts")
    assert (row["id"], "title" in row) == (7, True)
    (told,) = warnings(caplog)
    assert told == (
        "contacts: new columns: title. Rows that have not changed since the last run keep them "
        "empty until they change. To get them, remove contacts from the state's bookmarks, or run "
        "it once with --full-refresh under Meltano."
    )
    third = sync(config_of(lev), state=second.state, streams=("contacts",))
    assert third.exit_code == 0
    assert warnings(caplog) == []


def test_new_columns_of_a_full_table_need_no_word(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    narrow = other_columns()
    for each in narrow["streams"]:
        each["replication_method"] = "FULL_TABLE"
    first = sync(config_of(lev), catalog=narrow)
    second = sync(config_of(lev), state=first.state, catalog=full_table("contacts"))
    assert ids(second) == set(range(1, 71))
    assert warnings(caplog) == []


# -- Whose rows they are


def test_another_account_ends_it_before_anything_is_written(lev: SandboxServer) -> None:
    first = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    lev.sandbox.switch(me_account_id=99)
    lev.sandbox.clear_log()
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"), state=first.state)
    assert run.exit_code == 2
    assert run.lines == []
    (sentence,) = run.log("ERROR")
    assert sentence == (
        "The state is of account 56, but the key reads account 99. Give this account a state of "
        "its own (meltano run --state-id-suffix=99 …, or another --state file), or clear the "
        "state (meltano state clear …). Nothing was written."
    )
    assert [each.path for each in lev.sandbox.requests] == ["/me"]
    assert "Traceback" not in run.stderr


def test_another_account_in_an_unselected_stream_s_entry_counts_too(lev: SandboxServer) -> None:
    first = sync(config_of(lev), streams=("contacts",))
    lev.sandbox.switch(me_account_id=99)
    run = sync(config_of(lev), streams=("companies",), state=first.state)
    assert (run.exit_code, run.lines) == (2, [])


@pytest.mark.parametrize("state", [old_entry("2026-11-02T08:00:00Z"), {"bookmarks": {}}])
def test_a_state_without_an_account_gets_that_of_the_key(lev: SandboxServer, state: State) -> None:
    run = sync(config_of(lev), streams=("contacts",), state=state)
    assert run.exit_code == 0
    me = ask(lev, "/me")
    expected = me["account"]["id"], me["user"]["id"]
    assert (entry(run.state)["account"], entry(run.state)["user"]) == expected
    assert entry(run.of("STATE")[0]["value"])["account"] == 56, "from the first STATE on"


def test_without_an_id_the_slug_decides(lev: SandboxServer) -> None:
    config = config_of(lev)
    lev.sandbox.switch(me_account="no_id")
    first = sync(config, streams=("contacts",))
    assert first.state is not None
    slug = entry(first.state)["account"]
    assert slug == lev.sandbox.rows("my_accounts")[0]["slug"]
    assert sync(config, streams=("contacts",), state=first.state).exit_code == 0
    other = copy.deepcopy(first.state)
    other["bookmarks"]["contacts"]["account"] = "another"
    refused = sync(config, streams=("contacts",), state=other)
    assert (refused.exit_code, refused.lines) == (2, [])
    # A slug says nothing of an id: Lev may name it only from now on.
    lev.sandbox.switch(me_account="whole")
    named = sync(config, streams=("contacts",), state=first.state)
    assert named.exit_code == 0
    assert entry(named.state)["account"] == 56


@pytest.mark.parametrize("fault", ["absent", "reset", "garbage", 404, 500])
def test_an_account_that_is_not_named_is_not_another(lev: SandboxServer, fault: object) -> None:
    config = config_of(lev, max_retries=0)
    first = sync(config, streams=("contacts",))
    if fault == "absent":
        lev.sandbox.switch(me_account="absent")
    elif fault == "reset":
        lev.sandbox.fault("reset", route="/me", times=None)
    elif fault == "garbage":
        lev.sandbox.fault("wrong_shape", route="/me", data=[5], times=None)
    else:
        lev.sandbox.fault("status", route="/me", status=fault, times=None)
    run = sync(config, streams=("contacts",), state=first.state)
    assert run.exit_code == 0
    assert entry(run.state)["account"] == 56, "what is known stays"


@pytest.mark.parametrize("cut", [False, True])
def test_another_user_reads_all_rows_once(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, *, cut: bool
) -> None:
    """He may see rows that the old one could not, and they may have any date."""
    config = config_of(lev, page_size=PAGE)
    streams = ("contacts", "companies")
    state = sync(config, streams=streams).state
    lev.sandbox.clock.advance(HOUR)
    if cut:
        lev.sandbox.touch("contacts", 30)
        state = sync(config, streams=streams, state=state, kill_after=35).state
        lev.sandbox.clock.advance(HOUR)
    warnings(caplog)
    lev.sandbox.switch(me_user_id=77)
    lev.sandbox.clear_log()
    other = sync(config, streams=streams, state=state)
    assert other.exit_code == 0
    assert ids(other) == set(range(1, 71))
    assert not any(FILTER in query or "cursor" in asked(lev)[0] for query in asked(lev))
    assert sorted(warnings(caplog)) == [
        f"Reading {stream} again from the beginning: the key belongs to another user, who may see "
        "other rows."
        for stream in sorted(streams)
    ]
    assert entry(other.state)["user"] == 77
    lev.sandbox.clear_log()
    lev.sandbox.clock.advance(HOUR)
    following = sync(config, streams=streams, state=other.state)
    assert ids(following) == set()
    assert warnings(caplog) == []
    assert all(FILTER in query for query in asked(lev))


@pytest.mark.parametrize("kill_after", [1, 2, 3, 14])
def test_a_crash_right_after_the_user_changed_still_reads_all_rows(
    lev: SandboxServer, kill_after: int
) -> None:
    config = config_of(lev, page_size=PAGE)
    first = sync(config, streams=("contacts",))
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.switch(me_user_id=77)
    crashed = sync(config, streams=("contacts",), state=first.state, kill_after=kill_after)
    assert entry(crashed.state)["user"] == 77
    last = sync(config, streams=("contacts",), state=crashed.state)
    assert ids(crashed, last) == set(range(1, 71))


# -- Clocks


def test_a_bookmark_later_than_lev_s_clock_never_moves_back_and_loses_nothing(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(lev, page_size=PAGE, overlap_seconds=0)
    lev.sandbox.switch(clock_skew=2 * HOUR)
    target = Target()
    target.load(sync(config, streams=("contacts",)).messages)
    ahead = entry(target.state)["replication_key_value"]
    lev.sandbox.switch(clock_skew=0)
    assert warnings(caplog) == []
    told = []
    for key in (5, 6, 7):
        lev.sandbox.clock.advance(60)
        lev.sandbox.update("contacts", key, title=f"Changed {key}")
        lev.sandbox.clock.advance(60)
        run = sync(config, state=target.state, streams=("contacts",))
        assert run.exit_code == 0
        told += warnings(caplog)
        target.load(run.messages)
        assert target.rows("contacts") == truth(lev, "contacts")
        assert entry(target.state)["replication_key_value"] == ahead
    assert len(told) == 1, "all rows are read once"
    assert "later than Lev's clock" in told[0]
    assert ids(run) == {7}
    lev.sandbox.clock.advance(3 * HOUR)
    lev.sandbox.update("contacts", 8, title="Changed 8")
    lev.sandbox.clock.advance(60)
    target.load(sync(config, state=target.state, streams=("contacts",)).messages)
    assert target.rows("contacts") == truth(lev, "contacts")
    assert moment(entry(target.state)["replication_key_value"]) > moment(ahead)
    assert entry(target.state)["completed_at"] is None


CLOCKS: list[Any] = [
    pytest.param({}, False, id="right"),
    pytest.param({"envelope_skew": 1800}, False, id="envelope half an hour ahead"),
    pytest.param({"envelope_skew": -1800}, False, id="envelope half an hour behind"),
    pytest.param({"envelope_skew": 3 * HOUR}, False, id="envelope ahead"),
    pytest.param({"envelope_skew": -3 * HOUR}, False, id="envelope behind"),
    pytest.param({"date_header_skew": 1800}, False, id="Date half an hour ahead"),
    pytest.param({"date_header_skew": 3 * HOUR}, False, id="Date ahead"),
    pytest.param({"date_header_skew": -3 * HOUR}, False, id="Date behind"),
    pytest.param({"timestamp_zone": "none"}, False, id="no zone"),
    pytest.param({"timestamp_zone": "local"}, True, id="no zone, and local"),
    pytest.param({"envelope_timestamp": False}, False, id="Date only"),
    pytest.param({"clock_skew": 900}, False, id="all ahead"),
    pytest.param({"clock_skew": -900}, False, id="all behind"),
]


@pytest.mark.parametrize(("switches", "is_logged"), CLOCKS)
def test_whatever_the_clocks_say_nothing_is_lost(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, switches: dict[str, Any], *,
    is_logged: bool,
) -> None:  # fmt: skip
    lev.sandbox.switch(**switches)
    config = config_of(lev, page_size=PAGE, overlap_seconds=0)
    target = Target()
    for number in range(3):
        pages = 0

        def disturb(request: Request, number: int = number) -> None:
            nonlocal pages
            pages += request.path == "/contacts"
            if request.path == "/contacts" and pages == 3:
                lev.sandbox.update("contacts", 3, title=f"Changed behind the walk {number}")

        stop = lev.sandbox.on_request(disturb)
        run = sync(config, state=target.state, streams=("contacts",))
        stop()
        assert run.exit_code == 0
        target.load(run.messages)
        now = moment(lev.sandbox.timestamp())
        assert moment(entry(target.state)["replication_key_value"]) <= now
        lev.sandbox.clock.advance(60)
        lev.sandbox.touch("contacts", 15, seed=number)
        lev.sandbox.clock.advance(60)
    run = sync(config, state=target.state, streams=("contacts",))
    target.load(run.messages)
    assert target.rows("contacts") == truth(lev, "contacts")
    assert any("does not agree" in text for text in warnings(caplog)) is is_logged


@pytest.mark.parametrize("hours", [-5, 5])
@pytest.mark.parametrize("page", [1, 4])
def test_one_page_s_wrong_timestamp_is_logged_and_not_used(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, hours: int, page: int
) -> None:
    wrong = moment(lev.sandbox.timestamp()) + timedelta(hours=hours)
    lev.sandbox.fault("timestamp", route="/contacts", timestamp=timestamps.render(wrong), at=page)
    run = sync(config_of(lev, page_size=PAGE), streams=("contacts",))
    assert run.exit_code == 0
    now = moment(lev.sandbox.timestamp())
    begun = moment(entry(run.state)["replication_key_value"])
    assert now - timedelta(minutes=5) < begun <= now
    (told,) = warnings(caplog)
    assert told.startswith("The timestamp of a response, ")
    assert told.endswith(" does not agree with Lev's other times: it is not used.")


def test_a_walk_begins_with_its_earliest_page(lev: SandboxServer) -> None:
    """A page from a server whose clock is behind shows changes by that clock."""
    earlier = moment(lev.sandbox.timestamp()) - timedelta(minutes=20)
    lev.sandbox.fault("timestamp", route="/contacts", timestamp=timestamps.render(earlier), at=4)
    run = sync(config_of(lev, page_size=PAGE), streams=("contacts",))
    assert entry(run.state)["replication_key_value"] == timestamps.render(earlier)


# -- Versions

VERSIONS = {"emit_activate_version_messages": True}


@pytest.fixture
def at_noon(start_lev: StartLev) -> SandboxServer:
    """A Lev whose clock stands still at noon."""
    return start_lev(clock=Clock("2026-11-02T12:00:00Z", frozen=True), contacts=100)


NOON = int(datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp())


def versions(run: Run, stream: str = "contacts") -> set[int | None]:
    """The versions of a run's rows."""
    return {message.get("version") for message in run.of("RECORD", stream)}


def test_incremental_rows_carry_the_version_of_the_first_walk(at_noon: SandboxServer) -> None:
    config = config_of(at_noon, **VERSIONS)
    first = sync(config, streams=("contacts",))
    assert versions(first) == {NOON}
    at_noon.sandbox.clock.advance(HOUR)
    at_noon.sandbox.touch("contacts", 3)
    second = sync(config, streams=("contacts",), state=first.state)
    assert versions(second) == {NOON}
    assert not first.of("ACTIVATE_VERSION")
    assert not second.of("ACTIVATE_VERSION")


def test_after_a_full_table_incremental_rows_carry_its_version(at_noon: SandboxServer) -> None:
    config = config_of(at_noon, **VERSIONS)
    state, expected = None, []
    for catalog in (catalog_of("contacts"), full_table("contacts"), catalog_of("contacts")):
        run = sync(config, catalog=catalog, state=state)
        state = run.state
        expected.append(versions(run))
        at_noon.sandbox.clock.advance(HOUR)
        at_noon.sandbox.touch("contacts", 3)
    assert expected == [{NOON}, {NOON + HOUR}, {NOON + HOUR}]


def test_a_full_table_has_a_greater_version_than_any_before(at_noon: SandboxServer) -> None:
    """Though Lev's clock was set back, or two runs began in one second."""
    config = config_of(at_noon, **VERSIONS)
    first = sync(config, streams=("contacts",))
    second = sync(config, catalog=full_table("contacts"), state=first.state)
    at_noon.sandbox.switch(clock_skew=-3 * HOUR)
    third = sync(config, catalog=full_table("contacts"), state=second.state)
    assert [versions(run) for run in (first, second, third)] == [{NOON}, {NOON + 1}, {NOON + 2}]


@pytest.mark.parametrize("drops_older_only", [False, True])
def test_an_incremental_run_between_full_tables_drops_what_is_gone_and_nothing_else(
    at_noon: SandboxServer, *, drops_older_only: bool
) -> None:
    lev, config = at_noon, config_of(at_noon, page_size=PAGE, **VERSIONS)
    target = Target(drops_older_only=drops_older_only)
    for catalog in (catalog_of("contacts"), full_table("contacts")) * 2:
        run = sync(config, catalog=catalog, state=target.state)
        target.load(run.messages)
        lev.sandbox.clock.advance(HOUR)
        lev.sandbox.remove("contacts", lev.sandbox.rows("contacts")[-1]["id"])
        lev.sandbox.touch("contacts", 10)
    target.load(sync(config, catalog=full_table("contacts"), state=target.state).messages)
    assert target.rows("contacts") == truth(lev, "contacts")


def weekly_that_broke_off(lev: SandboxServer, target: Target, broken_at: int) -> dict[str, Any]:
    """A full table, an hour, and one that breaks off; return the settings."""
    config = config_of(lev, page_size=PAGE, **VERSIONS)
    target.load(sync(config, catalog=full_table("contacts")).messages)
    lev.sandbox.clock.advance(HOUR)
    cut = sync(config, catalog=full_table("contacts"), state=target.state, kill_after=broken_at)
    target.load(cut.messages)
    assert entry(target.state)["walk"]["version"] == NOON + HOUR
    lev.sandbox.clock.advance(HOUR)
    lev.sandbox.touch("contacts", ids=range(1, 21))
    return config


@pytest.mark.parametrize("drops_older_only", [False, True])
@pytest.mark.parametrize("broken_at", [15, 60])
def test_an_hourly_run_that_ends_anywhere_after_a_broken_weekly_one_loses_no_row(
    start_lev: StartLev, broken_at: int, *, drops_older_only: bool
) -> None:
    for kill_after in (*range(1, 16), 26, 40):
        lev = start_lev(clock=Clock("2026-11-02T12:00:00Z", frozen=True), contacts=100)
        target = Target(drops_older_only=drops_older_only)
        config = weekly_that_broke_off(lev, target, broken_at)
        hourly = sync(config, streams=("contacts",), state=target.state, kill_after=kill_after)
        target.load(hourly.messages)  # a target that ends in order writes what it has got
        lev.sandbox.clock.advance(HOUR)
        weekly = sync(config, catalog=full_table("contacts"), state=target.state)
        assert weekly.exit_code == 0
        target.load(weekly.messages)
        assert target.rows("contacts") == truth(lev, "contacts"), kill_after


def test_the_given_up_walk_leaves_the_state_before_the_first_row(at_noon: SandboxServer) -> None:
    target = Target()
    config = weekly_that_broke_off(at_noon, target, 60)
    hourly = sync(
        config, streams=("contacts",), state=target.state, state_interval=HOUR, clock=lambda: 0.0
    )
    kinds = [message["type"] for message in hourly.messages]
    before = [m for m in hourly.messages[: kinds.index("RECORD")] if m["type"] == "STATE"]
    walk = entry(before[-1]["value"])["walk"]
    assert (walk["version"], walk["cursor"]) == (None, None)
    assert versions(hourly) == {NOON + HOUR}, "a store may not have got that state"


@pytest.mark.parametrize("drops_older_only", [False, True])
@pytest.mark.parametrize("kill_after", [3, 4, 8, 13])
def test_a_full_table_that_restarts_and_ends_before_its_first_page_loses_no_row(
    at_noon: SandboxServer, kill_after: int, *, drops_older_only: bool
) -> None:
    """Lev refuses a cursor once. What is read anew is not of the walk that was given up."""
    target = Target(drops_older_only=drops_older_only)
    config = weekly_that_broke_off(at_noon, target, 60)
    at_noon.sandbox.fault("status", status=400, route="/contacts", query={"cursor": "*"})
    weekly = full_table("contacts")
    restarted = sync(config, catalog=weekly, state=target.state, kill_after=kill_after)
    assert restarted.exit_code < 0
    target.load(restarted.messages)
    last = sync(config, catalog=weekly, state=target.state)
    assert last.exit_code == 0
    target.load(last.messages)
    assert len(last.of("ACTIVATE_VERSION")) == 1
    assert target.rows("contacts") == truth(at_noon, "contacts")


@pytest.mark.parametrize("drops_older_only", [False, True])
def test_an_hourly_run_whose_states_are_lost_loses_no_row(
    at_noon: SandboxServer, *, drops_older_only: bool
) -> None:
    """Its rows are stored, and the next run resumes the walk that the hourly one gave up."""
    target = Target(drops_older_only=drops_older_only)
    config = weekly_that_broke_off(at_noon, target, 60)
    before = target.state
    target.load(sync(config, streams=("contacts",), state=before).messages)
    at_noon.sandbox.clock.advance(HOUR)
    weekly = sync(config, catalog=full_table("contacts"), state=before)
    assert len(weekly.records("contacts")) < 100, "it resumes"
    target.load(weekly.messages)
    assert len(weekly.of("ACTIVATE_VERSION")) == 1
    assert target.rows("contacts") == truth(at_noon, "contacts")


def test_a_clean_end_of_the_hourly_run_loses_no_row(at_noon: SandboxServer) -> None:
    """The same with real processes: SIGTERM while the first page of the hourly run is read."""
    target = Target()
    config = weekly_that_broke_off(at_noon, target, 60)
    hours = catalog_of("contacts")
    with start_tap(config, state=target.state, catalog=hours, program=EAGER_STATES) as tap:
        assert tap.popen.stdout is not None
        lines = []
        for line in tap.popen.stdout:
            lines.append(line)
            if '"RECORD"' in line:
                tap.popen.send_signal(signal.SIGTERM)
                break
        hourly = tap.finish(lines)
    assert hourly.exit_code in {0, 143}
    target.load(hourly.messages)
    assert ids(hourly)
    at_noon.sandbox.clock.advance(HOUR)
    weekly = run_tap(config, catalog=full_table("contacts"), state=target.state)
    assert weekly.exit_code == 0
    target.load(weekly.messages)
    assert target.rows("contacts") == truth(at_noon, "contacts")


def full_table_runs(
    lev: SandboxServer, *emitted: bool, cuts: tuple[int | None, ...]
) -> Iterator[Run]:
    """Runs of one full table, each from the last one's state."""
    state = None
    for emits, cut in zip(emitted, cuts, strict=True):
        config = config_of(lev, page_size=PAGE, emit_activate_version_messages=emits)
        run = sync(config, catalog=full_table("contacts"), state=state, kill_after=cut)
        state = run.state
        yield run


@pytest.mark.parametrize(
    "emitted", [(True, False), (False, True), (True, False, True), (True, True, False)]
)
def test_versions_that_are_turned_off_or_on_in_mid_walk_end_with_no_message(
    at_noon: SandboxServer, emitted: tuple[bool, ...]
) -> None:
    """Some rows then have no version, or another: a message would drop them."""
    target = Target()
    cuts = (35, *[25] * (len(emitted) - 2), None)
    runs = list(full_table_runs(at_noon, *emitted, cuts=cuts))
    for run, emits in zip(runs, emitted, strict=True):
        target.load(run.messages)
        assert not run.of("ACTIVATE_VERSION")
        if not emits:
            assert versions(run) == {None}
    assert runs[-1].exit_code == 0
    assert target.rows("contacts") == truth(at_noon, "contacts")
    at_noon.sandbox.remove("contacts", 50)
    at_noon.sandbox.clock.advance(HOUR)
    config = config_of(at_noon, **VERSIONS)
    whole = sync(config, catalog=full_table("contacts"), state=runs[-1].state)
    target.load(whole.messages)
    assert len(whole.of("ACTIVATE_VERSION")) == 1
    assert target.rows("contacts") == truth(at_noon, "contacts")


# -- What it costs


def test_the_default_selection_costs_as_few_requests_as_before(start_lev: StartLev) -> None:
    lev = start_lev(deals=2000, placements=6000, contacts=5000, companies=1500)
    first = sync(config_of(lev))
    assert first.exit_code == 0
    assert len(lev.sandbox.requests) == 78
    lev.sandbox.clear_log()
    lev.sandbox.clock.advance(HOUR)
    for stream in CORE:
        lev.sandbox.touch(stream, 20)
    second = sync(config_of(lev), state=first.state)
    assert second.exit_code == 0
    assert len(lev.sandbox.requests) <= 18
    assert ids(second) == {
        row["id"]
        for row in lev.sandbox.rows("contacts")
        if row["updated_at"] >= entry(first.state)["replication_key_value"]
    }


# -- What the first part of a walk knew


@pytest.mark.parametrize("drops_older_only", [False, True])
@pytest.mark.parametrize("kind", ["hidden rows", "full block"])
def test_what_one_run_could_not_read_is_not_dropped_by_the_run_that_ends_the_walk(
    start_lev: StartLev, kind: str, *, drops_older_only: bool
) -> None:
    lev = start_lev(deals=30, documents=3)
    stream = "documents" if kind == "hidden rows" else "deal_pipelines"
    config = config_of(
        lev, page_size=10, max_parallel_streams=1, emit_activate_version_messages=True
    )
    catalog, target = full_table(stream), Target(drops_older_only=drops_older_only)
    if kind == "full block":
        for _ in range(10 - sum(r["deal_id"] == 3 for r in truth(lev, stream))):
            lev.sandbox.add("deal_pipelines", parent=3)
    target.load(sync(config, catalog=catalog).messages)
    if kind == "hidden rows":
        lev.sandbox.poison("deals", 3, "no_children", 404)
    else:  # an eleventh row, which was among the ten when it was loaded
        extra = {"deal_id": 3, "pipeline_id": 999}
        target.tables[stream][3, 999] = extra
        target._versions[stream, (3, 999)] = 1
    before = target.rows(stream)
    lev.sandbox.clock.advance(HOUR)
    place: State = {}
    for lines in range(40, 100):
        broken = sync(config, catalog=catalog, state=target.state, kill_after=lines)
        place = entry(broken.state, stream)["walk"] if broken.state else {}
        if place.get("cursor"):
            break
    assert place["cursor"], "it is past the first page"
    target.load(broken.messages, crash=True)
    resumed = sync(config, catalog=catalog, state=target.state)
    target.load(resumed.messages)
    assert resumed.exit_code == 0
    assert not resumed.of("ACTIVATE_VERSION")
    assert target.rows(stream) == before
    versions = {each["version"] for each in (*broken.of("RECORD"), *resumed.of("RECORD"))}
    assert len(versions) == 1, "the rows of both runs are of one table"
    lev.sandbox.cure()
    lev.sandbox.clock.advance(HOUR)
    again = sync(config, catalog=catalog, state=target.state)
    assert bool(again.of("ACTIVATE_VERSION")) is (kind == "hidden rows")


def test_parents_that_are_all_gone_fail_a_walk_that_an_earlier_run_began(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture
) -> None:
    lev = start_lev(deals=30, documents=60)
    config = config_of(lev, page_size=10, max_parallel_streams=1)
    for key in range(1, 31):
        lev.sandbox.poison("deals", key, "no_children", 404)
    lev.sandbox.fault("reset", route="/deals", at=3, times=None)
    broken = sync(config, streams=("documents",))
    assert broken.exit_code == 1
    assert entry(broken.state, "documents")["walk"]["cursor"], "there is a place to resume at"
    lev.sandbox.clear_faults()
    resumed = sync(config, streams=("documents",), state=broken.state)
    assert resumed.exit_code == 1
    assert "with 404 for each of 30 listed deals" in caplog.text
    lev.sandbox.cure()
    for key in range(21, 31):
        lev.sandbox.poison("deals", key, "no_children", 404)
    healed = sync(config, streams=("documents",), state=broken.state)
    assert healed.exit_code == 0, "the first part was answered"
