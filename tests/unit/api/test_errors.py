from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_lev.api.error_response import MAX_EXCERPT, MAX_HINT, api_error
from tap_lev.errors import AuthenticationError, LevAPIError
from tap_lev.text import MAX_QUOTED

REQUEST_ID = "6f0c2a58-3a1e-4f0e-9a51-0d4f2f6b7c11"
FORMS: dict[str, dict[str, Any]] = {
    "A": {
        "request_id": REQUEST_ID,
        "error": {
            "status": 404,
            "type": "not_found",
            "message": "Deal not found",
            "details": {},
        },
    },
    "B": {
        "request_id": REQUEST_ID,
        "error": {"code": "NOT_FOUND", "message": "Deal not found"},
    },
    "C": {"request_id": REQUEST_ID, "error": "Deal not found"},
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ERROR_FIELDS = ("status", "type", "code", "message", "details", "retry_after_seconds")
BODIES = st.binary() | st.fixed_dictionaries(
    {},
    optional={
        "request_id": JSON,
        "error": JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(ERROR_FIELDS, JSON)),
    },
).map(lambda body: json.dumps(body).encode())
NUMBERS = st.integers().map(str)
DATES = st.builds("Mon, {} Jan {} 10:00:00 {}".format, NUMBERS, NUMBERS, NUMBERS)


def error_of(body: object, status: int = 429, headers: dict[str, str] | None = None) -> LevAPIError:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api_error(status, encoded, headers or {}, endpoint="GET /deals")


# -- The three forms, and what is none of them


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_the_same(form: str) -> None:
    error = error_of(FORMS[form], status=404)
    assert (error.status, error.error_type, error.message) == (404, "not_found", "Deal not found")
    assert (error.endpoint, error.request_id) == ("GET /deals", REQUEST_ID)
    assert str(error) == (
        f"Lev answered GET /deals with 404 not_found: Deal not found (request_id {REQUEST_ID})."
    )


@pytest.mark.parametrize("name", ["type", "code"])
def test_lev_s_own_name_of_an_error_counts_more_than_its_status(name: str) -> None:
    assert (
        error_of({"error": {name: "PAYMENT_REQUIRED"}}, status=400).error_type == "payment_required"
    )


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        pytest.param(
            400,
            {"error": "Active account required."},
            "400 bad_request: Active account required. (request_id not given)",
            id="no request_id",
        ),
        pytest.param(422, {"error": {"message": ""}}, "422 validation_error: ", id="empty message"),
    ],
)
def test_what_lev_leaves_out_still_makes_a_sentence(
    status: int, body: object, sentence: str
) -> None:
    error = error_of(body, status)
    assert sentence in str(error)
    assert not error.is_foreign


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        pytest.param(
            502,
            b"<html>\n<h1>Bad gateway</h1></html>",
            "502 Bad Gateway: 34 bytes of text/html, '<html> <h1>Bad gateway</h1></html>'",
            id="a proxy's page",
        ),
        pytest.param(503, b"", "503 Service Unavailable: 0 bytes of text/html", id="no body"),
        pytest.param(599, b"", "599 unknown: 0 bytes of text/html", id="a status without a name"),
        pytest.param(
            500, b"[1, 2]", "500 Internal Server Error: 6 bytes of text/html, '[1, 2]'", id="a list"
        ),
        pytest.param(
            403,
            {"message": "Forbidden"},
            '403 Forbidden: 24 bytes of text/html, \'{"message": "Forbidden"}\'',
            id="an object of others",
        ),
        pytest.param(
            404,
            {"error": {"reason": "no route"}},
            '404 Not Found: 33 bytes of text/html, \'{"error": {"reason": "no route"}}\'',
            id="an error of others",
        ),
        pytest.param(
            500, b"\xff\xfe", "500 Internal Server Error: 2 bytes of text/html", id="not UTF-8"
        ),
        pytest.param(
            500,
            b"[" * 100_000,
            f"500 Internal Server Error: 100000 bytes of text/html, '{'[' * MAX_EXCERPT}'",
            id="bottomless",
        ),
    ],
)
def test_what_is_no_form_still_makes_a_sentence(status: int, body: object, told: str) -> None:
    error = error_of(body, status, {"Content-Type": "text/html"})
    assert str(error) == (
        f"Something between here and Lev seems to have answered GET /deals with {told}."
    )
    assert error.is_foreign
    assert error.on_the_way


def test_a_foreign_message_is_repeated_on_one_line_and_not_for_long() -> None:
    error = error_of({"error": {"message": "one\n two\r\n\tthree " + "x" * 1000}})
    assert error.message.startswith("one two three xxx")
    assert len(error.message) == MAX_QUOTED


@given(st.sampled_from([400, 401, 404, 429, 500, 599, 999]), BODIES)
@example(401, b"")
def test_reading_an_error_never_fails(status: int, body: bytes) -> None:
    error = api_error(status, body, {}, endpoint="GET /deals")
    assert error.status == status
    assert "\n" not in str(error)
    assert error.retry_after is None or 0 <= error.retry_after <= MAX_HINT


@given(st.sampled_from(sorted(FORMS)), st.uuids().map(str), st.integers(400, 599))
def test_every_form_keeps_its_request_id(form: str, request_id: str, status: int) -> None:
    error = error_of(FORMS[form] | {"request_id": request_id}, status)
    assert error.request_id == request_id
    assert request_id in str(error)


# -- What follows from a status


NOTHING, PARAMETERS, FORBIDDEN, GONE = 0, 1, 2, 3


@pytest.mark.parametrize(
    ("status", "transient", "says"),
    [
        (200, True, NOTHING),
        (400, False, PARAMETERS),
        (401, False, NOTHING),
        (403, False, FORBIDDEN),
        (404, False, GONE),
        (408, True, NOTHING),
        (409, False, NOTHING),
        (422, False, PARAMETERS),
        (425, True, NOTHING),
        (429, True, NOTHING),
        (451, False, NOTHING),
        (500, True, NOTHING),
        (502, True, NOTHING),
        (503, True, NOTHING),
        (504, True, NOTHING),
    ],
)
@pytest.mark.parametrize("form", [*FORMS, None])
def test_a_status_says_something_only_in_a_form_of_lev_s(
    form: str | None, status: int, *, transient: bool, says: int
) -> None:
    error = error_of(b"<html>" if form is None else FORMS[form], status)
    foreign = form is None
    assert error.is_foreign is foreign
    assert error.is_transient is (transient or foreign)
    assert error.on_the_way is (foreign and status != 429)
    told = error.rejects_parameters, error.is_forbidden, error.is_gone
    assert told == tuple(not foreign and says == what for what in (PARAMETERS, FORBIDDEN, GONE))
    assert isinstance(error, AuthenticationError) is (status == 401 and not foreign)


def test_a_refused_key_says_how_to_get_another() -> None:
    error = error_of({"error": "Authentication required"}, status=401)
    assert isinstance(error, AuthenticationError)
    assert error.exit_code == 3
    assert "create one in Lev (the read_only preset is enough)" in str(error)
    assert not isinstance(error_of({"error": "No"}, status=403), AuthenticationError)


# -- How long to wait


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def limited(message: str = "", **fields: object) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        pytest.param("7", limited("in 30 s", retry_after_seconds=20), 7, id="header first"),
        pytest.param("0", limited("in 30 s", retry_after_seconds=20), 0, id="header of zero"),
        pytest.param("1.5", limited(), 1.5, id="header with a fraction"),
        pytest.param(None, limited("in 30 s", retry_after_seconds=20), 20, id="then the field"),
        pytest.param("soon", limited(retry_after_seconds=20), 20, id="header unreadable"),
        pytest.param("-1", limited(retry_after_seconds=20), 20, id="header negative"),
        pytest.param("nan", limited(retry_after_seconds=20), 20, id="header not a number"),
        pytest.param(None, limited("Retry after 30 seconds."), 30, id="then the message"),
        pytest.param(None, limited("try in 45s"), 45, id="seconds in short"),
        pytest.param(None, limited("Wait 2.5 sec please"), 2.5, id="seconds with a fraction"),
        pytest.param(None, limited("in 30 s", retry_after_seconds=None), 30, id="field null"),
        pytest.param(None, limited("in 30 s", retry_after_seconds="?"), 30, id="field a text"),
        pytest.param(None, {"error": "Retry after 30 seconds."}, 30, id="form C"),
        pytest.param(None, limited("at most 30 requests, 20 signs"), None, id="other numbers"),
        pytest.param(None, limited(), None, id="no hint"),
        pytest.param(None, b"", None, id="no body"),
        pytest.param("86400", b"", 86400, id="a long one"),
        pytest.param("1e9", b"", MAX_HINT, id="header capped"),
        pytest.param(None, limited(retry_after_seconds=1e9), MAX_HINT, id="field capped"),
        pytest.param(None, limited("in 999999999 s"), MAX_HINT, id="message capped"),
        pytest.param("inf", b"", MAX_HINT, id="endless"),
        pytest.param(None, limited(retry_after_seconds=10**400), None, id="beyond any float"),
    ],
)
def test_the_wait_is_the_first_hint_and_capped(
    header: str | None, body: object, seconds: float | None
) -> None:
    headers = {} if header is None else {"Retry-After": header}
    assert error_of(body, headers=headers).retry_after == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("30 requests per 60 seconds exceeded, retry after 12 seconds.", 12),
        ("Limit of 10 requests per 2 seconds reached; retry after 45", 45),
        ("Rate limit: 100 requests per 60s. Retry-After: 7", 7),
        ("Retry after 7 seconds (limit: 30 requests per 60 seconds).", 7),
        ("30 requests in 60 seconds. Please try again in 5 s.", 5),
        ("30 requests per 60 seconds, please wait 2.5 sec before retrying", 2.5),
        ("Too many requests (60 per 60 s): the limit resets in 9 seconds", 9),
        ("10 requests per minute, retry after 2 minutes", 120),
        ("Retry in 1 hour.", 3600),
        ("Try again. 30 requests per 60 seconds are allowed.", 60),
        ("Retries are limited: 30 requests/60 s. Available in 4 seconds.", 4),
        ("30 requests per 60 seconds: expected available in 8 seconds", 8),
        ("A 60 s window is full, 3 s are left", 3),
        ("At most 30 requests per 60 seconds.", 60),
        ("At most 30 requests, and 5 retries, per minute", None),
        ("Retry after 2026 requests", None),
    ],
)
def test_the_wait_in_a_message_is_not_the_window_of_the_limit(
    message: str, seconds: float | None
) -> None:
    assert error_of(limited(message)).retry_after == seconds


@pytest.mark.parametrize(
    ("ahead", "least", "most"),
    [(600, 500, 600), (-600, 0, 0), (10**6, 10**6 - 100, 10**6), (10**9, MAX_HINT, MAX_HINT)],
)
def test_a_header_may_name_the_moment(ahead: float, least: float, most: float) -> None:
    headers = {"Retry-After": in_seconds(ahead)}
    wait = error_of(limited("in 30 s", retry_after_seconds=20), headers=headers).retry_after
    assert wait is not None
    assert least <= wait <= most


def test_a_moment_without_a_zone_is_utc() -> None:
    headers = {"Retry-After": in_seconds(600).replace("GMT", "-0000")}
    wait = error_of(b"", headers=headers).retry_after
    assert wait is not None
    assert 500 <= wait <= 600


@given(st.text() | NUMBERS | DATES | st.floats().map(str))
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999")
@example("Mon, 01 Jan 99999999999999999999 00:00:00 +0000")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_no_header_makes_a_wait_that_cannot_be(header: str) -> None:
    wait = error_of(b"", headers={"Retry-After": header}).retry_after
    assert wait is None or 0 <= wait <= MAX_HINT


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_date_is_measured_by_the_server_s_clock(hours: int) -> None:
    headers = {"Retry-After": in_seconds(hours * 3600 + 60), "Date": in_seconds(hours * 3600)}
    assert error_of(b"", headers=headers).retry_after == pytest.approx(60, abs=1)
