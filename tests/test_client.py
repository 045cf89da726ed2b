from __future__ import annotations

import contextlib
import http.server
import logging
import random
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from urllib3.exceptions import MaxRetryError, ProtocolError

from lev_sandbox import Clock, Sandbox, SandboxServer, router
from tap_lev import transport
from tap_lev.budget import Limits, RateBudget
from tap_lev.client import READS, LevClient, _innermost
from tap_lev.errors import (
    BrokenAnswerError,
    KeyRefusedError,
    LevAPIError,
    LevConnectionError,
    LevError,
)
from tap_lev.gate import Gate
from tap_lev.report import StreamReport
from tests.standins import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTACTS = "GET /contacts"
NOON = "2026-11-02T12:00:00Z"
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

    def __init__(self, url: str, key: str, **changes: Any) -> None:  # noqa: ANN401
        config = {
            "api_url": url,
            "api_key": key,
            "origin_app": "warehouse-sync",
            "request_timeout_seconds": 10,
            "max_retries": 1,
            "max_parallel_streams": 1,
        }
        self.report = StreamReport()
        self.baton = StandIn()
        self.gate = Gate(
            RateBudget(Limits(1000, 1000), clock=self.baton.clock), self.baton, 1, self.baton.clock
        )
        self.client = LevClient(config | changes, logging.getLogger("tap-lev"), self.gate)

    @property
    def waits(self) -> list[float]:
        return self.baton.waits

    def read(self, endpoint: str = CONTACTS, **params: str | int) -> Any:  # noqa: ANN401
        return self.client.read(endpoint, self.report, params)


@pytest.fixture
def setup(server: SandboxServer) -> Callable[..., Setup]:
    """Make a client of the server."""

    def make(**changes: Any) -> Setup:  # noqa: ANN401
        return Setup(server.url, server.key, **changes)

    return make


@contextlib.contextmanager
def other_server(body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer, without a ``Date``, on another port; list the requests that came."""
    came: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(f"{self.requestline}\n{self.headers}")
            self.send_response_only(200)
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
        server.sandbox.fault("redirect", status=status, location=f"{url}/contacts")
        with pytest.raises(LevError, match=f"redirects GET /contacts to '{url}/contacts'") as error:
            made.read()
    assert came == []
    assert error.value.exit_code == 1
    assert (made.report.requests, made.waits) == (1, [])


def test_ids_fill_the_template_s_places(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    made = setup()
    sheet = server.sandbox.add("term_sheets", parent=2)["id"]
    endpoint = "GET /deals/{deal_id}/term-sheets/{term_sheet_id}"
    answer = made.client.read(
        endpoint, made.report, ids={"term_sheet_id": sheet, "deal_id": 2, "task_id": 5}
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
        with pytest.raises(BrokenAnswerError, match=f"^The deal_id '{re.escape(key)}' ") as error:
            made.client.read(endpoint, made.report, ids={"deal_id": key})
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
        made.client.read("GET /deals/{deal_id}", made.report, ids={"deal_id": key})
    assert came[0].startswith(f"GET {path} HTTP/1.1\n")


def test_an_error_names_the_row_that_was_asked_for(
    server: SandboxServer, setup: Callable[..., Setup]
) -> None:
    made = setup()
    with pytest.raises(LevAPIError) as caught:
        made.client.read("GET /deals/{deal_id}/notes", made.report, ids={"deal_id": 4711})
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
    answer = made.client.read(
        "POST /deals/{deal_id}/index/search", made.report, ids={"deal_id": 1}, json=body
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
    other = StreamReport()
    assert made.client.account_id(made.report) == account["id"]
    assert made.client.account_id(other) == account["id"]
    assert [entry.path for entry in server.sandbox.requests] == ["/me"]
    assert (made.report.requests, other.requests) == (1, 0)


@pytest.mark.parametrize(
    "data", [None, [], {}, {"account": None}, {"account": {}}, {"account": {"id": "56"}}, "me"]
)
def test_an_account_that_lev_does_not_tell_is_a_sentence(
    server: SandboxServer, setup: Callable[..., Setup], data: object
) -> None:
    server.sandbox.fault("wrong_shape", data=data)
    made = setup()
    with pytest.raises(BrokenAnswerError) as caught:
        made.client.account_id(made.report)
    assert str(caught.value) == "Lev does not tell the account's id in GET /me."
    assert made.client.account_id(made.report), "and is asked for anew"


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
    ("body", "size", "fault"),
    [
        pytest.param(b"", 0, "", id="nothing"),
        pytest.param(b"null", 4, "", id="null"),
        pytest.param(
            b'{"data": "\xff"}',
            13,
            ": 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
            id="not UTF-8",
        ),
        pytest.param(
            b'{"data": NaN}', 13, ": JSON is malformed: invalid character (byte 9)", id="NaN"
        ),
        pytest.param(b"[" * 100_000, 100_000, "", id="bottomless"),
        pytest.param(b'{"data":' * 10_000, 80_000, ": it is nested too deeply", id="deep"),
    ],
)
def test_what_is_no_answer_is_told_by_size_and_type(body: bytes, size: int, fault: str) -> None:
    with other_server(body, **{"Content-Type": "text/plain"}) as (url, _):
        with pytest.raises(BrokenAnswerError) as caught:
            Setup(url, "lev_sk_test", max_retries=0).read()
        assert str(caught.value) == (
            f"Lev answered GET /contacts with {size} bytes of text/plain that are not the JSON of "
            f"its API{fault}."
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
    assert made.gate.waited == made.waits[0]
    assert len(made.waits) == 1
    assert [entry.fault for entry in server.sandbox.requests] == [fault["kind"], None]


@pytest.mark.parametrize("max_retries", [0, 1, 3])
@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        ("429", LevAPIError, "429 rate_limit_exceeded"),
        ("500", LevAPIError, "500 internal_error"),
        ("502 of a proxy", LevAPIError, "502 bad gateway"),
        ("reset", LevConnectionError, "The connection to Lev failed during GET /contacts"),
        ("body cut off", LevConnectionError, "The connection to Lev failed during GET /contacts"),
        ("timeout", LevConnectionError, "Lev did not answer GET /contacts within 0.1 s."),
        ("not JSON", BrokenAnswerError, "that are not the JSON of its API"),
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
    assert isinstance(caught.value, KeyRefusedError) == (status == 401)
    assert (made.report.requests, made.waits) == (1, [])


def test_a_wrong_key_is_refused(server: SandboxServer, setup: Callable[..., Setup]) -> None:
    with pytest.raises(KeyRefusedError) as caught:
        setup(api_key="lev_sk_wrong").read()
    assert caught.value.exit_code == 3
    assert [entry.authorized for entry in server.sandbox.requests] == [False]


def test_nobody_there_is_a_sentence(setup: Callable[..., Setup]) -> None:
    made = setup(api_url="http://127.0.0.1:1", max_retries=2)
    with pytest.raises(LevConnectionError, match=r"failed during GET /contacts: .*refused\.$"):
        made.read()
    assert len(made.waits) == 2
    assert not made.client.reached


@pytest.mark.parametrize("status", [200, 401, 500])
def test_any_answer_shows_that_lev_is_there(
    server: SandboxServer, setup: Callable[..., Setup], status: int
) -> None:
    server.sandbox.fault("status", status=status)
    made = setup(max_retries=0)
    with pytest.raises(LevError):
        made.read()
    assert made.client.reached


# -- How long it waits


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        pytest.param({"Retry-After": "7"}, "Retry after 30 seconds.", 7, id="header"),
        pytest.param({}, "Retry after 30 seconds.", 30, id="message"),
        pytest.param({"Retry-After": "86400"}, "", 900, id="not for ever"),
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
    assert made.gate.waited == wait


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
    assert not made.gate._is_open
    server.sandbox.fault("status", status=status)
    with pytest.raises(LevAPIError):
        made.read()
    assert made.gate._is_open == is_open


def test_an_answer_that_is_too_long_is_an_answer(
    setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = setup()
    monkeypatch.setattr(transport, "MAX_BYTES", 10)
    with pytest.raises(LevError, match="It was not read to its end"):
        made.read()
    assert made.client.reached


def test_the_innermost_cause_is_told() -> None:
    reset = ConnectionResetError(104, "Connection reset by peer")
    aborted = requests.ConnectionError(ProtocolError("Connection aborted.", reset))
    assert _cause(aborted) == "[Errno 104] Connection reset by peer"
    given_up = MaxRetryError(None, "/contacts", ProtocolError("Connection aborted.", reset))  # type: ignore[arg-type]
    assert _cause(requests.ConnectionError(given_up)) == "[Errno 104] Connection reset by peer"


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
    assert made.baton.lendings == 2
    assert len(made.waits) == 1
