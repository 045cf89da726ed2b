"""What can go wrong, each as one sentence: bad input, Lev's three error bodies, broken answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from typing_extensions import override

from tap_lev import surrogates, timestamps

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RETRY_AFTER = 900.0
"""The longest wait that a run spends because an answer asks for it, in seconds; or one window of
the limits, where that is longer."""

MAX_HINT = 31_536_000.0
"""The longest wait that an answer can ask for, in seconds: a year."""

MAX_QUOTED = 300
"""How many characters of a foreign message are repeated."""

MAX_EXCERPT = 80
"""How many characters of a body that is not Lev's are repeated."""

ELSEWHERE = "Something between here and Lev seems to have answered"
"""How a sentence begins that is about an answer in none of Lev's forms."""

TRANSIENT = frozenset({200, 408, 425, 429})
"""Statuses below 500 after which the same request may succeed. 200: an error came in its body."""

_AMOUNT = r"(?<![\d.])(?P<amount>\d{1,9}(?:\.\d{1,9})?)"
_UNIT = r"\s*(?P<unit>s|sec(?:ond)?s?)\b"
_LONGER_UNIT = r"\s*(?P<unit>s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)\b"
_WORD = r"\b(?:retry|again|wait|reset)\w*\b"
_WAITS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Of several times in a sentence, the wait is the one with a word for it, also without a
        # unit: "30 requests per 60 seconds, retry after 12".
        rf"{_WORD}[^\d.;!?]{{0,40}}{_AMOUNT}(?:{_LONGER_UNIT}|\s*(?=[.,;:!()]|$))",
        # The others may be the window of the limit.
        rf"(?<!per )(?<!every )(?<!each )(?<!/)(?<!/ ){_AMOUNT}{_UNIT}(?! window| period)",
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
"""The error types of lev-api.md §1.9, for bodies that do not name theirs; 200 has a name here."""


class LevError(Exception):
    """A failure that a user can read: one sentence, no traceback.

    Attributes:
        exit_code: How a run ends that fails with it.
        on_the_way: Whether it is a fault between tap-lev and Lev: Lev itself has said nothing.
    """

    exit_code = 1
    on_the_way = False


class ConfigError(LevError):
    """The settings, the catalog or the state given to the tap cannot be used."""

    exit_code = 2


class BrokenAnswerError(LevError):
    """Lev answered with success, but not with what its API describes.

    Attributes:
        is_foreign: Whether it may well not be Lev that answered.
    """

    is_foreign = False


class NoRowError(BrokenAnswerError):
    """Lev answered the request for a single row with nothing."""


class ForeignAnswerError(BrokenAnswerError):
    """A redirect, or a success without Lev's envelope."""

    is_foreign = True
    on_the_way = True


class LevConnectionError(LevError):
    """Lev could not be reached, or stopped answering, until the retries were used up.

    Attributes:
        passes: Whether it may pass by itself: no setting has to be wrong.
    """

    passes = True


class UnknownHostError(LevConnectionError):
    """The name of Lev's host could not be resolved, or what answers there speaks no TLS."""

    on_the_way = True

    def __init__(self, sentence: str, *, passes: bool) -> None:
        self.passes = passes
        super().__init__(sentence)


class ProxyFaultError(LevConnectionError):
    """The proxy that the environment names lets nothing through."""

    on_the_way = True

    def __init__(self, sentence: str, *, passes: bool) -> None:
        self.passes = passes
        super().__init__(sentence)


class RowsFailedError(LevError):
    """Some rows of a stream could not be read; the others were.

    Attributes:
        request_id: Lev's id of the request that failed for the first of them.
    """

    def __init__(self, sentence: str, first: Exception | None) -> None:
        self.request_id = getattr(first, "request_id", None)
        super().__init__(sentence)


class LevAPIError(LevError):
    """An answer with an error (lev-api.md §1.9).

    A firewall, a proxy or a gateway may answer in the place of Lev. So a status says something of
    the request only where the body has a form of Lev's.

    Attributes:
        status: The HTTP status.
        kind: The error's type, such as ``rate_limit_exceeded``.
        endpoint: Method and path of the request.
        request_id: Lev's id of the request, or None where the body has none.
        retry_after: Seconds that the answer asks to wait, or None.
        limit_type: Which limit a 429 is about, or None where it does not say.
        is_foreign: Whether the body is not an error in a form of Lev's.
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
        is_foreign: bool = False,
    ) -> None:
        self.status = status
        self.kind = kind
        self.message = message
        self.endpoint = endpoint
        self.request_id = request_id
        self.retry_after = retry_after
        self.limit_type = limit_type
        self.is_foreign = is_foreign
        # A 429 is a limit, whoever keeps it.
        self.on_the_way = is_foreign and status != HTTPStatus.TOO_MANY_REQUESTS
        super().__init__(
            f"{ELSEWHERE} {endpoint} with {status} {kind}: {message}."
            if is_foreign
            else f"Lev answered {endpoint} with {status} {kind}: {message} "
            f"(request_id {request_id or 'not given'})."
        )

    @property
    def refuses_parameters(self) -> bool:
        """Whether Lev says that a parameter, such as a cursor, is not accepted."""
        return self._says(HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)

    @property
    def is_forbidden(self) -> bool:
        """Whether Lev says that the key may not read this."""
        return self._says(HTTPStatus.FORBIDDEN)

    @property
    def is_gone(self) -> bool:
        """Whether Lev says that this does not exist, or not for the key's user."""
        return self._says(HTTPStatus.NOT_FOUND)

    @property
    def may_be_of_a_row(self) -> bool:
        """Whether a single row may be the reason that a page of a list fails."""
        other = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
        return not (self.refuses_parameters or self.is_gone or self.status in other)

    def _says(self, *statuses: HTTPStatus) -> bool:
        return not self.is_foreign and self.status in statuses

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
            self.is_foreign
            or self.status in TRANSIENT
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


class EndpointRefusedError(LevAPIError):
    """Lev accepts the API key, but answers one endpoint as if it did not (401)."""

    def __str__(self) -> str:
        """Say that another key is of no use."""
        return (
            f"{super().__str__()} The key is valid, as Lev's answer to GET /me shows, but this "
            "endpoint refuses it: ask Lev why, or deselect the stream."
        )


class TooLongWaitError(LevAPIError):
    """An answer asks for a longer wait than a run spends.

    Args:
        error: What came.
        longest: The longest wait that a run spends, in seconds.
    """

    def __init__(self, error: LevAPIError, longest: float) -> None:
        super().__init__(
            status=error.status,
            kind=error.kind,
            message=error.message,
            endpoint=error.endpoint,
            request_id=error.request_id,
            retry_after=error.retry_after,
            limit_type=error.limit_type,
            is_foreign=error.is_foreign,
        )
        self._longest = longest

    @property
    @override
    def may_be_of_a_row(self) -> bool:
        """It is of no row."""
        return False

    def __str__(self) -> str:
        """Say how long the wait would be."""
        return (
            f"{super().__str__()} It asks to wait {self.retry_after:.0f} s, and a run waits "
            f"{self._longest:.0f} s at most: run it again after that time."
        )


def api_error(
    status: int, body: bytes, headers: Mapping[str, str], *, endpoint: str
) -> LevAPIError:
    """Read an answer with another status than 200: Lev's, or that of something on the way.

    Args:
        status: The HTTP status.
        body: The answer's body.
        headers: The answer's headers.
        endpoint: Method and path of the request.

    Returns:
        The error, with everything the answer tells.
    """
    try:
        decoded, _ = surrogates.decoded(_ANYTHING, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    if is_error(decoded):
        return error_in(status, decoded, headers, endpoint=endpoint)
    return LevAPIError(
        status=status,
        kind=_phrase(status),
        message=described(body, headers),
        endpoint=endpoint,
        retry_after=_retry_after(headers, {}),
        is_foreign=True,
    )


def is_error(body: object) -> bool:
    """Say whether a body has one of the forms of an error (lev-api.md §1.9)."""
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, str) or (
        isinstance(error, dict) and not error.keys().isdisjoint(("message", "type", "code"))
    )


def error_in(
    status: int, envelope: Mapping[str, Any], headers: Mapping[str, str], *, endpoint: str
) -> LevAPIError:
    """Read an error of Lev's.

    Args:
        status: The HTTP status.
        envelope: The answer's body.
        headers: The answer's headers.
        endpoint: Method and path of the request.
    """
    error, request_id = envelope.get("error"), envelope.get("request_id")
    if not error and isinstance(several := envelope.get("errors"), list) and several:
        error = several[0]
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    kind = fields.get("type") or fields.get("code") or NAMES.get(status) or _phrase(status)
    message = fields.get("message") or envelope.get("message")
    if not message:
        message = "no reason is given" if status == HTTPStatus.OK else _phrase(status)
    return (KeyRefusedError if status == HTTPStatus.UNAUTHORIZED else LevAPIError)(
        status=status,
        kind=quoted(kind).lower(),
        message=quoted(message),
        endpoint=endpoint,
        request_id=quoted(request_id) if request_id else None,
        retry_after=_retry_after(headers, fields),
        limit_type=quoted(fields["limit_type"]).lower() if fields.get("limit_type") else None,
    )


def described(body: bytes, headers: Mapping[str, str], *, begins: bool = True) -> str:
    """Describe a body that is not Lev's.

    Args:
        body: The body.
        headers: The answer's headers.
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
    hints = (
        _seconds(header) if _seconds(header) is not None else _seconds_until(header, headers),
        _seconds(fields.get("retry_after_seconds")),
        _seconds_in(quoted(fields.get("message"))),
    )
    return next((hint for hint in hints if hint is not None), None)


def _seconds_in(message: str) -> float | None:
    """Find the wait that a message names."""
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
    """Measure a wait by the server's clock, which may be another than this machine's."""
    moment = timestamps.http_date(date)
    if moment is None:
        return None
    now = timestamps.http_date(headers.get("Date")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), MAX_HINT)
