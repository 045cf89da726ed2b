"""What a status says: of Lev, and of what only stands between here and Lev."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.expected_rows import truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import run_tap

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer
    from lev_sandbox.log import Entry
    from lev_sandbox.request import Request
    from tests.support.process import Run

ELSEWHERE = "Something between here and Lev seems to have answered GET "
PAGES: dict[str, dict[str, Any]] = {
    f"{status} {form}": {"kind": "status", "status": status, "form": form}
    for status, form in (
        *((400, "html"), (401, "html"), (403, "html"), (404, "html"), (422, "empty")),
        *((503, "html"), (200, "html"), (204, "empty")),
    )
} | {
    "redirect": {"kind": "redirect", "location": "http://127.0.0.1:1/login"},
    "an object of others": {"kind": "not_json", "body": '{"message": "Forbidden"}'},
}
"""Answers of firewalls, gateways and portals."""


def asked(lev: SandboxServer, *routes: str) -> list[Entry]:
    return [entry for entry in lev.sandbox.requests if entry.route in routes]


def landed(run: Run, stream: str) -> list[dict[str, Any]]:
    return sorted(run.records(stream), key=lambda row: int(row["id"]))


def whole(run: Run, lev: SandboxServer, *streams: str) -> None:
    """Make sure that streams are complete, in the target and in the state."""
    assert run.state is not None
    for stream in streams:
        assert {row["id"] for row in run.records(stream)} == {r["id"] for r in truth(lev, stream)}
        assert run.state["bookmarks"][stream].get("replication_key_value"), stream


def not_whole(run: Run, stream: str) -> None:
    """Make sure that a stream is not complete in the state, and drops nothing."""
    assert run.state is not None
    assert not run.state["bookmarks"].get(stream, {}).get("replication_key_value")
    assert run.of("ACTIVATE_VERSION", stream) == []


# -- Answers that are not Lev's


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_what_is_not_lev_s_fails_one_stream_and_skips_none(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, page: dict[str, Any]
) -> None:
    lev.sandbox.fault(**page, route="/contacts", times=None)
    config = config_of(lev, forbidden_streams="skip", max_retries=1)
    run = sync(config, streams=("contacts", "companies"))
    assert run.exit_code == 1
    whole(run, lev, "companies")
    not_whole(run, "contacts")
    assert len(asked(lev, "/contacts")) == 2
    assert len(asked(lev, "/me")) == 1
    (told,) = [text for text in caplog.messages if "contacts is not complete" in text]
    assert "Something between here and Lev seems to" in told
    assert "skipped" not in caplog.text


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_what_is_not_lev_s_and_passes_leaves_no_trace(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, page: dict[str, Any]
) -> None:
    streams = ("deals", "deal_properties", "contacts")
    first = sync(config_of(lev, page_size=20), streams=streams)
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("contacts", 3)
    lev.sandbox.clear_log()
    for route in ("/deals", "/contacts"):
        lev.sandbox.fault(**page, route=route)
    run = sync(config_of(lev, page_size=20), streams=streams, state=first.state)
    assert run.exit_code == 0
    assert "does not accept" not in caplog.text
    contacts, deals = asked(lev, "/contacts"), asked(lev, "/deals")
    assert all("filter[updated_at][gte]" in dict(entry.query) for entry in contacts)
    assert all("include" in dict(entry.query) for entry in deals)
    assert len(run.records("contacts")) == 3


def test_a_page_of_404_is_no_parent_that_is_gone(lev: SandboxServer) -> None:
    notes = "/deals/{deal_id}/notes"
    lev.sandbox.fault("status", status=404, form="html", route=notes, at=3, times=None)
    run = run_tap(config_of(lev, max_retries=1), catalog=catalog_of("deals", "deal_notes"))
    assert run.exit_code == 1
    assert "parents gone" not in run.stderr
    assert any(ELSEWHERE in text for text in run.log("ERROR"))
    whole(run, lev, "deals")


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_where_nothing_is_lev_s_a_run_ends_soon(lev: SandboxServer, page: dict[str, Any]) -> None:
    lev.sandbox.fault(**page, headers={"Retry-After": "600"}, times=None)
    config = config_of(lev, max_retries=8, max_parallel_streams=1)
    run = run_tap(config, catalog=catalog_of("contacts", "companies"))
    is_404 = page.get("status") == 404
    assert run.exit_code == (2 if is_404 else 1)
    assert ("Is api_url right?" in run.stderr) == is_404
    assert len(asked(lev, "/me")) == 2
    assert len(lev.sandbox.requests) == 4, "and two for the first list"
    assert run.log("ERROR")[-1].startswith("Something between here and Lev seems to ")
    assert run.state is not None, "one that says that nothing came"
    entries = run.state["bookmarks"].values()
    assert {entry["replication_key_value"] for entry in entries} == {None}
    assert run.of("RECORD") == []


def test_where_no_name_is_found_a_run_ends_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked: list[object] = []

    def unknown(host: object, *_: object, **__: object) -> None:
        looked.append(host)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    config = {"api_url": "https://lev.example", "api_key": "lev_sk_1", "max_parallel_streams": 1}
    run = sync(config, streams=("contacts", "companies"))
    assert run.exit_code == 1
    assert looked == ["lev.example"] * 4, "two for /me, and two for the first list"
    (told,) = [r.getMessage() for r in caplog.records if "smallest tier" in r.getMessage()]
    assert "The account is not checked" in told
    assert "Failed to resolve 'lev.example'" in told


# -- A success that is none


@pytest.mark.parametrize(
    "more",
    [
        {"error": {"type": "internal_error", "message": "No database"}},
        {"error": "No database"},
        {"success": False, "message": "No database"},
        {"ok": False, "error": "No database"},
    ],
    ids=str,
)
@pytest.mark.parametrize("data", [[], None], ids=str)
def test_a_success_that_is_none_is_never_an_empty_list(
    lev: SandboxServer, more: dict[str, Any], data: object
) -> None:
    pagination = {"total": 0, "has_more": False, "next_cursor": None}
    body = {"request_id": "6f0c", "data": data, "pagination": pagination} | more
    lev.sandbox.fault("not_json", body=json.dumps(body), route="/contacts", times=None)
    run = run_tap(config_of(lev, max_retries=1), catalog=catalog_of("contacts", "companies"))
    assert run.exit_code == 1
    whole(run, lev, "companies")
    not_whole(run, "contacts")
    # Three more look for a row that may be to blame.
    assert len(asked(lev, "/contacts")) == 2 + 3
    (told,) = [text for text in run.log("ERROR") if "contacts is not complete" in text]
    assert "Lev answered GET /contacts with 200 " in told
    assert "No database (request_id 6f0c)" in told

    lev.sandbox.clear_faults()
    lev.sandbox.fault("not_json", body=json.dumps(body), route="/contacts")
    again = run_tap(config_of(lev), catalog=catalog_of("contacts"), state=run.state)
    assert again.exit_code == 0
    whole(again, lev, "contacts")


def test_a_full_table_is_not_emptied_by_a_success_that_is_none(lev: SandboxServer) -> None:
    body = '{"data": [], "error": {"message": "No database"}}'
    lev.sandbox.fault("not_json", body=body, route="/pipelines", times=None)
    run = run_tap(config_of(lev, max_retries=0), catalog=catalog_of("pipelines"))
    assert run.exit_code == 1
    assert run.of("ACTIVATE_VERSION") == []


# -- 401


def test_one_stream_that_refuses_the_key_fails_alone(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", status=401, route="/contacts", times=None)
    run = run_tap(config_of(lev), catalog=catalog_of("contacts", "companies", "placements"))
    assert run.exit_code == 1
    whole(run, lev, "companies", "placements")
    not_whole(run, "contacts")
    assert len(asked(lev, "/contacts")) == 1
    assert len(asked(lev, "/me")) == 2
    (told,) = [text for text in run.log("ERROR") if "contacts is not complete" in text]
    assert "401 unauthorized" in told
    assert "The key is valid, as Lev's answer to GET /me shows" in told
    assert "create one in Lev" not in run.stderr


def test_a_key_that_is_refused_is_3_at_the_first_request(lev: SandboxServer) -> None:
    run = run_tap(config_of(lev, api_key="lev_sk_another"))
    assert run.exit_code == 3
    assert [entry.path for entry in lev.sandbox.requests] == ["/me"]
    assert run.of("RECORD") == []
    assert "create one in Lev" in run.log("ERROR")[-1]


@pytest.mark.parametrize("me", [401, 503])
def test_a_key_that_is_revoked_on_the_way_is_3(lev: SandboxServer, me: int) -> None:
    lev.sandbox.fault("status", status=401, route="/contacts", at=2, times=None)
    lev.sandbox.fault("status", status=me, route="/me", at=2, times=None)
    run = run_tap(config_of(lev, page_size=10), catalog=catalog_of("contacts"))
    assert run.exit_code == 3
    assert len(asked(lev, "/me")) == 2
    assert run.log("ERROR")[-1].startswith("Lev answered GET /contacts with 401 ")


def test_me_that_is_not_lev_s_refuses_no_key(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", status=401, form="html", route="/me", times=None)
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    assert run.exit_code == 0
    whole(run, lev, "contacts")


# -- /me

NO_ME: dict[str, dict[str, Any]] = PAGES | {
    "404": {"kind": "status", "status": 404},
    "403": {"kind": "status", "status": 403},
    "500": {"kind": "status", "status": 500},
    "reset": {"kind": "reset"},
    "cut": {"kind": "cut"},
    "garbage": {"kind": "wrong_shape", "data": [[7]]},
    "no answer": {"kind": "hang", "seconds": 3},
}


@pytest.mark.parametrize("fault", NO_ME.values(), ids=NO_ME)
@pytest.mark.parametrize("limits", ["set", "not set"])
def test_without_me_a_run_goes_on(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, fault: dict[str, Any], limits: str
) -> None:
    lev.sandbox.fault(**fault, route="/me", times=None)
    settings: dict[str, Any] = {"request_timeout_seconds": 1} if fault["kind"] == "hang" else {}
    config = config_of(lev, max_retries=8, **settings)
    if limits == "not set":
        config = {name: config[name] for name in config if "per_minute" not in name}
    run = sync(config, streams=("contacts", "companies"))
    assert run.exit_code == 0
    whole(run, lev, "contacts", "companies")
    warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    told = [text for text in warned if "Trying again in" not in text]
    assert len(told) == 1
    assert "he account is not checked: " in told[0]
    smallest = "those of the smallest tier are kept: 30 requests a minute, 10 of them to one"
    assert (smallest in told[0]) == (limits == "not set")
    once = fault.get("status") in {403, 404} and "form" not in fault
    assert len(asked(lev, "/me")) == (1 if once or "data" in fault else 2)


@pytest.mark.parametrize(
    "args", [[], ["--check"], ["--plan"], ["--refresh", "contacts=7"], ["--test"]], ids=str
)
@pytest.mark.parametrize("limits", ["set", "not set"])
def test_me_is_asked_first_and_once(lev: SandboxServer, args: list[str], limits: str) -> None:
    config = config_of(lev)
    if limits == "not set":
        config = {name: config[name] for name in config if "per_minute" not in name}
    catalog = catalog_of("contacts", "current_user", "billing_summary")
    run = run_tap(config, catalog=catalog, args=args)
    assert run.exit_code == 0, run.stderr
    paths = [entry.path for entry in lev.sandbox.requests]
    assert paths[0] == "/me"
    assert paths.count("/me") == 1


def test_a_check_tells_that_me_says_nothing(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", status=404, form="html", route="/me", times=None)
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"), args=["--check", "--format=json"])
    assert run.exit_code == 0, run.stderr
    report = json.loads("".join(run.lines))
    assert report["account"] == {"id": None, "name": None, "slug": None}
    assert report["note"].startswith(f"{ELSEWHERE}/me with 404 Not Found: ")
    assert len(asked(lev, "/me")) == 2


# -- Options


@pytest.mark.parametrize("status", [400, 422, 403])
def test_one_odd_refusal_refuses_no_option(lev: SandboxServer, status: int) -> None:
    lev.sandbox.fault("status", status=status, route="/deals")
    run = run_tap(config_of(lev, page_size=20), catalog=catalog_of("deals", "deal_team_members"))
    assert run.exit_code == 0, run.stderr
    assert "does not accept" not in run.stderr
    assert all("financials" in row for row in run.records("deals"))
    first, *others = asked(lev, "/deals")
    assert others[1].query == first.query, "once more, after an answer without an option"
    whole(run, lev, "deals")


def test_a_block_that_the_key_may_not_read_is_not_the_stream(lev: SandboxServer) -> None:
    def refuse(request: Request) -> None:
        if "team" in request.params.get("include", ""):
            lev.sandbox.fault("status", status=403, route="/deals", message="Missing scope")

    lev.sandbox.on_request(refuse)
    run = run_tap(config_of(lev, page_size=20), catalog=catalog_of("deals", "deal_team_members"))
    assert run.exit_code == 0, run.stderr
    whole(run, lev, "deals")
    assert "does not accept include=team" in run.stderr
    assert len(asked(lev, "/deals/{deal_id}/team")) == 45
    assert len(run.records("deal_team_members")) == len(truth(lev, "deal_team_members"))


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_stream_that_the_key_may_not_read_is_still_forbidden(
    lev: SandboxServer, policy: str
) -> None:
    lev.sandbox.fault("status", status=403, route="/deals", times=None)
    config = config_of(lev, forbidden_streams=policy)
    run = run_tap(config, catalog=catalog_of("deals", "deal_team_members", "contacts"))
    assert run.exit_code == (1 if policy == "fail" else 0)
    assert ("skipped" in run.stderr) == (policy == "skip")
    whole(run, lev, "contacts")


# -- Half of a character


def test_half_of_an_emoji_is_no_reason_to_stop(lev: SandboxServer) -> None:
    rows = lev.sandbox.rows("contacts")[:2]
    rows[0]["first_name"] = "Ann \ud83d"
    rows[1]["first_name"] = "\ud83d\ude00 \\ud83d"
    page = {"data": rows, "pagination": {"total": 2, "has_more": False, "next_cursor": None}}
    body = json.dumps(page)
    assert r"Ann \ud83d" in body
    lev.sandbox.fault("not_json", body=body, route="/contacts", times=None)
    run = run_tap(config_of(lev, max_retries=0), catalog=catalog_of("contacts"))
    assert run.exit_code == 0, run.stderr
    assert [row["first_name"] for row in landed(run, "contacts")] == [
        "Ann \ufffd",
        "\U0001f600 \\ud83d",
    ]
    (told,) = [text for text in run.log("WARNING") if "half of a character" in text]
    assert told.startswith("contacts: Lev sends half of a character")
    assert "1 times in GET /contacts" in told
