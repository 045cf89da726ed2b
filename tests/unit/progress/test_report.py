"""The summary of a run, for a person and for a log pipeline, and the SDK's metrics."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.errors import ErrorFacts, LevAPIError
from tap_lev.progress.report import RunReport
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import run_tap, start_tap

if TYPE_CHECKING:
    from pathlib import Path

    from lev_sandbox import SandboxServer

LOG_CONFIG = """
version: 1
disable_existing_loggers: false
formatters:
  structured: {"()": "singer_sdk.logging.StructuredFormatter"}
handlers:
  stderr: {class: logging.StreamHandler, formatter: structured, stream: "ext://sys.stderr"}
root: {level: INFO, handlers: [stderr]}
"""


def refused(status: int, request_id: str | None = "6f0c") -> LevAPIError:
    """An error response."""
    return LevAPIError(
        ErrorFacts(
            status=status,
            error_type="no",
            message="No.",
            endpoint="GET /deals",
            request_id=request_id,
        )
    )


@pytest.fixture
def report() -> RunReport:
    """A run of 90 s over three streams."""
    times = iter([10.0, *[100.0] * 9])
    report = RunReport(lambda: next(times))
    for name, rows in (("deals", 40), ("contacts", 2), ("companies", 0)):
        stream = report.stream(name)
        stream.rows, stream.requests = rows, 3
        stream.statuses.update([200, 200, 429])
    report.tap.requests = report.tap.retries = 1
    report.waited, report.budget_used = 60.04, 0.5
    return report


COUNTS = (
    "42 rows, 10 requests, 1 retries, 3 times 429, 60.0 s waited, 50% of the budget used, "
    "90.0 s in all"
)


def test_a_complete_run_is_one_line(report: RunReport) -> None:
    assert report.summary() == f"Sync complete: 3 streams, {COUNTS}."


def test_failures_are_named_with_their_request_ids(report: RunReport) -> None:
    report.streams["deals"].failure = refused(500)
    report.streams["companies"].failure = ValueError()
    report.streams["contacts"].notes.append("contacts: something.")
    report.parents_gone.add(("deals", 5))
    assert report.summary() == (
        "Sync failed: 2 of 3 streams are not complete: deals (request_id 6f0c), companies; "
        f"{COUNTS}, 1 parents gone. contacts: something."
    )


def test_what_broke_a_run_off_is_named_with_what_had_failed_before(report: RunReport) -> None:
    report.streams["deals"].failure = refused(500)
    assert report.summary(refused(401, "77aa")) == (
        "Sync broken off (request_id 77aa): 1 of 3 streams are not complete: "
        f"deals (request_id 6f0c); {COUNTS}."
    )


def test_the_oldest_bookmark_tells_how_fresh_all_rows_are(report: RunReport) -> None:
    for name, bookmark in (("deals", "2026-11-02T08:00:00Z"), ("contacts", "2026-11-01T08:00:00Z")):
        report.streams[name].bookmark = bookmark
    assert report.totals()["oldest_bookmark"] is None, "companies were never complete"
    report.streams["companies"].bookmark = "2026-11-03T08:00:00Z"
    assert report.totals()["oldest_bookmark"] == "2026-11-01T08:00:00Z"


# -- A real process with the SDK's structured logging


@pytest.fixture
def structured(tmp_path: Path) -> dict[str, str]:
    """What switches structured logging on."""
    file = tmp_path / "logging.yaml"
    file.write_text(LOG_CONFIG)
    return {"SINGER_SDK_LOG_CONFIG": str(file)}


def test_structured_logs_hold_the_summary_in_numbers_and_the_metrics_of_requests(
    lev: SandboxServer, structured: dict[str, str]
) -> None:
    lev.sandbox.switch(missing_scopes=["termsheets:read"])
    lev.sandbox.fault("status", status=429, seconds=0, route="/contacts", at=2)
    config = config_of(lev, page_size=50, max_retries=3)
    run = run_tap(config, catalog=catalog_of("contacts", "deals", "term_sheets"), env=structured)
    assert run.exit_code == 1
    logged: list[dict[str, Any]] = [json.loads(line) for line in run.stderr.splitlines()]
    (summary,) = [line for line in logged if "outcome" in line["extra"]]
    (request_id,) = {e.request_id for e in lev.sandbox.requests if e.status == 403}
    assert summary["level"] == "error"
    assert summary["message"].startswith(
        "Sync failed: 1 of 3 streams are not complete: term_sheets"
    )
    totals, rows = summary["extra"], len(run.of("RECORD"))
    expected = {"outcome": "failed", "streams": 3, "rows": rows, "retries": 1, "throttled": 1}
    assert {name: totals[name] for name in expected} == expected
    assert totals["requests"] == len(lev.sandbox.requests)
    assert totals["statuses"] == {"200": 4, "403": 1, "429": 1}
    assert totals["failed"] == {"term_sheets": request_id}
    assert totals["by_stream"]["contacts"]["rows"] == 70
    assert run.state is not None
    bookmark = run.state["bookmarks"]["contacts"]["replication_key_value"]
    assert totals["by_stream"]["contacts"]["bookmark"] == bookmark
    assert totals["oldest_bookmark"] is None
    metrics = [line["metric_info"] for line in logged if "metric_info" in line]
    found = {
        (m["metric"], t["stream"], t["endpoint"], t.get("http_status_code"), t.get("status")): m
        for m in metrics
        if (t := m["tags"]).get("endpoint") and "stream" in t  # /me is no stream's
    }
    sheets = "/deals/{deal_id}/term-sheets"
    assert {key: (m["type"], m["value"]) for key, m in found.items()} == {
        ("http_request_count", "contacts", "/contacts", 200, "succeeded"): ("counter", 2),
        ("http_request_count", "contacts", "/contacts", 429, "failed"): ("counter", 1),
        ("http_retry_count", "contacts", "/contacts", None, None): ("counter", 1),
        ("http_request_count", "deals", "/deals", 200, "succeeded"): ("counter", 1),
        ("http_request_count", "term_sheets", sheets, 403, "failed"): ("counter", 1),
    }
    assert logged.index(summary) > max(n for n, line in enumerate(logged) if "metric_info" in line)


def test_requests_without_an_answer_are_counted_as_failed(
    lev: SandboxServer, structured: dict[str, str]
) -> None:
    lev.sandbox.fault("reset", route="/contacts", at=1)
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"), env=structured)
    logged = [json.loads(line) for line in run.stderr.splitlines()]
    counts = [
        (m["tags"].get("http_status_code"), m["tags"]["status"], m["value"])
        for line in logged
        if (m := line.get("metric_info", {})).get("metric") == "http_request_count"
    ]
    me, list_, failed = (200, "succeeded", 1), (200, "succeeded", 1), (None, "failed", 1)
    assert sorted(counts, key=str) == [me, list_, failed]
    assert "seconds_waited" in {line.get("metric_info", {}).get("metric") for line in logged}


def test_a_target_that_is_gone_ends_the_run_with_a_summary(
    lev: SandboxServer,
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with start_tap(config_of(lev), stdout=theirs) as tap:
        os.close(theirs)
        run = tap.finish()
    assert run.exit_code == 1
    assert run.log("INFO")[-1].startswith("Sync broken off: 11 streams, 0 rows, ")


def test_a_run_that_skipped_everything_is_not_called_complete(report: RunReport) -> None:
    for stream in report.streams.values():
        stream.skipped = True
    assert report.summary().startswith("Sync failed: 3 streams")
