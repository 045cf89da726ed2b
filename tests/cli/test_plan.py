"""``--plan``: what a sync has before it, held against what it then does."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.commands.render import format_in_two_units
from tests.support.expected_rows import ALL, QUERIES
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import in_docs, run_tap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

COUNTED = tuple(name for name in ALL if name != "checklist_task_notes")
"""The streams whose requests are known before; those of the other one are estimated."""
PER_DEAL = ("deals", "deal_notes", "vaults")


def plan(
    lev: SandboxServer,
    *streams: str,
    state: Mapping[str, Any] | None = None,
    exit_code: int = 0,
    **settings: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Plan a sync; return the report."""
    config = config_of(lev, **settings)
    catalog = catalog_of(*streams) if streams else None
    run = run_tap(config, catalog=catalog, state=state, args=["--plan", "--format=json"])
    assert run.exit_code == exit_code, run.stderr
    assert "Traceback" not in run.stderr
    assert lev.key not in run.stderr + "".join(run.lines)
    return json.loads("".join(run.lines))


def of(report: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {each["stream"]: each[what] for each in report["streams"]}


def made(lev: SandboxServer) -> Counter[str]:
    """The requests since the last time, but for those that ask for limits."""
    found = Counter(f"{e.method} {e.route}" for e in lev.sandbox.requests if e.route != "/me")
    lev.sandbox.clear_log()
    return found


# -- Rows and requests


@pytest.mark.parametrize("settings", [{}, {"page_size": 7}], ids=["page of 200", "page of 7"])
def test_it_counts_the_requests_that_the_sync_then_makes(
    lev: SandboxServer, settings: dict[str, Any]
) -> None:
    report = plan(lev, *COUNTED, **QUERIES, **settings)
    asked = made(lev).total()
    assert asked <= len(COUNTED)
    run = sync(config_of(lev, **QUERIES, **settings), streams=COUNTED)
    assert run.exit_code == 0
    # The one of current_user goes to /me.
    assert report["requests"] - 1 == made(lev).total()
    for stream, rows in of(report, "rows").items():
        if rows is not None and "rows" not in of(report, "estimated")[stream]:
            assert rows == len(run.records(stream)), stream


def test_it_costs_a_request_for_each_stream_at_most(lev: SandboxServer) -> None:
    plan(lev, *ALL, **QUERIES)
    assert made(lev).total() <= len(ALL)
    assert lev.sandbox.counters()["violations"] == 0
    plan(lev)
    assert made(lev).total() == 8


def test_each_request_is_counted_once(lev: SandboxServer) -> None:
    report = plan(lev, "checklists", "checklist_tasks", "deal_team_members")
    requests = of(report, "requests")
    assert requests == {"deal_team_members": 1, "checklists": 45, "checklist_tasks": 0}
    assert report["requests"] == 46


def test_tasks_are_estimated_by_some_deals(start_lev: StartLev) -> None:
    lev = start_lev(deals=12)
    report = plan(lev, *ALL, **QUERIES)
    made(lev)
    sync(config_of(lev), streams=("checklist_task_notes",))
    # All 12 deals could be looked at.
    real = made(lev)["GET /checklist-tasks/{task_id}/notes"]
    assert of(report, "requests")["checklist_task_notes"] == real
    assert of(report, "estimated")["checklist_task_notes"] == []
    assert of(report, "notes")["checklist_task_notes"] == []


def test_an_estimate_says_by_what_and_how_good_it_is(start_lev: StartLev) -> None:
    lev = start_lev(deals=400)
    sync(config_of(lev), streams=("checklist_tasks",))
    made(lev)
    report = plan(lev, *ALL, **QUERIES)
    looked_at = made(lev)["GET /deals/{deal_id}/checklists"]
    assert of(report, "estimated")["checklist_task_notes"] == ["requests"]
    (note,) = of(report, "notes")["checklist_task_notes"]
    told = re.fullmatch(
        r"Estimated by (\d+) of deals, which have (\d+) of checklist_tasks: give or take (\d+)%\.",
        note,
    )
    assert told is not None
    looked, tasks, margin = map(int, told.groups())
    assert looked == looked_at
    assert of(report, "requests")["checklist_task_notes"] == pytest.approx(
        tasks / looked * 400, abs=1
    )
    real = len(sync(config_of(lev), streams=("checklist_tasks",)).records("checklist_tasks"))
    assert tasks / looked * 400 == pytest.approx(real, rel=2 * margin / 100)
    (note,) = of(plan(lev, "checklist_task_notes"), "notes")["checklist_task_notes"]
    assert "Estimated by 1 of deals" in note


def test_rows_that_are_embedded_are_estimated_by_the_first_page(lev: SandboxServer) -> None:
    run = sync(config_of(lev), streams=("deal_properties",))
    real = len(run.records("deal_properties"))
    assert of(plan(lev, "deal_properties"), "rows") == {"deal_properties": real}
    part = plan(lev, "deal_properties", page_size=20)
    assert of(part, "estimated") == {"deal_properties": ["rows"]}
    assert of(part, "rows")["deal_properties"] == pytest.approx(real, rel=0.5)
    assert part["requests"] == 3


def test_financials_that_are_embedded_whole_cost_one_request(lev: SandboxServer) -> None:
    assert plan(lev, "deal_financials")["requests"] == 1 + 45
    lev.sandbox.switch(embedded_financials="whole")
    assert plan(lev, "deal_financials")["requests"] == 1 + 1


# -- From a state


def test_a_next_run_has_only_what_changed_before_it(lev: SandboxServer) -> None:
    first = sync(config_of(lev, overlap_seconds=0), streams=("contacts", "deals"))
    lev.sandbox.clock.advance(60)
    lev.sandbox.touch("contacts", 3)
    report = plan(lev, "contacts", "deals", state=first.state, overlap_seconds=0)
    # Two rows of each list are read to prove that Lev honours the filter.
    assert of(report, "rows") == {"deals": 0 + 2, "contacts": 3 + 2}


@pytest.mark.parametrize("switch", ["ignored", "422"])
def test_where_lev_does_not_filter_all_pages_are_read(lev: SandboxServer, switch: str) -> None:
    first = sync(config_of(lev), streams=("contacts",))
    lev.sandbox.switch(updated_at_filter={"contacts": switch})
    report = plan(lev, "contacts", state=first.state, page_size=10)
    assert report["requests"] == 7
    assert of(report, "rows") == {"contacts": 70}
    (note,) = of(report, "notes")["contacts"]
    assert "every row is read" in note


@pytest.mark.parametrize(("scope", "requests"), [("all", 1 + 45), ("changed", 1 + 2)])
def test_children_of_whom(lev: SandboxServer, scope: str, requests: int) -> None:
    settings = {"per_parent_scope": scope, "overlap_seconds": 0}
    first = sync(config_of(lev, **settings), streams=("deals", "deal_notes"))
    lev.sandbox.clock.advance(60)
    lev.sandbox.touch("deals", 2)
    report = plan(lev, "deals", "deal_notes", state=first.state, **settings)
    made(lev)
    assert report["requests"] == requests
    sync(config_of(lev, **settings), state=first.state, streams=("deals", "deal_notes"))
    assert made(lev).total() == requests


@pytest.mark.parametrize("kill_after", [25, 60, 110])
def test_a_walk_that_was_broken_off_has_only_its_rest_before_it(
    lev: SandboxServer, kill_after: int
) -> None:
    config = config_of(lev, page_size=10, max_parallel_streams=1)
    broken = sync(config, streams=("deal_notes", "contacts"), kill_after=kill_after)
    assert broken.state is not None
    made(lev)
    report = plan(
        lev, "deal_notes", "contacts", state=broken.state, page_size=10, max_parallel_streams=1
    )
    made(lev)
    rest = sync(config, state=broken.state, streams=("deal_notes", "contacts"))
    assert rest.exit_code == 0
    assert report["requests"] == made(lev).total()
    assert report["requests"] < 7 + 5 + 45


def test_a_count_that_lev_does_not_give_is_said(lev: SandboxServer) -> None:
    lev.sandbox.switch(pagination_total=False)
    report = plan(lev, "contacts", "companies", page_size=30)
    assert of(report, "estimated") == {"contacts": ["requests", "rows"], "companies": []}
    assert "does not count contacts" in of(report, "notes")["contacts"][0]


# -- What cannot be read


def test_what_cannot_be_read_is_told_and_the_rest_is_planned(lev: SandboxServer) -> None:
    lev.sandbox.switch(missing_scopes=["contacts:read", "checklists:read"])
    streams = ("deals", "contacts", "checklist_task_notes")
    report = plan(lev, *streams, exit_code=1)
    assert of(report, "requests") == {"deals": 1, "contacts": 0, "checklist_task_notes": 0}
    assert "403" in of(report, "notes")["contacts"][0]
    plan(lev, *streams, forbidden_streams="skip")


# -- Time


LIMITS = {"requests_per_minute": 100, "requests_per_minute_per_endpoint": 20}


def test_it_says_what_decides_and_what_would_be_faster(start_lev: StartLev) -> None:
    lev = start_lev(deals=200, contacts=1)
    report = plan(lev, *PER_DEAL, "contacts", "index_facts", **LIMITS, fact_queries=["a", "b"])
    # 400 requests at 18 a minute.
    assert report["bottleneck"] == "POST /deals/{deal_id}/index/search"
    assert report["seconds"] == pytest.approx(22 * 60, rel=0.02)
    assert report["without"]["streams"] == ["index_facts"]
    assert report["without"]["seconds"] == pytest.approx(11 * 60, rel=0.02)
    # At 54 a minute.
    assert report["higher_tiers"] == {"enterprise": pytest.approx(7 * 60, rel=0.02)}
    assert of(report, "seconds")["deal_notes"] == pytest.approx(11 * 60, rel=0.02)
    assert of(report, "seconds")["contacts"] < 10


def test_it_says_when_the_account_decides(start_lev: StartLev) -> None:
    lev = start_lev(deals=60)
    report = plan(
        lev, "term_sheets", "documents", "vaults", "memos", "deal_notes", "index_entities",
        "index_metric_definitions", "checklists", **LIMITS,
    )  # fmt: skip
    # 481 requests at 90 a minute.
    assert report["bottleneck"] == "account"
    assert report["seconds"] == pytest.approx(5 * 60, rel=0.05)


def test_settings_of_the_pace_count(start_lev: StartLev) -> None:
    lev = start_lev(deals=40)

    def seconds(**settings: Any) -> float:  # noqa: ANN401
        return float(plan(lev, *PER_DEAL, **LIMITS | settings)["seconds"])

    assert seconds() == pytest.approx(2 * 60, rel=0.1)
    assert seconds(rate_limit_share=0.5) == pytest.approx(3 * 60, rel=0.1)
    assert seconds(rate_limit_window_seconds=600) == pytest.approx(2 * 600, rel=0.1)
    assert seconds(requests_per_minute_per_endpoint=10) == pytest.approx(4 * 60, rel=0.1)


def test_where_no_limit_is_reached_the_answers_decide(start_lev: StartLev) -> None:
    lev = start_lev(contacts=100)
    lev.sandbox.switch(latency=0.3)
    report = plan(lev, "contacts", page_size=5)
    assert report["bottleneck"] is None
    assert report["without"] is None
    assert report["seconds"] > 20 * 0.3


def test_it_is_told_to_people(start_lev: StartLev) -> None:
    lev = start_lev(deals=200)
    catalog = catalog_of("deals", "deal_notes", "index_facts", "accounts")
    config = config_of(lev, **LIMITS, fact_queries=["a", "b"])
    lines = [line.rstrip("\n") for line in run_tap(config, catalog=catalog, args=["--plan"]).lines]
    assert lines[:2] == [
        "limits  100 requests in 60 s, 20 of them to one endpoint; tap-lev uses 90 and 18", "",
    ]  # fmt: skip
    assert [line.split()[:3] for line in lines[2:8]] == [
        ["stream", "rows", "requests"],
        ["deals", "200", "1"],
        ["deal_notes", "?", "200"],
        ["index_facts", "?", "400"],
        ["accounts", "1", "1"],
        ["all", "602", "22"],
    ]
    decides = "400 requests to POST /deals/{deal_id}/index/search, at most 18 in 60 s."
    assert lines[9].endswith(f"What decides that: {decides}")
    assert lines[10].startswith("On enterprise: 7 min")
    assert lines[11].startswith("Without index_facts: 11 min")


def test_the_readme_shows_what_is_written(start_lev: StartLev) -> None:
    lev = start_lev(tier="standard", deals=2000, placements=6000, contacts=5000)
    streams = ("deals", "placements", "contacts", "deal_properties", "deal_notes", "index_facts")
    config = {"api_url": lev.url, "api_key": lev.key, "fact_queries": ["a", "b", "c"]}
    run = run_tap(config, catalog=catalog_of(*streams), args=["--plan"])
    # How long an answer takes depends on the machine.
    time = re.compile(r" +(< 1 s|\d+ (h|min|s)( \d+ (min|s))?)(\.?)(?= |\n)")
    assert time.sub(r"\5", "".join(run.lines)) == time.sub(r"\5", in_docs("plan"))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "< 1 s"), (1, "1 s"), (59.4, "59 s"), (59.9, "1 min"), (60, "1 min"),
        (61, "1 min 1 s"), (3599.8, "1 h"), (5400, "1 h 30 min"), (7201, "2 h"),
        (90_000, "1 d 1 h"), (864_000, "10 d"),
    ],
)  # fmt: skip
def test_times_are_told_in_their_two_largest_units(seconds: float, told: str) -> None:
    assert format_in_two_units(seconds) == told
