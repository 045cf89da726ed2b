"""What can go wrong, each as one sentence: bad input, Lev's three error bodies, broken answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RETRY_AFTER = 900.0
"""The longest wait, in seconds, that an answer can ask for."""

MAX_QUOTED = 300
"""How many characters of a foreign message are repeated."""

_SECONDS = re.compile(r"(?<!\d)(\d{1,9}(?:\.\d{1,9})?)\s*s(?:ec(?:ond)?s?)?\b", re.IGNORECASE)

NAMES = {
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
"""The error types of lev-api.md §1.9, for bodies that do not name theirs."""


class LevError(Exception):
    """A failure that a user can read: one sentence, no traceback."""

    exit_code = 1


class ConfigError(LevError):
    """The settings, the catalog or the state given to the tap cannot be used."""

    exit_code = 2


class BrokenAnswerError(LevError):
    """Lev answered with success, but not with what its API describes."""


class LevConnectionError(LevError):
    """Lev could not be reached, or stopped answering, until the retries were used up."""


class LevAPIError(LevError):
    """Lev refused a request (lev-api.md §1.9).

    Attributes:
        status: The HTTP status.
        kind: The error's type, such as ``rate_limit_exceeded``.
        endpoint: Method and path of the request.
        request_id: Lev's id of the request, or None where the body has none.
        retry_after: Seconds that the answer asks to wait, or None.
        limit_type: Which limit a 429 is about, or None where it does not say.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        status: int,
        kind: str,
        message: str,
        endpoint: str,
        request_id: str | None = None,
        retry_after: float | None = None,
        limit_type: str | None = None,
    ) -> None:
        self.status = status
        self.kind = kind
        self.message = message
        self.endpoint = endpoint
        self.request_id = request_id
        self.retry_after = retry_after
        self.limit_type = limit_type
        super().__init__(
            f"Lev answered {endpoint} with {status} {kind}: {message} "
            f"(request_id {request_id or 'not given'})."
        )

    @property
    def refuses_parameters(self) -> bool:
        """Whether the status says that a parameter, such as a cursor, is not accepted."""
        return self.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

    @property
    def is_of_endpoint(self) -> bool:
        """Whether a 429 is about the limit of one endpoint.

        One that does not say so is about the account's: the older model of lev-api.md §1.10, whose
        answers name no limit, has no other.
        """
        return "endpoint" in (self.limit_type or "")

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return (
            self.status == HTTPStatus.TOO_MANY_REQUESTS
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )


class KeyRefusedError(LevAPIError):
    """Lev does not accept the API key (401)."""

    exit_code = 3

    def __str__(self) -> str:
        """Say how to get a key that works."""
        return (
            f"{super().__str__()} The API key is wrong, expired or revoked: create one in Lev "
            "(the read_only preset is enough) and give it as the setting api_key."
        )


def api_error(
    status: int, body: bytes, headers: Mapping[str, str], *, endpoint: str
) -> LevAPIError:
    """Read an error answer in any of the forms of lev-api.md §1.9, or a proxy's.

    Args:
        status: The HTTP status.
        body: The answer's body.
        headers: The answer's headers.
        endpoint: Method and path of the request.

    Returns:
        The error, with everything the answer tells.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    envelope: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
    error = envelope.get("error")
    request_id = envelope.get("request_id")
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    kind = fields.get("type") or fields.get("code") or NAMES.get(status) or _phrase(status)
    message = fields.get("message") or _phrase(status)
    return (KeyRefusedError if status == HTTPStatus.UNAUTHORIZED else LevAPIError)(
        status=status,
        kind=quoted(kind).lower(),
        message=quoted(message),
        endpoint=endpoint,
        request_id=quoted(request_id) if request_id else None,
        retry_after=_retry_after(headers, fields),
        limit_type=quoted(fields["limit_type"]).lower() if fields.get("limit_type") else None,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown"


def quoted(text: object) -> str:
    """Repeat what others wrote, as far as it fits into a sentence: on one line, and printable."""
    try:
        # What is not a text may be as large and as deep as its writer likes.
        given = text if isinstance(text, str) else str(text)
    except (RecursionError, ValueError):
        given = f"a {type(text).__name__} that is too large"
    line = " ".join(given[: 4 * MAX_QUOTED].split())[:MAX_QUOTED]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return line


def shown(value: object) -> str:
    """Repeat a value of others as Python shows it, as far as it fits into a sentence."""
    try:
        text = repr(value[:MAX_QUOTED] if isinstance(value, str) else value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__} that is too large"
    return quoted(text)


def _retry_after(headers: Mapping[str, str], fields: Mapping[str, Any]) -> float | None:
    """Find the wait in seconds: header, then body field, then message (lev-api.md §1.10)."""
    header = headers.get("Retry-After")
    in_message = _SECONDS.search(quoted(fields.get("message")))
    hints = (
        _seconds(header) if _seconds(header) is not None else _seconds_until(header, headers),
        _seconds(fields.get("retry_after_seconds")),
        _seconds(in_message[1]) if in_message else None,
    )
    return next((hint for hint in hints if hint is not None), None)


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return None
    return min(seconds, MAX_RETRY_AFTER) if seconds >= 0 else None


def _seconds_until(date: str | None, headers: Mapping[str, str]) -> float | None:
    """Measure a wait by the server's clock, which may be another than this machine's."""
    moment = _instant(date)
    if moment is None:
        return None
    now = _instant(headers.get("Date")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), MAX_RETRY_AFTER)


def _instant(date: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except (OverflowError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
