from __future__ import annotations

import contextlib
import http.server
import json
import math
import random
import re
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import MaxRetryError, ProtocolError

from lev_sandbox import Clock, Sandbox, SandboxServer, router
from tap_lev.api import client, transport
from tap_lev.api.client import FOR_ME, ONCE, LevClient, RetryPolicy
from tap_lev.api.connection_errors import innermost
from tap_lev.api.endpoints import READS
from tap_lev.api.request import LevRequest
from tap_lev.api.response import Envelope, parse_response
from tap_lev.config.settings import ask_about
from tap_lev.errors import (
    AuthenticationError,
    ConfigError,
    EndpointRefusedError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
    TooLongWaitError,
    UnknownHostError,
)
from tap_lev.progress.metrics import RequestRecorder
from tap_lev.progress.report import RunReport
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import Limits
from tap_lev.ratelimit.scheduler import RequestScheduler
from tests.support.fake_lock import FakeLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTACTS = "GET /contacts"
NOON = "2026-11-02T12:00:00Z"
AT_NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
AT_ONE = AT_NOON + timedelta(hours=1)
DATE = "Mon, 02 Nov 2026 13:00:00 GMT"
FOREIGN: dict[str, dict[str, Any]] = {
    "a redirect": {"kind": "redirect", "location": "http://127.0.0.1:1/"},
    "200 of a page": {"kind": "status", "status": 200, "form": "html"},
    "200 without an envelope": {"kind": "not_json", "body": '{"status": "up"}'},
    "401 of a page": {"kind": "status", "status": 401, "form": "html"},
    "403 of a page": {"kind": "status", "status": 403, "form": "html"},
    "404 of nothing": {"kind": "status", "status": 404, "form": "empty"},
    "400 of a page": {"kind": "status", "status": 400, "form": "html"},
    "503 of a page": {"kind": "status", "status": 503, "form": "html"},
}
"""Answers that something else may have given."""
TRANSIENT: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429},
    "500": {"kind": "status", "status": 500},
    "502 of a proxy": {"kind": "status", "status": 502, "form": "html"},
    "503": {"kind": "status", "status": 503, "form": "B"},
    "504 without a body": {"kind": "status", "status": 504, "form": "empty"},
    "reset": {"kind": "reset"},
    "body cut off": {"kind": "cut"},
    "body missing": {"kind": "cut", "after_bytes": 0},
    "timeout": {"kind": "hang", "seconds": 2},
    "not JSON": {"kind": "not_json"},
    "half of the JSON": {"kind": "not_json", "body": '{"data": [{"id": 1}'},
    "no envelope": {"kind": "not_json", "body": "[]"},
    "no data": {"kind": "not_json", "body": '{"request_id": "1"}'},
}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    sandbox = Sandbox(contacts=450, deals=3, clock=Clock(NOON, frozen=True))
    with SandboxServer(sandbox) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    """A Lev in which it is always noon, as if just started."""
    running.sandbox.reset()
    return running


class Setup:
    """A client, and everything that it tells."""

    def __init__(self, url: str, key: str, window: float = 60, **changes: Any) -> None:  # noqa: ANN401
        config = {
            "api_url": url,
            "api_key": key,
            "origin_app": "warehouse-sync",
            "request_timeout_seconds": 10,
            "max_retries": 1,
            "max_parallel_streams": 1,
        }
        self.run_report = RunReport()
        self.report = self.run_report.stream("contacts")
        self.lock = FakeLock()
        self.scheduler = RequestScheduler(
            RateBudget(Limits(1000, 1000), window=window, clock=self.lock.clock),
            self.lock,
            1,
            self.lock.clock,
        )
        recorder = RequestRecorder(self.run_report)
        self.client = LevClient(config | changes, self.scheduler, recorder, ask_about(url))

    @property
    def waits(self) -> list[float]:
        return self.lock.waits

    def read(self, endpoint: str = CONTACTS, **params: str | int) -> Any:  # noqa: ANN401
        return self.send(LevRequest(endpoint, params))

    def send(self, request: LevRequest, **given: Any) -> Any:  # noqa: ANN401
        return self.client.bind("contacts").send(request, **given)


@pytest.fixture
def setup(server: SandboxServer) -> Callable[..., Setup]:
    """Make a client of the server."""

    def make(**changes: Any) -> Setup:  # noqa: ANN401
        return Setup(server.url, server.key, **changes)

    return make


@contextlib.contextmanager
def other_server(
    body: bytes = b"", status: int = 200, **headers: str
) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer, without a ``Date``, on another port; list the requests that came."""
    came: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(f"{self.requestline}\n{self.headers}")
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{other.server_port}", came
        finally:
            other.shutdown()
            thread.join()


# -- What may be asked


@pytest.mark.parametrize(
    "endpoint",
    [
        "POST /deals",
        "PATCH /deals/{deal_id}",
        "DELETE /deals/{deal_id}",
        "POST /contacts/{contact_id}/unlock",
        "GET /billing/credits/balance",
        "GET /deals/{deal_id}/documents/{document_id}/download",
        "HEAD /contacts",
        "get /contacts",
        "GET /contacts/",
        "GET /contacts?limit=1",
        "GET //example.com/contacts",
        "",
    ],
)
def test_what_is_not_allowed_is_not_sent(
    server: SandboxServer, setup: Callable[..., Setup], endpoint: str
) -> None:
    with pytest.raises(LevError, match=r"is not a request that tap-lev makes\.$"):
        setup().read(endpoint)
    assert server.sandbox.requests == []


@pytest.mark.parametrize("endpoint", sorted(READS))
def test_what_is_allowed_is_a_harmless_read(endpoint: str) -> None:
    method, path = endpoint.split(" ")
    assert router.find(method, re.sub(r"\{\w+\}", "1", path)).verdict == "ok"


# -- The request


def test_every_request_carries_the_headers(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("status", status=500, times=2)
    setup(max_retries=2).read()
    assert len(server.sandbox.requests) == 3
    for entry in server.sandbox.requests:
        assert entry.authorized
        assert entry.origin_app == "warehouse-sync"
        assert entry.headers["accept"] == "application/json"
        assert "x-active-account" not in entry.headers


def test_an_active_account_is_named(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    setup(active_account="harbor-row").read()
    assert server.sandbox.requests[0].headers["x-active-account"] == "harbor-row"


def test_parameters_arrive_as_they_were_meant(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    params: dict[str, str | int] = {
        "limit": 200,
        "cursor": "eyJpZCI6IDQwMH0=",
        "filter[updated_at][gte]": "2026-11-01T00:00:00Z",
    }
    setup().read(**params)
    assert dict(server.sandbox.requests[0].query) == {**params, "limit": "200"}


def test_a_slash_at_the_end_of_the_url_is_one_too_many(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    setup(api_url=f"{server.url}/").read()
    assert server.sandbox.requests[0].path == "/contacts"


def test_a_netrc_file_does_not_replace_the_key(
    server: SandboxServer,
    setup: Callable[..., Setup],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    setup().read()
    assert server.sandbox.requests[0].authorized


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays(
    server: SandboxServer, setup: Callable[..., Setup], status: int
) -> None:
    made = setup()
    with other_server() as (url, came):
        there = f"{url}/contacts"
        server.sandbox.fault("redirect", status=status, location=there, times=None)
        with pytest.raises(LevError) as error:
            made.read()
    assert came == []
    assert str(error.value) == (
        f"Something between here and Lev seems to redirect GET /contacts to '{there}' ({status}). "
        "The key is not sent to another address: if Lev's API has moved there, set api_url to it."
    )
    assert error.value.exit_code == 1
    assert error.value.on_the_way


def test_ids_fill_the_template_s_places(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    made = setup()
    sheet = server.sandbox.add("term_sheets", parent=2)["id"]
    endpoint = "GET /deals/{deal_id}/term-sheets/{term_sheet_id}"
    answer = made.send(
        LevRequest(endpoint, path_params={"term_sheet_id": sheet, "deal_id": 2, "task_id": 5})
    )
    assert answer.data["id"] == sheet
    (entry,) = server.sandbox.requests
    assert (entry.path, entry.route) == (f"/deals/2/term-sheets/{sheet}", endpoint.split()[1])
    assert answer.endpoint == f"GET /deals/2/term-sheets/{sheet}"


@pytest.mark.parametrize("key", ["", ".", ".."])
@pytest.mark.parametrize("endpoint", ["GET /deals/{deal_id}", "GET /deals/{deal_id}/notes"])
def test_an_id_that_leads_to_another_route_is_not_asked_for(
    setup: Callable[..., Setup], endpoint: str, key: str
) -> None:
    with other_server(b'{"data": {}}') as (url, came):
        made = setup(api_url=url)
        with pytest.raises(
            InvalidResponseError, match=f"^The deal_id '{re.escape(key)}' "
        ) as error:
            made.send(LevRequest(endpoint, path_params={"deal_id": key}))
    assert str(error.value).endswith(f"lead {endpoint} to another route: it is not asked for.")
    assert (came, made.report.requests, made.waits) == ([], 0, [])


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("../contacts", "/deals/..%2Fcontacts"),
        ("2/notes", "/deals/2%2Fnotes"),
        ("2?include=team", "/deals/2%3Finclude%3Dteam"),
        ("2#", "/deals/2%23"),
        ("ä", "/deals/%C3%A4"),
    ],
)
def test_an_id_leads_to_no_other_path(setup: Callable[..., Setup], key: str, path: str) -> None:
    with other_server(b'{"data": {}}') as (url, came):
        made = setup(api_url=url)
        made.send(LevRequest("GET /deals/{deal_id}", path_params={"deal_id": key}))
    assert came[0].startswith(f"GET {path} HTTP/1.1\n")


def test_an_error_names_the_row_that_was_asked_for(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup()
    with pytest.raises(LevAPIError) as caught:
        made.send(LevRequest("GET /deals/{deal_id}/notes", path_params={"deal_id": 4711}))
    assert caught.value.status == 404
    assert str(caught.value).startswith("Lev answered GET /deals/4711/notes with 404 ")
    assert caught.value.request_id == server.sandbox.requests[0].request_id


def test_a_read_by_post_sends_its_body_with_each_try(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    bodies: list[Any] = []
    end = server.sandbox.on_request(lambda request: bodies.append(request.json()))
    server.sandbox.fault("status", status=500)
    made = setup()
    body = {"context": "net operating income", "limit": 5, "include_signed_urls": False}
    answer = made.send(
        LevRequest("POST /deals/{deal_id}/index/search", path_params={"deal_id": 1}, json=body)
    )
    end()
    assert isinstance(answer.data, list)
    assert bodies == [body, body]
    for entry in server.sandbox.requests:
        assert (entry.method, entry.path, entry.query) == ("POST", "/deals/1/index/search", [])
        assert entry.authorized
        assert entry.verdict == "ok"


# -- Whose account it is


def test_the_account_is_asked_for_once(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    made = setup()
    (account,) = server.sandbox.rows("my_accounts")
    assert made.client.account_id() == account["id"]
    assert made.client.account_id() == account["id"]
    assert [entry.path for entry in server.sandbox.requests] == ["/me"]
    assert made.run_report.tap.requests == 1


@pytest.mark.parametrize(
    "data", [None, [], {}, {"account": None}, {"account": {}}, {"account": {"id": "56"}}, "me"]
)
def test_an_account_that_lev_does_not_tell_is_a_sentence(
    server: SandboxServer, setup: Callable[..., Setup], data: object
) -> None:
    server.sandbox.fault("wrong_shape", data=data)
    made = setup()
    with pytest.raises(InvalidResponseError) as caught:
        made.client.account_id()
    assert str(caught.value) == "Lev does not tell the account's id in GET /me."
    assert made.client.account_id(), "and is asked for anew"


# -- The answer


def test_an_answer_holds_everything_that_lev_tells(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    answer = setup().read(limit=200)
    assert answer.endpoint == CONTACTS
    assert [row["id"] for row in answer.data] == [
        row["id"] for row in server.sandbox.rows("contacts")[:200]
    ]
    assert answer.pagination["total"] == 450
    assert answer.request_id == server.sandbox.requests[0].request_id
    assert answer.server_time == datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_what_an_envelope_holds_in_a_wrong_form_counts_as_not_given(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    body = '{"data": null, "pagination": null, "request_id": 7, "timestamp": 1762070400}'
    server.sandbox.fault("not_json", body=body)
    answer = setup().read()
    assert (answer.data, answer.pagination, answer.request_id) == (None, None, None)
    assert answer.server_time == datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("switches", "minutes"),
    [
        pytest.param({"clock_skew": 900}, 15, id="the envelope"),
        pytest.param({"clock_skew": 900, "timestamp_offset": "+00:00"}, 15, id="with an offset"),
        pytest.param({"clock_skew": -900, "envelope_timestamp": False}, -15, id="else Date"),
    ],
)
def test_the_time_is_the_server_s(
    server: SandboxServer, setup: Callable[..., Setup], switches: dict[str, Any], minutes: int
) -> None:
    server.sandbox.switch(**switches)
    noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert setup().read().server_time == noon + timedelta(minutes=minutes)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jan 2024 00:00:00 +99999999999999999"])
def test_a_server_without_a_clock_is_given_this_machine_s(date: str) -> None:
    with other_server(b'{"data": []}', Date=date) as (url, _):
        before = datetime.now(UTC)
        answer = Setup(url, "lev_sk_test").read()
        assert before <= answer.server_time <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(b"", "0 bytes of text/plain, {}", id="nothing"),
        pytest.param(b"null", "4 bytes of text/plain, 'null', {}", id="null"),
        pytest.param(
            b"<html>\n <b>Log in</b></html>" + b"x" * 999,
            f"1027 bytes of text/plain, '<html> <b>Log in</b></html>{'x' * 53}', {{}}",
            id="a page",
        ),
        pytest.param(b"\x00\x01", "2 bytes of text/plain, {}", id="no text"),
        pytest.param(
            b'{"data": "\xff"}',
            "13 bytes of text/plain, {}: 'utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte",
            id="not UTF-8",
        ),
        pytest.param(
            b'{"data": nan}',
            "13 bytes of text/plain, {}: JSON is malformed: invalid character (byte 13)",
            id="nan",
        ),
        pytest.param(b"[" * 100_000, "100000 bytes of text/plain, {}", id="bottomless"),
        pytest.param(
            b'{"data":' * 10_000,
            "80000 bytes of text/plain, {}: it is nested too deeply",
            id="deep",
        ),
        pytest.param(
            b'{"rows": [{"email": "ann@example.com"}]}', "40 bytes of text/plain, {}", id="rows"
        ),
    ],
)
def test_what_is_no_answer_is_told_by_size_and_type(body: bytes, told: str) -> None:
    with (
        other_server(body, **{"Content-Type": "text/plain"}) as (url, _),
        pytest.raises(InvalidResponseError) as caught,
    ):
        Setup(url, "lev_sk_test", max_retries=0).read()
    assert str(caught.value) == (
        "Something between here and Lev seems to have answered GET /contacts with 200: "
        f"{told.format('which is not the JSON of Lev&apos;s API').replace('&apos;', chr(39))}."
    )


# -- What is tried again


@pytest.fixture(params=[True, False], ids=["gzip", "plain"])
def compressed(server: SandboxServer, request: pytest.FixtureRequest) -> None:
    server.sandbox.switch(gzip=request.param)


@pytest.mark.usefixtures("compressed")
@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_what_passes_is_tried_again(
    server: SandboxServer, setup: Callable[..., Setup], fault: dict[str, Any]
) -> None:
    server.sandbox.fault(**fault)
    made = setup(request_timeout_seconds=0.2 if fault["kind"] == "hang" else 10)
    assert len(made.read(limit=100).data) == 100
    assert (made.report.requests, made.report.retries) == (2, 1)
    assert made.report.throttled == (fault.get("status") == 429)
    assert made.scheduler.waited == made.waits[0]
    assert len(made.waits) == 1
    assert [entry.fault for entry in server.sandbox.requests] == [fault["kind"], None]


@pytest.mark.parametrize("max_retries", [0, 1, 3])
@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        ("429", LevAPIError, "429 rate_limit_exceeded"),
        ("500", LevAPIError, "500 internal_error"),
        ("502 of a proxy", LevAPIError, "502 Bad Gateway"),
        ("reset", LevConnectionError, "The connection to Lev failed during GET /contacts"),
        ("body cut off", LevConnectionError, "The connection to Lev failed during GET /contacts"),
        ("timeout", LevConnectionError, "Lev did not answer GET /contacts within 0.1 s."),
        ("not JSON", InvalidResponseError, "which is not the JSON of Lev's API"),
    ],
)
def test_what_does_not_pass_is_told_after_the_last_retry(  # noqa: PLR0913
    server: SandboxServer,
    setup: Callable[..., Setup],
    *,
    fault: str,
    error: type[LevError],
    sentence: str,
    max_retries: int,
) -> None:
    server.sandbox.fault(**TRANSIENT[fault], times=None)
    made = setup(max_retries=max_retries, request_timeout_seconds=0.1 if fault == "timeout" else 10)
    made.client.has_responded = True
    with pytest.raises(error, match=re.escape(sentence)):
        made.read()
    assert len(server.sandbox.requests) == made.report.requests == max_retries + 1
    assert len(made.waits) == made.report.retries == max_retries


@pytest.mark.parametrize("form", ["A", "B", "C"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_what_does_not_pass_is_not_tried_again(
    server: SandboxServer, setup: Callable[..., Setup], status: int, form: str
) -> None:
    server.sandbox.fault("status", status=status, form=form, message="Not like this.")
    made = setup(max_retries=8)
    with pytest.raises(LevAPIError, match=r"Not like this\.") as caught:
        made.read()
    request_id = server.sandbox.requests[0].request_id
    assert caught.value.status == status
    assert caught.value.request_id == (None if form == "C" else request_id)
    assert isinstance(caught.value, EndpointRefusedError) == (status == 401)
    # Whether it is the key that is refused says /me.
    assert (made.report.requests, made.waits) == (2 if status == 401 else 1, [])


def test_a_wrong_key_is_refused(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        setup(api_key="lev_sk_wrong").read()
    assert caught.value.exit_code == 3
    assert [entry.path for entry in server.sandbox.requests] == ["/contacts", "/me"]
    assert not any(entry.authorized for entry in server.sandbox.requests)


def test_nobody_there_is_a_sentence(setup: Callable[..., Setup]) -> None:
    made = setup(api_url="http://127.0.0.1:1", max_retries=2)
    with pytest.raises(LevConnectionError, match=r"failed during GET /contacts: .*refused\.$"):
        made.read()
    assert len(made.waits) == 2
    assert not made.client.has_responded


@pytest.mark.parametrize("form", ["A", "B", "C"])
@pytest.mark.parametrize("status", [401, 404, 500])
def test_any_error_of_lev_s_shows_that_lev_is_there(
    server: SandboxServer, setup: Callable[..., Setup], status: int, form: str
) -> None:
    server.sandbox.fault("status", status=status, form=form)
    made = setup(max_retries=0)
    with pytest.raises(LevError):
        made.read()
    assert made.client.has_responded


@pytest.mark.parametrize("fault", FOREIGN.values(), ids=FOREIGN)
def test_an_answer_that_is_not_lev_s_does_not_show_that_lev_is_there(
    server: SandboxServer, setup: Callable[..., Setup], fault: dict[str, Any]
) -> None:
    server.sandbox.fault(**fault, times=2)
    made = setup(max_retries=0)
    with pytest.raises(LevError) as caught:
        made.read()
    is_of_address = fault.get("status") == 404
    assert isinstance(caught.value, ConfigError) == is_of_address
    assert caught.value.on_the_way != is_of_address
    assert not made.client.has_responded
    assert not made.scheduler._is_parallel
    made = setup(max_retries=1)
    assert made.read().data, "and it passes"
    assert made.client.has_responded


# -- How often what is on the way is tried again


@pytest.mark.parametrize("fault", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize(("max_retries", "tries"), [(0, 1), (1, 2), (8, 2)])
def test_before_lev_has_answered_a_fault_on_the_way_has_two_tries(
    server: SandboxServer,
    setup: Callable[..., Setup],
    fault: dict[str, Any],
    max_retries: int,
    tries: int,
) -> None:
    server.sandbox.fault(**fault, headers={"Retry-After": "600"}, times=None)
    made = setup(max_retries=max_retries)
    with pytest.raises(LevError):
        made.read()
    assert len(server.sandbox.requests) == tries
    assert sum(made.waits) < 5, "whatever it asks for"


def test_a_fault_on_the_way_that_takes_long_has_one_try(
    server: SandboxServer, setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "UNTIL_REACHED", RetryPolicy(1, seconds=0))
    server.sandbox.fault("redirect", location="http://127.0.0.1:1", times=None)
    with pytest.raises(LevError):
        setup(max_retries=8).read()
    assert len(server.sandbox.requests) == 1


def test_a_fault_on_the_way_uses_the_retries_of_an_endpoint_up_once(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup(max_retries=3)
    made.read("GET /companies")
    server.sandbox.clear_log()
    fault = server.sandbox.fault("status", status=403, form="html", times=None)
    for endpoint in (CONTACTS, CONTACTS, "GET /deals", CONTACTS):
        with pytest.raises(LevAPIError):
            made.read(endpoint)
    asked = [entry.path for entry in server.sandbox.requests]
    assert asked == ["/contacts"] * 5 + ["/deals"] * 4 + ["/contacts"]
    server.sandbox.clear_faults()
    assert fault
    server.sandbox.fault("status", status=500, times=3)
    assert made.read().data, "what Lev says is tried again as ever"


def test_a_fault_that_passes_uses_nothing_up(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup(max_retries=2)
    made.read()
    for _ in range(3):
        server.sandbox.fault("status", status=404, form="html", times=2)
        made.read()
    assert made.report.retries == 6


def test_a_request_of_one_try_uses_no_retries_up(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup(max_retries=2)
    made.read()
    server.sandbox.fault("status", status=403, form="html", times=3)
    with pytest.raises(LevAPIError):
        made.send(LevRequest(CONTACTS), policy=ONCE)
    assert made.read().data


@pytest.mark.parametrize(
    ("code", "error"),
    [(socket.EAI_NONAME, ConfigError), (socket.EAI_AGAIN, UnknownHostError)],
    ids=["unknown", "no name server"],
)
def test_a_name_that_cannot_be_resolved_has_two_tries(
    setup: Callable[..., Setup],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[LevError],
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "Name or service not known")

    made = setup(max_retries=8)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(error, match=r"Failed to resolve '127\.0\.0\.1'.* Is api_url right\?"):
        made.read()
    assert made.report.requests == 2
    made.client.has_responded = True
    for tries in (9, 1):
        before = made.report.requests
        with pytest.raises(UnknownHostError, match=r"Failed to resolve '127\.0\.0\.1'") as caught:
            made.read()
        assert made.report.requests - before == tries
        assert "api_url" not in str(caught.value)
        assert caught.value.exit_code == 1


def test_a_request_can_be_worth_one_try(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    server.sandbox.fault("status", status=500, times=None)
    made = setup(max_retries=8)
    with pytest.raises(LevAPIError):
        made.send(LevRequest(CONTACTS), policy=ONCE)
    assert len(server.sandbox.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
@pytest.mark.parametrize("form", ["A", "html"])
def test_what_asks_to_come_back_later_is_asked_later_in_any_form(
    server: SandboxServer, setup: Callable[..., Setup], status: int, form: str
) -> None:
    server.sandbox.fault("status", status=status, form=form)
    assert setup().read().data


def test_a_limit_is_obeyed_whoever_keeps_it(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup(max_retries=8)
    headers = {"Retry-After": "40"}
    server.sandbox.fault("status", status=429, form="html", headers=headers, times=3)
    assert made.read().data
    assert made.waits == [40, 40, 40]


# -- A success that is none


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"error": {"type": "db_down", "message": "No database"}}, "200 db_down: No database"),
        ({"error": "No database"}, "200 failure: No database"),
        ({"error": {}}, "200 failure: no reason is given"),
        ({"error": True}, "200 failure: True"),
        ({"success": False, "message": "No database"}, "200 failure: No database"),
        ({"ok": False}, "200 failure: no reason is given"),
        ({"errors": [{"message": "No database"}]}, "200 failure: No database"),
        ({"errors": {"contacts": "No"}}, "200 failure: no reason is given"),
    ],
    ids=str,
)
@pytest.mark.parametrize("data", [[], None, [{"id": 1}]], ids=str)
@pytest.mark.parametrize("shaped", [True, False])
def test_a_success_that_says_it_is_none_is_a_failure(  # noqa: PLR0913
    server: SandboxServer,
    setup: Callable[..., Setup],
    more: dict[str, Any],
    told: str,
    data: object,
    *,
    shaped: bool,
) -> None:
    body = json.dumps({"request_id": "6f0c", "data": data} | more)
    server.sandbox.fault("not_json", body=body, times=2)
    made = setup(max_retries=2)
    decoder = msgspec.json.Decoder(Envelope) if shaped else None
    assert made.send(LevRequest(CONTACTS), decoder=decoder).data, "it is tried again"
    assert made.client.has_responded
    server.sandbox.fault("not_json", body=body, times=None)
    with pytest.raises(LevAPIError) as caught:
        made.send(LevRequest(CONTACTS), decoder=decoder)
    assert str(caught.value) == f"Lev answered GET /contacts with {told} (request_id 6f0c)."
    assert made.report.retries == 4
    assert not caught.value.is_foreign


def test_an_error_in_a_success_without_data_is_a_failure(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("not_json", body='{"error": {"message": "No database"}}')
    with pytest.raises(LevAPIError, match="with 200 failure: No database"):
        setup(max_retries=0).read()


@pytest.mark.parametrize(
    "more",
    [
        {"error": None},
        {"error": False},
        {"success": True},
        {"ok": True},
        {"ok": None},
        {"errors": []},
    ],
)
@pytest.mark.parametrize("shaped", [True, False])
def test_a_success_that_says_so_is_one(
    server: SandboxServer, setup: Callable[..., Setup], more: dict[str, Any], *, shaped: bool
) -> None:
    server.sandbox.fault("not_json", body=json.dumps({"data": [{"id": 1}]} | more))
    made = setup(max_retries=0)
    decoder = msgspec.json.Decoder(Envelope) if shaped else None
    answer = made.send(LevRequest(CONTACTS), decoder=decoder)
    assert answer.data == [{"id": 1}]
    assert answer.is_typed is shaped


# -- A key that is refused, or an endpoint that refuses it


def test_a_key_that_one_endpoint_refuses_is_not_a_key_that_is_refused(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup(max_retries=8)
    made.client.me()
    server.sandbox.fault("status", status=401, route="/contacts", message="No.")
    with pytest.raises(EndpointRefusedError) as caught:
        made.read()
    assert [entry.path for entry in server.sandbox.requests] == ["/me", "/contacts", "/me"]
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        "Lev answered GET /contacts with 401 unauthorized: No. "
        f"(request_id {server.sandbox.requests[1].request_id}). The key is valid, as Lev's answer "
        "to GET /me shows, but this endpoint refuses it: ask Lev why, or deselect the stream."
    )


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "status", "status": 401}, id="refused"),
        pytest.param({"kind": "status", "status": 503}, id="failing"),
        pytest.param({"kind": "status", "status": 200, "form": "html"}, id="foreign"),
        pytest.param({"kind": "reset"}, id="reset"),
    ],
)
def test_a_key_that_nothing_speaks_for_is_refused(
    server: SandboxServer, setup: Callable[..., Setup], fault: dict[str, Any]
) -> None:
    made = setup(max_retries=8)
    server.sandbox.fault("status", status=401, route="/contacts")
    server.sandbox.fault(**fault, route="/me", times=None)
    with pytest.raises(AuthenticationError, match="GET /contacts with 401"):
        made.read()
    assert [entry.path for entry in server.sandbox.requests] == ["/contacts", "/me"]


@pytest.mark.parametrize("form", ["html", "empty"])
def test_a_401_that_is_not_lev_s_refuses_no_key(
    server: SandboxServer, setup: Callable[..., Setup], form: str
) -> None:
    server.sandbox.fault("status", status=401, form=form, times=None)
    with pytest.raises(LevAPIError) as caught:
        setup().read()
    assert not isinstance(caught.value, AuthenticationError)
    assert [entry.path for entry in server.sandbox.requests] == ["/contacts"] * 2


# -- /me


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_me_has_two_tries(
    server: SandboxServer, setup: Callable[..., Setup], fault: dict[str, Any]
) -> None:
    made = setup(max_retries=8, request_timeout_seconds=0.2 if fault["kind"] == "hang" else 10)
    server.sandbox.fault(**fault, times=None)
    with pytest.raises(LevError):
        made.client.me()
    # The wait that a 429 asks for is longer than all of it may take.
    assert len(server.sandbox.requests) == (1 if fault.get("status") == 429 else 2)
    assert sum(made.waits) < 5
    server.sandbox.clear_faults()
    assert made.client.me().data["user"], "and can be asked anew"


def test_me_takes_no_longer_than_it_may_whatever_the_timeout_is(
    server: SandboxServer, setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FOR_ME", RetryPolicy(1, seconds=20, each=0.2))
    server.sandbox.fault("hang", seconds=2, times=None)
    made = setup(request_timeout_seconds=60)
    with pytest.raises(LevConnectionError, match=r"did not answer GET /me within 0\.2 s\."):
        made.client.me()
    assert made.run_report.tap.requests == 2


def test_the_second_try_of_me_has_what_the_first_left(
    server: SandboxServer, setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    send = transport.Transport.send

    def noted(self: transport.Transport, request: Any, seconds: float) -> Any:  # noqa: ANN401
        given.append(seconds)
        return send(self, request, seconds)

    monkeypatch.setattr(transport.Transport, "send", noted)
    monkeypatch.setattr(client, "FOR_ME", RetryPolicy(1, seconds=10, each=9))
    server.sandbox.fault("hang", seconds=1.5)
    made = setup(request_timeout_seconds=1)
    made.client.me()
    assert given[0] == 9
    assert 0 < given[1] < 9
    assert tuple(FOR_ME) == (1, 10, 5)
    made.read()
    assert given[2] == math.inf


def test_me_does_not_wait_for_a_limit_but_what_follows_does(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("status", status=429, headers={"Retry-After": "60"})
    made = setup(max_retries=8)
    with pytest.raises(LevAPIError):
        made.client.me()
    assert made.waits == []
    made.read()
    assert made.waits == [pytest.approx(60, abs=0.1)]


def test_what_me_says_is_asked_once(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    made = setup()
    answer = made.client.me()
    assert made.client.me() is made.read("GET /me") is answer
    assert len(server.sandbox.requests) == 1


# -- Half of a character


@pytest.mark.parametrize(
    ("text", "found", "halves"),
    [
        (r"\ud83d", "\ufffd", 1),
        (r"a\ud83db", "a\ufffdb", 1),
        (r"\uDE00", "\ufffd", 1),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600", 1),
        (r"\ude00\ud83d", "\ufffd\ufffd", 2),
        (r"\ud83d\n\u0041", "\ufffd\nA", 1),
        (r"\\ud83d \ud83d", "\\ud83d \ufffd", 1),
        (r"\\\ud83d", "\\\ufffd", 1),
        (r"\\\\ud83d \ud83d", "\\\\ud83d \ufffd", 1),
    ],
)
@pytest.mark.parametrize("shaped", [True, False])
def test_half_of_a_character_is_the_one_for_what_is_unknown(  # noqa: PLR0913
    server: SandboxServer,
    setup: Callable[..., Setup],
    *,
    text: str,
    found: str,
    halves: int,
    shaped: bool,
) -> None:
    body = f'{{"request_id": "6f0c", "data": [{{"id": 1, "{text}": [{{"a": "{text}"}}]}}]}}'
    server.sandbox.fault("not_json", body=body)
    made = setup(max_retries=0)
    decoder = msgspec.json.Decoder(Envelope) if shaped else None
    answer = made.send(LevRequest(CONTACTS), decoder=decoder)
    assert answer.data == [{"id": 1, found: [{"a": found}]}]
    assert answer.halves == 2 * halves
    assert answer.is_typed is shaped


@pytest.mark.parametrize("text", [r"\\ud83d", r"\ud83d\ude00", r"\u0041", "\U0001f600"])
def test_a_whole_character_stays(
    server: SandboxServer, setup: Callable[..., Setup], text: str
) -> None:
    server.sandbox.fault("not_json", body=f'{{"data": ["{text}"]}}')
    answer = setup(max_retries=0).read()
    assert answer.data == [json.loads(f'"{text}"')]
    assert answer.halves == 0


@given(st.lists(st.sampled_from([*'ad8ue\\"/', "\ud83d", "\ude00", "\n", "\x7f"])).map("".join))
def test_any_text_is_whole_but_for_halves(text: str) -> None:
    body = json.dumps({"data": text}).encode()
    # Two halves that follow each other are one character, in Python's JSON as in any.
    whole = json.loads(body)["data"]
    answer = parse_response(body, {}, CONTACTS)
    assert answer.data == re.sub("[\ud800-\udfff]", "\ufffd", whole)
    assert answer.halves == len(re.findall("[\ud800-\udfff]", whole))


def test_half_of_a_character_is_told_once_for_each_stream(
    server: SandboxServer, setup: Callable[..., Setup], caplog: pytest.LogCaptureFixture
) -> None:
    body = r'{"request_id": "6f0c", "data": ["\ud83d", "\ud83d"]}'
    server.sandbox.fault("not_json", body=body, times=None)
    made = setup(max_retries=0)
    for name in ("contacts", "contacts", "companies"):
        made.client.bind(name).send(LevRequest(CONTACTS))
    assert caplog.messages == [
        f"{name}: Lev sends half of a character, which JSON allows and no text can hold, 2 times "
        "in GET /contacts (request_id 6f0c). Each is read as U+FFFD; this is logged once."
        for name in ("contacts", "companies")
    ]


def test_half_of_a_character_in_an_error_is_no_other_error() -> None:
    with (
        other_server(rb'{"error": {"message": "\ud83d"}}', status=404) as (url, _),
        pytest.raises(LevAPIError, match="404 not_found: \ufffd") as caught,
    ):
        Setup(url, "lev_sk_test").read()
    assert caught.value.is_gone


# -- The clocks


@pytest.mark.parametrize(
    ("timestamp", "date", "clocks"),
    [
        (NOON, DATE, (AT_NOON, True, AT_ONE)),
        ("2026-11-02T13:00:00+01:00", DATE, (AT_NOON, True, AT_ONE)),
        ("2026-11-02T12:00:00", DATE, (AT_NOON, False, AT_ONE)),
        (None, DATE, (None, False, AT_ONE)),
        ("soon", DATE, (None, False, AT_ONE)),
        (7, "", (None, False, None)),
        (NOON, "yesterday", (AT_NOON, True, None)),
        (NOON, DATE.replace("GMT", "-0000"), (AT_NOON, True, AT_ONE)),
    ],
)
@pytest.mark.parametrize("shaped", [True, False])
def test_an_answer_keeps_what_each_clock_says(
    timestamp: object,
    date: str,
    clocks: tuple[datetime | None, bool, datetime | None],
    *,
    shaped: bool,
) -> None:
    body = json.dumps({"data": [], "timestamp": timestamp}).encode()
    decoder = msgspec.json.Decoder(Envelope) if shaped else None
    answer = parse_response(body, {"Date": date}, CONTACTS, decoder)
    assert (answer.envelope_time, answer.envelope_has_zone, answer.date_header) == clocks
    if clocks[0] or clocks[2]:
        assert answer.server_time == (clocks[0] or clocks[2])


# -- How long it waits


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        pytest.param({"Retry-After": "7"}, "Retry after 30 seconds.", 7, id="header"),
        pytest.param({}, "Retry after 30 seconds.", 30, id="message"),
        pytest.param({"Retry-After": "900"}, "", 900, id="the longest"),
    ],
)
def test_it_waits_as_it_is_told(  # noqa: PLR0913
    server: SandboxServer,
    setup: Callable[..., Setup],
    *,
    headers: dict[str, str],
    message: str,
    wait: float,
    status: int,
) -> None:
    server.sandbox.fault("status", status=status, form="A", headers=headers, message=message)
    made = setup()
    made.read()
    assert made.waits == [wait]
    assert made.scheduler.waited == wait


@pytest.mark.parametrize("hint", [{"Retry-After": "901"}, {"Retry-After": "inf"}], ids=str)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_is_too_long_is_not_begun(
    server: SandboxServer, setup: Callable[..., Setup], hint: dict[str, str], status: int
) -> None:
    made = setup(max_retries=8)
    made.read()
    server.sandbox.fault("status", status=status, headers=hint, times=None)
    with pytest.raises(
        TooLongWaitError, match=r"and a run waits 900 s at most: run it again after"
    ):
        made.read()
    assert (made.report.requests, made.waits) == (2, [])
    server.sandbox.clear_faults()
    if status == 503:
        assert made.read().data, "only a 429 is about the next request, too"
        return
    with pytest.raises(TooLongWaitError):
        made.read("GET /companies")
    assert made.report.requests == 2


def test_a_wait_that_is_too_long_for_one_endpoint_closes_that_one(
    setup: Callable[..., Setup],
) -> None:
    body = {"limit_type": "requests_per_minute_per_endpoint", "retry_after_seconds": 3600}
    with other_server(json.dumps({"error": {"type": "slow"} | body}).encode(), 429) as (url, came):
        made = setup(api_url=url, max_retries=8)
        for _ in range(2):
            with pytest.raises(TooLongWaitError, match=r"asks to wait 3600 s"):
                made.read()
        with pytest.raises(TooLongWaitError):
            made.read("GET /companies")
    assert [request.split()[1] for request in came] == ["/contacts", "/companies"]


def test_a_wait_is_over_some_time(
    server: SandboxServer, setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sandbox.fault("status", status=429, headers={"Retry-After": "3600"})
    made = setup(max_retries=8)
    with pytest.raises(TooLongWaitError):
        made.read()
    later = client.time.monotonic() + 3601
    monkeypatch.setattr(client.time, "monotonic", lambda: later)
    assert made.read().data


def test_a_wait_may_be_as_long_as_a_window_of_the_limits(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("status", status=429, headers={"Retry-After": "3600"})
    made = setup(max_retries=8, window=3600)
    assert made.read().data
    assert made.waits == [3600]


def test_to_be_told_not_to_wait_does_not_use_the_retries_up(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("status", status=429, headers={"Retry-After": "0"}, times=3)
    made = setup(max_retries=3)
    made.read()
    assert len(made.waits) == 3
    assert all(2**tries / 4 <= wait <= 2**tries / 2 for tries, wait in enumerate(made.waits))


@pytest.mark.parametrize("form", ["A", "B", "C"])
@pytest.mark.parametrize("retry_after", ["off", "seconds"])
def test_a_rate_limit_s_own_wait_is_obeyed(
    server: SandboxServer, setup: Callable[..., Setup], form: str, retry_after: str
) -> None:
    server.sandbox.switch(rate_limit_form=form, retry_after=retry_after)
    server.sandbox.limits.configure(tier="free", window=60)
    made = setup(max_retries=0)
    for _ in range(10):
        made.read(limit=1)
    with pytest.raises(LevAPIError) as caught:
        made.read(limit=1)
    assert caught.value.retry_after == 60
    assert made.report.throttled == 1


@pytest.mark.parametrize(("chance", "part"), [(min, 0.5), (max, 1)], ids=["least", "most"])
def test_without_a_hint_it_waits_ever_longer_up_to_a_minute(
    server: SandboxServer,
    setup: Callable[..., Setup],
    monkeypatch: pytest.MonkeyPatch,
    chance: Callable[[float, float], float],
    part: float,
) -> None:
    monkeypatch.setattr(random, "uniform", chance)
    server.sandbox.fault("status", status=500, times=10)
    made = setup(max_retries=10)
    made.read()
    assert made.waits == [part * most for most in (0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60)]


def test_a_wait_before_a_retry_is_told(
    server: SandboxServer, setup: Callable[..., Setup], caplog: pytest.LogCaptureFixture
) -> None:
    server.sandbox.fault("status", status=500)
    made = setup(max_retries=3)
    made.read()
    (message,) = caplog.messages
    assert message.endswith(f" Trying again in {made.waits[0]:.1f} s (1 of 3).")


@pytest.mark.parametrize(("status", "is_open"), [(500, True), (404, True), (401, False)])
def test_the_first_answer_opens_the_gate_unless_it_refuses_the_key(
    server: SandboxServer, setup: Callable[..., Setup], status: int, *, is_open: bool
) -> None:
    made = setup(max_retries=0)
    assert not made.scheduler._is_parallel
    server.sandbox.fault("status", status=status, times=None)
    with pytest.raises(LevAPIError):
        made.read()
    assert made.scheduler._is_parallel == is_open


def test_an_answer_that_is_too_long_is_not_lev_s(
    setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = setup()
    monkeypatch.setattr(transport, "MAX_BYTES", 10)
    with pytest.raises(LevError, match="It was not read to its end"):
        made.read()
    assert not made.client.has_responded


def test_the_innermost_cause_is_found() -> None:
    reset = ConnectionResetError(104, "Connection reset by peer")
    aborted = requests.ConnectionError(ProtocolError("Connection aborted.", reset))
    assert innermost(aborted) is reset
    given_up = MaxRetryError(None, "/contacts", ProtocolError("Connection aborted.", reset))  # type: ignore[arg-type]
    assert innermost(requests.ConnectionError(given_up)) is reset


def test_two_clients_do_not_wait_in_step(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("status", status=500, times=None)
    waits = set()
    for _ in range(5):
        made = setup()
        with pytest.raises(LevAPIError):
            made.read()
        waits.update(made.waits)
    assert len(waits) == 5


def test_a_retry_is_told(
    server: SandboxServer, setup: Callable[..., Setup], caplog: pytest.LogCaptureFixture
) -> None:
    server.sandbox.fault("status", status=429, form="A", headers={"Retry-After": "7"})
    setup(max_retries=3).read()
    request_id = server.sandbox.requests[0].request_id
    (message,) = caplog.messages
    assert f"429 rate_limit_exceeded: The sandbox was asked to fail. (request_id {request_id})" in (
        message
    )
    assert message.endswith("All requests wait for 7.0 s (try 1 of 3).")


def test_requests_and_waits_are_what_a_signal_may_interrupt(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    server.sandbox.fault("status", status=500)
    made = setup()
    made.read()
    assert made.lock.releases == 2
    assert len(made.waits) == 1
