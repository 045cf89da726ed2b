"""Send requests to Lev: allow-list, headers, envelope, errors, retries."""

from __future__ import annotations

import dataclasses
import logging
import math
import random
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec
import requests
from requests.auth import AuthBase

from tap_lev.api import transport
from tap_lev.api.clock import ServerClock
from tap_lev.api.connection_errors import connection_error
from tap_lev.api.endpoints import ME, READS
from tap_lev.api.error_response import api_error
from tap_lev.api.json_values import whole
from tap_lev.api.request import LevRequest
from tap_lev.api.response import parse_response
from tap_lev.api.surrogates import UNKNOWN
from tap_lev.api.transport import ResponseTooLargeError, ResponseTooSlowError, Transport
from tap_lev.errors import (
    AuthenticationError,
    ConfigError,
    EndpointRefusedError,
    ForeignResponseError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
    ProxyFaultError,
    TooLongWaitError,
    UnknownHostError,
)
from tap_lev.text import name_request, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.api.observer import RequestObserver
    from tap_lev.api.response import Envelope, LevResponse
    from tap_lev.api.surrogates import Decoder
    from tap_lev.ratelimit.scheduler import RequestScheduler

LOGGER = logging.getLogger("tap-lev")
"""The tap's logger, as the SDK names it."""

MAX_RETRY_AFTER = 900.0
"""Seconds that a run waits at most because a response asks for it; one window of the limits, if
that is longer."""

LONGEST_BACKOFF = 60.0
"""The longest wait between two tries, in seconds, where Lev asks for none (lev-api.md §1.10)."""

MAX_DOUBLINGS = 10
"""Doublings of the wait between two tries. Some settings allow more retries than that."""


class RetryPolicy(NamedTuple):
    """How long a request is tried.

    Attributes:
        retries: Number of tries after the first.
        seconds: Seconds after which it is not tried again, waits included.
        each: Seconds that one try may take at most.
    """

    retries: float = math.inf
    seconds: float = math.inf
    each: float = math.inf


ONCE = RetryPolicy(retries=0)
"""For a request that is not worth another try."""
FOR_ME = RetryPolicy(retries=1, seconds=10, each=5)
"""For a request that a run can do without."""
UNTIL_REACHED = RetryPolicy(retries=1, seconds=5)
"""For a fault on the way before Lev's first response: it may not be there at all."""


class BearerAuth(AuthBase):
    """Adds the key to each request."""

    # Not a header of the session: ``requests`` lets a netrc file win over that.

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to one request."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


@dataclasses.dataclass(slots=True)
class _Sending:
    """One request, from its first try to its last.

    Attributes:
        stream: The stream that the request is for; empty for the run itself.
        endpoint: Method and route template.
        request_line: Method and path, as messages name the request.
        request: The request that is sent.
        policy: How long the request is tried.
        tries: Number of tries that have failed.
        began: When the first try was sent, in seconds; None before it.
    """

    stream: str
    endpoint: str
    request_line: str
    request: requests.Request
    policy: RetryPolicy
    tries: int = 0
    began: float | None = None

    @property
    def age(self) -> float:
        """Seconds since the first try was sent."""
        return 0.0 if self.began is None else time.monotonic() - self.began


class BoundClient:
    """The client, bound to the stream that its requests are for.

    Args:
        client: The client.
        stream: The stream's name; empty for the run itself.
    """

    def __init__(self, client: LevClient, stream: str) -> None:
        self._client = client
        self.stream = stream

    def send(
        self,
        request: LevRequest,
        decoder: Decoder[Envelope] | None = None,
        policy: RetryPolicy | None = None,
    ) -> LevResponse:
        """Send a request, with retries; see ``LevClient.send``."""
        return self._client.send(request, decoder, policy, stream=self.stream)


class LevClient:
    """Reads from the Lev API.

    Args:
        config: The tap's settings, already validated.
        scheduler: Decides when each request is sent.
        observer: Counts requests, responses and retries.
        url_hint: A sentence to add to errors that a wrong ``api_url`` may cause.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        scheduler: RequestScheduler,
        observer: RequestObserver,
        url_hint: str = "",
    ) -> None:
        self.scheduler = scheduler
        self._observer = observer
        self._url_hint = url_hint
        self._url = config["api_url"].rstrip("/")
        self._timeout: float = config["request_timeout_seconds"]
        self._policy = RetryPolicy(config["max_retries"])
        self.clock = ServerClock(LOGGER)
        """The server's clock."""
        self._me: LevResponse | None = None
        self._worn: set[str] = set()
        """Endpoints for which faults on the way have used up all retries of a request."""
        self._halved: set[str] = set()
        """Streams for which half a character was logged."""
        self.has_responded = False
        """Whether any response in Lev's form has come, an envelope or an error."""
        self._statuses: set[int | None] = set()
        """The statuses of all responses, with None for a request that got no response."""
        self._longest_wait = max(MAX_RETRY_AFTER, scheduler.budget.window)
        self._closed: dict[str | None, tuple[float, LevAPIError]] = {}
        """Until when requests to an endpoint (None: to any) are held back, and the error why."""
        self._transport = Transport(self._url, self._timeout, config["max_parallel_streams"])
        self._session = requests.Session()
        self._session.auth = BearerAuth(config["api_key"])
        self._session.headers["Accept"] = "application/json"
        self._session.headers["X-Origin-App"] = config["origin_app"]
        if config.get("active_account"):
            self._session.headers["X-Active-Account"] = config["active_account"]

    def bind(self, stream: str) -> BoundClient:
        """Bind the client to the stream that its requests are for."""
        return BoundClient(self, stream)

    def send(
        self,
        request: LevRequest,
        decoder: Decoder[Envelope] | None = None,
        policy: RetryPolicy | None = None,
        *,
        stream: str = "",
    ) -> LevResponse:
        """Send a request, with retries. ``GET /me`` is sent once a run.

        Args:
            request: The request.
            decoder: Decodes a response of the usual form; None for any form.
            policy: How long the request is tried, or None for the settings.
            stream: The stream that the request is for; empty for the run itself.

        Returns:
            The response.

        Raises:
            LevAPIError: Lev refuses the request.
            ConfigError: Lev was never reached, for which a setting is the likely reason.
            LevConnectionError: Lev was not reached by the last retry either.
            InvalidResponseError: No try brought a valid response; or an id in the path leads to
                another route, and nothing is sent.
            LevError: The request is not in the allow-list.
        """
        # Some of Lev's endpoints cost credits, sign links or change data (lev-api.md §4). An
        # allow-list holds where a list of the forbidden would lack the newest.
        if request.endpoint not in READS:
            raise LevError(f"{request.endpoint} is not a request that tap-lev makes.")
        is_me = request.endpoint == ME and not request.params
        if is_me and self._me is not None:
            return self._me
        sending = self._sending(request, stream, policy or self._policy)
        response = self._send(sending, decoder)
        if is_me:
            self._me = response
        return response

    def _sending(self, request: LevRequest, stream: str, policy: RetryPolicy) -> _Sending:
        method, path = request.endpoint.split(" ")
        for name, value in request.path_params.items():
            # Quoting leaves dots as they are. What sends the request resolves them, and the key's
            # request would go to a route that is not in the allow-list.
            if f"{{{name}}}" in path and str(value) in {"", ".", ".."}:
                raise InvalidResponseError(
                    f"The {name} '{value}' would lead {request.endpoint} to another route: it is "
                    "not asked for."
                )
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        prepared = requests.Request(
            method, self._url + path, params=request.params or None, json=request.json
        )
        strictest = _least(self._policy, policy)
        return _Sending(stream, request.endpoint, f"{method} {path}", prepared, strictest)

    def me(self) -> LevResponse:
        """Read the key's user and account, once in a run (lev-api.md §2.24).

        Raises:
            AuthenticationError: Lev does not accept the key.
            ConfigError: A setting keeps the request from reaching Lev.
            LevError: The request fails otherwise. Other requests may succeed.
        """
        return self.send(LevRequest(ME), policy=FOR_ME)

    def account_id(self) -> int:
        """Return the id of the account that the key reads (lev-api.md §2.24).

        Raises:
            InvalidResponseError: The response does not hold it.
        """
        data = self.me().data
        account = data.get("account") if isinstance(data, dict) else None
        account_id = whole(account.get("id")) if isinstance(account, dict) else None
        if not isinstance(account_id, int):
            self._me = None  # the next call requests it again
            raise InvalidResponseError("Lev does not tell the account's id in GET /me.")
        return account_id

    # -- Trying

    def _send(self, sending: _Sending, decoder: Decoder[Envelope] | None) -> LevResponse:
        while True:
            self._check_open(sending.endpoint)
            try:
                body, headers = self._send_once(sending)
                response = parse_response(body, headers, sending.request_line, decoder)
            except AuthenticationError as error:
                self._note_response(opens=False)
                # A 401 ends the run with exit code 3, if it is about the key. One endpoint may also
                # refuse a key that is valid: then only the streams that need it fail. Which of both
                # it is shows /me, which is about the key itself.
                if sending.endpoint == ME or not self._accepts_key(sending.stream):
                    raise
                raise EndpointRefusedError(error.facts) from None
            except (LevAPIError, LevConnectionError, InvalidResponseError) as error:
                if isinstance(error, LevConnectionError):
                    self._observer.on_response(sending.stream, sending.endpoint, None)
                # A gateway's error page does not show that Lev is there, or accepts the key.
                elif not error.is_foreign:
                    self._note_response()
                if isinstance(error, LevAPIError) and self._asks_too_much(error):
                    raise self._close(sending, error) from None
                if not self._back_off(sending, error):
                    raise self._explained(sending, error) from None
            else:
                self._note_response()
                self._note_halves(sending, response)
                return self._dated(response)

    def _explained(self, sending: _Sending, error: LevError) -> LevError:
        """Add to an error what setting may be wrong, until Lev has responded."""
        # Afterwards the settings are right, and the same error is a fault that passes.
        if self.has_responded:
            return error
        if isinstance(error, UnknownHostError) or (
            isinstance(error, ProxyFaultError) and error.passes
        ):
            sentence = f"{error} {self._url_hint}"
            error = type(error)(sentence, passes=error.passes)
        if isinstance(error, LevConnectionError) and not error.passes:
            return ConfigError(str(error))
        if sending.endpoint != ME and self.address_fault is not None:  # a run can do without /me
            return ConfigError(f"{error} {self.address_fault}")
        return error

    @property
    def address_fault(self) -> ConfigError | None:
        """The error for a wrong ``api_url``: all requests got 404. None otherwise."""
        if self._statuses != {HTTPStatus.NOT_FOUND}:
            return None
        return ConfigError(f"Every request of this run was answered with 404. {self._url_hint}")

    def _dated(self, response: LevResponse) -> LevResponse:
        """Set the server's time of a response, checked against the others of the run."""
        moment = self.clock.read(
            response.envelope_time, response.date_header, has_zone=response.envelope_has_zone
        )
        return dataclasses.replace(response, server_time=moment)

    def _note_response(self, *, opens: bool = True) -> None:
        """Record that Lev itself has responded, and allow requests in parallel (S9)."""
        self.has_responded = True
        if opens:
            self.scheduler.allow_parallel()

    def _note_halves(self, sending: _Sending, response: LevResponse) -> None:
        if not response.halves:
            return
        self._observer.on_mended(sending.stream, response.halves)
        if sending.stream not in self._halved:
            self._halved.add(sending.stream)
            LOGGER.warning(
                "%s: Lev sends half of a character, which JSON allows and no text can hold, "
                "%d times in %s%s (%s). Each is read as U+FFFD; this is logged once.",
                sending.stream or "The run",
                response.halves,
                response.endpoint,
                _first_unknown(response),
                name_request(response.request_id),
            )

    def _accepts_key(self, stream: str) -> bool:
        """Request ``/me`` to see whether Lev accepts the key, after a 401."""
        # Anew, past the response that is kept: the key may have been revoked since. A /me that
        # fails is no proof that the key is valid.
        try:
            self._send(self._sending(LevRequest(ME), stream, _least(ONCE, FOR_ME)), None)
        except LevError:
            return False
        return True

    def _send_once(self, sending: _Sending) -> tuple[bytes, Mapping[str, str]]:
        prepared = self._session.prepare_request(sending.request)
        line = sending.request_line
        sent, seconds, status = False, math.inf, None
        try:
            # A redirect is never followed: the key belongs to one host (lev-api.md §1.1).
            with self.scheduler.slot(sending.endpoint):
                sent = True
                if sending.began is None:
                    sending.began = time.monotonic()
                # After a wait little may be left, and a timeout must be more than nothing.
                seconds = max(0.1, min(sending.policy.each, sending.policy.seconds - sending.age))
                response, content = self._transport.send(prepared, seconds)
                status = response.status_code
        except requests.Timeout:
            raise LevConnectionError(
                f"Lev did not answer {line} within {min(self._timeout, seconds):g} s."
            ) from None
        except ResponseTooSlowError:
            most = min(transport.MAX_TIMEOUTS * self._timeout, seconds)
            raise LevConnectionError(
                f"Lev began to answer {line}, but had not ended after {most:g} s."
            ) from None
        except ResponseTooLargeError:
            raise LevError(
                f"Lev's answer to {line} is longer than {transport.MAX_BYTES >> 20} MiB, as no "
                "answer of its API is. It was not read to its end."
            ) from None
        except requests.RequestException as error:
            raise connection_error(error, line, self._transport) from None
        finally:
            # An error counts, too: the request may have arrived. A wait for the slot that a signal
            # broke off has sent nothing.
            if sent:
                self._observer.on_request(sending.stream)
            self._statuses.add(status)
        self._observer.on_response(sending.stream, sending.endpoint, response.status_code)
        self._observer.on_wait(self.scheduler.waited)
        if response.is_redirect:
            location = quoted(response.headers["Location"])
            raise ForeignResponseError(
                f"Something between here and Lev seems to redirect {line} to '{location}' "
                f"({response.status_code}). The key is not sent to another address: if Lev's API "
                "has moved there, set api_url to it."
            )
        if response.status_code != HTTPStatus.OK:
            raise api_error(response.status_code, content, response.headers, endpoint=line)
        return content, response.headers

    # -- Retries

    def _asks_too_much(self, error: LevAPIError) -> bool:
        """Return whether a response asks for a longer wait than a run spends."""
        if error.on_the_way and not self.has_responded:
            return False  # what is not Lev may know nothing of Lev's limits
        return error.is_transient and (error.retry_after or 0) > self._longest_wait

    def _close(self, sending: _Sending, error: LevAPIError) -> TooLongWaitError:
        """Hold back all requests that a 429 concerns, until its wait is over."""
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            concerned = sending.endpoint if error.is_endpoint_limit else None
            self._closed[concerned] = (time.monotonic() + (error.retry_after or 0), error)
        return TooLongWaitError(error, self._longest_wait)

    def _check_open(self, endpoint: str) -> None:
        # Other streams would each send one request, only to get the same 429.
        for concerned in (endpoint, None):
            until, error = self._closed.get(concerned, (0.0, None))
            if error is not None and time.monotonic() < until:
                raise TooLongWaitError(error, self._longest_wait)

    def _back_off(self, sending: _Sending, error: LevError) -> bool:
        """Wait before another try, or pause the bucket that a 429 concerns.

        Returns:
            Whether there is another try.
        """
        # 1. Lev has understood the request and refused it: it would do so again.
        if isinstance(error, LevAPIError) and not error.is_transient:
            return False
        policy = self._policy_for(sending, error)
        seconds = self._backoff_seconds(error, sending.tries + 1)
        seconds_left = policy.seconds - sending.age
        # 2. A fault on the way. What is not Lev does not know how long Lev needs, so its wait may
        #    not take all the time that is left: half of it stays for the next try.
        if error.on_the_way:
            seconds = min(seconds, seconds_left / 2)
        is_limited = isinstance(error, LevAPIError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
        gives_up = sending.tries >= policy.retries or seconds_left <= seconds
        attempt = f"{sending.tries + 1} of {policy.retries}"
        # 3. A 429. Not this request waits but its bucket (S4): others would get a 429, too. The
        #    bucket pauses even if this request gives up. Of many that come at the same time one is
        #    logged. The next try waits for its slot as usual.
        if is_limited:
            assert isinstance(error, LevAPIError)  # noqa: S101
            concerned = sending.endpoint if error.is_endpoint_limit else None
            if self.scheduler.budget.pause(concerned, seconds) and not gives_up:
                whose = f"Requests to {concerned} wait" if concerned else "All requests wait"
                LOGGER.warning("%s %s for %.1f s (try %s).", error, whose, seconds, attempt)
        if gives_up:
            if error.on_the_way and self.has_responded and sending.tries >= self._policy.retries:
                self._worn.add(sending.endpoint)
            return False
        sending.tries += 1
        self._observer.on_retry(sending.stream, sending.endpoint)
        # 4. Anything else concerns this request alone, which sleeps without a slot.
        if not is_limited:
            LOGGER.warning("%s Trying again in %.1f s (%s).", error, seconds, attempt)
            self.scheduler.sleep(seconds, sending.endpoint)
        return True

    def _policy_for(self, sending: _Sending, error: LevError) -> RetryPolicy:
        """Return how long a request is tried that fails like this."""
        # 1. Lev itself fails, or the connection: both pass.
        if not error.on_the_way:
            return sending.policy
        # 2. A fault on the way to a Lev that has not responded yet. A wrong api_url or proxy looks
        #    like this, and a user is to read of it in seconds.
        # 3. The same later. A firewall that holds back one route fails each of its requests: all
        #    retries are spent once for each endpoint, then each request has one try.
        if not self.has_responded:
            return _least(sending.policy, UNTIL_REACHED)
        return _least(sending.policy, ONCE) if sending.endpoint in self._worn else sending.policy

    @staticmethod
    def _backoff_seconds(error: LevError, tries: int) -> float:
        hint = getattr(error, "retry_after", None)
        if hint:  # not 0: without a wait the retries would be used up in no time
            return float(hint)
        ceiling = min(LONGEST_BACKOFF, 0.25 * 2 ** min(tries, MAX_DOUBLINGS))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter is no secret


def _first_unknown(response: LevResponse) -> str:
    """Return words that name the first row with U+FFFD in it."""
    for row in response.data if isinstance(response.data, list) else ():
        key = row.get("id") if isinstance(row, dict) else getattr(row, "id", None)
        if isinstance(key, int | str) and UNKNOWN in msgspec.json.encode(row):
            return f", first in row {shown(key)}"
    return ""


def _least(one: RetryPolicy, other: RetryPolicy) -> RetryPolicy:
    """Return the policy that is as strict as both, limit by limit."""
    return RetryPolicy(*map(min, one, other))
