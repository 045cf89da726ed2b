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
