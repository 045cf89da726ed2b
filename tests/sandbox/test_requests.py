"""Which requests are answered, which are violations, and what the log keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lev_sandbox.routes import ROUTES, VIOLATIONS

if TYPE_CHECKING:
    from tests.sandbox.lab import Json, Lab

NEVER = sorted(
    VIOLATIONS
    | {
        ("POST", "/api-keys"), ("POST", "/deals"), ("PATCH", "/deals/{deal_id}"),
        ("DELETE", "/deals/{deal_id}"), ("POST", "/placements"),
        ("PATCH", "/contacts/{contact_id}"),
        ("POST", "/deals/{deal_id}/notes"), ("POST", "/deals/{deal_id}/term-sheets"),
        ("DELETE", "/deals/{deal_id}/term-sheets/{term_sheet_id}"), ("POST", "/companies"),
        ("PUT", "/deals"), ("HEAD", "/deals"), ("GET", "/auth/validate-api-key"),
    }
)  # fmt: skip


@pytest.mark.parametrize(("method", "template"), NEVER)
def test_what_a_sync_must_never_call(lab: Lab, method: str, template: str) -> None:
    path = template
    for name in path.split("{")[1:]:
        path = path.replace("{" + name.partition("}")[0] + "}", "1")
    response = lab.ask(method, path)
    assert response.status_code == 405
    assert lab.sandbox.counters()["violations"] == 1
    entry = lab.sandbox.requests[-1]
    assert (entry.method, entry.route, entry.verdict) == (method, template, "violation")


@pytest.mark.parametrize(
    "path", ["/nothing", "/build/deals", "/deals/1/lender-search", "/deals/", "/deals/1/2/3"]
)
def test_unknown_paths(lab: Lab, path: str) -> None:
    assert lab.get(path).status_code == 404
    assert lab.sandbox.counters()["unknown"] == 1
    assert lab.sandbox.requests[-1].verdict == "unknown"


def test_paths_outside_the_prefix_are_unknown(lab: Lab) -> None:
    response = lab.session.get(f"{lab.server.origin}/deals", timeout=5)
    assert response.status_code == 404
    assert lab.sandbox.requests[-1].path == "/deals"
    assert lab.sandbox.counters()["unknown"] == 1


def test_signed_links_are_unsuitable(lab: Lab) -> None:
    document = lab.sandbox.rows("documents", parents=True)[0]
    memo = next(row for row in lab.sandbox.rows("memos", parents=True) if row["pdf_ready"])
    path = f"/deals/{document['deal_id']}/documents/{document['id']}/download"
    first, second = lab.data(path), lab.data(path)
    assert first["download_url"] != second["download_url"]
    assert first["expires_in"] > 0
    path = f"/deals/{memo['deal_id']}/memos/{memo['uuid']}"
    assert "signature=" in lab.data(path, quality="high")["pdf_url"]
    assert lab.get(path, quality="best").json()["error"]["message"] == "Invalid quality: best"
    assert lab.sandbox.counters()["unsuitable"] == 4
    assert lab.sandbox.counters()["violations"] == 0


def test_index_reads_are_suitable_unless_they_sign_links(lab: Lab) -> None:
    for path, body in (("search", {"context": "noi"}), ("observations", {"metric_id": 3})):
        path = f"/deals/1/index/{path}"  # noqa: PLW2901
        found = lab.ask("POST", path, json=body).json()["data"]
        assert all(row["source"]["signed_url"] is None for row in found)
        assert lab.sandbox.requests[-1].verdict == "ok"
        signed = lab.ask("POST", path, json={**body, "include_signed_urls": True}).json()["data"]
        assert all(row["source"]["signed_url"] for row in signed)
        assert lab.sandbox.requests[-1].verdict == "unsuitable"


def test_index_search(lab: Lab) -> None:
    path = "/deals/1/index/search"

    def search(**body: Json) -> Json:
        return lab.ask("POST", path, json=body)

    found = search(context="What is the NOI?", min_score=0).json()["data"]
    assert sorted(row["id"] for row in found) == sorted(
        row["id"] for row in lab.sandbox.rows("index_facts", parent=1)
    )
    scores = [row["score"] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert search(context="What is the NOI?", min_score=0, limit=2).json()["data"] == found[:2]
    assert search(context="Something else", min_score=0).json()["data"] != found
    middle = scores[len(scores) // 2]
    kept = search(context="What is the NOI?", min_score=middle).json()["data"]
    assert [row["score"] for row in kept] == [score for score in scores if score >= middle]
    for body in ({}, {"context": " "}, {"context": "x" * 4001}, {"context": "x", "min_score": 2}):
        assert search(**body).status_code == 422
    assert search().json()["error"]["message"] == "context must not be blank"
    assert lab.ask("POST", path, data="{").status_code == 400


def test_index_observations(lab: Lab) -> None:
    path = "/deals/1/index/observations"
    fact = lab.sandbox.rows("index_facts", parent=1)[0]
    found = lab.ask("POST", path, json={"sot_id": fact["id"], "limit": 200}).json()["data"]
    assert found
    assert {row["metric_id"] for row in found} == {fact["metric_id"]}
    assert {row["entity_ref"] for row in found} == {fact["entity_ref"]}
    assert lab.ask("POST", path, json={"sot_id": "d:999999"}).json()["data"] == []
    response = lab.ask("POST", path, json={})
    assert response.status_code == 422
    said = response.json()["error"]["message"]
    assert said == "Provide at least one of sot_id or metric_id"


def test_rows_that_cannot_be_seen_are_not_found(lab: Lab) -> None:
    sheet = lab.sandbox.rows("term_sheets", parents=True)[0]
    deal, other = sheet["deal_id"], sheet["deal_id"] + 1
    path = f"/deals/{deal}/term-sheets/{sheet['id']}"
    assert lab.get(path).status_code == 200
    assert lab.get(f"/deals/{other}/term-sheets/{sheet['id']}").status_code == 404
    lab.sandbox.hide("deals", deal)
    for gone in (path, f"/deals/{deal}", f"/deals/{deal}/notes", f"/deals/{deal}/financials",
                 f"/deals/{deal}/index/metric-definitions"):  # fmt: skip
        assert lab.get(gone).status_code == 404, gone
    assert deal not in [row["id"] for row in lab.data("/deals")]
    lab.sandbox.show("deals", deal)
    assert lab.get(path).status_code == 200
    lab.sandbox.remove("deals", deal)
    assert lab.get(path).status_code == 404
    assert lab.get("/deals/abc").status_code == 422


def test_unconnected_contacts_are_not_listed(lab: Lab) -> None:
    lab.sandbox.update("contacts", 4, is_connected=False)
    assert 4 not in [row["id"] for row in lab.data("/contacts")]
    assert lab.data("/contacts/4")["is_connected"] is False
    lab.sandbox.update("contacts", 4, is_connected=True)
    assert 4 in [row["id"] for row in lab.data("/contacts")]


def test_the_log(lab: Lab) -> None:
    lab.get("/deals", limit=3, include="team")
    lab.get("/deals/5/notes")
    first, second = lab.sandbox.requests
    assert (first.number, second.number) == (1, 2)
    assert first.query == [("limit", "3"), ("include", "team")]
    assert (first.route, first.path, first.rows, first.status) == ("/deals", "/deals", 3, 200)
    assert second.route == "/deals/{deal_id}/notes"
    assert first.origin_app == "lab"
    assert first.authorized is True
    assert first.request_id != second.request_id
    counters = lab.sandbox.counters()
    assert counters["routes"] == {"GET /deals": 1, "GET /deals/{deal_id}/notes": 1}
    assert counters["statuses"] == {"200": 2}


def test_the_request_id_is_the_one_answered(lab: Lab) -> None:
    for path in ("/deals", "/deals/999", "/nothing"):
        assert lab.get(path).json()["request_id"] == lab.sandbox.requests[-1].request_id


def test_the_key_is_nowhere_in_the_log(lab: Lab) -> None:
    lab.get("/deals")
    lab.ask("POST", "/auth/validate-api-key", json={"api_key": lab.sandbox.key})
    assert lab.sandbox.key not in repr([entry.as_dict() for entry in lab.sandbox.requests])


def test_a_hook_changes_rows_behind_the_walk(lab: Lab) -> None:
    seen = []

    def change(request: Json) -> None:
        seen.append(request.params.get("cursor"))
        if len(seen) == 3:
            lab.sandbox.update("contacts", 2, title="Behind the walk")

    unhook = lab.sandbox.on_request(change)
    pages = list(lab.walk("/contacts", limit=5))
    assert len(seen) == 5
    row = pages[0]["data"][1]
    assert row["title"] != "Behind the walk"
    unhook()
    again = lab.data("/contacts", filter__updated_at__gte=pages[0]["timestamp"])
    assert [each["id"] for each in again] == [2]
    assert len(seen) == 5


def test_every_route_has_a_scope_or_needs_none() -> None:
    free = {"/health", "/auth/validate-api-key", "/api-keys"}
    assert {route.path for route in ROUTES if route.scope is None} == free
