"""What a sync guarantees, one promise at a time, against a local Lev over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tap_lev.state.walk import NO_WALK
from tap_lev.streams import STREAMS
from tap_lev.sync.state_writer import STATE_INTERVAL
from tests.support.expected_rows import ALL, KEYS, QUERIES, key_of, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import EAGER_STATES, Run, Target, run_tap

if TYPE_CHECKING:
    from lev_sandbox import Entry, Request, SandboxServer
    from tests.conftest import StartLev

CORE = ("deals", "placements", "contacts", "companies")
FILTER = "filter[updated_at][gte]"
EMBEDDED = ("deal_properties", "deal_team_members", "deal_pipelines")
DEFAULT = tuple(stream.name for stream in STREAMS if stream.selected_by_default)
HOUR = 3600


def said(lev: SandboxServer, stream: str) -> dict[Any, dict[str, Any]]:
    """The rows of a stream as Lev says them, by key."""
    return by_key(stream, truth(lev, stream))


def sent(run: Run, stream: str) -> dict[Any, dict[str, Any]]:
    """The rows of a stream as the tap sent them, by key."""
    (schema,) = run.of("SCHEMA", stream)
    assert tuple(schema["key_properties"]) == KEYS[stream]
    return by_key(stream, run.records(stream))


def by_key(stream: str, rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Find rows by their key: a value, or several where the key has several columns."""
    keys = (key_of(stream, row) for row in rows)
    return {key if len(key) > 1 else key[0]: row for key, row in zip(keys, rows, strict=True)}


def asked(lev: SandboxServer, path: str) -> list[Entry]:
    """The requests for a list."""
    return [entry for entry in lev.sandbox.requests if entry.path == path]


def params(entry: Entry) -> dict[str, str]:
    """The query parameters of a request."""
    return dict(entry.query)


def later(lev: SandboxServer, seconds: float = HOUR) -> None:
    """Let time pass in Lev."""
    lev.sandbox.clock.advance(seconds)


def change(lev: SandboxServer) -> dict[str, set[int]]:
    """Change, add and archive rows of the core streams.

    Returns:
        The ids of the rows that are not what they were.
    """
    box = lev.sandbox
    changed = {s: {row["id"] for row in box.touch(s, 4, seed=3)} for s in CORE}
    for stream in ("deals", "contacts", "companies"):
        changed[stream].add(box.add(stream)["id"])
    changed["placements"].add(box.add("placements", deal_id=2)["id"])
    box.archive("deals", 3)
    box.archive("placements", 5)
    changed["deals"].add(3)
    changed["placements"].add(5)
    return changed


# -- Whole and equal


def test_a_first_run_sends_every_row_as_lev_says_it(lev: SandboxServer) -> None:
    run = run_tap(config_of(lev))
    assert run.exit_code == 0
    assert {message["stream"] for message in run.of("SCHEMA")} == set(DEFAULT)
    for stream in DEFAULT:
        rows = sent(run, stream)
        for row in rows.values():
            row.pop("as_of", None)
        assert rows == said(lev, stream)


def test_every_record_validates_against_its_schema(start_lev: StartLev) -> None:
    lev = start_lev(null_updated_every=7, future_updated_every=9)
    lev.sandbox.switch(timestamp_fractions=True, timestamp_offset="+00:00", legacy_values=True)
    run = run_tap(config_of(lev, **QUERIES), catalog=catalog_of(*ALL))
    assert {message["stream"] for message in run.of("SCHEMA")} == set(ALL)
    for schema in run.of("SCHEMA"):
        records = run.records(schema["stream"])
        assert records
        validator = jsonschema.Draft202012Validator(
            schema["schema"] | {"additionalProperties": False},
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        for record in records:
            validator.validate(record)


@pytest.mark.parametrize("stream", ALL)
def test_keys_are_unique(lev: SandboxServer, stream: str) -> None:
    run = sync(config_of(lev, page_size=10, **QUERIES), streams=(stream,))
    keys = Counter(key_of(stream, record) for record in run.records(stream))
    assert keys
    assert set(keys.values()) == {1}


def test_instants_are_sent_as_utc(lev: SandboxServer) -> None:
    lev.sandbox.switch(timestamp_offset="+00:00", timestamp_fractions=True)
    rows = sent(sync(config_of(lev), streams=("contacts",)), "contacts")
    for key, row in said(lev, "contacts").items():
        assert row["updated_at"].endswith("+00:00")
        assert rows[key]["updated_at"] == row["updated_at"].replace("+00:00", "Z")


# -- Requests


def test_450_contacts_cost_3_requests(start_lev: StartLev) -> None:
    lev = start_lev(contacts=450)
    run = run_tap(config_of(lev))
    assert len(run.records("contacts")) == 450
    assert len(asked(lev, "/contacts")) == 3
    assert all(params(entry)["limit"] == "200" for entry in asked(lev, "/contacts"))


def test_the_core_is_read_by_cursor_and_nothing_is_written(lev: SandboxServer) -> None:
    config = config_of(lev, page_size=10, origin_app="warehouse")
    run_tap(config, state=run_tap(config).state)
    assert lev.sandbox.counters()["violations"] == 0
    for entry in lev.sandbox.requests:
        assert entry.method == "GET"
        assert entry.verdict == "ok"
        assert entry.origin_app == "warehouse"
        assert "sort" not in params(entry)
    for path in ("/deals", "/placements", "/contacts", "/companies"):
        assert not any("offset" in params(entry) for entry in asked(lev, path))


@pytest.mark.parametrize("shape", ["cursor", "offset", "none", "absent"])
def test_pipelines_are_followed_by_the_shape_of_the_answer(start_lev: StartLev, shape: str) -> None:
    lev = start_lev()
    for _ in range(120):
        lev.sandbox.add("pipelines")
    lev.sandbox.switch(pagination_shape={"pipelines": shape})
    run = sync(config_of(lev), streams=("pipelines",))
    expected = said(lev, "pipelines")
    if shape in {"none", "absent"}:  # one page is all there is to see
        expected = dict(list(expected.items())[: len(run.records("pipelines"))])
    assert sent(run, "pipelines") == expected
    assert run.exit_code == 0


def test_what_is_embedded_costs_no_request_of_its_own(lev: SandboxServer) -> None:
    run_tap(config_of(lev, page_size=10))
    deals = asked(lev, "/deals")
    assert len(deals) == 5
    blocks = {"financials", "pipelines", "properties", "team"}
    assert all(set(params(entry)["include"].split(",")) == blocks for entry in deals)
    assert not [entry for entry in lev.sandbox.requests if entry.path.startswith("/deals/")]


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("streams", [("deals",), DEFAULT], ids=["alone", "with others"])
def test_an_include_that_lev_refuses_is_left_out(
    lev: SandboxServer, status: int, streams: tuple[str, ...]
) -> None:
    lev.sandbox.switch(refuse_include={"financials": status})
    run = run_tap(config_of(lev, page_size=10), catalog=catalog_of(*streams))
    assert run.exit_code == 0
    assert len(run.records("deals")) == 45
    assert not any("financials" in row for row in run.records("deals"))
    deals = asked(lev, "/deals")
    assert len(deals) == 7
    with_it = [e for e in deals if "financials" in params(e).get("include", "").split(",")]
    assert with_it == [deals[0], deals[2]], "once more, after an answer without it"
    others = {"pipelines", "properties", "team"} if EMBEDDED[0] in streams else {""}
    assert all(
        set(params(e).get("include", "").split(",")) == others for e in deals if e not in with_it
    )
    assert run.stderr.count("does not accept include=financials") == 2, "once, and in the summary"
    for stream in set(streams) & set(EMBEDDED):
        assert sent(run, stream) == said(lev, stream)


def test_a_deselected_include_is_not_asked_for(lev: SandboxServer) -> None:
    run = sync(config_of(lev), catalog=catalog_of("deals", deals={"title"}))
    assert all("include" not in params(entry) for entry in asked(lev, "/deals"))
    assert {tuple(record) for record in run.records("deals")} == {("id", "title", "updated_at")}


# -- The incremental run


@pytest.mark.parametrize("answer", ["honoured", "400", "422", "ignored"])
@pytest.mark.parametrize("mode", ["auto", "client"])
def test_a_second_run_sends_what_changed(lev: SandboxServer, answer: str, mode: str) -> None:
    lev.sandbox.switch(updated_at_filter=dict.fromkeys(CORE, answer))
    config = config_of(lev, page_size=10, updated_at_filter=mode)
    catalog = catalog_of(*CORE)
    first = run_tap(config, catalog=catalog)
    later(lev)
    changed = change(lev)
    lev.sandbox.clear_log()

    second = run_tap(config, catalog=catalog, state=first.state)

    target = Target()
    target.load(first.messages)
    target.load(second.messages)
    for stream in CORE:
        assert sent(second, stream).keys() == changed[stream]
        assert {row["id"]: row for row in target.rows(stream)} == said(lev, stream)
        requests = asked(lev, f"/{stream}")
        filtered = [entry for entry in requests if FILTER in params(entry)]
        pages = -(-len(said(lev, stream)) // 10)
        if mode == "client":
            assert (len(filtered), len(requests)) == (0, pages)
        elif answer == "honoured":
            assert filtered == requests
        elif answer == "ignored":  # a cursor is used with what it was made with
            assert (len(filtered), len(requests)) == (pages, pages)
        else:
            assert (len(filtered), len(requests)) == (2, pages + 2)
    refused = second.stderr.count(f"does not accept {FILTER}")
    ignored = second.stderr.count(f"ignores {FILTER}")
    told = 2 * len(CORE)  # when it is found, and in the summary
    assert refused == (told if mode == "auto" and answer in {"400", "422"} else 0)
    assert ignored == (told if mode == "auto" and answer == "ignored" else 0)


@pytest.mark.parametrize("answer", ["honoured", "400", "422", "ignored"])
def test_rows_embedded_in_deals_come_of_all_deals_and_deals_if_changed(
    lev: SandboxServer, answer: str
) -> None:
    lev.sandbox.switch(updated_at_filter=dict.fromkeys(CORE, answer))
    config = config_of(lev, page_size=10)
    first = run_tap(config)
    later(lev)
    changed = change(lev)
    (moved,) = lev.sandbox.touch("deal_properties", 1)
    lev.sandbox.clear_log()

    second = run_tap(config, state=first.state)

    assert sent(second, "deals").keys() == changed["deals"]
    for stream in EMBEDDED:
        assert sent(second, stream) == said(lev, stream)
    assert moved["id"] in {row["id"] for row in second.records("deal_properties")}
    deals = asked(lev, "/deals")
    assert len(deals) == -(-len(said(lev, "deals")) // 10)
    assert not any(FILTER in params(entry) for entry in deals)
    for stream in CORE[1:]:
        assert sent(second, stream).keys() == changed[stream]
        assert FILTER in params(asked(lev, f"/{stream}")[0])


@pytest.mark.parametrize("answer", ["honoured", "422", "ignored"])
def test_with_the_scope_changed_only_changed_deals_bring_their_rows(
    lev: SandboxServer, answer: str
) -> None:
    lev.sandbox.switch(updated_at_filter=dict.fromkeys(CORE, answer))
    config = config_of(lev, page_size=10, per_parent_scope="changed")
    first = run_tap(config)
    later(lev)
    changed = change(lev)["deals"]
    lev.sandbox.clear_log()

    second = run_tap(config, state=first.state)

    assert sent(second, "deals").keys() == changed
    for stream in EMBEDDED:
        expected = {k: row for k, row in said(lev, stream).items() if row["deal_id"] in changed}
        assert sent(second, stream) == expected
    deals = asked(lev, "/deals")
    filtered = [entry for entry in deals if FILTER in params(entry)]
    twice = deals[0:3:2]  # before an answer without it, and after that
    assert filtered == {"honoured": deals, "422": twice, "ignored": deals}[answer]


def test_the_server_must_filter_where_the_settings_say_so(lev: SandboxServer) -> None:
    config = config_of(lev, updated_at_filter="server")
    first = run_tap(config)
    later(lev)
    lev.sandbox.switch(updated_at_filter={"contacts": "422"})
    second = run_tap(config, state=first.state)
    assert second.exit_code == 1
    assert "The stream contacts is not complete" in second.stderr
    assert "request_id" in second.stderr
    assert first.state is not None
    assert second.state is not None
    bookmarks = second.state["bookmarks"]
    assert bookmarks["contacts"] == first.state["bookmarks"]["contacts"]
    assert bookmarks["deals"] != first.state["bookmarks"]["deals"]


def test_the_overlap_is_read_again_and_no_more(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    first = sync(config_of(lev), streams=("contacts",))
    assert first.state is not None
    begun = first.state["bookmarks"]["contacts"]["replication_key_value"]
    moment = datetime.fromisoformat(begun)
    just_before, just_inside = (
        (moment - timedelta(seconds=seconds)).isoformat() for seconds in (301, 300)
    )
    lev.sandbox.update("contacts", 1, updated_at=just_before)
    lev.sandbox.update("contacts", 2, updated_at=just_inside)
    second = sync(config_of(lev), state=first.state, streams=("contacts",))
    assert sent(second, "contacts").keys() == {2}
    assert "ignores" not in caplog.text, "a row at the bound is one that was asked for"
    wide = sync(config_of(lev, overlap_seconds=301), state=first.state, streams=("contacts",))
    assert sent(wide, "contacts").keys() == {1, 2}


def test_rows_before_the_start_date_are_left_out(lev: SandboxServer) -> None:
    updates = sorted(row["updated_at"] for row in said(lev, "contacts").values())
    start = updates[len(updates) // 2]
    run = sync(config_of(lev, start_date=start), streams=("contacts",))
    assert sorted(r["updated_at"] for r in run.records("contacts")) == [
        u for u in updates if u >= start
    ]


def test_a_start_date_after_the_bookmark_leaves_nothing_out(lev: SandboxServer) -> None:
    """It bounds a first run only: a scheduler may set it to the day of each run."""
    first = sync(config_of(lev), streams=("contacts",))
    later(lev, 10 * HOUR)
    lev.sandbox.update("contacts", 1)
    later(lev, HOUR)
    start = lev.sandbox.timestamp()
    lev.sandbox.update("contacts", 2)
    run = sync(config_of(lev, start_date=start), state=first.state, streams=("contacts",))
    assert sent(run, "contacts").keys() == {1, 2}


def test_a_row_without_a_date_always_comes_and_moves_nothing(start_lev: StartLev) -> None:
    lev = start_lev(null_updated_every=10)
    lev.sandbox.switch(updated_at_filter={"contacts": "ignored"})
    dateless = {row["id"] for row in said(lev, "contacts").values() if row["updated_at"] is None}
    assert dateless
    first = sync(config_of(lev), streams=("contacts",))
    later(lev)
    second = sync(config_of(lev), state=first.state, streams=("contacts",))
    assert sent(second, "contacts").keys() == dateless


def test_a_row_of_the_future_comes_and_moves_nothing(lev: SandboxServer) -> None:
    lev.sandbox.update("contacts", 7, updated_at="2999-01-01T00:00:00Z")
    first = sync(config_of(lev), streams=("contacts",))
    later(lev)
    lev.sandbox.update("contacts", 8)
    second = sync(config_of(lev), state=first.state, streams=("contacts",))
    assert sent(second, "contacts").keys() == {7, 8}


@pytest.mark.parametrize("skew", [-900, 900])
@pytest.mark.parametrize("overlap", [0, 300])
def test_a_clock_that_is_wrong_misses_nothing(lev: SandboxServer, skew: int, overlap: int) -> None:
    lev.sandbox.switch(clock_skew=skew)
    config = config_of(lev, overlap_seconds=overlap)
    target = Target()
    state = None
    for round_ in range(4):
        run = sync(config, state=state, streams=("contacts",))
        target.load(run.messages)
        state = run.state
        assert {row["id"]: row for row in target.rows("contacts")} == said(lev, "contacts")
        lev.sandbox.touch("contacts", 3, seed=round_)
        later(lev, 60 * (round_ + 1))


def test_a_clock_that_is_set_back_misses_nothing(lev: SandboxServer) -> None:
    lev.sandbox.switch(clock_skew=900)
    first = sync(config_of(lev), streams=("contacts",))
    lev.sandbox.switch(clock_skew=0)
    lev.sandbox.update("contacts", 5)
    second = run_tap(config_of(lev), state=first.state)
    assert 5 in sent(second, "contacts")
    assert "later than Lev's clock" in second.stderr
    assert second.state is not None
    third = sync(config_of(lev), state=second.state, streams=("contacts",))
    assert sent(third, "contacts").keys() == {5}, "the bookmark is by the right clock again"


def test_after_the_clock_was_set_back_a_walk_is_gone_on_with(lev: SandboxServer) -> None:
    lev.sandbox.switch(clock_skew=900)
    config = config_of(lev, page_size=10)
    first = sync(config, streams=("contacts",))
    lev.sandbox.switch(clock_skew=0)
    cut = sync(config, state=first.state, streams=("contacts",), kill_after=35)
    assert cut.state is not None
    cursor = cut.state["bookmarks"]["contacts"]["walk"]["cursor"]
    lev.sandbox.clear_log()
    rest = sync(config, state=cut.state, streams=("contacts",))
    assert params(asked(lev, "/contacts")[0])["cursor"] == cursor
    assert sent(cut, "contacts").keys() | sent(rest, "contacts").keys() == set(range(1, 71))


def test_without_a_timestamp_the_date_header_is_the_clock(lev: SandboxServer) -> None:
    lev.sandbox.switch(envelope_timestamp=False, clock_skew=-7200)
    before = lev.sandbox.timestamp()
    run = sync(config_of(lev), streams=("contacts",))
    assert run.state is not None
    begun = run.state["bookmarks"]["contacts"]["replication_key_value"]
    assert before <= begun <= lev.sandbox.timestamp()


# -- Answers that are not as expected


def test_empty_pages_in_the_middle_end_nothing(lev: SandboxServer) -> None:
    lev.sandbox.switch(empty_page_every=2)
    run = sync(config_of(lev, page_size=10), streams=("contacts",))
    assert sent(run, "contacts") == said(lev, "contacts")


@pytest.mark.parametrize("broken", ["repeat", "cycle", "null"])
def test_a_cursor_that_leads_nowhere_is_an_error(lev: SandboxServer, broken: str) -> None:
    lev.sandbox.switch(broken_cursor={"contacts": broken})
    run = run_tap(config_of(lev, page_size=10))
    assert run.exit_code == 1
    assert "The stream contacts is not complete" in run.stderr
    assert "in circles" in run.stderr or "does not say where" in run.stderr
    assert "Traceback" not in run.stderr
    assert sent(run, "deals") == said(lev, "deals"), "the other streams are finished"


@pytest.mark.parametrize(
    ("stream", "switches"),
    [
        ("account_team_members", {"account_team_key": "id"}),
        ("base_rates", {"data_shape": {"base_rates": "object"}}),
        ("asset_types", {"data_shape": {"asset_types": "object"}}),
        ("pipelines", {"data_shape": {"pipelines": "object"}}),
        ("asset_types", {"sub_types_shape": "string"}),
        ("asset_types", {"sub_types_shape": "object"}),
        ("contacts", {"pagination_total": False, "cursor_echo": False}),
    ],
)
def test_each_documented_shape_gives_the_same_rows(
    start_lev: StartLev, stream: str, switches: dict[str, Any]
) -> None:
    plain, other = start_lev(), start_lev()
    other.sandbox.switch(**switches)
    rows = [sync(config_of(lev), streams=(stream,)).records(stream) for lev in (plain, other)]
    for row in [*rows[0], *rows[1]]:
        for column in ("as_of", "title", "property_sub_types"):  # the forms differ in these
            row.pop(column, None)
    assert rows[0] == rows[1]
    assert rows[0]


@pytest.mark.parametrize("data", [None, 5, "text", {"id": 1}, [None]])
def test_data_of_a_wrong_shape_fails_the_stream(lev: SandboxServer, data: object) -> None:
    lev.sandbox.fault("wrong_shape", route="/contacts", data=data, times=None)
    run = sync(config_of(lev))
    assert run.exit_code == 1
    assert not run.records("contacts")
    assert sent(run, "deals") == said(lev, "deals")
    assert run.state is not None
    entry = run.state["bookmarks"]["contacts"]
    assert entry["replication_key_value"] is None
    assert entry["walk"] == NO_WALK


@pytest.mark.parametrize("accepted", [False, True])
def test_a_row_without_a_key_costs_that_row_and_is_named(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, *, accepted: bool
) -> None:
    """Nothing counts the rows of this list, so no count shows that one is missing."""
    lev.sandbox.switch(pagination_shape={"pipelines": "empty"})
    lev.sandbox.poison("pipelines", 2, "no_key")
    caplog.set_level("INFO")
    gaps = {"accepted_gaps": {"pipelines": "total"}} if accepted else {}
    run = sync(config_of(lev, **gaps), streams=("pipelines", "contacts"))
    assert run.exit_code == (0 if accepted else 1)
    rows = said(lev, "pipelines")
    del rows[2]
    assert sent(run, "pipelines") == rows
    assert sent(run, "contacts") == said(lev, "contacts")
    told = (
        "Accepted gaps: pipelines: 1 without a key."
        if accepted
        else ("The stream pipelines is not complete: 1 row of pipelines came without a key")
    )
    assert told in caplog.text
    assert run.state is not None
    assert run.state["bookmarks"]["pipelines"]["completed_at"], "it costs that row alone"


@pytest.mark.parametrize("shape", ["array", "string", "object"])
def test_sub_types_are_a_list_in_every_shape(lev: SandboxServer, shape: str) -> None:
    lev.sandbox.switch(sub_types_shape=shape)
    rows = sent(sync(config_of(lev), streams=("asset_types",)), "asset_types")
    for key, row in said(lev, "asset_types").items():
        said_types = row["property_sub_types"]
        whole = shape == "array" or said_types is None
        expected = said_types if whole else [said_types]
        assert rows[key]["property_sub_types"] == expected


def test_columns_of_a_newer_lev_are_told_once_and_left_out(lev: SandboxServer) -> None:
    lev.sandbox.switch(extra_fields={"contacts": ["mood", "shoe_size"]})
    run = run_tap(config_of(lev, page_size=10))
    assert run.exit_code == 0
    assert sent(run, "contacts").keys() == said(lev, "contacts").keys()
    assert not any({"mood", "shoe_size"} & row.keys() for row in run.records("contacts"))
    assert run.stderr.count("mood, shoe_size") == 2, "once, and in the summary"


# -- Failures


@pytest.mark.parametrize("form", ["A", "B", "C"])
def test_one_failing_stream_stops_no_other(lev: SandboxServer, form: str) -> None:
    lev.sandbox.switch(error_form=form)
    lev.sandbox.fault("status", route="/contacts", status=403, message="No.", at=3, times=None)
    run = run_tap(config_of(lev, page_size=10), program=EAGER_STATES)
    assert run.exit_code == 1
    assert len(run.records("contacts")) == 20
    for stream in set(DEFAULT) - {"contacts", "base_rates"}:
        assert sent(run, stream) == said(lev, stream)
    refused = next(entry for entry in asked(lev, "/contacts") if entry.status == 403)
    assert run.stderr.count("403 forbidden" if form != "B" else "403 ") >= 1
    assert (refused.request_id in run.stderr) == (form != "C")
    assert run.state is not None
    walk = run.state["bookmarks"]["contacts"]["walk"]
    lev.sandbox.clear_faults()
    again = sync(config_of(lev, page_size=10), state=run.state, streams=("contacts",))
    assert len(again.records("contacts")) == 50
    assert params(asked(lev, "/contacts")[-5])["cursor"] == walk["cursor"]


def test_the_summary_tells_what_the_run_did(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", route="/contacts", status=500)
    run = run_tap(config_of(lev))
    rows = sum(len(run.records(stream.name)) for stream in STREAMS)
    summary = f"Sync complete: 11 streams, {rows} rows, 10 requests, 1 retries, 0 times 429"
    assert summary in run.stderr


# -- Full tables


def full_table(*streams: str) -> dict[str, Any]:
    """A catalog in which the streams are read as full tables."""
    catalog = catalog_of(*streams)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return catalog


def test_a_full_table_ends_with_the_version_of_its_rows(lev: SandboxServer) -> None:
    config = config_of(lev, emit_activate_version_messages=True)
    run = sync(config, catalog=full_table("contacts", "asset_types"))
    for stream in ("contacts", "asset_types"):
        (activation,) = run.of("ACTIVATE_VERSION", stream)
        records = run.of("RECORD", stream)
        assert {record["version"] for record in records} == {activation["version"]}
        assert run.messages.index(activation) > run.messages.index(records[-1])


def test_without_the_setting_a_full_table_has_no_version(lev: SandboxServer) -> None:
    run = sync(config_of(lev), catalog=full_table("contacts"))
    assert not run.of("ACTIVATE_VERSION")
    assert all("version" not in record for record in run.of("RECORD"))


def test_a_resumed_full_table_keeps_its_version_and_deletes_what_is_gone(
    lev: SandboxServer,
) -> None:
    config = config_of(lev, page_size=10, emit_activate_version_messages=True)
    catalog = full_table("contacts")
    target = Target()
    target.load(sync(config, catalog=catalog).messages)
    gone = 33
    lev.sandbox.remove("contacts", gone)
    later(lev)
    cut = sync(config, catalog=catalog, state=target.state, kill_after=30)
    target.load(cut.messages, crash=True)
    assert gone in {row["id"] for row in target.rows("contacts")}
    resumed = sync(config, catalog=catalog, state=target.state)
    target.load(resumed.messages)
    versions = {r["version"] for r in [*cut.of("RECORD"), *resumed.of("RECORD")]}
    assert len(versions) == 1
    assert {row["id"]: row for row in target.rows("contacts")} == said(lev, "contacts")


def test_after_a_full_table_the_incremental_run_goes_on_from_it(lev: SandboxServer) -> None:
    first = sync(config_of(lev), catalog=full_table("contacts"))
    later(lev)
    lev.sandbox.update("contacts", 4)
    second = sync(config_of(lev), state=first.state, streams=("contacts",))
    assert sent(second, "contacts").keys() == {4}


# -- The SDK's own expectations


def test_stream_maps_and_flattening_work(lev: SandboxServer) -> None:
    config = config_of(
        lev,
        stream_maps={
            "contacts": {"email": "md5(email) if email else None", "__alias__": "people"},
            "companies": None,
        },
        flattening_enabled=True,
        flattening_max_depth=1,
    )
    run = sync(config, streams=ALL)
    assert run.exit_code == 0
    assert not run.of("RECORD", "companies")
    people = run.records("people")
    assert len(people) == 70
    assert not any("@" in (person["email"] or "") for person in people)


def test_stream_maps_and_flattening_work_on_streams_of_every_kind(lev: SandboxServer) -> None:
    """Of a list, embedded, of a call for each parent, and of a call for each child of one."""
    names = {"deals": "loans", "deal_team_members": "staff", "term_sheets": "quotes",
             "checklist_task_notes": "comments"}  # fmt: skip
    maps = {name: {"__alias__": alias, "twin": "id"} for name, alias in names.items()}
    run = sync(
        config_of(
            lev, stream_maps=maps, flattening_enabled=True, flattening_max_depth=2, **QUERIES
        ),
        streams=ALL,
    )
    assert run.exit_code == 0
    for stream in ALL:
        rows = run.records(names.get(stream, stream))
        assert len(rows) == len(said(lev, stream)), stream
        assert all(row["twin"] == row["id"] for row in rows if stream in names)
        assert not any(isinstance(value, dict | list) for row in rows for value in row.values())
    columns = {m["stream"]: m["schema"]["properties"].keys() for m in run.of("SCHEMA")}
    assert all(m["record"].keys() <= columns[m["stream"]] for m in run.of("RECORD"))
    loan = next(row for row in run.records("loans") if row["financials"])
    assert json.loads(loan["financials"])["noi"]


def test_an_expression_that_fails_on_a_row_fails_its_stream_only(lev: SandboxServer) -> None:
    maps = {stream: {"id": "1 / 0"} for stream in ("deals", "deal_team_members")}
    run = sync(config_of(lev, stream_maps=maps))
    assert run.exit_code == 1
    assert not run.records("deals")
    assert not run.records("deal_team_members")
    for stream in ("deal_properties", "deal_pipelines", "contacts"):
        assert sent(run, stream) == said(lev, stream)


def test_the_state_is_small_and_json(lev: SandboxServer) -> None:
    run = sync(config_of(lev, page_size=10))
    assert max(len(json.dumps(m)) for m in run.of("STATE")) < 600 * len(DEFAULT)


# -- When a STATE comes


def kinds(run: Run) -> list[str]:
    """The types of a run's messages, in order."""
    return [message["type"] for message in run.messages]


class Seconds:
    """A clock that goes on by so much for each request for contacts."""

    def __init__(self, lev: SandboxServer, step: float) -> None:
        self.now, self._step = 100.0, step
        lev.sandbox.on_request(self._tick)

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def _tick(self, request: Request) -> None:
        if request.path == "/contacts":
            self.now += self._step


def test_a_state_comes_first_and_with_each_page(lev: SandboxServer) -> None:
    run = sync(config_of(lev, page_size=10), streams=("contacts",))
    assert kinds(run) == ["STATE", "SCHEMA"] + ([*["RECORD"] * 10, "STATE"] * 7)


@pytest.mark.parametrize(
    ("step", "pages"),
    [
        pytest.param(0.0, [7], id="no time passes"),
        pytest.param(0.3, [4, 3], id="the fourth comes after 1.2 s"),
        pytest.param(0.5, [2, 2, 2, 1], id="every second"),
        pytest.param(1.0, [1] * 7, id="each"),
        pytest.param(60.0, [1] * 7, id="slowly"),
    ],
)
def test_between_pages_a_state_a_second_is_enough(
    lev: SandboxServer, step: float, pages: list[int]
) -> None:
    run = sync(
        config_of(lev, page_size=10), streams=("contacts",), state_interval=STATE_INTERVAL,
        clock=Seconds(lev, step),
    )  # fmt: skip
    after = [kind for page in pages for kind in [*["RECORD"] * 10 * page, "STATE"]]
    assert kinds(run) == ["STATE", "SCHEMA", *after]


def test_a_stream_that_ends_or_fails_has_its_state_at_once(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", route="/companies", status=403, at=2, times=None)
    run = sync(
        config_of(lev, page_size=10, max_parallel_streams=1),
        streams=("contacts", "companies", "pipelines"), state_interval=STATE_INTERVAL,
        clock=lambda: 0.0,
    )  # fmt: skip
    states = [message["value"]["bookmarks"] for message in run.of("STATE")]
    assert len(states) == 4, "one before the first list, and one at each end"
    assert kinds(run)[0] == kinds(run)[-1] == "STATE"
    ended = [state["contacts"]["replication_key_value"] is not None for state in states]
    failed = [state["companies"]["walk"]["seen"] for state in states]
    full = [state["pipelines"]["completed_at"] is not None for state in states]
    changes = [at for each in (ended, failed, full) for at in (1, 2, 3) if each[at] != each[at - 1]]
    assert sorted(changes) == [1, 2, 3], "each STATE has the end of one stream"
    assert (ended[-1], failed[-1], full[-1]) == (True, 10, True)


@pytest.mark.parametrize("state", [None, {"bookmarks": {}}])
def test_the_first_state_comes_before_any_list_is_requested(
    lev: SandboxServer, state: dict[str, Any] | None
) -> None:
    """So a run that was told to forget a state leaves nothing of it, whatever fails then."""
    lev.sandbox.fault("status", route="/contacts", status=500, times=None)
    run = sync(config_of(lev, max_retries=0), state=state, streams=("contacts",))
    assert run.exit_code == 1
    (first, *_) = run.messages
    assert first["type"] == "STATE"
    assert first["value"]["bookmarks"]["contacts"]["replication_key_value"] is None
    assert [entry.path for entry in lev.sandbox.requests][:2] == ["/me", "/contacts"]
