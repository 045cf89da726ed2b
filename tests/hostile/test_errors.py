"""Error answers of any form: a sentence, at once, and no endless wait."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.api.error_response import MAX_HINT, api_error
from tap_lev.errors import LevAPIError
from tap_lev.text import quoted, shown
from tests.hostile.counts import count, examples
from tests.hostile.single_sync import ANYTHING, DEEP, ODD, readable, text_of

ENDPOINT = "GET /contacts"
HINTS = ODD | st.from_regex(r"(retry )?(after )?\d{1,30}(\.\d+)?\s{0,5}s(econds)?", fullmatch=True)
ERRORS = st.fixed_dictionaries(
    {},
    optional={
        "request_id": ANYTHING,
        "error": ANYTHING
        | st.dictionaries(
            st.sampled_from(["type", "code", "message", "limit_type", "retry_after_seconds"]),
            HINTS | ANYTHING,
        ),
    },
)


@given(
    body=ERRORS.map(text_of) | ANYTHING.map(text_of) | st.binary(max_size=60),
    status=st.integers(100, 999),
    header=st.none() | st.text(max_size=40) | st.sampled_from(["9" * 5000, "nan", "inf", "1e400"]),
)
@examples(300)
def test_any_error_is_a_sentence_and_no_endless_wait(
    body: bytes, status: int, header: str | None
) -> None:
    count("error answers")
    headers = {} if header is None else {"Retry-After": header}
    error = api_error(status, body, headers, endpoint=ENDPOINT)
    readable(error)
    assert error.retry_after is None or 0 <= error.retry_after <= MAX_HINT


@pytest.mark.parametrize("message", ["1" * 1_000_000, "1 " * 500_000, " " * 1_000_000, DEEP])
def test_an_error_of_megabytes_is_read_at_once(message: object) -> None:
    begun = time.monotonic()
    error = api_error(429, text_of({"error": {"message": message}}), {}, endpoint=ENDPOINT)
    assert time.monotonic() - begun < 1
    assert isinstance(error, LevAPIError)
    readable(error)


def test_a_message_writes_no_line_of_its_own_and_no_colours() -> None:
    body = text_of({"error": {"message": "a\n2026-01-01 | ERROR\x1b[2J\u202e\x00"}})
    sentence = readable(api_error(500, body, {}, endpoint=ENDPOINT))
    assert r"a 2026-01-01 | ERROR\x1b[2J\u202e\x00" in sentence


def test_what_is_too_deep_or_too_long_to_be_a_text_is_named() -> None:
    deep: object = 0
    for _ in range(200_000):
        deep = [deep]
    assert quoted(deep) == shown(deep) == "a list that is too large"
    assert quoted(10**5000) == shown(10**5000) == "a int that is too large"
