"""The control API, and the same from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from lev_sandbox import RESOURCES, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.lab import Lab


def test_updates(lab: Lab) -> None:
    before = lab.sandbox.timestamp()
    row = lab.control("PATCH", "/rows/contacts/7", title="Partner").json()
    assert row["title"] == "Partner"
    assert before <= row["updated_at"] <= lab.sandbox.timestamp()
    assert lab.data("/contacts/7") == row == lab.sandbox.row("contacts", 7)
    row = lab.sandbox.update("contacts", 7, updated_at="2024-05-05T10:00:00+02:00")
    assert row["updated_at"] == "2024-05-05T08:00:00Z"
    assert lab.sandbox.update("contacts", 7, updated_at=None)["updated_at"] is None


def test_moments_can_be_chosen(lab: Lab) -> None:
    """A row that was created long before it changed is what proves a filter."""
    old, new = "2021-02-03T04:05:06Z", "2026-05-05T10:00:00Z"
    row = lab.sandbox.update("contacts", 7, created_at=old, updated_at=new)
    assert (row["created_at"], row["updated_at"]) == (old, new)
    assert lab.sandbox.update("contacts", 7, created_at=new)["updated_at"] > new
    row = lab.control("POST", "/rows/deals", created_at=old, updated_at=new).json()
    assert (row["created_at"], row["updated_at"]) == (old, new)
    found = lab.data("/deals", filter__updated_at__gte=new)
    assert [each["id"] for each in found] == [row["id"]]
    assert lab.data("/deals", filter__created_at__lte=old) == [row]


def test_additions(lab: Lab) -> None:
    row = lab.control("POST", "/rows/deals", title="Quay Works").json()
    assert (row["id"], row["title"], row["archived"]) == (13, "Quay Works", False)
    assert row["created_at"] == row["updated_at"]
    assert lab.data("/deals/13") == row
    assert lab.data("/deals/13/notes") == []
    note = lab.control("POST", "/rows/deal_notes", parent=13, text="Hello").json()
    assert lab.data("/deals/13/notes") == [note]
    sheet = lab.sandbox.add("term_sheets", parent=3, title="New")
    assert sheet["deal_id"] == 3
    assert sheet["id"] == lab.sandbox.rows("term_sheets")[-1]["id"]
    assert lab.data(f"/deals/3/term-sheets/{sheet['id']}")["title"] == "New"
    assert lab.sandbox.rows("term_sheets", parents=True)[-1]["deal_id"] == 3


@pytest.mark.parametrize("name", RESOURCES)
def test_a_row_can_be_added_to_every_resource(lab: Lab, name: str) -> None:
    parent = RESOURCES[name].parent
    number = None if parent is None else 1
    before = lab.sandbox.rows(name)
    lab.sandbox.add(name, parent=number)
    after = lab.sandbox.rows(name, parents=True)
    assert len(after) == len(before) + 1
    if parent:
        assert after[-1][RESOURCES[name].parent_key] == 1


@pytest.mark.parametrize("name", RESOURCES)
def test_children_of_an_added_parent(lab: Lab, name: str) -> None:
    parent = RESOURCES[name].parent
    if parent is None:
        return
    above = RESOURCES[parent].parent
    if above:
        lab.sandbox.add(parent, parent=1)
        number = max(row["id"] for row in lab.sandbox.rows(parent))
    else:
        number = lab.sandbox.add(parent)["id"]
    if name in {"documents", "checklists"}:
        with pytest.raises(ValueError, match="has no vault"):
            lab.sandbox.add(name, parent=number)
        lab.sandbox.add("vaults", parent=number)
    lab.sandbox.add(name, parent=number)
    assert len(lab.sandbox.rows(name, parent=number)) == 1


def test_removals_and_archives(lab: Lab) -> None:
    assert lab.control("DELETE", "/rows/contacts/3").json() == {"removed": True}
    assert lab.get("/contacts/3").status_code == 404
    assert lab.sandbox.count("contacts") == 24
    assert lab.control("POST", "/rows/deals/2/archive").json()["archived"] is True
    assert lab.control("POST", "/rows/placements/2/archive").json()["status"] == "archived"
    assert lab.control("POST", "/rows/contacts/2/archive").status_code == 400
    lab.control("POST", "/rows/contacts/5/hide")
    assert lab.get("/contacts/5").status_code == 404
    lab.control("POST", "/rows/contacts/5/show")
    assert lab.get("/contacts/5").status_code == 200
    assert lab.control("POST", "/rows/contacts/5/dance").status_code == 404


def test_keys_that_are_no_numbers(lab: Lab) -> None:
    memo = lab.sandbox.rows("memos")[0]
    assert lab.sandbox.update("memos", memo["uuid"], title="OM")["uuid"] == memo["uuid"]
    assert (
        lab.control("PATCH", f"/rows/memos/{memo['uuid']}", title="OM 2").json()["title"] == "OM 2"
    )
    assert lab.sandbox.update("base_rates", "Prime Rate", rate=7.25)["rate"] == 7.25
    assert lab.sandbox.update("account_team", 1203, role="admin")["user_id"] == 1203


def test_touch(lab: Lab) -> None:
    before = lab.sandbox.rows("contacts")
    rows = lab.control("POST", "/touch", resource="contacts", count=5, seed=3).json()["rows"]
    changed = [
        row for row, old in zip(lab.sandbox.rows("contacts"), before, strict=True) if row != old
    ]
    assert changed == rows
    assert len(rows) == 5
    ids = [row["id"] for row in rows]
    lab.sandbox.reset()
    assert [row["id"] for row in lab.sandbox.touch("contacts", 5, seed=3)] == ids
    assert [row["id"] for row in lab.sandbox.touch("contacts", ids=[4, 9])] == [4, 9]
    titles = [row["title"] for row in lab.sandbox.touch("contacts", ids=[4])]
    assert titles != [row["title"] for row in lab.sandbox.touch("contacts", ids=[4])]


def test_switches_and_faults(lab: Lab) -> None:
    lab.control("PATCH", "/switches", error_form="B", updated_at_filter={"deals": "422"})
    assert lab.get("/deals", filter__updated_at__gte="2024-01-01").status_code == 422
    said = lab.control("GET", "/switches").json()["switches"]["error_form"]
    assert said == {"value": "B", "default": "A", "values": "A, B, C"}
    lab.control("DELETE", "/switches")
    assert lab.get("/deals", filter__updated_at__gte="2024-01-01").status_code == 200
    lab.control("POST", "/faults", kind="status", status=503, times=None)
    assert lab.get("/deals").status_code == 503
    fault = lab.control("GET", "/faults").json()["faults"][0]
    assert (fault["kind"], fault["seen"], fault["applied"]) == ("status", 1, 1)
    lab.control("DELETE", "/faults")
    assert lab.get("/deals").status_code == 200
    assert lab.control("POST", "/release").json() == {"released": True}


def test_the_clock(serve: Callable[..., Lab]) -> None:
    lab = serve(clock=Clock("2026-03-01T12:00:00Z", frozen=True))
    assert lab.control("POST", "/clock", advance=90).json()["timestamp"] == "2026-03-01T12:01:30Z"
    said = lab.control("POST", "/clock", set="2027-01-01T00:00:00Z").json()
    assert said == {"timestamp": "2027-01-01T00:00:00Z", "frozen": True, "elapsed": 90.0}
    assert lab.control("POST", "/clock", frozen=False).json()["frozen"] is False
    assert lab.control("POST", "/clock", advance=-1).status_code == 400
    assert lab.control("POST", "/clock", rewind=1).status_code == 400


def test_limits_requests_and_counters(lab: Lab) -> None:
    said = lab.control("PATCH", "/limits", tier="free", endpoint=1).json()
    assert said == {"tier": "free", "window": 60.0, "mode": "sliding", "account": 30, "endpoint": 1}
    assert [lab.get("/deals").status_code for _ in range(2)] == [200, 429]
    lab.ask("POST", "/deals")
    found = requests.get(f"{lab.server.control_url}/requests?status=429", timeout=5).json()
    assert [entry["number"] for entry in found["requests"]] == [2]
    found = requests.get(f"{lab.server.control_url}/requests?verdict=violation", timeout=5).json()
    assert [entry["route"] for entry in found["requests"]] == ["/deals"]
    found = requests.get(f"{lab.server.control_url}/requests?after=2", timeout=5).json()
    assert [entry["origin_app"] for entry in found["requests"]] == ["lab"]
    assert lab.control("GET", "/counters").json()["statuses"] == {"200": 1, "429": 1, "405": 1}
    lab.control("DELETE", "/requests")
    assert lab.sandbox.counters()["requests"] == 0
    assert lab.control("GET", "").json()["sizes"]["contacts"] == 25


def test_tables(lab: Lab) -> None:
    found = lab.control("GET", "/rows/contacts").json()["rows"]
    assert found == [row for page in lab.walk("/contacts", limit=200) for row in page["data"]]
    url = f"{lab.server.control_url}/rows/checklist_tasks?parents=1"
    tasks = requests.get(url, timeout=5).json()["rows"]
    assert {"deal_id", "checklist_id", "section_id", "parent_task_id"} <= tasks[0].keys()
    assert not {"section_id", "parent_task_id"} & lab.sandbox.rows("checklist_tasks")[0].keys()
    tree = lab.data(f"/deals/{tasks[0]['deal_id']}/checklists")
    flat: dict[int, tuple[Any, ...]] = {}
    for checklist in tree:
        places = [(s["id"], s["tasks"]) for s in checklist["sections"]]
        for section, listed in [*places, (None, checklist["tasks"])]:
            for task in listed:
                flat[task["id"]] = (checklist["id"], section, None)
                for below in task["subtasks"]:
                    flat[below["id"]] = (checklist["id"], section, task["id"])
    ours = [task for task in tasks if task["deal_id"] == tasks[0]["deal_id"]]
    assert flat == {
        task["id"]: (task["checklist_id"], task["section_id"], task["parent_task_id"])
        for task in ours
    }


def test_reset(lab: Lab) -> None:
    before = lab.sandbox.rows("contacts")
    lab.sandbox.update("contacts", 1, title="x")
    lab.sandbox.switch(error_form="C")
    lab.sandbox.fault("reset")
    lab.control("POST", "/reset")
    assert lab.sandbox.rows("contacts") == before
    assert lab.sandbox.switches["error_form"] == "A"
    assert not lab.sandbox.faults
    assert lab.sandbox.counters()["requests"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("PATCH", "/rows/contacts/7", {"titel": 1}, 400, "has no field 'titel'"),
        ("PATCH", "/rows/contacts/7", {"id": 8}, 400, "cannot be chosen"),
        ("PATCH", "/rows/contacts/7", {"updated_at": "soon"}, 400, "'soon' is not an ISO 8601"),
        ("PATCH", "/rows/contacts/70", {"title": "x"}, 404, "There is no row 70 among contacts."),
        ("PATCH", "/rows/people/7", {"title": "x"}, 404, "There is no resource 'people'"),
        ("POST", "/rows/deal_notes", {"text": "x"}, 400, "A row of deal_notes needs a deal_id."),
        ("POST", "/rows/deal_notes", {"parent": 99}, 404, "There is no row 99 among deals."),
        ("POST", "/rows/contacts", {"parent": 1}, 400, "A row of contacts has no parent."),
        ("PATCH", "/switches", {"colour": 1}, 400, "There is no switch 'colour'"),
        ("POST", "/faults", {"kind": "explode"}, 400, "There is no fault 'explode'"),
        ("PATCH", "/limits", {"tier": "gold"}, 400, "tier cannot be 'gold'"),
        ("POST", "/touch", {"resource": "checklists"}, 400, "have no text to touch"),
        ("GET", "/nothing", {}, 404, "The control API has no GET /_sandbox/nothing."),
        ("PUT", "/clock", {}, 405, "The control API has no PUT /_sandbox/clock."),
        ("POST", "/touch", {"count": 1}, 404, "There is no resource None"),
    ],
)
def test_wrong_orders_are_one_clear_error(  # noqa: PLR0913, PLR0917
    lab: Lab, method: str, path: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    response = lab.control(method, path, **body)
    assert response.status_code == status
    said = response.json()["error"]
    assert sentence in said
    assert "\n" not in said
    assert lab.sandbox.counters()["requests"] == 0


def test_bodies_that_are_no_objects(lab: Lab) -> None:
    for text in ("{", "[1]"):
        url = f"{lab.server.control_url}/switches"
        assert requests.patch(url, data=text, timeout=5).status_code == 400
