"""The exceptions of the tap, each with one sentence for the user.

LevError                          exit code 1
    ConfigError                   exit code 2
    InvalidResponseError
        NoRowError
        ForeignResponseError
    LevConnectionError
        UnknownHostError
        ProxyFaultError
    RowsFailedError
    LevAPIError
        AuthenticationError       exit code 3
        EndpointRefusedError
        TooLongWaitError
"""

from __future__ import annotations

import dataclasses
from http import HTTPStatus

from typing_extensions import override

from tap_lev.text import name_request

ELSEWHERE = "Something between here and Lev seems to have answered"
"""The beginning of a sentence about a response in none of Lev's forms."""

TRANSIENT = frozenset({200, 408, 425, 429})
"""Statuses below 500 after which the same request may succeed. 200: its body holds an error."""


class LevError(Exception):
    """A failure that a user can read: one sentence, no traceback.

    Attributes:
        exit_code: The exit code of a run that fails with it.
        on_the_way: Whether the fault is between tap-lev and Lev, so that Lev has said nothing.
    """

    exit_code = 1
    on_the_way = False


class ConfigError(LevError):
    """The settings, the catalog or the state given to the tap cannot be used."""

    exit_code = 2


class InvalidResponseError(LevError):
    """A response with success that is not what Lev's API describes.

    Attributes:
        is_foreign: Whether the response may come from something other than Lev.
    """

    is_foreign = False


class NoRowError(InvalidResponseError):
    """The response to a request for a single row is empty."""


class ForeignResponseError(InvalidResponseError):
    """A redirect, or a success without Lev's envelope."""

    is_foreign = True
    on_the_way = True


class LevConnectionError(LevError):
    """No connection to Lev, or no complete response, until the retries were used up.

    Attributes:
        passes: Whether the fault may pass by itself, without a change of a setting.
    """

    passes = True


class UnknownHostError(LevConnectionError):
    """The name of Lev's host cannot be resolved, or the server there does not speak TLS."""

    on_the_way = True

    def __init__(self, sentence: str, *, passes: bool) -> None:
        self.passes = passes
        super().__init__(sentence)


class ProxyFaultError(LevConnectionError):
    """The proxy that the environment names lets no request through."""

    on_the_way = True

    def __init__(self, sentence: str, *, passes: bool) -> None:
        self.passes = passes
        super().__init__(sentence)


class RowsFailedError(LevError):
    """Some rows of a stream could not be read; the others are written.

    Attributes:
        request_id: Lev's id of the request that failed for the first of them, or None.
    """

    def __init__(self, sentence: str, first: Exception | None) -> None:
        self.request_id = getattr(first, "request_id", None)
        super().__init__(sentence)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ErrorFacts:
    """What a response with an error says (lev-api.md §1.9).

    Attributes:
        status: The HTTP status.
        error_type: The error's type, such as ``rate_limit_exceeded``.
        endpoint: Method and path of the request.
        request_id: Lev's id of the request, or None if the body has none.
        retry_after: Seconds to wait before the next try, or None.
        limit_type: The limit that a 429 is about, or None if the body does not name it.
        is_foreign: Whether the body has none of Lev's forms of an error.
    """

    status: int
    error_type: str
    message: str
    endpoint: str
    request_id: str | None = None
    retry_after: float | None = None
    limit_type: str | None = None
    is_foreign: bool = False


class LevAPIError(LevError):
    """A response with an error (lev-api.md §1.9).

    A firewall, a proxy or a gateway may respond in place of Lev. So a status says something about
    the request only if the body has one of Lev's forms.

    Args:
        facts: What the response says. Each is an attribute of the error, too.
    """

    def __init__(self, facts: ErrorFacts) -> None:
        self.facts = facts
        self.status = facts.status
        self.error_type = facts.error_type
        self.message = facts.message
        self.endpoint = facts.endpoint
        self.request_id = facts.request_id
        self.retry_after = facts.retry_after
        self.limit_type = facts.limit_type
        self.is_foreign = facts.is_foreign
        # A 429 is a rate limit even if a gateway before Lev enforces it.
        self.on_the_way = self.is_foreign and self.status != HTTPStatus.TOO_MANY_REQUESTS
        said = f"{facts.endpoint} with {facts.status} {facts.error_type}: {facts.message}"
        super().__init__(
            f"{ELSEWHERE} {said}."
            if self.is_foreign
            else f"Lev answered {said} ({name_request(facts.request_id)})."
        )

    @property
    def rejects_parameters(self) -> bool:
        """Whether Lev rejects a parameter, such as a cursor."""
        return self._says(HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)

    @property
    def is_forbidden(self) -> bool:
        """Whether the key may not read this."""
        return self._says(HTTPStatus.FORBIDDEN)

    @property
    def is_gone(self) -> bool:
        """Whether this does not exist, or not for the key's user."""
        return self._says(HTTPStatus.NOT_FOUND)

    @property
    def may_be_of_a_row(self) -> bool:
        """Whether a single row may be the reason that a page of a list fails."""
        other = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
        return not (self.rejects_parameters or self.is_gone or self.status in other)

    def _says(self, *statuses: HTTPStatus) -> bool:
        return not self.is_foreign and self.status in statuses

    @property
    def is_endpoint_limit(self) -> bool:
        """Whether a 429 is about the limit of one endpoint.

        A 429 that names no limit is about the account's: the older model of lev-api.md §1.10 has
        no other, and its responses name none.
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


class AuthenticationError(LevAPIError):
    """Lev does not accept the API key (401)."""

    exit_code = 3

    def __str__(self) -> str:
        """Say how to get a key that works."""
        return (
            f"{super().__str__()} The API key is wrong, expired or revoked: create one in Lev "
            "(the read_only preset is enough) and give it as the setting api_key."
        )


class EndpointRefusedError(LevAPIError):
    """Lev accepts the API key, except for one endpoint (401)."""

    def __str__(self) -> str:
        """Say that another key does not help."""
        return (
            f"{super().__str__()} The key is valid, as Lev's answer to GET /me shows, but this "
            "endpoint refuses it: ask Lev why, or deselect the stream."
        )


class TooLongWaitError(LevAPIError):
    """A response asks for a longer wait than a run accepts.

    Args:
        error: The error in the response.
        longest: The longest wait that a run accepts, in seconds.
    """

    def __init__(self, error: LevAPIError, longest: float) -> None:
        super().__init__(error.facts)
        self._longest = longest

    @property
    @override
    def may_be_of_a_row(self) -> bool:
        """A wait is about a rate limit, never about a row."""
        return False

    def __str__(self) -> str:
        """Say how long the wait is."""
        return (
            f"{super().__str__()} It asks to wait {self.retry_after:.0f} s, and a run waits "
            f"{self._longest:.0f} s at most: run it again after that time."
        )
