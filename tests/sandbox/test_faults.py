"""Faults: what goes wrong, and at which requests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from lev_sandbox import Fault, Sandbox, SandboxServer

if TYPE_CHECKING:
    from tests.sandbox.lab import Json, Lab

CONTACTS = "/contacts"


def test_a_status(lab: Lab) -> None:
    lab.sandbox.fault("status", status=503, message="Try again.", headers={"Retry-After": "3"})
    response = lab.get(CONTACTS)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "3"
    error = response.json()["error"]
    assert (error["type"], error["message"]) == ("service_unavailable", "Try again.")
    assert lab.get(CONTACTS).status_code == 200
    entries = lab.sandbox.requests[-2:]
    assert [(entry.fault, entry.status) for entry in entries] == [("status", 503), (None, 200)]
    assert lab.sandbox.counters()["faults"] == {"status": 1}


@pytest.mark.parametrize(
    ("form", "start"),
    [("A", b'{"request_id"'), ("B", b'{"request_id"'), ("C", b'{"error":"'), ("html", b"<html>"),
     ("empty", b""), ("gateway", b'{"message":"Bad Gateway"}'),
     ("fastapi", b'{"detail":"Bad Gateway"}')],
)  # fmt: skip
def test_the_form_of_a_status(lab: Lab, form: str, start: bytes) -> None:
    lab.sandbox.fault("status", status=502, form=form)
    assert lab.get(CONTACTS).content.startswith(start)


def test_foreign_bodies_are_whole_and_json(lab: Lab) -> None:
    lab.sandbox.fault("status", status=403, form="gateway")
    assert lab.get(CONTACTS).json() == {"message": "Forbidden"}
    lab.sandbox.fault("status", status=404, form="fastapi")
    assert lab.get(CONTACTS).json() == {"detail": "Not Found"}
    lab.sandbox.fault("status", status=599, form="fastapi")
    assert lab.get(CONTACTS).json() == {"detail": "Error"}


def test_a_reset(lab: Lab) -> None:
    lab.sandbox.fault("reset")
    with pytest.raises(requests.ConnectionError) as caught:
        lab.get(CONTACTS)
    assert "reset by peer" in str(caught.value)
    assert lab.get(CONTACTS).status_code == 200


def test_a_cut_body(lab: Lab) -> None:
    whole = len(lab.ask("GET", CONTACTS, headers={"Accept-Encoding": "identity"}).content)
    lab.sandbox.fault("cut", after_bytes=100)
    headers = {"Accept-Encoding": "identity"}
    response = lab.ask("GET", CONTACTS, headers=headers, stream=True)
    assert int(response.headers["Content-Length"]) >= whole - 10
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = response.content
    lab.sandbox.fault("cut")
    with pytest.raises(requests.RequestException):
        lab.get(CONTACTS)
    assert lab.get(CONTACTS).status_code == 200


def test_a_hang_until_release(lab: Lab) -> None:
    lab.sandbox.fault("hang")
    arrived = threading.Event()
    unhook = lab.sandbox.on_request(lambda _: arrived.set())
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(lab.get, CONTACTS)
        arrived.wait(5)
        while not answer.done():
            lab.sandbox.release()
        assert answer.result().status_code == 200
    unhook()


def test_a_hang_until_the_client_gives_up(lab: Lab) -> None:
    lab.sandbox.fault("hang")
    with pytest.raises(requests.Timeout):
        lab.ask("GET", CONTACTS, timeout=0.1)
    assert lab.get(CONTACTS).status_code == 200


def test_a_hang_until_its_time_is_over(lab: Lab) -> None:
    lab.sandbox.fault("hang", seconds=0.05)
    assert lab.get(CONTACTS).elapsed.total_seconds() >= 0.05


def test_a_server_stops_while_requests_hang() -> None:
    sandbox = Sandbox(contacts=3)
    sandbox.fault("hang", times=None)
    arrived = threading.Semaphore(0)
    sandbox.on_request(lambda _: arrived.release())
    headers = {"Authorization": f"Bearer {sandbox.key}", "X-Origin-App": "lab"}

    def ask(url: str) -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(url, headers=headers, timeout=30)

    with ThreadPoolExecutor() as pool:
        with SandboxServer(sandbox) as server:
            asked = [pool.submit(ask, f"{server.url}/contacts") for _ in range(3)]
            for _ in asked:
                assert arrived.acquire(timeout=5)
        for each in asked:
            each.result(timeout=5)


def test_a_body_that_is_not_json(lab: Lab) -> None:
    lab.sandbox.fault("not_json", body="<p>hello</p>")
    response = lab.get(CONTACTS)
    assert response.status_code == 200
    assert response.text == "<p>hello</p>"


@pytest.mark.parametrize("data", [None, {"id": 1}, "text", 3])
def test_data_of_the_wrong_shape(lab: Lab, data: Json) -> None:
    lab.sandbox.fault("wrong_shape", data=data)
    response = lab.get(CONTACTS)
    assert response.status_code == 200
    assert response.json()["data"] == data


def test_a_200_that_says_it_failed(lab: Lab) -> None:
    lab.sandbox.fault("error_200", message="Search is down.")
    response = lab.get(CONTACTS)
    body = response.json()
    assert response.status_code == 200
    assert body["data"] == []
    assert body["error"]["message"] == "Search is down."
    assert {"request_id", "timestamp"} < body.keys()
    assert body["request_id"] == lab.sandbox.requests[-1].request_id
    lab.sandbox.fault("error_200", form="C")
    assert lab.get(CONTACTS).json()["error"] == "The sandbox was asked to fail."
    for name in ("success", "ok"):
        lab.sandbox.fault("error_200", variant=name)
        body = lab.get(CONTACTS).json()
        assert (body[name], body["data"]) == (False, [])
        assert "error" not in body
    body = lab.get(CONTACTS).json()
    assert len(body["data"]) == 25
    assert not {"error", "success", "ok"} & body.keys()


def test_data_that_is_null(lab: Lab) -> None:
    lab.sandbox.fault("null_data")
    body = lab.get(CONTACTS).json()
    assert body["data"] is None
    assert "pagination" not in body
    assert len(lab.data(CONTACTS)) == 25


def test_a_page_without_pagination(lab: Lab) -> None:
    lab.sandbox.fault("no_pagination")
    body = lab.get(CONTACTS, limit=4).json()
    assert [row["id"] for row in body["data"]] == [1, 2, 3, 4]
    assert "pagination" not in body
    assert "pagination" in lab.get(CONTACTS, limit=4).json()


def test_an_early_end(lab: Lab) -> None:
    walk = lab.walk(CONTACTS, limit=4)
    cursor = next(walk)["pagination"]["next_cursor"]
    lab.sandbox.fault("early_end", times=3)
    page = next(walk)
    assert page["data"] == []
    assert page["pagination"] == {
        "total": 25, "limit": 4, "cursor": cursor, "has_more": False, "next_cursor": None,
    }  # fmt: skip
    assert list(walk) == []
    said = lab.get("/api-keys", limit=1).json()["pagination"]
    assert said == {"total": 2, "limit": 1, "offset": 0, "has_more": False}
    assert lab.data("/deals/1/team") == []
    assert lab.data("/deals/1/team") == lab.sandbox.rows("deal_team", parent=1) != []


def test_an_early_end_leaves_single_reads_alone(lab: Lab) -> None:
    lab.sandbox.fault("early_end", times=None)
    assert lab.data("/contacts/3") == lab.sandbox.row("contacts", 3)


@pytest.mark.parametrize(
    ("variant", "pages"),
    [("skip", [1, 4, 4, 10, 13, 16, 19, 22, 25]), ("again", [1, 4, 4, 7, 10, 13, 16, 19, 22, 25])],
)
def test_a_page_that_comes_again(lab: Lab, variant: str, pages: list[int]) -> None:
    lab.sandbox.fault("repeat_page", at=3, variant=variant)
    walked = list(lab.walk(CONTACTS, limit=3))
    assert [page["data"][0]["id"] for page in walked] == pages
    assert walked[2]["data"] == walked[1]["data"]


def test_a_page_that_comes_again_at_the_end_or_without_cursor(lab: Lab) -> None:
    lab.sandbox.fault("repeat_page", at=3)
    assert [row["id"] for page in lab.walk(CONTACTS, limit=10) for row in page["data"]] == [
        *range(1, 21), *range(11, 21),
    ]  # fmt: skip
    lab.sandbox.fault("repeat_page", route="/api-keys", at=2)
    first = lab.get("/api-keys", limit=1).json()
    again = lab.get("/api-keys", limit=1, offset=1).json()
    assert (again["data"], again["pagination"]) == (first["data"], first["pagination"])
    assert lab.data("/api-keys", limit=1, offset=1) != first["data"]


def test_a_page_that_comes_again_is_of_the_same_path(lab: Lab) -> None:
    lab.sandbox.fault("repeat_page", times=None)
    for number in (1, 2):
        rows = lab.sandbox.rows("deal_team", parent=number)
        assert lab.data(f"/deals/{number}/team") == rows
        assert lab.data(f"/deals/{number}/team") == rows
    lab.sandbox.reset()
    assert not lab.sandbox.pages


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2026-03-01T12:00:00", 'a "moment"', ""])
def test_another_timestamp_on_one_page(lab: Lab, text: str) -> None:
    lab.sandbox.fault("timestamp", timestamp=text, at=2)
    walked = list(lab.walk(CONTACTS, limit=10))
    assert walked[1]["timestamp"] == text
    assert text not in {walked[0]["timestamp"], walked[2]["timestamp"]}
    assert [len(page["data"]) for page in walked] == [10, 10, 5]
    lab.sandbox.switch(envelope_timestamp=False)
    lab.sandbox.fault("timestamp", timestamp=text)
    assert lab.get(CONTACTS).json()["timestamp"] == text


def test_a_drip(lab: Lab) -> None:
    lab.sandbox.fault("drip", chunk_bytes=2000, seconds=0.001)
    assert len(lab.data(CONTACTS)) == 25
    assert lab.sandbox.requests[-1].fault == "drip"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect(lab: Lab, status: int) -> None:
    lab.sandbox.fault(
        "redirect", status=status, location="https://other.example.com/x", route=CONTACTS
    )
    response = lab.get(CONTACTS)
    assert response.status_code == status
    assert response.headers["Location"] == "https://other.example.com/x"


def test_faults_choose_routes_and_methods(lab: Lab) -> None:
    lab.sandbox.fault("status", route="/deals/{deal_id}/notes", method="GET", times=2)
    assert lab.get(CONTACTS).status_code == 200
    assert [lab.get(f"/deals/{n}/notes").status_code for n in (1, 2, 3)] == [500, 500, 200]


def test_faults_choose_paths(lab: Lab) -> None:
    lab.sandbox.fault("status", path="/deals/5/notes", times=None)
    asked = [lab.get(f"/deals/{number}/notes").status_code for number in (4, 5, 6, 5)]
    assert asked == [200, 500, 200, 500]
    assert lab.get("/deals/5/team").status_code == 200


@pytest.mark.parametrize(
    ("query", "struck"),
    [
        ({"limit": "5"}, [True, False, False, False]),
        ({"limit": "*"}, [True, True, True, False]),
        ({"limit": None}, [False, False, False, True]),
        ({"limit": "6", "fields": "id"}, [False, False, True, False]),
        ({"limit": "6", "fields": None}, [False, True, False, False]),
        ({}, [True, True, True, True]),
    ],
)
def test_faults_choose_queries(lab: Lab, query: dict[str, str | None], struck: list[bool]) -> None:
    lab.sandbox.fault("status", query=query, times=None)
    asked: list[dict[str, Any]] = [{"limit": 5}, {"limit": 6}, {"limit": 6, "fields": "id"}, {}]
    assert [lab.get(CONTACTS, **params).status_code == 500 for params in asked] == struck


@pytest.mark.parametrize(
    ("options", "struck"),
    [
        ({}, [1]),
        ({"at": 3}, [3]),
        ({"at": 2, "times": 3}, [2, 3, 4]),
        ({"at": 2, "every": 3, "times": None}, [2, 5, 8]),
        ({"every": 4, "times": 2}, [1, 5]),
        ({"rate": 0.0, "times": None}, []),
        ({"rate": 1.0, "times": None, "at": 7}, [7, 8, 9]),
    ],
)
def test_when_faults_strike(options: dict[str, Any], struck: list[int]) -> None:
    fault = Fault(kind="reset", **options)
    assert [number for number in range(1, 10) if fault.strikes()] == struck


def test_a_rate_is_drawn_from_a_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        fault = Fault(kind="reset", rate=0.3, times=None, seed=seed)
        return [fault.strikes() for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 90


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("explode", {}, "There is no fault 'explode'; there are: status, reset"),
        ("status", {"colour": 1}, "A fault has no such option"),
        ("status", {"at": 0}, "`at` and `every` are 1 or more"),
        ("status", {"rate": 2}, "`rate` is between 0 and 1"),
        ("status", {"status": 99}, "`status` is between 200 and 599"),
        ("status", {"form": "D"}, "`form` is A, B, C, html, empty, gateway or fastapi"),
        ("status", {"query": {"limit": 5}}, "`query` names parameters with a text or null"),
        ("timestamp", {}, "needs a `timestamp`"),
        ("error_200", {"form": "html"}, "The `form` of an error_200 is A, B or C."),
        ("error_200", {"variant": "nok"}, "`variant` is one of"),
        ("reset", {"variant": "ok"}, "`variant` is one of none"),
        ("redirect", {}, "A redirect needs a `location`."),
    ],
)
def test_a_wrong_fault_is_one_clear_error(
    kind: str, options: dict[str, Any], sentence: str
) -> None:
    sandbox = Sandbox()
    with pytest.raises(ValueError, match=sentence):
        sandbox.fault(kind, **options)
    assert not sandbox.faults


def test_a_429_follows_the_rate_limit_switches(lab: Lab) -> None:
    lab.sandbox.switch(retry_after="seconds")
    lab.sandbox.fault("status", status=429, seconds=3, times=2)
    response = lab.get(CONTACTS)
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "3"
    assert response.json()["error"]["retry_after_seconds"] == 3
    lab.sandbox.switch(rate_limit_form="B")
    assert lab.get(CONTACTS).json()["error"]["code"] == "RATE_LIMITED"
    assert lab.sandbox.requests[-1].fault == "status"


def test_an_answer_that_was_never_sent_has_no_status(lab: Lab) -> None:
    lab.sandbox.fault("reset")
    with pytest.raises(requests.ConnectionError):
        lab.get(CONTACTS)
    assert lab.sandbox.requests[-1].status is None
    assert lab.sandbox.counters()["statuses"] == {"none": 1}
