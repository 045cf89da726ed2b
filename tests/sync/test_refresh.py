"""Single rows on demand: just those, with their children, and never a state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.state.walk import NO_WALK
from tests.support.expected_rows import QUERIES, landed, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import Target, run_tap

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev
    from tests.support.process import Run

CHILDREN = (
    "deal_properties", "deal_team_members", "deal_pipelines", "deal_financials", "term_sheets",
    "documents", "deal_notes", "checklists", "checklist_tasks", "checklist_task_notes",
    "index_facts",
)  # fmt: skip
REFRESHABLE = {
    "deals": "/deals/{deal_id}",
    "placements": "/placements/{placement_id}",
    "contacts": "/contacts/{contact_id}",
    "companies": "/companies/{company_id}",
    "pipelines": "/pipelines/{pipeline_id}",
    "lenders": "/lenders/{org_id}",
}
DEALS, CONTACTS = [7, 3], [9]


def rows_of(lev: SandboxServer, stream: str, deals: list[int]) -> list[dict[str, Any]]:
    """What Lev says of some deals."""
    tasks = {row["id"] for row in truth(lev, "checklist_tasks") if row["deal_id"] in deals}
    return [
        row
        for row in truth(lev, stream)
        if (row["task_id"] in tasks if "task_id" in row else row["deal_id"] in deals)
    ]


def check(run: Run, lev: SandboxServer) -> None:
    """Hold a refresh of two deals and a contact against what Lev says."""
    deals = {row["id"]: row for row in truth(lev, "deals")}
    contacts = {row["id"]: row for row in truth(lev, "contacts")}
    assert run.records("deals") == [deals[key] for key in DEALS]
    assert run.records("contacts") == [contacts[key] for key in CONTACTS]
    for stream in CHILDREN:
        rows = landed(run, stream)
        assert rows, stream
        assert rows == rows_of(lev, stream, DEALS), stream
        assert len(run.of("SCHEMA", stream)) == 1
    assert {message["type"] for message in run.messages} == {"SCHEMA", "RECORD"}


@pytest.fixture
def account(start_lev: StartLev) -> SandboxServer:
    """A Lev whose deals all have children."""
    return start_lev(vaults=2.5, memos=2, deal_financials=2)


def test_the_command_line_names_rows(account: SandboxServer) -> None:
    run = run_tap(
        config_of(account, **QUERIES),
        catalog=catalog_of("deals", "contacts", "companies", "base_rates", *CHILDREN),
        args=("--refresh", "deals=7,3", "--refresh", "contacts=9"),
    )
    assert run.exit_code == 0
    check(run, account)
    assert {message["stream"] for message in run.messages} == {"deals", "contacts", *CHILDREN}
    assert not any(entry.path in {"/deals", "/contacts"} for entry in account.sandbox.requests)
    assert [e.route for e in account.sandbox.requests if e.path.startswith("/contacts")] == [
        "/contacts/{contact_id}"
    ]
    assert "Sync complete" in run.stderr


def test_the_setting_names_rows(account: SandboxServer) -> None:
    run = run_tap(
        catalog=catalog_of("deals", "contacts", *CHILDREN),
        env={
            "TAP_LEV_API_URL": account.url,
            "TAP_LEV_API_KEY": account.key,
            "TAP_LEV_FACT_QUERIES": json.dumps(QUERIES["fact_queries"]),
            "TAP_LEV_REFRESH": json.dumps({"deals": DEALS, "contacts": CONTACTS}),
        },
    )
    assert run.exit_code == 0
    check(run, account)


def test_the_command_line_wins_over_the_setting(lev: SandboxServer) -> None:
    config = config_of(lev, refresh={"deals": [1]})
    run = run_tap(config, catalog=catalog_of("contacts"), args=("--refresh", "contacts=9"))
    assert run.exit_code == 0
    assert {message["stream"] for message in run.messages} == {"contacts"}


@pytest.mark.parametrize("stream", REFRESHABLE)
def test_every_stream_with_a_single_row_read_can_be_refreshed(
    account: SandboxServer, stream: str
) -> None:
    run = sync(config_of(account, refresh={stream: [2]}), streams=(stream,))
    assert run.exit_code == 0
    (row,) = [row for row in truth(account, stream) if row["id"] == 2]
    assert run.records(stream) == [row]
    assert [entry.route for entry in account.sandbox.requests] == ["/me", REFRESHABLE[stream]]


def test_of_a_stream_that_is_not_selected_only_children_come(account: SandboxServer) -> None:
    config = config_of(account, refresh={"deals": DEALS})
    run = sync(config, streams=("deal_notes", "deal_properties"))
    assert run.exit_code == 0
    assert {message["stream"] for message in run.messages} == {"deal_notes", "deal_properties"}
    for stream in ("deal_notes", "deal_properties"):
        assert landed(run, stream) == rows_of(account, stream, DEALS)


@pytest.mark.parametrize("catalog", [None, ("contacts",), ("contacts", "deals")])
def test_a_stream_that_is_not_selected_is_refused(
    account: SandboxServer, catalog: tuple[str, ...] | None
) -> None:
    """It has no columns to write."""
    run = run_tap(
        config_of(account),
        catalog=catalog_of(*catalog) if catalog else None,
        args=("--refresh", "contacts=9", "--refresh", "lenders=2"),
    )
    assert run.exit_code == 2
    assert run.lines == []
    (told,) = run.log("ERROR")
    assert told.startswith("The stream lenders is not selected")


def test_only_selected_children_come(account: SandboxServer) -> None:
    run = sync(config_of(account, refresh={"deals": DEALS}), streams=("deals", "deal_notes"))
    assert {message["stream"] for message in run.messages} == {"deals", "deal_notes"}
    requests = [(entry.path, dict(entry.query)) for entry in account.sandbox.requests]
    assert requests == [
        ("/me", {}),
        ("/deals/7", {"include": "financials"}),
        ("/deals/7/notes", {"limit": "200"}),
        ("/deals/3", {"include": "financials"}),
        ("/deals/3/notes", {"limit": "200"}),
    ]


def test_children_of_the_other_lists_come_too(account: SandboxServer) -> None:
    noted = truth(account, "contact_notes")[0]["contact_id"]
    streams = ("contacts", "contact_notes", "lenders", "lender_details", "lender_programs")
    run = sync(config_of(account, refresh={"contacts": [noted], "lenders": [2]}), streams=streams)
    assert run.exit_code == 0
    assert landed(run, "contact_notes") == [
        row for row in truth(account, "contact_notes") if row["contact_id"] == noted
    ]
    assert landed(run, "lender_programs") == [
        row for row in truth(account, "lender_programs") if row["org_id"] == 2
    ]
    assert [row["id"] for row in run.records("lender_details")] == [2]


def test_selected_columns_are_all_that_comes(lev: SandboxServer) -> None:
    catalog = catalog_of("contacts", contacts={"email"})
    run = sync(config_of(lev, refresh={"contacts": [5]}), catalog=catalog)
    (row,) = run.records("contacts")
    assert set(row) == {"id", "email", "updated_at"}


# -- Rows that are not there


def test_an_id_that_is_not_there_stops_no_other(account: SandboxServer) -> None:
    run = run_tap(
        config_of(account),
        catalog=catalog_of("deals", "contacts", "deal_notes"),
        args=("--refresh", "deals=7,9999,3,8888", "--refresh", "contacts=9"),
    )
    assert run.exit_code == 1
    assert [row["id"] for row in run.records("deals")] == DEALS
    assert [row["id"] for row in run.records("contacts")] == CONTACTS
    assert landed(run, "deal_notes") == rows_of(account, "deal_notes", DEALS)
    warnings = run.log("WARNING")
    assert len(warnings) == 2
    for key, text in zip((9999, 8888), warnings, strict=True):
        assert str(key) in text
        assert "request_id" in text
    assert any("9999, 8888" in text for text in run.log("ERROR"))
    assert "last state" not in run.stderr, "a refresh has none"
    assert "Traceback" not in run.stderr


def test_a_failing_child_stops_no_other(account: SandboxServer) -> None:
    account.sandbox.switch(missing_scopes=["termsheets:read"])
    config = config_of(account, refresh={"deals": DEALS})
    run = sync(config, streams=("deals", "term_sheets", "deal_notes"))
    assert run.exit_code == 1
    assert [row["id"] for row in run.records("deals")] == DEALS
    assert landed(run, "deal_notes") == rows_of(account, "deal_notes", DEALS)


# -- What cannot be refreshed


def test_a_row_that_fails_is_named_where_only_its_children_are_wanted(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", path="/deals/3", status=500, times=None)
    config = config_of(lev, refresh={"deals": [2, 3]}, max_retries=0)
    run = sync(config, streams=("deal_properties",))
    assert run.exit_code == 1
    assert {row["deal_id"] for row in run.records("deal_properties")} == {2}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["base_rates=1"], "'base_rates' cannot be refreshed"),
        (["deal_notes=1"], "'deal_notes' cannot be refreshed"),
        (["api_keys=1"], "'api_keys' cannot be refreshed"),
        (["dealz=1"], "'dealz' cannot be refreshed"),
        (["deals=x"], "'deals=x'"),
        (["deals"], "'deals'"),
        (["deals="], "'deals='"),
        (["=1"], "'' cannot be refreshed"),
        (["deals=1,,2"], "'deals=1,,2'"),
        (["deals=1", "contacts=1.5"], "'contacts=1.5'"),
        (["deals=-1"], "'deals=-1'"),
        (["deals=0"], "refresh.deals.0"),
        (["deals=1_0"], "'deals=1_0'"),
        (["deals=101, 10x"], "'deals=101, 10x'"),
    ],
)
def test_what_cannot_be_refreshed_is_refused(
    lev: SandboxServer, args: list[str], says: str
) -> None:
    options = [part for arg in args for part in ("--refresh", arg)]
    run = run_tap(config_of(lev), args=options)
    assert run.exit_code == 2
    assert not run.lines
    assert not lev.sandbox.requests
    (told,) = run.log("ERROR") or run.log("CRITICAL")
    assert says in told
    assert "deals" in told
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "refresh",
    [
        {"base_rates": [1]}, {"deals": 1}, {"deals": ["x"]}, {"deals": [1.5]}, [1], "deals=1",
        {"dealz": [1]}, {"deals": [-1]}, {"deals": [0]}, {"deals": None},
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_refreshed_is_refused(lev: SandboxServer, refresh: object) -> None:
    run = run_tap(config_of(lev, refresh=refresh))
    assert run.exit_code == 2
    assert not run.lines
    assert not lev.sandbox.requests
    (told,) = run.log("ERROR") or run.log("CRITICAL")
    assert "refresh" in told
    assert "Traceback" not in run.stderr


def test_an_environment_that_cannot_be_read_is_refused(lev: SandboxServer) -> None:
    run = run_tap(
        env={
            "TAP_LEV_API_URL": lev.url,
            "TAP_LEV_API_KEY": lev.key,
            "TAP_LEV_REFRESH": "deals=101",
        }
    )
    assert run.exit_code == 2
    assert not run.lines
    assert "Traceback" not in run.stderr


def test_nothing_to_refresh_is_a_sync(lev: SandboxServer) -> None:
    run = sync(config_of(lev, refresh={}), streams=("contacts",))
    assert len(run.records("contacts")) == 70
    assert run.state is not None


# -- The state


def test_an_old_row_says_nothing_of_the_filter(lev: SandboxServer) -> None:
    """It is older than the bookmark, as rows that are refreshed are."""
    first = sync(config_of(lev), streams=("contacts",))
    lev.sandbox.clock.advance(3600)
    run = run_tap(
        config_of(lev),
        state=first.state,
        catalog=catalog_of("contacts"),
        args=("--refresh", "contacts=9"),
    )
    assert run.exit_code == 0
    assert [row["id"] for row in run.records("contacts")] == CONTACTS
    assert run.log("WARNING") == []
    assert "ignores" not in run.stderr


def test_bookmarks_and_walks_stay_as_they_were(account: SandboxServer) -> None:
    streams = ("deals", "deal_notes", "contacts")
    config = config_of(account, page_size=10)
    cut = sync(config, streams=streams, kill_after=120)
    assert cut.state is not None
    assert any(cut.state["bookmarks"][s]["walk"] != NO_WALK for s in ("deals", "contacts"))
    refreshed = run_tap(
        config,
        state=cut.state,
        catalog=catalog_of(*streams),
        args=("--refresh", "deals=7,3", "--refresh", "contacts=9"),
    )
    assert refreshed.exit_code == 0
    assert {message["type"] for message in refreshed.messages} == {"SCHEMA", "RECORD"}
    assert [row["id"] for row in refreshed.records("deals")] == DEALS
    assert landed(refreshed, "deal_notes") == rows_of(account, "deal_notes", DEALS)

    whole = sync(config, state=cut.state, streams=streams)
    assert whole.exit_code == 0
    for stream in streams:
        rows = {json.dumps(row): row for row in [*cut.records(stream), *whole.records(stream)]}
        assert {row["id"] for row in rows.values()} == {row["id"] for row in truth(account, stream)}


def test_a_row_that_did_not_change_comes_nevertheless(account: SandboxServer) -> None:
    config = config_of(account, per_parent_scope="changed")
    first = sync(config, streams=("deals", "deal_notes"))
    account.sandbox.clock.advance(3600)
    run = sync(
        config | {"refresh": {"deals": [3]}}, streams=("deals", "deal_notes"), state=first.state
    )
    assert [row["id"] for row in run.records("deals")] == [3]
    assert landed(run, "deal_notes") == rows_of(account, "deal_notes", [3])


@pytest.mark.parametrize("method", ["FULL_TABLE", "INCREMENTAL"])
def test_no_target_is_told_to_delete(account: SandboxServer, method: str) -> None:
    catalog = catalog_of("deals", "deal_notes", "pipelines")
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] == "deals":
            entry["replication_method"] = method
    config = config_of(
        account, refresh={"deals": DEALS, "pipelines": [2]}, emit_activate_version_messages=True
    )
    run = sync(config, catalog=catalog)
    assert run.exit_code == 0
    assert {message["type"] for message in run.messages} == {"SCHEMA", "RECORD"}
    assert all("version" not in message for message in run.of("RECORD"))


def test_a_refreshed_row_goes_the_way_of_the_others_when_it_is_gone(lev: SandboxServer) -> None:
    config = config_of(lev, emit_activate_version_messages=True)
    streams = ("deals", "deal_notes")
    target = Target()
    target.load(sync(config, streams=streams).messages)
    (deal, *_) = {row["deal_id"] for row in truth(lev, "deal_notes")}
    lev.sandbox.clock.advance(60)
    refreshed = sync({**config, "refresh": {"deals": [deal]}}, streams=streams, state=target.state)
    notes = {row["id"] for row in refreshed.records("deal_notes")}
    versions = {record["version"] for record in refreshed.of("RECORD", "deal_notes")}
    assert len(versions) == 1
    target.load(refreshed.messages)
    for note in notes:
        lev.sandbox.remove("deal_notes", note)
    lev.sandbox.clock.advance(60)
    after = sync(config, streams=streams, state=target.state)
    assert min(record["version"] for record in after.of("RECORD", "deal_notes")) > max(versions)
    target.load(after.messages)
    assert not notes & {row["id"] for row in target.rows("deal_notes") if row["deal_id"] == deal}


def test_a_row_refreshed_in_the_middle_of_a_full_table_outlives_its_end(lev: SandboxServer) -> None:
    config = config_of(lev, emit_activate_version_messages=True, page_size=5)
    streams = ("deals", "deal_properties")
    target = Target()
    target.load(sync(config, streams=streams).messages)
    lev.sandbox.clock.advance(60)
    cut = sync(config, streams=streams, state=target.state, kill_after=60)
    target.load(cut.messages, crash=True)
    assert target.state is not None
    assert target.state["bookmarks"]["deal_properties"]["walk"]["version"]

    refreshed = sync({**config, "refresh": {"deals": [1, 2]}}, streams=streams, state=target.state)
    assert refreshed.records("deal_properties")
    target.load(refreshed.messages)
    assert target.state is not None
    target.load(sync(config, streams=streams, state=target.state).messages)
    assert target.rows("deal_properties") == truth(lev, "deal_properties")
