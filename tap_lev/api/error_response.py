"""Read a response with an error: Lev's three error bodies, or that of something on the way."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from tap_lev import timestamps
from tap_lev.api import surrogates
from tap_lev.errors import AuthenticationError, ErrorFacts, LevAPIError
from tap_lev.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HINT = 31_536_000.0
"""The longest wait that is read from a response, in seconds: a year."""

MAX_EXCERPT = 80
"""How many characters of a body that is not Lev's are repeated."""

_AMOUNT = r"(?<![\d.])(?P<amount>\d{1,9}(?:\.\d{1,9})?)"
_UNIT = r"\s*(?P<unit>s|sec(?:ond)?s?)\b"
_LONGER_UNIT = r"\s*(?P<unit>s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)\b"
_WORD = r"\b(?:retry|again|wait|reset)\w*\b"

_WAITS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # 1. A number behind a word for waiting, with or without a unit: "30 requests per 60
        #    seconds, retry after 12".
        rf"{_WORD}[^\d.;!?]{{0,40}}{_AMOUNT}(?:{_LONGER_UNIT}|\s*(?=[.,;:!()]|$))",
        # 2. Seconds that are not the window of the limit: "per 60 seconds", "60 s window".
        rf"(?<!per )(?<!every )(?<!each )(?<!/)(?<!/ ){_AMOUNT}{_UNIT}(?! window| period)",
        # 3. Any seconds: the window, if nothing else is there.
        rf"{_AMOUNT}{_UNIT}",
    )
)
"""Where a message may name a wait, the surest place first."""

_UNITS = {"m": 60, "h": 3600}
"""Seconds in a unit, by its first letter; any other unit is seconds."""

NAMES = {
    200: "failure",
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "validation_error",
    429: "rate_limit_exceeded",
    500: "internal_error",
    503: "service_unavailable",
}
"""The error types of lev-api.md §1.9, for bodies that name none; 200 is named here."""


def api_error(
    status: int, body: bytes, headers: Mapping[str, str], *, endpoint: str
) -> LevAPIError:
    """Read a response with another status than 200, of Lev or of something before it.

    Args:
        status: The HTTP status.
        body: The response's body.
        headers: The response's headers.
        endpoint: Method and path of the request.

    Returns:
        The error, with everything that the response says about it.
    """
    try:
        decoded, _ = surrogates.decoded(_ANYTHING, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    if is_error(decoded):
        return error_in(status, decoded, headers, endpoint=endpoint)
    facts = ErrorFacts(
        status=status,
        error_type=_phrase(status),
        message=described(body, headers),
        endpoint=endpoint,
        retry_after=_retry_after(headers, {}),
        is_foreign=True,
    )
    return LevAPIError(facts)


def is_error(body: object) -> bool:
    """Return whether a body has one of Lev's forms of an error (lev-api.md §1.9)."""
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, str) or (
        isinstance(error, dict) and not error.keys().isdisjoint(("message", "type", "code"))
    )


def error_in(
    status: int, envelope: Mapping[str, Any], headers: Mapping[str, str], *, endpoint: str
) -> LevAPIError:
    """Read an error in one of Lev's forms.

    Args:
        status: The HTTP status.
        envelope: The response's body.
        headers: The response's headers.
        endpoint: Method and path of the request.
    """
    error, request_id = envelope.get("error"), envelope.get("request_id")
    # Form C is a text, forms A and B are objects; some responses hold a list of errors.
    if not error and isinstance(several := envelope.get("errors"), list) and several:
        error = several[0]
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    error_type = fields.get("type") or fields.get("code") or NAMES.get(status) or _phrase(status)
    message = fields.get("message") or envelope.get("message")
    if not message:
        message = "no reason is given" if status == HTTPStatus.OK else _phrase(status)
    facts = ErrorFacts(
        status=status,
        error_type=quoted(error_type).lower(),
        message=quoted(message),
        endpoint=endpoint,
        request_id=quoted(request_id) if request_id else None,
        retry_after=_retry_after(headers, fields),
        limit_type=quoted(fields["limit_type"]).lower() if fields.get("limit_type") else None,
    )
    return (AuthenticationError if status == HTTPStatus.UNAUTHORIZED else LevAPIError)(facts)


def described(body: bytes, headers: Mapping[str, str], *, begins: bool = True) -> str:
    """Describe a body that is not Lev's.

    Args:
        body: The body.
        headers: The response's headers.
        begins: Whether to repeat how it begins, if that is text.
    """
    kind = quoted(headers.get("Content-Type", "an unnamed type"))
    text = " ".join(body[: 4 * MAX_EXCERPT].decode(errors="ignore").split())[:MAX_EXCERPT]
    excerpt = f", {text!r}" if begins and text and text.isprintable() else ""
    return f"{len(body)} bytes of {kind}{excerpt}"


_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown"


def _retry_after(headers: Mapping[str, str], fields: Mapping[str, Any]) -> float | None:
    """Find the wait in seconds (lev-api.md §1.10).

    The header goes first, then the field of the body, then the message.
    """
    header = headers.get("Retry-After")
    hints = (
        _seconds(header) if _seconds(header) is not None else _seconds_until(header, headers),
        _seconds(fields.get("retry_after_seconds")),
        _seconds_in(quoted(fields.get("message"))),
    )
    return next((hint for hint in hints if hint is not None), None)


def _seconds_in(message: str) -> float | None:
    """Find the wait that a message names, in seconds."""
    for pattern in _WAITS:
        if found := pattern.search(message):
            unit = found["unit"] or "s"
            return _seconds(float(found["amount"]) * _UNITS.get(unit[0].lower(), 1))
    return None


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return None
    return min(seconds, MAX_HINT) if seconds >= 0 else None


def _seconds_until(date: str | None, headers: Mapping[str, str]) -> float | None:
    """Measure a wait by the server's clock, since this machine's may differ."""
    moment = timestamps.http_date(date)
    if moment is None:
        return None
    now = timestamps.http_date(headers.get("Date")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), MAX_HINT)
