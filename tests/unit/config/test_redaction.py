from __future__ import annotations

import base64
import io
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.logging import StructuredFormatter

from tap_lev.config.redaction import MIN_LENGTH, Redaction
from tap_lev.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "lev_sk_test_0123456789"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the root logger's handler writes, once the key is watched for."""
    root, stream = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    handlers, root.handlers = root.handlers, [handler]
    Redaction.install(KEY)
    yield stream
    root.handlers = handlers


def test_a_message_loses_the_key(written: io.StringIO) -> None:
    logging.getLogger("tap-lev").error("The key lev_sk_test_0123456789 is %s", "refused")
    assert written.getvalue() == "The key [api_key] is refused\n"


def test_an_argument_loses_the_key(written: io.StringIO) -> None:
    logging.getLogger("urllib3").error("%(a)s and %(a)s", {"a": KEY})
    assert written.getvalue() == "[api_key] and [api_key]\n"


def test_a_key_that_only_the_finished_message_holds_is_found(written: io.StringIO) -> None:
    logging.getLogger().error("%s%s", KEY[:10], KEY[10:])
    assert written.getvalue() == "[api_key]\n"


def test_an_object_that_is_logged_itself_loses_the_key(written: io.StringIO) -> None:
    logging.getLogger().error(ValueError(f"no {KEY}"))
    assert written.getvalue() == "no [api_key]\n"


def test_a_traceback_loses_the_key(written: io.StringIO) -> None:
    error = RuntimeError("outer")
    error.__cause__ = ValueError(KEY)
    logging.getLogger().error("Failed", exc_info=error)
    text = written.getvalue()
    assert KEY not in text
    assert "ValueError: [api_key]" in text
    assert text.endswith("RuntimeError: outer\n")


def test_what_does_not_hold_the_key_is_left_alone(written: io.StringIO) -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s of %s", (1, 2), None)
    assert Redaction(KEY).filter(record)
    assert (record.msg, record.args) == ("%s of %s", (1, 2))
    logging.getLogger().error("Failed", exc_info=ValueError("harmless"))
    assert written.getvalue() == "Failed\nValueError: harmless\n"


@pytest.mark.parametrize("secret", [None, 12345678, "", "short", " " * MIN_LENGTH, " a key "])
def test_what_cannot_be_a_key_is_not_looked_for(secret: object) -> None:
    root = logging.getLogger()
    before = [list(handler.filters) for handler in root.handlers]
    Redaction.install(secret)
    assert [handler.filters for handler in root.handlers] == before


def test_a_key_is_watched_for_once_however_often_it_is_installed(written: io.StringIO) -> None:
    Redaction.install(f" {KEY}\n")
    assert logging.getLogger().handlers[0].filters == [Redaction(KEY)]
    assert written.getvalue() == ""


@given(st.text(min_size=MIN_LENGTH), st.text(), st.text())
def test_no_message_holds_the_secret_afterwards(secret: str, before: str, after: str) -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", (before + secret + after,), None)
    Redaction(secret).filter(record)
    assert secret not in record.getMessage().replace("[api_key]", "")


def test_a_cause_that_only_structured_logs_tell_loses_the_key(written: io.StringIO) -> None:
    logging.getLogger().handlers[0].setFormatter(StructuredFormatter())
    error = RuntimeError("outer")
    error.__context__, error.__suppress_context__ = ValueError(KEY), True
    logging.getLogger().error("Failed", exc_info=error)
    assert "Failed" in written.getvalue()
    assert KEY not in written.getvalue()


def test_what_structured_logs_hold_beside_the_message_loses_the_key(written: io.StringIO) -> None:
    logging.getLogger().handlers[0].setFormatter(StructuredFormatter())
    extra = {"notes": [f"a {KEY}"], "failed": {KEY: None}, "rows": 5, "error": ValueError(KEY)}
    logging.getLogger().error("Failed", extra=extra, stack_info=True)
    assert KEY not in written.getvalue()
    assert '"notes":["a [api_key]"]' in written.getvalue()
    assert '"rows":5' in written.getvalue()


def test_a_handler_of_another_logger_is_watched_too() -> None:
    stream = io.StringIO()
    other = logging.getLogger("tests.other")
    other.propagate = False
    other.addHandler(logging.StreamHandler(stream))
    Redaction.install(KEY)
    other.error("a %s", KEY)
    other.handlers.clear()
    assert stream.getvalue() == "a [api_key]\n"


@given(st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([b"+/", b"-_"]))
def test_a_key_in_base64_is_found_whatever_stands_around_it(
    before: bytes, after: bytes, letters: bytes
) -> None:
    encoded = base64.b64encode(before + KEY.encode() + after, letters).decode()
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", (encoded,), None)
    Redaction(KEY).filter(record)
    assert "[api_key]" in record.getMessage()


def test_a_key_that_was_cut_with_its_sentence_is_found() -> None:
    text = quoted("x " * 140 + KEY)
    assert not text.endswith(KEY)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", (text,), None)
    Redaction(KEY).filter(record)
    assert record.getMessage().endswith("x [api_key]")


def test_the_user_and_password_of_a_proxy_are_not_told(written: io.StringIO) -> None:
    logging.getLogger().error("No http://somebody:pass%2Fword@proxy.example:3128, says http://a/b")
    assert written.getvalue() == (
        "No http://[user and password]@proxy.example:3128, says http://a/b\n"
    )
