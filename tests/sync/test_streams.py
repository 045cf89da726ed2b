"""Every stream: its rows, its keys, its requests, and what it never says."""

from __future__ import annotations

import inspect
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from singer_sdk import typing as th

from lev_sandbox import Sandbox, SandboxServer, router
from lev_sandbox.call import Route
from tap_lev import tap
from tap_lev.api import client
from tap_lev.streams import STREAMS
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals
from tap_lev.streams.lists import IncrementalStream, ListStream
from tap_lev.tap import TapLev
from tests.support.expected_rows import ALL, KEYS, QUERIES, key_of, landed, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import UNLIMITED, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartLev
    from tests.support.process import Run

FILTER = "filter[updated_at][gte]"
CHECKLISTS = ("checklists", "checklist_tasks", "checklist_task_notes")


def everything(lev: SandboxServer, **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """Settings under which every stream has rows, in pages that do not hold them all."""
    return config_of(lev, page_size=20, **QUERIES, **settings)


@pytest.fixture(scope="module")
def account() -> Iterator[SandboxServer]:
    """A Lev that no test changes."""
    box = Sandbox(
        deals=45, placements=60, contacts=70, companies=25, lenders=25, null_updated_every=7
    )
    with SandboxServer(box) as server:
        yield server


@pytest.fixture(scope="module")
def whole(account: SandboxServer) -> Run:
    """A run with every stream selected."""
    return sync(everything(account), streams=ALL)


# -- Rows


def test_there_are_34_streams() -> None:
    assert len(ALL) == len(set(ALL)) == 34


@pytest.mark.parametrize("stream", ALL)
def test_every_stream_beside_all_others_is_what_lev_says(
    account: SandboxServer, whole: Run, stream: str
) -> None:
    assert whole.exit_code == 0
    rows = landed(whole, stream)
    assert rows
    assert rows == truth(account, stream)


@pytest.mark.parametrize("stream", ALL)
def test_every_stream_by_itself_is_what_lev_says(account: SandboxServer, stream: str) -> None:
    run = sync(everything(account), streams=(stream,))
    assert run.exit_code == 0
    assert landed(run, stream) == truth(account, stream)
    assert {message["stream"] for message in run.of("RECORD")} == {stream}


@pytest.mark.parametrize("stream", ALL)
def test_keys_are_unique_and_say_so(whole: Run, stream: str) -> None:
    (schema,) = whole.of("SCHEMA", stream)
    assert tuple(schema["key_properties"]) == KEYS[stream]
    keys = Counter(key_of(stream, row) for row in whole.records(stream))
    assert set(keys.values()) == {1}


def test_a_stream_has_its_schema_once_and_before_its_rows(whole: Run) -> None:
    kinds = Counter(message["stream"] for message in whole.of("SCHEMA"))
    assert kinds == dict.fromkeys(ALL, 1)
    known = set()
    for message in whole.messages:
        if message["type"] == "SCHEMA":
            known.add(message["stream"])
        elif message["type"] == "RECORD":
            assert message["stream"] in known


def closed(schema: Any) -> Any:  # noqa: ANN401
    """A schema whose objects, at every depth, have no fields but those it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) for name, part in schema.items()}
    return parts | {"additionalProperties": False} if schema.get("properties") else parts


@pytest.mark.parametrize("legacy", [False, True])
def test_every_record_validates_against_its_schema(start_lev: StartLev, *, legacy: bool) -> None:
    lev = start_lev(deals=15, contacts=15, placements=15, null_updated_every=4)
    if legacy:
        lev.sandbox.switch(
            timestamp_fractions=True, timestamp_offset="+00:00", legacy_values=True,
            term_sheet_list="whole", embedded_financials="whole",
        )  # fmt: skip
    run = sync(everything(lev), streams=ALL)
    for message in run.of("SCHEMA"):
        validator = jsonschema.Draft202012Validator(
            closed(message["schema"]),
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        records = run.records(message["stream"])
        assert records
        for record in records:
            validator.validate(record)


def test_the_list_of_term_sheets_may_be_whole(start_lev: StartLev) -> None:
    lev = start_lev(deals=10)
    lev.sandbox.switch(term_sheet_list="whole")
    run = sync(config_of(lev), streams=("term_sheets",))
    expected = lev.sandbox.rows("term_sheets", parents=True)
    assert landed(run, "term_sheets") == expected
    assert any(row["amortization"] for row in expected)


# -- Checklists


def test_tasks_are_flattened_with_their_subtasks(account: SandboxServer, whole: Run) -> None:
    tasks = {row["id"]: row for row in whole.records("checklist_tasks")}
    seen = set()
    for checklist in whole.records("checklists"):
        places = [(None, checklist), *((part["id"], part) for part in checklist["sections"])]
        for section, place in places:
            for task in place["tasks"]:
                for above, row in [(None, task), *((task["id"], sub) for sub in task["subtasks"])]:
                    origin = {
                        "deal_id": checklist["deal_id"], "checklist_id": checklist["id"],
                        "section_id": section, "parent_task_id": above,
                    }  # fmt: skip
                    plain = {name: row[name] for name in row if name != "subtasks"}
                    assert tasks[row["id"]] == plain | origin
                    seen.add(row["id"])
    assert seen == tasks.keys()
    assert any(row["parent_task_id"] for row in tasks.values())
    assert any(row["section_id"] is None for row in tasks.values())
    assert len(tasks) == account.sandbox.count("checklist_tasks")


@pytest.mark.parametrize(
    "streams",
    [
        CHECKLISTS[:1], CHECKLISTS[1:2], CHECKLISTS[2:], CHECKLISTS[:2], CHECKLISTS[1:],
        CHECKLISTS[::2], CHECKLISTS,
    ],
)  # fmt: skip
def test_a_deal_costs_one_call_however_many_of_the_checklist_streams_are_read(
    start_lev: StartLev, streams: tuple[str, ...]
) -> None:
    lev = start_lev(deals=8)
    run = sync(config_of(lev), streams=streams)
    routes = lev.sandbox.counters()["routes"]
    assert routes["GET /deals/{deal_id}/checklists"] == 8
    for stream in streams:
        assert landed(run, stream) == truth(lev, stream)


# -- Requests


def test_the_default_selection_costs_a_request_for_each_200_rows(start_lev: StartLev) -> None:
    lev = start_lev(deals=2000, placements=6000, contacts=5000, companies=1500)
    run = sync(config_of(lev), catalog=catalog_of())
    lists = sum(
        math.ceil(lev.sandbox.count(name) / 200)
        for name in ("deals", "placements", "contacts", "companies")
    )
    single = len(("pipelines", "asset_types", "base_rates", "account_team_members"))
    requests = lev.sandbox.counters()["requests"]
    assert lists + single <= requests <= lists + single + 2
    assert run.exit_code == 0
    assert len(run.records("deals")) == 2000
    for stream, name in (
        ("deal_properties", "deal_properties"),
        ("deal_team_members", "deal_team"),
        ("deal_pipelines", "deal_pipelines"),
    ):
        assert len(run.records(stream)) == lev.sandbox.count(name) > 2000


def test_the_log_is_as_long_for_45_deals_as_for_5(start_lev: StartLev) -> None:
    logs = []
    for deals in (5, 45):
        lev = start_lev(deals=deals)
        run = run_tap(config_of(lev, **QUERIES), catalog=catalog_of(*ALL))
        assert run.exit_code == 0
        assert run.records("deal_notes")
        assert not run.log("WARNING")
        lines = run.log("INFO")
        # One for each stream and endpoint; of a shared endpoint either stream may be the first.
        counts = [line for line in lines if '"http_request_count"' in line]
        assert len(counts) < 2 * len(ALL)
        logs.append([line for line in lines if line not in counts and "seconds_waited" not in line])
    assert len(logs[1]) <= len(logs[0])


def test_by_default_every_deal_is_visited_and_only_changed_ones_are_sent(
    start_lev: StartLev,
) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=20)
    streams = ("deals", "deal_notes", "deal_properties")
    first = sync(config, streams=streams)
    lev.sandbox.clock.advance(3600)
    changed = {row["id"] for row in lev.sandbox.touch("deals", 4)}
    note = lev.sandbox.add("deal_notes", parent=next(i for i in range(1, 46) if i not in changed))
    lev.sandbox.clear_log()
    second = sync(config, state=first.state, streams=streams)
    assert {row["id"] for row in second.records("deals")} == changed
    pages = [dict(entry.query) for entry in lev.sandbox.requests if entry.path == "/deals"]
    assert len(pages) == 3
    assert not any(FILTER in page for page in pages)
    assert lev.sandbox.counters()["routes"]["GET /deals/{deal_id}/notes"] == 45
    assert landed(second, "deal_notes") == truth(lev, "deal_notes")
    assert note["id"] in {row["id"] for row in second.records("deal_notes")}
    assert landed(second, "deal_properties") == truth(lev, "deal_properties")


@pytest.mark.parametrize("answer", ["honoured", "ignored", "422"])
def test_the_children_of_changed_deals_alone_are_read_where_that_is_wanted(
    start_lev: StartLev, answer: str
) -> None:
    lev = start_lev()
    config = config_of(lev, page_size=20, per_parent_scope="changed")
    streams = ("deals", "deal_notes", "deal_properties", "checklist_task_notes")
    first = sync(config, streams=streams)
    for stream in streams:
        assert landed(first, stream) == truth(lev, stream)
    lev.sandbox.clock.advance(3600)
    changed = {row["id"] for row in lev.sandbox.touch("deals", 4)}
    lev.sandbox.switch(updated_at_filter={"deals": answer})
    lev.sandbox.clear_log()
    second = sync(config, state=first.state, streams=streams)
    assert {row["id"] for row in second.records("deals")} == changed
    visited = [e.path for e in lev.sandbox.requests if e.route == "/deals/{deal_id}/notes"]
    assert sorted(visited) == sorted(f"/deals/{key}/notes" for key in changed)
    for stream in ("deal_notes", "deal_properties"):
        assert landed(second, stream) == [r for r in truth(lev, stream) if r["deal_id"] in changed]
    filtered = [e for e in lev.sandbox.requests if e.path == "/deals" and FILTER in dict(e.query)]
    # A filter that is refused is sent once more, after an answer without it. One page does not
    # tell that a filter is ignored, so it is sent with each.
    assert len(filtered) == {"honoured": 1, "ignored": 3, "422": 2}[answer]


# -- What is never asked for, and never said

SAFE = {
    # core
    "GET /deals", "GET /deals/{deal_id}",
    "GET /placements", "GET /placements/{placement_id}",
    "GET /contacts", "GET /contacts/{contact_id}",
    "GET /companies", "GET /companies/{company_id}",
    # cheap reference
    "GET /pipelines", "GET /pipelines/{pipeline_id}", "GET /market/base-rates",
    "GET /market/asset-types", "GET /account/team",
    # one call per deal
    "GET /deals/{deal_id}/financials", "GET /deals/{deal_id}/properties",
    "GET /deals/{deal_id}/team", "GET /deals/{deal_id}/term-sheets",
    "GET /deals/{deal_id}/term-sheets/{term_sheet_id}", "GET /deals/{deal_id}/notes",
    "GET /deals/{deal_id}/vaults", "GET /deals/{deal_id}/documents",
    "GET /deals/{deal_id}/documents/{document_id}", "GET /deals/{deal_id}/checklists",
    "GET /deals/{deal_id}/memos",
    # one call per other parent
    "GET /contacts/{contact_id}/notes", "GET /companies/{company_id}/notes",
    "GET /placements/{placement_id}/notes", "GET /checklist-tasks/{task_id}/notes",
    # large and very expensive
    "GET /lenders/directory", "GET /lenders/{org_id}", "GET /lenders/{org_id}/programs",
    "GET /deals/{deal_id}/index/entities", "GET /deals/{deal_id}/index/metric-definitions",
    "POST /deals/{deal_id}/index/search", "POST /deals/{deal_id}/index/observations",
    # preflight
    "GET /health", "GET /me", "GET /me/accounts", "POST /auth/validate-api-key",
    # sensitive
    "GET /billing/summary", "GET /billing/credits/balance", "GET /api-keys",
}  # fmt: skip
"""Lev's reads without a side effect, a charge or a signed link (lev-api.md §4)."""


def built() -> set[str]:
    """Every request that a stream can build, by method and route template."""
    endpoints = set()
    for stream in TapLev(config=config_of_nobody()).streams.values():
        if isinstance(stream, ListStream):
            endpoints.add(f"GET {stream.path}")
            if stream.detail_path:
                endpoints.add(f"GET {stream.detail_path}")
        elif isinstance(stream, ChildStream):
            endpoints.update(call.endpoint for call in stream.requests())
    return endpoints


def config_of_nobody() -> dict[str, Any]:
    """Settings that lead nowhere."""
    return {"api_url": "http://127.0.0.1:9", "api_key": "k", **QUERIES, **UNLIMITED}


def test_every_request_that_a_stream_can_build_is_safe() -> None:
    requests = built()
    assert requests <= SAFE
    assert requests <= client.READS
    assert len(requests) > 34


def test_the_allow_list_lets_nothing_through_but_safe_reads() -> None:
    assert client.READS <= SAFE


def test_a_whole_sync_makes_only_safe_requests_and_asks_for_no_link(start_lev: StartLev) -> None:
    lev = start_lev(deals=6)
    bodies: list[bytes] = []
    lev.sandbox.on_request(lambda request: bodies.append(request.body))
    sync(everything(lev), streams=ALL)
    made = {f"{entry.method} {entry.route}" for entry in lev.sandbox.requests}
    assert made <= SAFE
    assert {entry.verdict for entry in lev.sandbox.requests} == {"ok"}
    asked = [json.loads(body) for body in bodies if body]
    assert asked
    assert not any(body["include_signed_urls"] for body in asked)


SECRET = "never-to-be-seen"
HIDDEN = ("api_key", "pdf_url", "pdf_versions", "signed_url", "signed_url_error", "download_url")


@pytest.mark.parametrize("unknown_fields", ["warn", "collect"])
def test_no_secret_and_no_signed_link_is_ever_sent(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, unknown_fields: str
) -> None:
    lev = start_lev(deals=6)
    leaks: dict[str, Any] = dict.fromkeys(HIDDEN, SECRET)
    vault = {"id": 1, "type": "shared", "title": None, **leaks}
    names = lev.sandbox.switches["extra_fields"]
    lev.sandbox.switch(
        extra_fields={name: {**leaks, "attached": {"all": [leaks]}} for name in names}
        | {
            "documents": {**leaks, "vault": vault},
            "memos": {**leaks, "vaults": [vault]},
            "index_facts": {**leaks, "source": {"type": "document", **leaks}},
        }
    )
    run = sync(everything(lev, unknown_fields=unknown_fields), streams=ALL)
    assert run.exit_code == 0
    assert {message["stream"] for message in run.of("RECORD")} == set(ALL)
    collected = [m for m in run.of("RECORD") if "_unknown_fields" in m["record"]]
    assert bool(collected) == (unknown_fields == "collect")
    for line in run.lines:
        assert SECRET not in line
        assert not any(f'"{name}"' in line for name in HIDDEN), line
    news = {text.partition("does not know: ")[2].partition(".")[0] for text in caplog.messages}
    assert news == {"", "attached"}


@pytest.mark.parametrize("unknown_fields", ["warn", "collect"])
def test_what_lev_adds_to_its_keys_is_told_by_name_and_never_collected(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, unknown_fields: str
) -> None:
    lev = start_lev()
    lev.sandbox.switch(extra_fields={"api_keys": {"secret_value": "lev_sk_new"}})
    run = sync(everything(lev, unknown_fields=unknown_fields), streams=("api_keys",))
    assert run.exit_code == 0
    assert run.records("api_keys")
    assert not any("lev_sk_new" in text for text in (*run.lines, *caplog.messages))
    assert not any("_unknown_fields" in line for line in run.lines)
    told = [text for text in caplog.messages if text.startswith("api_keys: Lev sends fields")]
    assert len(told) == 1
    assert told[0].endswith("does not know: secret_value. They are left out.")


# -- The SDK's own expectations


def test_each_stream_is_described() -> None:
    catalog = json.loads(TapLev(config={}, validate_config=False).catalog_json_text)
    assert {entry["tap_stream_id"] for entry in catalog["streams"]} == set(ALL)
    descriptions = [entry["schema"]["description"] for entry in catalog["streams"]]
    assert len(set(descriptions)) == 34
    assert all(text.endswith(".") and len(text) > 10 for text in descriptions), descriptions


def test_stream_maps_work_on_embedded_and_per_parent_streams(start_lev: StartLev) -> None:
    lev = start_lev(deals=10)
    config = config_of(
        lev,
        stream_maps={
            "deal_team_members": {"email": "md5(email) if email else None", "__alias__": "people"},
            "deal_properties": {"name": None},
            "deal_notes": {"text": "md5(text) if text else None", "__alias__": "remarks"},
            "term_sheets": {"notes": None},
            "vaults": None,
            "documents": {"__filter__": "extension == 'pdf'"},
        },
    )
    run = sync(
        config,
        streams=(
            "deal_team_members", "deal_properties", "deal_notes", "term_sheets", "vaults",
            "documents", "deals",
        ),
    )  # fmt: skip
    assert run.exit_code == 0
    people, remarks = run.records("people"), run.records("remarks")
    assert len(people) == lev.sandbox.count("deal_team")
    assert {len(row["email"]) for row in people if row["email"]} == {32}
    assert len(remarks) == lev.sandbox.count("deal_notes")
    assert {len(row["text"]) for row in remarks if row["text"]} == {32}
    assert not run.of("RECORD", "vaults")
    properties, sheets = run.records("deal_properties"), run.records("term_sheets")
    assert len(properties) == lev.sandbox.count("deal_properties")
    assert not any("name" in row for row in properties)
    assert len(sheets) == lev.sandbox.count("term_sheets")
    assert not any("notes" in row for row in sheets)
    expected = [row for row in truth(lev, "documents") if row["extension"] == "pdf"]
    assert expected
    assert landed(run, "documents") == expected


def test_flattening_works_on_embedded_and_per_parent_streams(start_lev: StartLev) -> None:
    lev = start_lev(deals=10)
    config = config_of(lev, flattening_enabled=True, flattening_max_depth=1)
    run = sync(config, streams=("documents", "deal_properties", "deal_notes", "checklists"))
    assert run.exit_code == 0
    for row, plain in zip(landed(run, "documents"), truth(lev, "documents"), strict=True):
        assert row["vault__id"] == plain["vault"]["id"]
        assert "vault" not in row
    notes = zip(landed(run, "deal_notes"), truth(lev, "deal_notes"), strict=True)
    for row, plain in notes:
        assert row.get("created_by__id") == (plain["created_by"] or {}).get("id")
    assert landed(run, "deal_properties") == truth(lev, "deal_properties")
    assert all(row["vault__title"] for row in run.records("checklists"))


# -- A resource that Lev does not have


class Widgets(IncrementalStream):
    """Widgets of the account."""

    name = "widgets"
    path = "/widgets"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("name", th.StringType),
        th.Property("updated_at", th.StringType),
    ).to_dict()


class DealRooms(ChildStream):
    """Rooms of each deal."""

    name = "deal_rooms"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/rooms"
    page_limit = 2
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("deal_id", th.IntegerType), th.Property("type", th.StringType),
        th.Property("title", th.StringType), th.Property("is_default", th.BooleanType),
        th.Property("document_count", th.IntegerType),
    ).to_dict()  # fmt: skip


def test_a_resource_takes_one_class_of_15_lines(
    start_lev: StartLev, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = (Widgets, DealRooms)
    for stream in new:
        assert len(inspect.getsource(stream).strip().splitlines()) <= 15
    monkeypatch.setattr(tap, "STREAMS", (*STREAMS, *new))
    monkeypatch.setattr(tap, "STREAMS_BY_NAME", {s.name: s for s in (*STREAMS, *new)})
    monkeypatch.setattr(client, "READS", client.READS | {f"GET {s.path}" for s in new})
    lists = router.find("GET", "/companies").route, router.find("GET", "/deals/1/vaults").route
    for stream, like in zip(new, lists, strict=True):
        assert like is not None
        route = Route(
            path=stream.path, handler=like.handler, resource=like.resource, style="cursor"
        )
        monkeypatch.setitem(router._ROUTES, ("GET", stream.path), route)
    monkeypatch.setattr(router, "_PLAIN", router._PLAIN | {Widgets.path})
    pattern = (DealRooms.path, router._pattern(DealRooms.path))
    monkeypatch.setattr(router, "_PATTERNS", (*router._PATTERNS, pattern))
    lev = start_lev(deals=10, vaults=5)

    config = config_of(lev, page_size=10)
    run = sync(config, streams=("widgets", "deal_rooms"))

    assert run.exit_code == 0
    widgets = [
        {name: row[name] for name in ("id", "name", "updated_at")}
        for row in truth(lev, "companies")
    ]
    assert run.records("widgets") == widgets
    assert sorted(run.records("deal_rooms"), key=lambda row: row["id"]) == truth(lev, "vaults")
    lev.sandbox.clock.advance(3600)
    changed = lev.sandbox.update("companies", 3)
    again = sync(config, streams=("widgets",), state=run.state)
    assert [row["id"] for row in again.records("widgets")] == [changed["id"]]
