"""Rows that go wrong each time they are asked for, and their cure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox.poison import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.lab import Json, Lab


def _busy_deal(lab: Lab) -> int:
    """Return a deal that has a row in each list below it."""
    for name in ("vaults", "documents", "memos", "deal_notes", "deal_team", "term_sheets"):
        lab.sandbox.add(name, parent=3)
        lab.sandbox.add(name, parent=3)
    return 3


@pytest.mark.parametrize("kind", ["500", "500_always"])
def test_a_row_that_fails_its_page(lab: Lab, kind: str) -> None:
    def pages(**params: Json) -> list[int]:
        cursors = [None, *(page["pagination"]["next_cursor"] for page in walked[:-1])]
        return [
            lab.get("/contacts", limit=5, cursor=cursor, **params).status_code for cursor in cursors
        ]

    walked = list(lab.walk("/contacts", limit=5))
    lab.sandbox.poison("contacts", 12, kind)
    assert pages() == [200, 200, 500, 200, 200]
    assert pages(fields="id,email") == [200, 200, 500, 200, 200]
    ids = 200 if kind == "500" else 500
    assert pages(fields="id") == [200, 200, ids, 200, 200]
    assert lab.get("/contacts", limit=5, cursor=walked[2]["pagination"]["next_cursor"]).ok
    assert [lab.get(f"/contacts/{number}").status_code for number in (11, 12, 13)] == [
        200, 500, 200,
    ]  # fmt: skip
    assert lab.get("/contacts/12").json()["error"]["type"] == "internal_error"
    bound = lab.sandbox.row("contacts", 12)["updated_at"]
    assert lab.get("/contacts", filter__updated_at__gte=bound).status_code == 500
    lab.sandbox.update("contacts", 12, updated_at="2020-01-01")
    assert lab.get("/contacts", filter__updated_at__gte=bound).status_code == 200
    assert lab.sandbox.row("contacts", 12)["id"] == 12
    lab.sandbox.cure("contacts", 12)
    assert pages() == [200] * 5
    assert lab.get("/contacts/12").status_code == 200


def test_rows_below_others_that_fail(lab: Lab) -> None:
    deal = _busy_deal(lab)
    note = lab.sandbox.rows("deal_notes", parent=deal)[0]["id"]
    lab.sandbox.poison("deal_notes", note, "500")
    assert lab.get(f"/deals/{deal}/notes").status_code == 500
    assert lab.get(f"/deals/{deal}/notes", fields="id").status_code == 500
    assert lab.get(f"/deals/{deal + 1}/notes").status_code == 200
    financials = lab.sandbox.rows("deal_financials")[0]
    lab.sandbox.poison("deal_financials", financials["id"], "500")
    assert lab.get(f"/deals/{financials['deal_id']}/financials").status_code == 500
    fact = lab.sandbox.rows("index_facts", parent=deal)[0]
    lab.sandbox.poison("index_facts", fact["id"], "500")
    search, seen = f"/deals/{deal}/index/search", f"/deals/{deal}/index/observations"
    body = {"context": "noi", "min_score": 0, "limit": 200}
    assert lab.ask("POST", search, json=body).status_code == 500
    observation = lab.sandbox.rows("index_observations", parent=deal)[0]
    body = {"metric_id": observation["metric_id"]}
    assert lab.ask("POST", seen, json=body).status_code == 200
    lab.sandbox.poison("index_observations", observation["id"], "500")
    assert lab.ask("POST", seen, json=body).status_code == 500
    lab.sandbox.cure()
    assert lab.ask("POST", seen, json=body).status_code == 200
    assert lab.get(f"/deals/{deal}/notes").status_code == 200


def test_a_row_without_its_key(lab: Lab) -> None:
    before = lab.data("/contacts")
    lab.sandbox.poison("contacts", 12, "no_key")
    rows = lab.data("/contacts")
    assert rows == [
        {k: v for k, v in row.items() if k != "id"} if row["id"] == 12 else row for row in before
    ]
    assert "id" not in lab.data("/contacts/12")
    assert lab.data("/contacts", fields="id,email")[11].keys() == {"email"}
    assert lab.sandbox.rows("contacts") == before
    lab.sandbox.cure("contacts", 12, "no_key")
    assert lab.data("/contacts") == before


def test_other_keys_and_embedded_rows(lab: Lab) -> None:
    deal = _busy_deal(lab)
    memo = lab.sandbox.rows("memos", parent=deal)[0]
    lab.sandbox.poison("memos", memo["uuid"], "no_key")
    assert "uuid" not in lab.data(f"/deals/{deal}/memos")[0]
    member = lab.sandbox.rows("deal_team", parent=deal)[0]
    lab.sandbox.poison("deal_team", member["id"], "no_key")
    assert "id" not in lab.data("/deals", include="team")[deal - 1]["team"][0]
    assert "id" not in lab.data(f"/deals/{deal}/team")[0]
    row = lab.sandbox.rows("deal_pipelines", parents=True)[0]
    lab.sandbox.poison("deal_pipelines", 1, "no_key")
    stages = lab.data(f"/deals/{row['deal_id']}", include="pipelines")["pipelines"]
    assert "pipeline_id" not in stages[0]
    lab.sandbox.poison("base_rates", "Prime Rate", "no_key")
    lab.sandbox.switch(data_shape={"base_rates": "object"})
    assert sum("code" not in row for row in lab.data("/market/base-rates").values()) == 1


def test_half_of_an_emoji(lab: Lab) -> None:
    before = lab.sandbox.rows("contacts")
    lab.sandbox.poison("contacts", 12, "surrogate")
    response = lab.get("/contacts")
    assert response.content.count(rb'"title":"' + before[11]["title"].encode() + rb' \ud83d"') == 1
    rows = json.loads(response.content)["data"]
    assert rows[11]["title"] == f"{before[11]['title']} \ud83d"
    assert [row for row in rows if row["id"] != 12] == [row for row in before if row["id"] != 12]
    assert lab.get("/contacts/12").content.count(rb"\ud83d") == 1
    assert rb"\ud83d" not in lab.get("/contacts", fields="id,email").content
    assert lab.sandbox.rows("contacts") == before
    lab.sandbox.update("contacts", 12, title=None)
    assert json.loads(lab.get("/contacts/12").content)["data"]["title"] == "Half \ud83d"
    lab.sandbox.cure("contacts", 12)
    assert rb"\ud83d" not in lab.get("/contacts").content


def test_half_of_an_emoji_in_what_is_put_together(lab: Lab) -> None:
    lab.sandbox.poison("pipelines", 1, "surrogate")
    lab.sandbox.switch(data_shape={"pipelines": "object"})
    assert rb"\ud83d" in lab.get("/pipelines").content
    program = lab.sandbox.rows("lender_programs", parents=True)[0]
    lab.sandbox.poison("lender_programs", program["id"], "surrogate")
    assert rb"\ud83d" in lab.get(f"/lenders/{program['org_id']}").content
    fact = lab.sandbox.rows("index_facts", parent=1)[0]
    lab.sandbox.poison("index_facts", fact["id"], "surrogate")
    body = {"context": "noi", "min_score": 0, "limit": 200}
    assert rb"\ud83d" in lab.ask("POST", "/deals/1/index/search", json=body).content


CHILDREN = (
    "notes", "financials", "team", "properties", "vaults", "documents", "memos", "term-sheets",
    "checklists", "index/metric-definitions", "index/entities",
)  # fmt: skip


@pytest.mark.parametrize("status", [None, 402, 403, 409, 422, 423, 451, 500])
def test_a_parent_whose_children_are_refused(lab: Lab, status: int | None) -> None:
    lab.sandbox.poison("deals", 3, "no_children", status)
    for name in CHILDREN:
        response = lab.get(f"/deals/3/{name}")
        assert response.status_code == (status or 403)
        assert response.json()["error"]["status"] == (status or 403)
        assert lab.get(f"/deals/4/{name}").status_code in {200, 404}
    body = {"context": "noi"}
    assert lab.ask("POST", "/deals/3/index/search", json=body).status_code == (status or 403)
    assert lab.get("/deals/3").status_code == 200
    assert len(lab.data("/deals", include="team")) == 12
    lab.sandbox.switch(error_form="B")
    assert "code" in lab.get("/deals/3/notes").json()["error"]
    lab.sandbox.cure("deals", 3)
    assert lab.get("/deals/3/notes").status_code == 200


@pytest.mark.parametrize(
    ("resource", "path"),
    [("contacts", "/contacts/3/notes"), ("companies", "/companies/3/notes"),
     ("placements", "/placements/3/notes"), ("checklist_tasks", "/checklist-tasks/3/notes"),
     ("lenders", "/lenders/3/programs")],
)  # fmt: skip
def test_every_kind_of_parent_can_refuse(lab: Lab, resource: str, path: str) -> None:
    assert lab.get(path).status_code == 200
    lab.sandbox.poison(resource, 3, "no_children", 423)
    assert lab.get(path).status_code == 423
    assert lab.get(path.replace("3", "4")).status_code == 200


def test_a_parent_whose_children_are_null(lab: Lab) -> None:
    lab.sandbox.poison("deals", 3, "null_children")
    for name in CHILDREN:
        body = lab.get(f"/deals/3/{name}").json()
        assert body["data"] is None
        assert "pagination" not in body
    assert lab.data("/deals/4/team") == lab.sandbox.rows("deal_team", parent=4)
    lab.sandbox.remove("deals", 3)
    assert lab.get("/deals/3/notes").status_code == 404


def test_a_child_without_its_key(lab: Lab) -> None:
    deal = _busy_deal(lab)
    paths = {"notes": "id", "team": "id", "memos": "uuid", "documents": "id", "vaults": "id"}
    before = {path: lab.data(f"/deals/{deal}/{path}") for path in paths}
    lab.sandbox.poison("deals", deal, "keyless_child")
    for path, key in paths.items():
        rows = lab.data(f"/deals/{deal}/{path}")
        assert key not in rows[0]
        assert rows[0].items() < before[path][0].items()
        assert rows[1:] == before[path][1:] != []
    following = lab.data(f"/deals/{deal}/documents", limit=1, offset=1)
    assert following == before["documents"][1:2]
    with_some = lab.sandbox.rows("deal_financials")[0]["deal_id"]
    lab.sandbox.poison("deals", with_some, "keyless_child")
    assert "id" not in lab.data(f"/deals/{with_some}/financials")
    assert lab.data(f"/deals/{deal + 1}/notes") == lab.sandbox.rows("deal_notes", parent=deal + 1)
    assert lab.sandbox.rows("deal_notes", parent=deal) == before["notes"]


def test_a_child_without_its_key_where_there_is_none(serve: Callable[..., Lab]) -> None:
    lab = serve(deal_notes=0, deal_financials=0)
    lab.sandbox.poison("deals", 1, "keyless_child")
    assert lab.data("/deals/1/notes") == []
    assert lab.data("/deals/1/financials") is None


def test_poison_over_http(lab: Lab) -> None:
    assert lab.control("POST", "/rows/contacts/3/poison", kind="500").json() == {"done": True}
    lab.control("POST", "/rows/contacts/4/poison", kind="no_children", status=451)
    assert lab.get("/contacts").status_code == 500
    assert lab.get("/contacts/4/notes").status_code == 451
    lab.control("POST", "/rows/contacts/3/cure")
    assert lab.get("/contacts").status_code == 200
    assert lab.get("/contacts/4/notes").status_code == 451
    lab.control("POST", "/rows/contacts/4/cure", kind="no_key")
    assert lab.get("/contacts/4/notes").status_code == 451
    lab.control("POST", "/reset")
    assert lab.get("/contacts/4/notes").status_code == 200
    assert not lab.sandbox.poisons


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("contacts/3", {"kind": "arsenic"}, 400, "There is no poison 'arsenic'; there are: 500,"),
        ("contacts/3", {}, 400, "There is no poison None"),
        ("contacts/99", {"kind": "500"}, 404, "There is no row 99 among contacts."),
        ("contacts/3", {"kind": "500", "status": 503}, 400, "A poison '500' has no status."),
        ("deals/3", {"kind": "no_children", "status": 200}, 400, "`status` is between 400 and 599"),
        ("checklists/1", {"kind": "surrogate"}, 400, "Rows of checklists have no text."),
    ],
)
def test_a_wrong_poison_is_one_clear_error(
    lab: Lab, path: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    response = lab.control("POST", f"/rows/{path}/poison", **body)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    assert not lab.sandbox.poisons


def test_several_poisons_of_one_row(lab: Lab) -> None:
    lab.sandbox.poison("contacts", 12, "no_key")
    lab.sandbox.poison("contacts", 12, "surrogate")
    row = json.loads(lab.get("/contacts").content)["data"][11]
    assert "id" not in row
    assert row["title"].endswith("\ud83d")
    lab.sandbox.cure("contacts", 12, "surrogate")
    assert list(lab.sandbox.poisons["contacts"][12]) == ["no_key"]
    assert set(KINDS) >= {"no_key", "surrogate"}
