"""Filters, search, `fields` and `include`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.lab import Lab

PATHS = {
    "deals": "/deals", "contacts": "/contacts", "companies": "/companies",
    "placements": "/placements", "lenders": "/lenders/directory",
}  # fmt: skip


def _expected(lab: Lab, name: str, test: Callable[[dict[str, Any]], bool]) -> list[int]:
    return [row["id"] for row in lab.sandbox.rows(name) if test(row)]


def _ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize("name", PATHS)
def test_the_updated_at_filter(lab: Lab, name: str) -> None:
    moments = sorted(row["updated_at"] for row in lab.sandbox.rows(name))
    bound = moments[len(moments) // 2]
    tests: dict[str, Callable[[str], bool]] = {
        "gte": lambda moment: moment >= bound,
        "gt": lambda moment: moment > bound,
        "lte": lambda moment: moment <= bound,
        "lt": lambda moment: moment < bound,
    }
    for operator, test in tests.items():
        found = lab.data(PATHS[name], **{f"filter__updated_at__{operator}": bound})
        wanted = _expected(lab, name, lambda row, test=test: test(row["updated_at"]))
        assert _ids(found) == wanted
        assert 0 < len(wanted) < len(moments)
    assert len(lab.data(PATHS[name], filter__updated_at=bound)) == 1


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("answer", ["400", "422", "ignored"])
def test_switch_updated_at_filter(lab: Lab, name: str, answer: str) -> None:
    lab.sandbox.switch(updated_at_filter={name: answer})
    for each, path in PATHS.items():
        response = lab.get(path, filter__updated_at__gte="2100-01-01T00:00:00Z")
        if each != name:
            assert response.json()["data"] == []
        elif answer == "ignored":
            assert len(response.json()["data"]) == lab.sandbox.count(name)
        else:
            assert response.status_code == int(answer)


DAY = "2026-05-0"
READINGS: dict[str, tuple[str, ...]] = {
    "honoured": (f"{DAY}3T10:00:00Z", f"{DAY}3T10:00:01Z", f"{DAY}3T14:59:59Z",
                 f"{DAY}3T15:00:00Z", f"{DAY}4T00:00:00Z"),
    "none": (),
    "equals": (f"{DAY}3T10:00:00Z",),
    "created_at": (f"{DAY}3T04:59:59Z",),
    "local_time": (f"{DAY}3T15:00:00Z", f"{DAY}4T00:00:00Z"),
    "local_time_east": (f"{DAY}3T05:00:00Z", f"{DAY}3T10:00:00Z", f"{DAY}3T10:00:01Z",
                        f"{DAY}3T14:59:59Z", f"{DAY}3T15:00:00Z", f"{DAY}4T00:00:00Z"),
    "whole_days": (f"{DAY}4T00:00:00Z",),
    "whole_days_from": (f"{DAY}3T00:00:00Z", f"{DAY}3T04:59:59Z", f"{DAY}3T05:00:00Z",
                        f"{DAY}3T10:00:00Z", f"{DAY}3T10:00:01Z", f"{DAY}3T14:59:59Z",
                        f"{DAY}3T15:00:00Z", f"{DAY}4T00:00:00Z"),
    "gt": (f"{DAY}3T10:00:01Z", f"{DAY}3T14:59:59Z", f"{DAY}3T15:00:00Z",
           f"{DAY}4T00:00:00Z"),
}  # fmt: skip
"""The `updated_at` of the rows that `gte` 3 May 2026, 10:00 brings, as each server takes it."""


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("reading", READINGS)
def test_how_the_updated_at_filter_is_taken(lab: Lab, name: str, reading: str) -> None:
    moments = (
        f"{DAY}2T23:59:59Z", f"{DAY}3T00:00:00Z", f"{DAY}3T04:59:59Z", f"{DAY}3T05:00:00Z",
        f"{DAY}3T10:00:00Z", f"{DAY}3T10:00:01Z", f"{DAY}3T14:59:59Z", f"{DAY}3T15:00:00Z",
        f"{DAY}4T00:00:00Z",
    )  # fmt: skip
    for key, moment in enumerate(moments, 1):
        lab.sandbox.update(name, key, updated_at=moment, created_at="2026-01-01T00:00:00Z")
    lab.sandbox.update(name, 3, updated_at=moments[2], created_at=f"{DAY}3T10:00:00Z")
    lab.sandbox.switch(updated_at_filter={name: reading})
    found = lab.data(PATHS[name], filter__updated_at__gte=f"{DAY}3T10:00:00Z")
    assert tuple(row["updated_at"] for row in found) == READINGS[reading]


@pytest.mark.parametrize(
    ("reading", "operator", "count"),
    [
        ("whole_days", "gt", 1), ("whole_days", "lte", 8), ("whole_days", "lt", 5),
        ("whole_days_from", "gt", 1), ("whole_days_from", "lte", 8), ("whole_days_from", "lt", 5),
        ("gt", "lte", 7), ("none", "lt", 0), ("equals", "lt", 1), ("local_time", "lt", 8),
        ("local_time_east", "gt", 3), ("whole_days", "eq", 1),
    ],
)  # fmt: skip
def test_how_other_comparisons_are_taken(lab: Lab, reading: str, operator: str, count: int) -> None:
    for key, hour in enumerate(("2T20", "3T00", "3T10", "3T11", "4T00"), 1):
        lab.sandbox.update("lenders", key, updated_at=f"{DAY}{hour}:00:00Z")
    for key in range(6, 10):
        lab.sandbox.update("lenders", key, updated_at="2026-01-01T00:00:00Z")
    for key in range(10, 13):
        lab.sandbox.update("lenders", key, updated_at=None)
    lab.sandbox.switch(updated_at_filter={"lenders": reading})
    name = "filter__updated_at" + (f"__{operator}" if operator != "eq" else "")
    assert len(lab.data("/lenders/directory", **{name: f"{DAY}3T10:00:00Z"})) == count


def test_a_filter_that_is_refused_with_a_cursor(lab: Lab) -> None:
    lab.sandbox.switch(updated_at_filter={"contacts": "refused_with_cursor"})
    bound = {"filter__updated_at__gte": lab.sandbox.row("contacts", 3)["updated_at"], "limit": 1}
    first = lab.get("/contacts", **bound).json()
    assert first["data"][0]["updated_at"] >= bound["filter__updated_at__gte"]
    cursor = first["pagination"]["next_cursor"]
    assert cursor
    assert lab.get("/contacts", **bound, cursor=cursor).status_code == 400
    assert lab.get("/contacts", limit=1, cursor=cursor).status_code == 200
    lab.sandbox.switch(updated_at_filter="honoured")
    assert lab.get("/contacts", **bound, cursor=cursor).status_code == 200


@pytest.mark.parametrize("path", ["/contacts", "/deals"])
def test_switch_filtered_total(lab: Lab, path: str) -> None:
    name = path[1:]
    bound = sorted(row["updated_at"] for row in lab.sandbox.rows(name))[-4]

    def total(**params: str) -> int:
        said: int = lab.get(path, **params, limit=2).json()["pagination"]["total"]
        return said

    assert total(filter__updated_at__gte=bound) == 4
    lab.sandbox.switch(filtered_total="all")
    assert total(filter__updated_at__gte=bound) == total() == lab.sandbox.count(name)
    pages = list(lab.walk(path, filter__updated_at__gte=bound, limit=2))
    assert [len(page["data"]) for page in pages] == [2, 2]


def test_a_changed_row_passes_the_filter(lab: Lab) -> None:
    now = lab.sandbox.timestamp()
    assert lab.data("/contacts", filter__updated_at__gte=now) == []
    lab.sandbox.update("contacts", 7, title="Partner")
    assert _ids(lab.data("/contacts", filter__updated_at__gte=now)) == [7]
    lab.sandbox.update("contacts", 7, updated_at=None)
    assert lab.data("/contacts", filter__updated_at__gte=now) == []
    assert len(lab.data("/contacts", filter__updated_at__gte="2000-01-01")) == 24
    assert len(lab.data("/contacts", filter__updated_at__lte="2100-01-01")) == 24


def test_filters_agree_with_what_is_shown(lab: Lab) -> None:
    lab.sandbox.update("contacts", 7, updated_at="2026-01-01T10:00:00.7Z")
    assert lab.data("/contacts/7")["updated_at"] == "2026-01-01T10:00:00Z"
    gte = "filter__updated_at__gte"
    assert lab.data("/contacts", **{gte: "2026-01-01T10:00:00.5Z"}) == []
    lab.sandbox.switch(timestamp_fractions=True)
    assert lab.data("/contacts/7")["updated_at"] == "2026-01-01T10:00:00.700000Z"
    assert _ids(lab.data("/contacts", **{gte: "2026-01-01T10:00:00.5Z"})) == [7]
    assert _ids(lab.data("/contacts", **{gte: "2026-01-01T11:00:00.5+01:00"})) == [7]


def test_a_bad_filter_value_is_refused(lab: Lab) -> None:
    assert lab.get("/deals", filter__updated_at__gte="yesterday").status_code == 400
    assert lab.get("/deals", filter__archived="maybe").status_code == 400
    assert lab.get("/deals", filter__loan_amount__gte="much").status_code == 400


def test_deal_filters(serve: Callable[..., Lab]) -> None:
    lab = serve(deals=150)
    rows = lab.sandbox.rows("deals")
    cases: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
        "filter__loan_type": (
            "permanent,land", lambda row: row["loan_type"] in {"permanent", "land"}),
        "filter__transaction_type": ("refinance", lambda r: r["transaction_type"] == "refinance"),
        "filter__business_plan": ("value_add", lambda row: row["business_plan"] == "value_add"),
        "filter__archived": ("true", lambda row: row["archived"]),
        "filter__loan_amount__gte": ("40000000", lambda row: (row["loan_amount"] or 0) >= 4e7),
        "filter__created_at__lte": ("2023-06-01", lambda row: row["created_at"] <= "2023-06-01"),
    }  # fmt: skip
    for name, (value, test) in cases.items():
        found = lab.data("/deals", limit=200, **{name: value})
        assert _ids(found) == [row["id"] for row in rows if test(row)]
        assert 0 < len(found) < 150, name
    active = lab.data("/deals", limit=200, filter__archived="false")
    assert len(active) + len(lab.data("/deals", limit=200, filter__archived="true")) == 150


@pytest.mark.parametrize("answer", ["ignored", "400", "422"])
def test_switch_unknown_filters(lab: Lab, answer: str) -> None:
    lab.sandbox.switch(unknown_filters=answer)
    for key in ("filter__color", "filter__created_at__gte", "filter__updated_at__near"):
        response = lab.get("/contacts" if "near" not in key else "/api-keys", **{key: "2024-01-01"})
        assert response.status_code == (200 if answer == "ignored" else int(answer))
    assert lab.get("/deals", filter__created_at__gte="2024-01-01").status_code == 200


def test_documents_refuse_filters_and_can_be_searched(lab: Lab) -> None:
    response = lab.get("/deals/1/documents", filter__extension="pdf")
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "This endpoint does not accept filter parameters"
    rows = lab.sandbox.rows("documents", parents=True)
    row = next(row for row in rows if row["extension"] == "pdf")
    path = f"/deals/{row['deal_id']}/documents"
    ours = [each for each in rows if each["deal_id"] == row["deal_id"]]
    found = lab.data(path, extension="PDF")
    assert _ids(found) == [each["id"] for each in ours if each["extension"] == "pdf"]
    assert row["id"] in _ids(lab.data(path, search=row["file_name"][:4].upper()))
    found = lab.data(path, vault_id=row["vault"]["id"])
    assert _ids(found) == [r["id"] for r in ours if r["vault"]["id"] == row["vault"]["id"]]
    assert lab.get(path, vault_id=99999).json()["error"]["message"] == "Vault not found"


def test_memo_filters(serve: Callable[..., Lab]) -> None:
    lab = serve(deals=3, memos=12)
    rows = lab.sandbox.rows("memos", parent=2)
    for key, value in (("status", "draft"), ("memo_type", rows[0]["memo_type"])):
        found = lab.data("/deals/2/memos", **{f"filter__{key}": value})
        assert [row["uuid"] for row in found] == [r["uuid"] for r in rows if r[key] == value]
    found = lab.data("/deals/2/memos", filter__pdf_ready="true")
    assert [row["uuid"] for row in found] == [row["uuid"] for row in rows if row["pdf_ready"]]


def test_lender_search(lab: Lab) -> None:
    first = lab.sandbox.rows("lenders")[0]
    assert 1 in _ids(lab.data("/lenders/directory", name=first["name"][:5].upper()))
    found = lab.data("/lenders/directory", filter__state=first["state"])
    assert _ids(found) == _expected(lab, "lenders", lambda row: row["state"] == first["state"])
    names = [row["name"] for row in lab.data("/lenders/directory", sort="name")]
    assert names == sorted(names)


def test_fields(lab: Lab) -> None:
    for row in lab.data("/contacts", fields="email, updated_at,nonsense"):
        assert set(row) == {"id", "email", "updated_at"}
    deal = lab.sandbox.rows("documents", parents=True)[0]["deal_id"]
    assert set(lab.data(f"/deals/{deal}/documents", fields="file_name")[0]) == {
        "id", "vault", "file_name",
    }  # fmt: skip
    assert set(lab.data("/deals/1", fields="title")) == {"id", "title"}


@pytest.mark.parametrize("status", [400, 422])
def test_switches_that_refuse_fields(lab: Lab, status: int) -> None:
    lab.sandbox.switch(refuse_fields=status)
    assert lab.get("/contacts", fields="email").status_code == status
    assert lab.get("/contacts").status_code == 200
    lab.sandbox.switch(refuse_fields=None, unknown_fields=str(status))
    assert lab.get("/contacts", fields="email").status_code == 200
    response = lab.get("/contacts", fields="email,color")
    assert response.status_code == status
    assert response.json()["error"]["message"] == "Unknown field: color"


def test_include(lab: Lab) -> None:
    rows = lab.data("/deals", include="financials,properties,team,pipelines")
    for row in rows:
        assert row["properties"] == lab.data(f"/deals/{row['id']}/properties")
        assert row["team"] == lab.data(f"/deals/{row['id']}/team")
        assert row["pipelines"] == lab.sandbox.rows("deal_pipelines", parent=row["id"])
    assert any(row["properties"] for row in rows)
    assert any(row["pipelines"] for row in rows)
    assert rows[4] == lab.data("/deals/5", include="financials,properties,team,pipelines")
    assert "team" not in lab.data("/deals")[0]
    assert lab.get("/deals", include="lenders").status_code == 400


@pytest.mark.parametrize("block", ["financials", "properties", "team", "pipelines"])
def test_an_include_that_is_ignored_adds_nothing(lab: Lab, block: str) -> None:
    assert block in lab.get("/deals", include=block).json()["data"][0]
    lab.sandbox.switch(refuse_include={block: "ignored"})
    assert block not in lab.get("/deals", include=block).json()["data"][0]


@pytest.mark.parametrize("block", ["financials", "properties", "team", "pipelines"])
@pytest.mark.parametrize("status", [400, 422])
def test_switch_refuse_include(lab: Lab, block: str, status: int) -> None:
    lab.sandbox.switch(refuse_include={block: status})
    assert lab.get("/deals", include=f"team,{block}").status_code == status
    others = {"financials", "properties", "team", "pipelines"} - {block}
    assert lab.get("/deals", include=",".join(others)).status_code == 200


def test_switch_fields_drop_includes(lab: Lab) -> None:
    assert set(lab.data("/deals/1", fields="title", include="team")) == {"id", "title", "team"}
    lab.sandbox.switch(fields_drop_includes=True)
    assert set(lab.data("/deals/1", fields="title", include="team")) == {"id", "title"}
    assert "team" in lab.data("/deals/1", fields="title,team", include="team")
