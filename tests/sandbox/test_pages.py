"""Pages: the four styles, cursors, and everything that may go wrong with them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.lab import Json, Lab

CURSOR_LISTS = ("/deals", "/contacts", "/companies", "/placements", "/lenders/directory")


@pytest.mark.parametrize("path", CURSOR_LISTS)
def test_a_walk_sees_every_row_once_in_order_of_ids(lab: Lab, path: str) -> None:
    pages = list(lab.walk(path, limit=7))
    ids = [row["id"] for page in pages for row in page["data"]]
    assert ids == list(range(1, pages[0]["pagination"]["total"] + 1))
    assert [len(page["data"]) for page in pages[:-1]] == [7] * (len(pages) - 1)
    assert pages[0]["pagination"]["cursor"] is None
    assert pages[-1]["pagination"]["next_cursor"] is None


def test_a_cursor_names_the_last_row_of_its_page(lab: Lab) -> None:
    cursor = lab.get("/contacts", limit=10).json()["pagination"]["next_cursor"]
    assert json.loads(b64decode(cursor)) == {"id": 10}
    assert cursor == b64encode(b'{"id": 10}').decode()
    following = lab.get("/contacts", limit=10, cursor=cursor).json()
    assert following["pagination"]["cursor"] == cursor
    assert following["data"][0]["id"] == 11


def test_a_row_removed_behind_the_walk_shifts_nothing(lab: Lab) -> None:
    cursor = lab.get("/contacts", limit=10).json()["pagination"]["next_cursor"]
    lab.sandbox.remove("contacts", 10)
    lab.sandbox.remove("contacts", 3)
    rest = lab.get("/contacts", cursor=cursor).json()
    assert [row["id"] for row in rest["data"]] == list(range(11, 26))
    assert rest["pagination"]["total"] == 23


def test_rows_added_during_the_walk_come_last(lab: Lab) -> None:
    walk = lab.walk("/contacts", limit=20)
    next(walk)
    added = lab.sandbox.add("contacts", last_name="Neu")
    assert [row["id"] for row in next(walk)["data"]][-1] == added["id"] == 26


@pytest.mark.parametrize("cursor", ["x", "{}", "e30=", "eyJpZCI6ICJhIn0=", "eyJpZCI6IHRydWV9", ""])
def test_a_malformed_cursor_is_refused(lab: Lab, cursor: str) -> None:
    assert lab.get("/contacts", cursor=cursor).status_code == 400
    lab.sandbox.switch(refused_cursor_status=422)
    assert lab.get("/contacts", cursor=cursor).status_code == 422


@pytest.mark.parametrize("path", ["/deals", "/contacts", "/companies", "/placements", "/pipelines"])
def test_cursor_and_sort_exclude_each_other(lab: Lab, path: str) -> None:
    response = lab.get(path, cursor="eyJpZCI6IDF9", sort="id")
    assert response.status_code == 400
    said = response.json()["error"]["message"]
    assert said == "cursor and sort cannot be combined; use offset pagination when sorting"


def test_sorted_lists_have_offset_pages(lab: Lab) -> None:
    body = lab.get("/deals", sort="-loan_amount,title", limit=5, offset=5).json()
    assert body["pagination"] == {"total": 12, "limit": 5, "offset": 5, "has_more": True}
    whole = lab.data("/deals", sort="-loan_amount,title")
    assert whole[5:10] == body["data"]
    amounts = [row["loan_amount"] for row in whole if row["loan_amount"] is not None]
    assert amounts == sorted(amounts, reverse=True)
    assert lab.get("/deals", sort="description").status_code == 400


def test_memos_and_keys_have_offset_pages(lab: Lab) -> None:
    deal = lab.sandbox.rows("memos", parents=True)[0]["deal_id"]
    assert "offset" in lab.get(f"/deals/{deal}/memos").json()["pagination"]
    assert lab.get("/api-keys", limit=1, offset=1).json()["data"][0]["id"] == 2


def test_index_lists_have_numbered_pages(lab: Lab) -> None:
    path = "/deals/1/index/metric-definitions"
    first = lab.get(path, limit=15).json()
    assert first["pagination"] == {"total": 20, "page": 1, "limit": 15, "has_more": True}
    assert len(lab.data(path, limit=15, page=2)) == 5
    assert lab.data(path, limit=15, page=3) == []
    assert len(lab.data(path)) == 20


def test_observations_have_numbered_pages(lab: Lab) -> None:
    path = "/deals/1/index/observations"
    rows = lab.sandbox.rows("index_observations", parent=1)
    metric = rows[0]["metric_id"]
    wanted = [row["id"] for row in rows if row["metric_id"] == metric]
    found = []
    for page in range(1, len(wanted) + 1):
        body = lab.ask("POST", path, json={"metric_id": metric, "limit": 1, "page": page}).json()
        assert body["pagination"]["has_more"] is (page < len(wanted))
        found += [row["id"] for row in body["data"]]
    assert found == wanted


@pytest.mark.parametrize("limit", ["0", "-1", "201"])
def test_a_limit_out_of_range(lab: Lab, limit: str) -> None:
    assert lab.get("/contacts", limit=limit).status_code == 422
    lab.sandbox.switch(limit_out_of_range="400")
    assert lab.get("/contacts", limit=limit).status_code == 400
    lab.sandbox.switch(limit_out_of_range="clamp")
    said = lab.get("/contacts", limit=limit).json()["pagination"]["limit"]
    assert said == (200 if limit == "201" else 1)
    lab.sandbox.switch(limit_out_of_range="422")
    for path in ("documents", "memos", "index/metric-definitions"):
        assert lab.get(f"/deals/1/{path}", limit=limit).json()["pagination"]["limit"] == said
    assert lab.get("/contacts", limit="many").status_code == 422


def test_fifty_rows_by_default(serve: Callable[..., Lab]) -> None:
    lab = serve(contacts=60)
    assert len(lab.data("/contacts")) == 50


def test_switch_total_and_cursor_echo(lab: Lab) -> None:
    lab.sandbox.switch(pagination_total=False, cursor_echo=False)
    assert set(lab.get("/contacts").json()["pagination"]) == {"limit", "has_more", "next_cursor"}
    assert "total" not in lab.get("/deals", sort="title").json()["pagination"]


SHAPES: dict[str, Any] = {
    "cursor": {"total": 3, "limit": 2, "cursor": None, "has_more": True,
               "next_cursor": b64encode(b'{"id": 2}').decode()},
    "offset": {"total": 3, "limit": 2, "offset": 0, "has_more": True},
    "page": {"total": 3, "page": 1, "limit": 2, "has_more": True},
    "empty": {},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_switch_pagination_shape(lab: Lab, shape: str) -> None:
    lab.sandbox.switch(pagination_shape={"pipelines": shape})
    body = lab.get("/pipelines", limit=2).json()
    assert body["pagination"] == SHAPES[shape]
    assert len(body["data"]) == (3 if shape == "empty" else 2)


def test_switch_pagination_shape_without_pagination(lab: Lab) -> None:
    lab.sandbox.switch(pagination_shape={"pipelines": "none", "contacts": "absent"})
    assert "pagination" not in lab.get("/pipelines", limit=2).json()
    assert len(lab.data("/pipelines", limit=2)) == 3
    assert "pagination" not in lab.get("/contacts", limit=2).json()
    assert len(lab.data("/contacts", limit=2)) == 2


def test_arrays_can_be_paged(lab: Lab) -> None:
    assert "pagination" not in lab.get("/account/team").json()
    lab.sandbox.switch(pagination_shape={"account_team": "cursor"})
    walked = [row for page in lab.walk("/account/team", limit=5) for row in page["data"]]
    assert walked == lab.sandbox.rows("account_team")


@pytest.mark.parametrize("every", [1, 2, 3])
def test_switch_empty_pages(lab: Lab, every: int) -> None:
    lab.sandbox.switch(empty_page_every=every)
    pages = list(lab.walk("/contacts", limit=4))
    assert [row["id"] for page in pages for row in page["data"]] == list(range(1, 26))
    empty = [page for page in pages if not page["data"]]
    assert empty
    assert all(page["pagination"]["has_more"] for page in empty)
    cursors = [page["pagination"]["next_cursor"] for page in pages]
    assert len(set(cursors)) == len(cursors)


def test_an_empty_page_leads_on_from_where_it_was_asked_for(lab: Lab) -> None:
    first = lab.get("/contacts", limit=4).json()["pagination"]["next_cursor"]
    lab.sandbox.remove("contacts", 4)
    lab.sandbox.switch(empty_page_every=1, broken_cursor={"contacts": "cycle"})
    said = lab.get("/contacts", limit=8, cursor=first).json()
    assert said["data"] == []
    lab.sandbox.switch(empty_page_every=None, broken_cursor={})
    following = lab.data("/contacts", limit=8, cursor=said["pagination"]["next_cursor"])
    assert [row["id"] for row in following] == list(range(5, 13))


def test_switch_broken_cursor(lab: Lab) -> None:
    first = lab.get("/contacts", limit=5).json()["pagination"]["next_cursor"]
    second = lab.get("/contacts", limit=5, cursor=first).json()["pagination"]["next_cursor"]

    def following(cursor: str) -> Json:
        said = lab.get("/contacts", limit=5, cursor=cursor).json()["pagination"]
        assert said["has_more"] is True
        return said["next_cursor"]

    lab.sandbox.switch(broken_cursor={"contacts": "repeat"})
    assert following(first) == first
    lab.sandbox.switch(broken_cursor={"contacts": "cycle"})
    assert following(second) == first
    lab.sandbox.switch(broken_cursor={"contacts": "null"})
    assert following(first) is None
    assert lab.get("/companies", limit=5).json()["pagination"]["next_cursor"]


@pytest.mark.parametrize("status", [400, 422])
def test_switch_cursor_lifetime_in_requests(lab: Lab, status: int) -> None:
    lab.sandbox.switch(cursor_lifetime_requests=2, refused_cursor_status=status)
    cursor = lab.get("/contacts", limit=5).json()["pagination"]["next_cursor"]
    assert lab.get("/contacts", limit=6, cursor=cursor).status_code == 200
    assert lab.get("/companies").status_code == 200
    assert lab.get("/contacts", limit=6, cursor=cursor).status_code == 200
    assert lab.get("/contacts", limit=6, cursor=cursor).status_code == status


def test_switch_cursor_lifetime_in_seconds(serve: Callable[..., Lab]) -> None:
    clock = Clock(frozen=True)
    lab = serve(clock=clock)
    lab.sandbox.switch(cursor_lifetime_seconds=30)
    cursor = lab.get("/contacts", limit=5).json()["pagination"]["next_cursor"]
    clock.advance(30)
    assert lab.get("/contacts", limit=6, cursor=cursor).status_code == 200
    clock.advance(1)
    assert lab.get("/contacts", limit=6, cursor=cursor).status_code == 400


def _ids(body: Json) -> list[int]:
    return [row["id"] for row in body["data"]]


def test_switch_pagination_dialect_total_count(lab: Lab) -> None:
    lab.sandbox.switch(pagination_dialect={"contacts": "total_count", "deal_team": "total_count"})
    said = lab.get("/contacts", limit=20).json()["pagination"]
    assert said.keys() == {"total_count", "limit", "cursor", "next_cursor"}
    assert said["total_count"] == 25
    last = lab.get("/contacts", limit=20, cursor=said["next_cursor"]).json()
    assert _ids(last) == list(range(21, 26))
    assert last["pagination"]["next_cursor"] is None
    team = lab.sandbox.rows("deal_team", parent=1)
    first = lab.get("/deals/1/team", limit=1).json()
    assert first["pagination"] == {"total_count": len(team), "limit": 1, "offset": 0}
    assert [lab.data("/deals/1/team", limit=1, offset=n)[0] for n in range(len(team))] == team
    assert "total" in lab.get("/deals").json()["pagination"]


def test_switch_pagination_dialect_total_pages(lab: Lab) -> None:
    lab.sandbox.switch(pagination_dialect="total_pages")
    pages = [lab.get("/contacts", limit=10, page=number).json() for number in (1, 2, 3, 4)]
    assert [page["pagination"] for page in pages] == [
        {"page": number, "limit": 10, "total_pages": 3} for number in (1, 2, 3, 4)
    ]
    assert [len(page["data"]) for page in pages] == [10, 10, 5, 0]
    assert lab.get("/contacts", limit=25).json()["pagination"]["total_pages"] == 1
    lab.sandbox.switch(largest_page=4)
    assert lab.get("/contacts", limit=25).json()["pagination"]["total_pages"] == 7


def test_switch_pagination_dialect_has_next(lab: Lab) -> None:
    lab.sandbox.switch(pagination_dialect="has_next")
    first = lab.get("/contacts", limit=20).json()["pagination"]
    assert first.keys() == {"total", "limit", "cursor", "next_cursor", "has_next"}
    assert first["has_next"] is True
    last = lab.get("/contacts", limit=20, cursor=first["next_cursor"]).json()["pagination"]
    assert (last["has_next"], last["next_cursor"]) == (False, None)
    assert lab.get("/api-keys", limit=1).json()["pagination"] == {
        "total": 2, "limit": 1, "offset": 0, "has_next": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "path"), [(None, "/contacts"), (None, "/account/team"), ("page", "/contacts")]
)
def test_switch_pagination_dialect_next_url(lab: Lab, shape: str | None, path: str) -> None:
    name = path[1:].replace("/", "_")
    lab.sandbox.switch(pagination_dialect={name: "next_url"}, pagination_shape={name: shape})
    said = lab.get(path, limit=5, fields="id,email").json()
    wanted, found = lab.sandbox.rows(name), said["data"]
    assert said["pagination"].keys() == {"total", "limit", "next"}
    assert said["pagination"]["next"].startswith(f"{lab.server.url}{path}?")
    while following := said["pagination"]["next"]:
        said = lab.session.get(following, timeout=5).json()
        found += said["data"]
    emails = [row["email"] for row in wanted]
    assert [row["email"] for row in found] == emails
    lab.sandbox.switch(pagination_dialect={name: "next_url_foreign"})
    following = lab.get(path, limit=5).json()["pagination"]["next"]
    assert following.startswith(f"https://other.example.com/api/external/v2{path}?limit=5&")
    assert lab.get(path, limit=100).json()["pagination"]["next"] is None


def test_a_shape_without_pages_has_no_dialect(lab: Lab) -> None:
    lab.sandbox.switch(pagination_dialect="has_next", pagination_shape={"contacts": "none"})
    assert "pagination" not in lab.get("/contacts", limit=5).json()
    assert len(lab.data("/contacts", limit=5)) == 25


def test_switch_total_says(lab: Lab) -> None:
    lab.sandbox.switch(total_says={"contacts": 3, "companies": -4, "lenders": -99})
    pages = list(lab.walk("/contacts", limit=10))
    assert {page["pagination"]["total"] for page in pages} == {28}
    assert sum(len(page["data"]) for page in pages) == 25
    assert lab.get("/companies", sort="name").json()["pagination"]["total"] == 11
    assert lab.get("/lenders/directory").json()["pagination"]["total"] == 0
    assert lab.get("/deals").json()["pagination"]["total"] == 12


def test_switch_largest_page(lab: Lab) -> None:
    path = "/deals/1/index/metric-definitions"
    lab.sandbox.switch(
        largest_page={"contacts": 4, "index_metric_definitions": 6, "api_keys": 1, "deals": 100}
    )
    pages = list(lab.walk("/contacts", limit=10))
    assert [_ids(page) for page in pages][:2] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert sum(len(page["data"]) for page in pages) == 25
    assert {page["pagination"]["limit"] for page in pages} == {10}
    assert len(lab.data("/contacts", limit=2)) == 2
    assert len(lab.data("/deals")) == 12
    numbered = [lab.get(path, limit=15, page=number).json() for number in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in numbered] == [6, 6, 6, 2]
    assert [page["pagination"]["has_more"] for page in numbered] == [True, True, True, False]
    assert {page["pagination"]["limit"] for page in numbered} == {15}
    first = lab.get("/api-keys", limit=2).json()
    assert first["pagination"] == {"total": 2, "limit": 2, "offset": 0, "has_more": True}
    assert _ids(first) == [1]


def test_the_largest_page_of_lists_without_pages(lab: Lab) -> None:
    team = lab.sandbox.rows("account_team")
    lab.sandbox.switch(largest_page={"account_team": 5})
    body = lab.get("/account/team").json()
    assert "pagination" not in body
    assert body["data"] == team[:5]
    assert lab.data("/account/team", offset=5) == team[5:10]
    assert lab.data("/account/team", page=3) == team[10:]
    assert lab.data("/account/team", limit=2) == team[:2]
    lab.sandbox.switch(largest_page=None)
    assert lab.data("/account/team", limit=2, offset=5) == team


def test_the_largest_page_of_index_reads(lab: Lab) -> None:
    path = "/deals/1/index/search"
    body = {"context": "noi", "min_score": 0, "limit": 200}
    whole = lab.ask("POST", path, json=body).json()["data"]
    lab.sandbox.switch(largest_page={"index_facts": 3, "index_observations": 2})
    assert lab.ask("POST", path, json=body).json()["data"] == whole[:3]
    metric = lab.sandbox.rows("index_observations", parent=1)[0]["metric_id"]
    said = lab.ask("POST", "/deals/1/index/observations", json={"metric_id": metric}).json()
    assert len(said["data"]) <= 2


def test_a_cursor_that_alternates(lab: Lab) -> None:
    lab.sandbox.switch(broken_cursor={"contacts": "alternate"})
    params: dict[str, Any] = {"limit": 10}
    seen, first = set(), []
    for _ in range(8):
        said = lab.get("/contacts", **params).json()
        first.append(said["data"][0]["id"])
        assert said["pagination"]["has_more"] is True
        params["cursor"] = said["pagination"]["next_cursor"]
        seen.add(params["cursor"])
    assert first == [1, 11] * 4
    assert len(seen) == 8
    assert [page["data"][0]["id"] for page in lab.walk("/companies", limit=10)] == [1, 11]
    lab.sandbox.switch(broken_cursor={"companies": "alternate"})
    assert lab.get("/companies", limit=15).json()["pagination"]["has_more"] is False


def test_switches_that_ignore_offset_and_page(lab: Lab) -> None:
    path = "/deals/1/index/metric-definitions"
    assert _ids(lab.get("/api-keys", limit=1, offset=1).json()) == [2]
    lab.sandbox.switch(ignores_offset={"api_keys": True, "contacts": True})
    said = lab.get("/api-keys", limit=1, offset=1).json()
    assert (_ids(said), said["pagination"]["has_more"]) == ([1], True)
    said = lab.get("/contacts", limit=1, offset=5).json()
    assert _ids(said) == [1]
    assert "next_cursor" in said["pagination"]
    assert lab.get(path, limit=15, page=2).json()["pagination"]["page"] == 2
    lab.sandbox.switch(ignores_page={"index_metric_definitions": True})
    assert lab.data(path, limit=15, page=2) == lab.data(path, limit=15, page=1)


@pytest.mark.parametrize("order", ["updated_at", "shuffled"])
def test_switch_list_order(lab: Lab, order: str) -> None:
    lab.sandbox.switch(list_order={"contacts": order})
    pages = list(lab.walk("/contacts", limit=10))
    rows = [row for page in pages for row in page["data"]]
    ids = [row["id"] for row in rows]
    assert sorted(ids) == list(range(1, 26)) != ids
    moments = [row["updated_at"] for row in rows]
    assert (moments == sorted(moments, reverse=True)) is (order == "updated_at")
    cursor = pages[0]["pagination"]["next_cursor"]
    assert json.loads(b64decode(cursor)) == {"position": 10}
    assert lab.get("/contacts", cursor=b64encode(b'{"id": 10}').decode()).status_code == 400
    lab.sandbox.switch(empty_page_every=2)
    walked = [row["id"] for page in lab.walk("/contacts", limit=10) for row in page["data"]]
    assert walked == ids
    lab.sandbox.switch(list_order={"contacts": "id"})
    assert _ids(lab.get("/contacts", limit=10).json()) in ([], list(range(1, 11)))


def test_a_row_that_changes_moves_to_the_front(lab: Lab) -> None:
    lab.sandbox.switch(list_order="updated_at")
    order = _ids({"data": lab.data("/contacts", limit=200)})
    walk = lab.walk("/contacts", limit=10)
    assert _ids(next(walk)) == order[:10]
    lab.sandbox.touch("contacts", ids=[order[22]])
    assert _ids(next(walk)) == order[9:19]
    assert _ids(next(walk)) == [*order[19:22], *order[23:]]
    assert lab.get("/account/team").json()["data"][0]["user_id"] == 1212
    assert _ids({"data": lab.data("/contacts", sort="updated_at", limit=200)})[-1] == order[22]
