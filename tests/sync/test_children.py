"""Rows that hang below others: embedded or read one parent at a time, whatever goes wrong."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lev_sandbox import Sandbox, SandboxServer
from tap_lev.api.optional_params import OptionalParams
from tap_lev.streams import STREAMS
from tap_lev.streams.child import ChildStream
from tap_lev.streams.index import IndexMetricDefinitions
from tap_lev.sync.prefetch import PARENTS_AHEAD
from tests.support.expected_rows import ALL, QUERIES, by_key, landed, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import Target, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lev_sandbox import Entry, Request
    from tests.conftest import StartLev
    from tests.support.process import Run

EMBEDDED = {
    "deal_properties": "properties",
    "deal_team_members": "team",
    "deal_pipelines": "pipelines",
}
FIELDS_OF_PARENTS = "id,created_at,updated_at,archived,archived_at"
"""What a walk needs of deals that are not written themselves."""
MAX_RUNS = 60


def root(stream: type[Any]) -> str:
    """The list whose walk brings a stream's rows."""
    return root(stream.parent) if issubclass(stream, ChildStream) else stream.name


ROOTS = {stream.name: root(stream) for stream in STREAMS}
OF_DEALS = tuple(name for name, source in ROOTS.items() if source == "deals")


def asked(lev: SandboxServer, route: str) -> list[Entry]:
    """The requests that fit a route template."""
    return [entry for entry in lev.sandbox.requests if entry.route == route]


def params(entry: Entry) -> dict[str, str]:
    """The query parameters of a request."""
    return dict(entry.query)


def included(lev: SandboxServer) -> set[str | None]:
    """What the pages of deals were asked to embed."""
    return {params(entry).get("include") for entry in asked(lev, "/deals")}


def check(run: Run, lev: SandboxServer, streams: Iterable[str]) -> None:
    """Hold streams against what Lev says."""
    for stream in streams:
        assert landed(run, stream) == truth(lev, stream), stream


def unfinished_streams(state: dict[str, Any] | None) -> set[str]:
    """The streams of which a state holds a walk that is under way."""
    bookmarks = (state or {}).get("bookmarks", {})
    return {name for name, entry in bookmarks.items() if entry["walk"]["started_at"]}


# -- Embedded rows


@pytest.mark.parametrize("stream", EMBEDDED)
def test_an_embedded_stream_needs_no_deals_and_asks_for_its_own_block(
    lev: SandboxServer, stream: str
) -> None:
    run = sync(config_of(lev, page_size=10), streams=(stream,))
    check(run, lev, [stream])
    assert not run.of("RECORD", "deals")
    assert {entry.route for entry in lev.sandbox.requests} == {"/me", "/deals"}
    assert included(lev) == {EMBEDDED[stream]}
    assert {params(entry)["fields"] for entry in asked(lev, "/deals")} == {FIELDS_OF_PARENTS}


def test_what_is_selected_is_what_is_included(lev: SandboxServer) -> None:
    sync(config_of(lev), streams=("deals", "deal_team_members"))
    assert included(lev) == {"financials,team"}
    lev.sandbox.clear_log()
    sync(config_of(lev), streams=("deal_properties", "deal_pipelines"))
    assert included(lev) == {"pipelines,properties"}
    lev.sandbox.clear_log()
    sync(config_of(lev), streams=("deal_notes",))
    assert included(lev) == {None}
    assert {params(entry)["fields"] for entry in asked(lev, "/deals")} == {FIELDS_OF_PARENTS}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("stream", "route"),
    [
        ("deal_properties", "/deals/{deal_id}/properties"),
        ("deal_team_members", "/deals/{deal_id}/team"),
    ],
)
def test_a_refused_block_is_read_per_deal(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, stream: str, route: str, status: int
) -> None:
    block = EMBEDDED[stream]
    lev.sandbox.switch(refuse_include={block: status})
    streams = ("deals", *EMBEDDED)
    run = sync(config_of(lev, page_size=10), streams=streams)
    assert run.exit_code == 0
    check(run, lev, streams)
    assert len(asked(lev, route)) == 45
    with_it = [e for e in asked(lev, "/deals") if block in params(e).get("include", "")]
    assert [e.status for e in with_it] == [status, status], "asked for once more"
    others = [e for e in asked(lev, "/deals") if e not in with_it]
    assert len(others) == 5
    assert all(len(params(entry)["include"].split(",")) == 3 for entry in others)
    told = [text for text in caplog.messages if f"does not accept include={block}" in text]
    assert len(told) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_refused_pipelines_fail_alone(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    lev.sandbox.switch(refuse_include={"pipelines": status})
    streams = ("deals", *EMBEDDED)
    run = sync(config_of(lev, page_size=10), streams=streams)
    assert run.exit_code == 1
    assert not run.records("deal_pipelines")
    check(run, lev, ["deals", "deal_properties", "deal_team_members"])
    (told,) = [text for text in caplog.messages if "The stream deal_pipelines is not" in text]
    assert "pipelines" in told
    assert "embed" in told


def test_a_field_that_never_came_moves_no_place(lev: SandboxServer) -> None:
    """The first rows may be read as having nothing there, until a row shows that it can be had."""
    lev.sandbox.switch(missing_blocks={"pipelines": "everywhere"})
    lev.sandbox.fault("status", route="/deals", query={"cursor": "*"}, at=2, times=None)
    config = config_of(lev, page_size=3, max_retries=0)
    first = sync(config, streams=("deals", "deal_pipelines"))
    assert first.exit_code == 1
    lev.sandbox.clear_faults()
    lev.sandbox.switch(missing_blocks={"pipelines": None})
    second = sync(config, state=first.state, streams=("deals", "deal_pipelines"))
    rows = [*first.records("deal_pipelines"), *second.records("deal_pipelines")]
    assert {row["deal_id"] for row in rows} == {
        row["deal_id"] for row in lev.sandbox.rows("deal_pipelines", parents=True)
    }


@pytest.mark.parametrize("deals", [1, 4, 7])
def test_a_field_that_comes_in_no_row_fails_its_stream(deals: int) -> None:
    with SandboxServer(Sandbox(seed=1, deals=deals)) as lev:
        config = config_of(lev)
        first = sync(config, streams=("deal_pipelines",))
        assert first.exit_code == 0
        assert first.records("deal_pipelines")
        lev.sandbox.switch(missing_blocks={"pipelines": "everywhere"})
        second = sync(config, state=first.state, streams=("deal_pipelines",))
    assert second.exit_code == 1
    assert not second.of("ACTIVATE_VERSION")


def test_financials_that_only_an_archived_deal_s_endpoint_hides_are_no_failure(
    lev: SandboxServer,
) -> None:
    streams = ("deals", "deal_financials")
    first = sync(config_of(lev), streams=streams)
    deal = first.records("deal_financials")[0]["deal_id"]
    lev.sandbox.archive("deals", deal)
    lev.sandbox.switch(children_of_archived="404")
    second = sync(config_of(lev), state=first.state, streams=streams)
    assert second.exit_code == 0
    assert deal not in {row["deal_id"] for row in second.records("deal_financials")}
    assert not second.of("ACTIVATE_VERSION", "deal_financials")


def test_refused_financials_leave_deals_as_they_are(lev: SandboxServer) -> None:
    lev.sandbox.switch(refuse_include={"financials": 422})
    streams = ("deals", *EMBEDDED, "deal_financials")
    run = sync(config_of(lev, page_size=10), streams=streams)
    assert run.exit_code == 0
    check(run, lev, [*EMBEDDED, "deal_financials"])
    assert landed(run, "deals") == lev.sandbox.rows("deals")


def test_all_blocks_refused_at_once(lev: SandboxServer) -> None:
    lev.sandbox.switch(refuse_include=422)
    run = sync(config_of(lev, page_size=10), streams=("deals", *EMBEDDED))
    assert run.exit_code == 1
    check(run, lev, ["deal_properties", "deal_team_members"])
    assert landed(run, "deals") == lev.sandbox.rows("deals")


def test_blocks_that_fields_throw_out_are_read_without_fields(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    lev.sandbox.switch(fields_drop_includes=True)
    catalog = catalog_of("deals", *EMBEDDED, deals={"title"})
    run = sync(config_of(lev, page_size=10), catalog=catalog)
    assert run.exit_code == 0
    check(run, lev, EMBEDDED)
    titles = [
        {name: row[name] for name in ("id", "title", "updated_at")} for row in truth(lev, "deals")
    ]
    assert landed(run, "deals") == titles
    assert len([e for e in asked(lev, "/deals") if "fields" in params(e)]) == 1
    told = [text for text in caplog.messages if "out where fields are named" in text]
    assert len(told) == 1


@pytest.mark.parametrize("refresh", [False, True])
def test_what_another_walk_learns_meanwhile_is_not_taken_for_what_was_asked(
    lev: SandboxServer, monkeypatch: pytest.MonkeyPatch, *, refresh: bool
) -> None:
    ask = OptionalParams.request

    def learn_while_asking(optional: OptionalParams, *args: Any) -> object:  # noqa: ANN401
        answer: object = ask(optional, *args)
        optional.drop("fields")
        return answer

    monkeypatch.setattr(OptionalParams, "request", learn_while_asking)
    lev.sandbox.switch(fields_drop_includes=True)
    config = config_of(lev, page_size=10, **({"refresh": {"deals": [3]}} if refresh else {}))
    run = sync(config, streams=("deal_pipelines",))
    assert run.exit_code == 0
    rows = [row for row in truth(lev, "deal_pipelines") if row["deal_id"] == 3 or not refresh]
    assert landed(run, "deal_pipelines") == rows


@pytest.mark.parametrize("refresh", [False, True])
def test_blocks_that_lev_ignores_are_read_per_deal(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, *, refresh: bool
) -> None:
    lev.sandbox.switch(refuse_include={"team": "ignored", "properties": "ignored"})
    config = config_of(lev, page_size=10, **({"refresh": {"deals": [3]}} if refresh else {}))
    run = sync(config, streams=("deals", *EMBEDDED))
    assert run.exit_code == 0
    for stream in EMBEDDED:
        rows = [row for row in truth(lev, stream) if row["deal_id"] == 3 or not refresh]
        assert landed(run, stream) == rows, stream
    assert [text for text in caplog.messages if "embeds no" in text] == [
        f"deals: Lev embeds no {block} though it is asked to, so it is read for each."
        for block in ("properties", "team")
    ]
    assert len(asked(lev, "/deals/{deal_id}/team")) == (1 if refresh else 45)


def test_blocks_that_lev_ignores_and_gives_in_no_other_way_fail_their_streams(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    lev.sandbox.switch(refuse_include={"pipelines": "ignored", "financials": "ignored"})
    run = sync(config_of(lev, page_size=10), streams=("deals", *EMBEDDED))
    assert run.exit_code == 1
    check(run, lev, ["deal_properties", "deal_team_members"])
    assert landed(run, "deal_pipelines") == []
    assert landed(run, "deals") == lev.sandbox.rows("deals"), "without the column, not with null"
    told = [text for text in caplog.messages if "does not embed" in text]
    assert [text.split(":")[0] for text in told] == [
        "The stream deal_pipelines is not complete", "The stream deals is not complete",
    ]  # fmt: skip
    assert "gives deal_pipelines in no other way" in told[0]
    assert "its own endpoint has financials of deals" in told[1]
    assert run.state is not None
    for name, entry in run.state["bookmarks"].items():
        key = "replication_key_value" if name == "deals" else "completed_at"
        assert (entry[key] is None) == (name in {"deals", "deal_pipelines"})


# -- Financials


@pytest.mark.parametrize("missing", ["null", "empty", "404"])
@pytest.mark.parametrize("kind", ["whole", "reduced"])
@pytest.mark.parametrize("deals", [True, False])
def test_financials_are_the_same_whole_or_reduced(
    lev: SandboxServer, kind: str, missing: str, *, deals: bool
) -> None:
    lev.sandbox.switch(embedded_financials=kind, missing_financials=missing)
    streams = ("deal_financials", *(["deals"] if deals else []))
    run = sync(config_of(lev, page_size=10), streams=streams)
    assert run.exit_code == 0
    check(run, lev, streams)
    rows = landed(run, "deal_financials")
    assert 0 < len(rows) < 45, "some deals have none"
    # An empty block lacks fields that the endpoint was seen to have, so it is no proof of none.
    whole = 1 + (45 - len(rows) if missing == "empty" else 0)
    assert len(asked(lev, "/deals/{deal_id}/financials")) == (whole if kind == "whole" else 45)


@pytest.mark.parametrize(("kind", "says"), [("whole", "no further"), ("reduced", "for each")])
def test_the_log_says_how_financials_are_read(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, kind: str, says: str
) -> None:
    lev.sandbox.switch(embedded_financials=kind)
    caplog.set_level("INFO")
    sync(config_of(lev, page_size=10), streams=("deal_financials",))
    (told,) = [text for text in caplog.messages if text.startswith("deal_financials: financials")]
    assert says in told


# -- Pages of children

PAGED = {
    "documents": ("/deals/{deal_id}/documents", 450),
    "deal_notes": ("/deals/{deal_id}/notes", 450),
    "term_sheets": ("/deals/{deal_id}/term-sheets", 250),
    "memos": ("/deals/{deal_id}/memos", 450),
    "index_observations": ("/deals/{deal_id}/index/observations", 450),
}


def filled(lev: SandboxServer, stream: str, rows: int) -> None:
    """Give the second deal so many children, more than a page."""
    for _ in range(rows):
        lev.sandbox.add(stream, parent=2)


@pytest.mark.parametrize("stream", PAGED)
def test_children_are_read_by_the_pagination_they_come_with(
    start_lev: StartLev, stream: str
) -> None:
    lev = start_lev(deals=3)
    route, rows = PAGED[stream]
    filled(lev, stream, rows)
    run = sync(config_of(lev, **QUERIES), streams=(stream,))
    check(run, lev, [stream])
    pages = [entry for entry in asked(lev, route) if entry.path.startswith("/deals/2/")]
    brought = sum(entry.rows for entry in pages)
    assert brought >= 250
    assert max(entry.rows for entry in pages) == 200


@pytest.mark.parametrize("shape", ["cursor", "offset", "page", "absent", "none", "empty"])
@pytest.mark.parametrize(
    "stream", ["documents", "deal_notes", "memos", "deal_properties", "vaults"]
)
def test_children_are_whole_in_any_shape_that_says_where_to_go_on(
    start_lev: StartLev, stream: str, shape: str
) -> None:
    lev = start_lev(deals=3)
    filled(lev, stream, 230)
    lev.sandbox.switch(pagination_shape={stream: shape}, refuse_include={"properties": 422})
    run = sync(config_of(lev), streams=(stream,))
    assert run.exit_code == 0
    check(run, lev, [stream])


@pytest.mark.parametrize("shape", ["page", "absent", "none", "empty"])
@pytest.mark.parametrize("stream", ["index_observations"])
def test_numbered_pages_end_with_a_short_one(start_lev: StartLev, stream: str, shape: str) -> None:
    lev = start_lev(deals=3)
    filled(lev, stream, 450)
    lev.sandbox.switch(pagination_shape={stream: shape})
    run = sync(config_of(lev, **QUERIES), streams=(stream,))
    assert run.exit_code == 0
    check(run, lev, [stream])


@pytest.mark.parametrize("shape", ["page", "absent", "none", "empty", "offset", "cursor"])
def test_definitions_are_read_by_number(
    start_lev: StartLev, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    monkeypatch.setattr(IndexMetricDefinitions, "page_limit", 7)
    lev = start_lev(deals=3)
    lev.sandbox.switch(pagination_shape={"index_metric_definitions": shape})
    run = sync(config_of(lev), streams=("index_metric_definitions",))
    assert run.exit_code == 0
    check(run, lev, ["index_metric_definitions"])


@pytest.mark.parametrize(
    ("stream", "switches"),
    [
        ("documents", {"broken_cursor": {"documents": "null"}}),
        ("documents", {"broken_cursor": {"documents": "repeat"}}),
        ("documents", {"broken_cursor": {"documents": "cycle"}}),
    ],
)
def test_more_rows_without_a_way_to_them_are_an_error(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, stream: str, switches: dict[str, Any]
) -> None:
    lev = start_lev(deals=3)
    filled(lev, stream, 650)
    lev.sandbox.switch(**switches)
    run = sync(config_of(lev), streams=("deals", "deal_notes", stream))
    assert run.exit_code == 1
    (told,) = [text for text in caplog.messages if f"The stream {stream} is not" in text]
    assert "in circles" in told or "does not say where" in told
    check(run, lev, ["deals", "deal_notes"])
    assert len(asked(lev, PAGED[stream][0])) < 10


@pytest.mark.parametrize("stream", ["index_observations", "index_metric_definitions"])
def test_a_server_that_sends_the_same_page_forever_is_not_followed(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, stream: str
) -> None:
    lev = start_lev(deals=2)
    rows = [{"id": number} for number in range(1, 201)]
    route = {
        "index_observations": "/deals/{deal_id}/index/observations",
        "index_metric_definitions": "/deals/{deal_id}/index/metric-definitions",
    }[stream]
    lev.sandbox.fault("wrong_shape", route=route, data=rows, times=20)
    config = config_of(lev, max_parallel_streams=1, **QUERIES)
    run = sync(config, streams=("deals", stream))
    assert run.exit_code == 1
    for deal in (1, 2):
        path = route.replace("{deal_id}", str(deal))
        assert len([entry for entry in asked(lev, route) if entry.path == path]) == 3
    assert any("same page" in text for text in caplog.messages)
    check(run, lev, ["deals"])


# -- Parents that are gone


def vanish(lev: SandboxServer, *deals: int) -> None:
    """Let deals go when the page with them was read and their children are asked for."""

    def hide(request: Request) -> None:
        if request.path.startswith("/deals/"):
            for key in deals:
                lev.sandbox.hide("deals", key)

    lev.sandbox.on_request(hide)


def test_parents_that_are_gone_are_skipped_and_counted(start_lev: StartLev) -> None:
    lev = start_lev()
    gone = (3, 11, 12, 13, 40)
    vanish(lev, *gone)
    run = run_tap(config_of(lev), catalog=catalog_of("deals", "deal_notes"))
    assert run.exit_code == 0
    assert len(run.records("deals")) == 45
    check(run, lev, ["deal_notes"])
    assert run.records("deal_notes")
    assert "5 parents gone" in run.stderr
    warnings = run.log("WARNING")
    assert len(warnings) == 5
    assert all("the parent is gone" in text and "request_id" in text for text in warnings)


def test_a_stream_below_one_that_is_not_selected_counts_as_itself(start_lev: StartLev) -> None:
    lev = start_lev(deals=20)
    vanish(lev, 3, 4, 5)
    run = run_tap(config_of(lev), catalog=catalog_of("checklist_task_notes"))
    assert run.exit_code == 0
    rows, requests = len(run.records("checklist_task_notes")), len(lev.sandbox.requests)
    assert f"Sync complete: 1 streams, {rows} rows, {requests} requests" in run.stderr
    assert "3 parents gone" in run.stderr


def test_a_task_that_is_gone_is_skipped(lev: SandboxServer) -> None:
    tasks = lev.sandbox.rows("checklist_tasks")
    gone = tasks[3]["id"]

    def hide(request: Request) -> None:
        if request.route == "/checklist-tasks/{task_id}/notes":
            lev.sandbox.hide("checklist_tasks", gone)

    lev.sandbox.on_request(hide)
    run = sync(config_of(lev), streams=("checklist_task_notes", "checklist_tasks"))
    assert run.exit_code == 0
    assert len(run.records("checklist_tasks")) == len(tasks)
    check(run, lev, ["checklist_task_notes"])


def test_three_forbidden_streams_and_five_deals_gone(start_lev: StartLev) -> None:
    lev = start_lev(deals=25)
    scopes = {
        "billing_summary": "billing:read",
        "term_sheets": "termsheets:read",
        "pipelines": "pipelines:read",
    }
    lev.sandbox.switch(missing_scopes=list(scopes.values()))
    gone = (3, 11, 12, 13, 20)
    vanish(lev, *gone)
    run = run_tap(config_of(lev, **QUERIES), catalog=catalog_of(*ALL))
    assert run.exit_code == 1
    assert "Traceback" not in run.stderr
    errors = run.log("ERROR")
    for stream, scope in scopes.items():
        (told,) = [text for text in errors if f"The stream {stream} is not complete" in text]
        assert scope in told
        assert "forbidden_streams" in told
        assert "request_id" in told
        assert not run.records(stream)
    assert "3 of 34 streams" in run.stderr
    assert "5 parents gone" in run.stderr, "however many streams they have"
    first = {"deal_properties", "deal_team_members", "deal_pipelines", "deals"}
    check(run, lev, set(ALL) - set(scopes) - first)
    assert len(run.records("deals")) == 25
    lev.sandbox.switch(missing_scopes=[])
    for key in gone:
        lev.sandbox.show("deals", key)
    check(run, lev, first)


def test_forbidden_streams_can_be_skipped(lev: SandboxServer) -> None:
    lev.sandbox.switch(missing_scopes=["termsheets:read", "billing:read"])
    config = config_of(lev, forbidden_streams="skip")
    streams = ("deals", "term_sheets", "deal_notes", "billing_summary")
    run = run_tap(config, catalog=catalog_of(*streams))
    assert run.exit_code == 0
    assert not run.log("ERROR")
    warnings = run.log("WARNING")
    for stream, scope in (("term_sheets", "termsheets:read"), ("billing_summary", "billing:read")):
        (told,) = [text for text in warnings if text.startswith(f"{stream}: skipped")]
        assert scope in told
    check(run, lev, ["deals", "deal_notes"])
    assert len(asked(lev, "/deals/{deal_id}/term-sheets")) <= 2, "one may be under way"


@pytest.mark.parametrize("streams", [("deals", "term_sheets"), ("deal_properties", "term_sheets")])
def test_a_skipped_stream_does_not_cost_a_walk_ever_after(
    lev: SandboxServer, streams: tuple[str, ...]
) -> None:
    lev.sandbox.switch(missing_scopes=["termsheets:read"])
    config = config_of(lev, page_size=10, forbidden_streams="skip")
    run = sync(config, streams=streams)
    assert run.exit_code == 0
    assert run.state is not None
    skipped = run.state["bookmarks"]["term_sheets"]
    assert skipped["completed_at"] is None
    assert skipped["walk"]["cursor"] is None
    for missing in (["termsheets:read"], []):
        lev.sandbox.switch(missing_scopes=missing)
        lev.sandbox.clear_log()
        run = sync(config, streams=streams, state=run.state)
        assert run.exit_code == 0
        # With the stream, which has never been complete, the walk has no bound.
        assert len(asked(lev, "/deals")) == 5
    check(run, lev, ["term_sheets"])


@pytest.mark.parametrize("answer", ["fail", "skip"])
def test_a_403_after_rows_that_came_is_not_skipped(lev: SandboxServer, answer: str) -> None:
    """The key may read the stream, so something else is wrong."""
    config = config_of(lev, page_size=10, max_parallel_streams=1, forbidden_streams=answer)
    streams = ("deals", "deal_notes", "deal_properties")
    route = "/deals/{deal_id}/notes"
    lev.sandbox.fault("status", route=route, status=403, at=18, times=None)
    run = sync(config, streams=streams)
    assert run.exit_code == 1
    check(run, lev, ["deals", "deal_properties"])
    assert len(asked(lev, route)) == 17 + 5, "five in a row are no accident of single rows"
    assert run.state is not None
    assert run.state["bookmarks"]["deal_notes"]["walk"]["parent"] == 17

    lev.sandbox.clear_faults()
    lev.sandbox.clear_log()
    again = sync(config, state=run.state, streams=streams)
    assert again.exit_code == 0
    both = [*run.records("deal_notes"), *again.records("deal_notes")]
    assert by_key("deal_notes", both) == truth(lev, "deal_notes")


# -- One that fails, and its next run


def test_a_failing_child_stops_itself_and_goes_on_where_it_was(lev: SandboxServer) -> None:
    route = "/deals/{deal_id}/notes"
    config = config_of(lev, page_size=10, max_retries=0)
    streams = ("deals", "deal_notes", "documents", "deal_properties")
    lev.sandbox.fault("status", route=route, status=500, at=18, times=None)
    run = sync(config, streams=streams)
    assert run.exit_code == 1
    check(run, lev, ["deals", "documents", "deal_properties"])
    # Five in a row, each of them once: more of the same is not tried.
    assert len(asked(lev, route)) == 17 + 5
    first_half = run.records("deal_notes")
    assert {row["deal_id"] for row in first_half} <= set(range(1, 18))
    assert run.state is not None
    bookmarks = run.state["bookmarks"]
    assert bookmarks["deal_notes"]["walk"]["parent"] == 17
    assert unfinished_streams(run.state) == {"deal_notes"}

    lev.sandbox.clear_faults()
    lev.sandbox.clear_log()
    again = sync(config, state=run.state, streams=streams)

    assert again.exit_code == 0
    visited = [int(entry.path.split("/")[2]) for entry in asked(lev, route)]
    assert visited == list(range(18, 46))
    both = by_key("deal_notes", [*first_half, *again.records("deal_notes")])
    assert both == truth(lev, "deal_notes")
    check(again, lev, ["documents", "deal_properties"])
    assert len(asked(lev, "/deals/{deal_id}/documents")) == 45
    walks = [state["value"]["bookmarks"]["deal_notes"]["walk"] for state in again.of("STATE")]
    first = {walk["cursor"]: walk for walk in reversed(walks) if walk["started_at"]}
    # On the pages that follow there is no place to look for any more.
    where = bookmarks["deal_notes"]["walk"]["cursor"]
    assert [cursor for cursor, walk in first.items() if walk["parent"]] == [where]
    assert not unfinished_streams(again.state)


def test_a_walk_that_begins_again_leaves_out_nothing_that_an_earlier_run_had_done(
    lev: SandboxServer,
) -> None:
    route, streams = "/deals/{deal_id}/notes", ("deals", "deal_notes")
    config = config_of(lev, page_size=10, max_retries=0)
    lev.sandbox.fault("status", route=route, status=500, at=18, times=None)
    state = sync(config, streams=streams).state
    assert state is not None
    assert state["bookmarks"]["deal_notes"]["walk"]["parent"] == 17

    # The place is not on the first of the smaller pages, and the second one is refused.
    lev.sandbox.clear_faults()
    lev.sandbox.clear_log()
    lev.sandbox.fault("status", route="/deals", status=422, at=3)
    again = sync(config | {"page_size": 3}, state=state, streams=streams)
    assert again.exit_code == 0
    visited = [int(entry.path.split("/")[2]) for entry in asked(lev, route)]
    # Five rows that failed in a row come first; the walk that begins again needs them no more.
    assert visited[:5] == [18, 19, 20, 21, 22]
    assert visited[-40:] == [*range(1, 18), *range(23, 46)]


def test_what_parents_share_comes_once_more_when_a_walk_begins_again(lev: SandboxServer) -> None:
    config = config_of(lev, page_size=5, emit_activate_version_messages=True)
    lev.sandbox.fault("status", route="/deals", status=422, at=3)
    lev.sandbox.on_request(lambda _: lev.sandbox.clock.advance(1))
    run = sync(config, streams=("index_metric_definitions",))
    assert run.exit_code == 0
    (ended,) = run.of("ACTIVATE_VERSION")
    last = [m["record"] for m in run.of("RECORD") if m["version"] == ended["version"]]
    assert by_key("index_metric_definitions", last) == truth(lev, "index_metric_definitions")


# -- Kills


class Asked:
    """What was asked for, by the list whose walk it was asked for."""

    def __init__(self, lev: SandboxServer) -> None:
        self.now: list[tuple[Any, ...]] = []
        self.before: set[tuple[Any, ...]] = set()
        self._deal_of = {
            str(row["id"]): str(row["deal_id"])
            for row in lev.sandbox.rows("checklist_tasks", parents=True)
        }
        lev.sandbox.on_request(self._note)

    def _note(self, request: Request) -> None:
        self.now.append((request.method, request.path, tuple(request.query), request.body))

    def hold(self, unfinished: set[str], parents_ahead: int) -> None:
        """Hold a run against those before it.

        Args:
            unfinished: The lists whose walks the run goes on with.
            parents_ahead: How many parents may be asked for before the first is written.
        """
        again = [self._place(ask[1]) for ask in self.before.intersection(self.now)]
        for source in unfinished:
            repeated = [place for name, *place in again if name == source]
            pages = sum(place == [None] for place in repeated)
            parents = {parent for (parent,) in repeated if parent is not None}
            assert pages <= 1, again
            # The comparison that deal_financials begins with is of one deal, maybe another.
            assert len(parents) <= 1 + parents_ahead + 1, again

    def turn(self, unfinished: set[str]) -> None:
        """End a run: what was asked for in a walk that is complete may be asked for again."""
        asks = {*self.before, *self.now}
        self.before = {ask for ask in asks if self._place(ask[1])[0] in unfinished}
        self.now = []

    def _place(self, path: str) -> tuple[str, str | None]:
        _, source, *rest = path.split("/")
        if source == "checklist-tasks":
            return "deals", self._deal_of[rest[0]]
        if rest in ([], ["directory"]):
            return source, None
        return source, rest[0]


def unfinished(state: dict[str, Any] | None) -> set[str]:
    """The lists of which a state holds a walk that is under way."""
    return {ROOTS[name] for name in unfinished_streams(state)}


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 700), min_size=1, max_size=4),
    kind=st.sampled_from(("whole", "reduced")),
)
def test_whatever_is_cut_all_streams_are_made_whole(seed: int, cuts: list[int], kind: str) -> None:
    sandbox = Sandbox(
        seed=seed, deals=13, placements=7, contacts=8, companies=6, lenders=6, account_team=3,
        documents=2, index_observations=8, index_facts=3, checklist_tasks=4,
    )  # fmt: skip
    sandbox.switch(embedded_financials=kind)
    target = Target()
    with SandboxServer(sandbox) as lev:
        config = config_of(lev, page_size=5, **QUERIES)
        asks = Asked(lev)
        for cut in [*cuts, None]:
            begun = unfinished(target.state)
            sandbox.clock.advance(60)
            run = sync(config, state=target.state, streams=ALL, kill_after=cut)
            target.load(run.messages, crash=run.exit_code != 0)
            asks.hold(begun, PARENTS_AHEAD)
            asks.turn(unfinished(target.state))
        assert run.exit_code == 0
        assert not unfinished(target.state)
        for stream in ALL:
            rows = by_key(stream, target.rows(stream))
            for row in rows if stream == "base_rates" else ():
                row.pop("as_of")
            assert rows == truth(lev, stream), stream


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("page_size", "parallel", "ahead"),
    [pytest.param(5, 1, 0, id="alone"), pytest.param(40, 8, PARENTS_AHEAD, id="side by side")],
)
def test_a_crash_costs_a_page_and_the_children_of_a_few_parents(
    start_lev: StartLev, seed: int, page_size: int, parallel: int, ahead: int
) -> None:
    lev = start_lev(seed=seed, deals=13 + ahead)
    config = config_of(lev, page_size=page_size, max_parallel_streams=parallel, **QUERIES)
    tasks = Counter(row["deal_id"] for row in truth(lev, "checklist_tasks"))
    calls = 12 + len(QUERIES) * 2 - 2 + max(tasks.values())
    sync(config, streams=OF_DEALS)
    at_peace = lev.sandbox.counters()["requests"]
    lev.sandbox.clear_log()

    target, chance, crashes = Target(), random.Random(seed), 0
    asks = Asked(lev)
    for _ in range(MAX_RUNS):
        begun = unfinished(target.state)
        lev.sandbox.clock.advance(60)
        cut = chance.randrange(60, 200)
        run = sync(config, state=target.state, streams=OF_DEALS, kill_after=cut)
        target.load(run.messages, crash=run.exit_code != 0)
        asks.hold(begun, ahead)
        asks.turn(unfinished(target.state))
        if run.exit_code == 0:
            break
        crashes += 1

    assert run.exit_code == 0
    assert crashes > 3
    for stream in OF_DEALS:
        assert by_key(stream, target.rows(stream)) == truth(lev, stream)
    cost = lev.sandbox.counters()["requests"] - at_peace
    comparison = 1  # that deal_financials begins each run with
    assert cost <= crashes * (1 + calls * (1 + ahead) + comparison)


def test_a_resumed_run_may_ask_for_larger_pages(start_lev: StartLev) -> None:
    lev = start_lev(deals=30)
    streams = ("deals", "deal_notes", "deal_properties")
    target = Target()
    cut = sync(config_of(lev, page_size=5), streams=streams, kill_after=50)
    target.load(cut.messages, crash=True)
    walk = (target.state or {})["bookmarks"]["deals"]["walk"]
    assert walk["parent"]
    resumed = sync(config_of(lev, page_size=20), state=target.state, streams=streams)
    target.load(resumed.messages)
    for stream in streams:
        assert by_key(stream, target.rows(stream)) == truth(lev, stream)


def test_the_state_of_2000_deals_with_all_children_is_small(start_lev: StartLev) -> None:
    lev = start_lev(
        deals=2000, checklist_tasks=0.5, checklist_task_notes=0.1, documents=1, vaults=1.2
    )  # fmt: skip
    run = sync(config_of(lev), streams=OF_DEALS)  # without queries, which have no part in it
    assert run.exit_code == 0
    assert len(run.records("deals")) == 2000
    states = [line for line in run.lines if line.startswith('{"type":"STATE"')]
    assert len(states) > 2000
    assert max(map(len, states)) < 10_000
    for line in (states[-1], states[1000]):
        bookmarks = json.loads(line)["value"]["bookmarks"]
        assert set(bookmarks) == set(OF_DEALS)
        for entry in bookmarks.values():
            assert len(entry["canaries"]) <= 2
            assert not entry["failed"]
            assert entry["shortfall"] is None


# -- What Lev has changed


@pytest.mark.parametrize("collect", [True, False])
def test_unknown_fields_are_told_once_and_dropped_or_collected(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, *, collect: bool
) -> None:
    new = {"mood": "calm", "tags": [{"shade": 3}]}
    resources = {
        "deals": "deals", "deal_properties": "deal_properties", "deal_notes": "deal_notes",
        "checklists": "checklists", "lenders": "lenders", "vaults": "vaults",
    }  # fmt: skip
    lev.sandbox.switch(extra_fields=dict.fromkeys(resources.values(), new))
    config = config_of(lev, page_size=10, unknown_fields="collect" if collect else "warn")
    run = sync(config, streams=tuple(resources))
    assert run.exit_code == 0
    for stream in resources:
        rows = run.records(stream)
        assert rows
        assert not any("mood" in row for row in rows)
        extras = [row.get("_unknown_fields") for row in rows]
        assert extras == ([new] * len(rows) if collect else [None] * len(rows))
        assert all("_unknown_fields" not in row for row in rows) or collect
        told = [text for text in caplog.messages if text.startswith(f"{stream}: Lev sends fields")]
        assert len(told) == 1
        assert "mood, tags" in told[0]
        (schema,) = run.of("SCHEMA", stream)
        assert ("_unknown_fields" in schema["schema"]["properties"]) == collect


def test_a_value_of_another_type_is_told_once_and_passed_on(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    lev.sandbox.update("contacts", 5, title=12345)
    lev.sandbox.update("contacts", 55, title=6)
    first = lev.sandbox.rows("deal_properties")[0]["id"]
    lev.sandbox.update("deal_properties", first, units="a few")
    run = sync(config_of(lev, page_size=10), streams=("contacts", "deals", "deal_properties"))
    assert run.exit_code == 0
    check(run, lev, ["contacts", "deal_properties"])
    told = [text for text in caplog.messages if "which the schema does not expect" in text]
    contacts, properties = [
        [text for text in told if text.startswith(f"{stream}: Lev sends {column} as {kind},")]
        for stream, column, kind in (
            ("contacts", "title", "int"), ("deal_properties", "units", "str"),
        )
    ]  # fmt: skip
    assert len(contacts) == len(properties) == 1
    ids = [entry.request_id for entry in asked(lev, "/contacts")]
    assert ids[0] in contacts[0]
    assert asked(lev, "/deals")[0].request_id in properties[0]


# -- Columns


def test_three_columns_of_contacts_are_all_that_is_asked_for(lev: SandboxServer) -> None:
    chosen = {"email", "first_name", "title"}
    run = sync(config_of(lev), catalog=catalog_of("contacts", contacts=chosen))
    wanted = {*chosen, "id", "updated_at"}
    for entry in asked(lev, "/contacts"):
        # The proof of the filter needs created_at, which is not written.
        assert set(params(entry)["fields"].split(",")) == wanted | {"created_at"}
    rows = [{name: row[name] for name in wanted} for row in truth(lev, "contacts")]
    assert landed(run, "contacts") == rows


def test_three_columns_of_documents_are_all_that_is_asked_for(lev: SandboxServer) -> None:
    chosen = {"file_name", "size_bytes", "uploaded_at"}
    run = sync(config_of(lev), catalog=catalog_of("documents", documents=chosen))
    sent = {params(entry)["fields"] for entry in asked(lev, "/deals/{deal_id}/documents")}
    (fields,) = sent
    assert set(fields.split(",")) == {*chosen, "id"}
    kept = (*chosen, "id")
    expected = [
        {name: row[name] for name in kept if name in row} for row in truth(lev, "documents")
    ]
    for row in run.records("documents"):
        assert set(row) - {"deal_id"} == set(kept)
    assert [{n: r[n] for n in kept} for r in landed(run, "documents")] == expected


def test_everything_selected_asks_for_no_fields(lev: SandboxServer) -> None:
    sync(config_of(lev), streams=("deals", "contacts", "companies", "lenders", "documents"))
    assert len(lev.sandbox.requests) > 45
    assert not any("fields" in params(entry) for entry in lev.sandbox.requests)


@pytest.mark.parametrize("status", [400, 422])
def test_refused_fields_are_read_all_and_left_out_here(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    lev.sandbox.switch(refuse_fields=status)
    chosen = {"contacts": {"email", "title"}, "documents": {"file_name"}, "deals": {"title"}}
    run = sync(
        config_of(lev, page_size=10),
        catalog=catalog_of("contacts", "documents", "deals", "deal_properties", **chosen),
    )
    assert run.exit_code == 0
    wanted = {"email", "title", "id", "updated_at"}
    assert landed(run, "contacts") == [
        {name: row[name] for name in wanted} for row in truth(lev, "contacts")
    ]
    assert {tuple(sorted(row)) for row in run.records("documents")} in (
        {("file_name", "id")}, {("deal_id", "file_name", "id")},
    )  # fmt: skip
    assert len(run.records("documents")) == len(truth(lev, "documents"))
    check(run, lev, ["deal_properties"])
    for route in ("/contacts", "/deals", "/deals/{deal_id}/documents"):
        with_fields = [entry for entry in asked(lev, route) if "fields" in params(entry)]
        assert [entry.status for entry in with_fields] == [status, status], "once more"
    told = Counter(text for text in caplog.messages if "does not accept fields" in text)
    assert list(told.values()) == [1, 1, 1], "once for each of the three streams"


def test_what_parents_share_is_asked_of_all_of_them(lev: SandboxServer) -> None:
    config = config_of(lev, per_parent_scope="changed")
    streams = ("index_metric_definitions", "deal_notes")
    first = sync(config, streams=streams)
    lev.sandbox.clock.advance(3600)
    lev.sandbox.update("deals", 7)
    lev.sandbox.clear_log()
    second = sync(config, streams=streams, state=first.state)
    assert len(asked(lev, "/deals/{deal_id}/notes")) == 1
    assert len(asked(lev, "/deals/{deal_id}/index/metric-definitions")) == 45
    check(second, lev, ["index_metric_definitions"])
