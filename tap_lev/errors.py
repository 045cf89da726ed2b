"""What can go wrong, each as one sentence: bad input, Lev's three error bodies, broken answers."""

from __future__ import annotations

from http import HTTPStatus

from typing_extensions import override

from tap_lev.text import name_request

ELSEWHERE = "Something between here and Lev seems to have answered"
"""How a sentence begins that is about an answer in none of Lev's forms."""

TRANSIENT = frozenset({200, 408, 425, 429})
"""Statuses below 500 after which the same request may succeed. 200: an error came in its body."""


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


class InvalidResponseError(LevError):
    """Lev answered with success, but not with what its API describes.

    Attributes:
        is_foreign: Whether it may well not be Lev that answered.
    """

    is_foreign = False


class NoRowError(InvalidResponseError):
    """Lev answered the request for a single row with nothing."""


class ForeignResponseError(InvalidResponseError):
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
            f"({name_request(request_id)})."
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
