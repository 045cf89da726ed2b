"""One request at a time: URL, headers, allow-list, envelope, errors, retries."""

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.api.response import Envelope, LevResponse
    from tap_lev.api.surrogates import Decoder
    from tap_lev.ratelimit.scheduler import RequestScheduler

LOGGER = logging.getLogger("tap-lev")
"""The tap's logger, as the SDK names it."""

LONGEST_BACKOFF = 60.0
"""The longest wait between two tries, in seconds, where Lev asks for none (lev-api.md §1.10)."""

MAX_DOUBLINGS = 10
"""How often the wait between two tries is doubled. Some settings allow more retries than that."""


class RetryPolicy(NamedTuple):
    """How long a request is tried.

    Attributes:
        retries: How often it is tried again.
        seconds: After how many seconds, waits included, it is not tried again.
        each: The seconds that one try may take at most.
    """

    retries: float = math.inf
    seconds: float = math.inf
    each: float = math.inf


ONCE = RetryPolicy(retries=0)
"""For a request that is not worth another try."""
FOR_ME = RetryPolicy(retries=1, seconds=10, each=5)
"""For a request that a run can do without."""
UNTIL_REACHED = RetryPolicy(retries=1, seconds=5)
"""For a fault on the way to a Lev that has not answered yet: it may not be there at all."""


class BearerAuth(AuthBase):
    """Sends the key. An auth object, since ``requests`` lets a netrc file win over a header."""

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
        stream: The stream that it is made for; empty for the run itself.
        endpoint: Method and route template.
        request_line: Method and path, as messages name the request.
        request: What is sent.
        policy: How long it is tried.
        tries: How many tries have failed.
        began: When the first try was sent, None before it.
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
    """The client, bound to the stream that its requests are made for.

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
        """Send a request, again where it may help; see ``LevClient.send``."""
        return self._client.send(request, decoder, policy, stream=self.stream)


class LevClient:
    """Reads from the Lev API.

    Args:
        config: The tap's settings, valid.
        scheduler: Decides when each request is sent.
        observer: Counts requests, responses and retries.
        url_hint: A sentence for errors that a wrong ``api_url`` may cause.
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
        """Endpoints to which all retries of a request were used up by faults on the way."""
        self._halved: set[str] = set()
        """Streams of which was told that half of a character came."""
        self.has_responded = False
        """Whether a response in Lev's form has come: an envelope or an error."""
        self._statuses: set[int | None] = set()
        """The statuses of all responses, None where none came."""
        self._longest_wait = max(MAX_RETRY_AFTER, scheduler.budget.window)
        self._closed: dict[str | None, tuple[float, LevAPIError]] = {}
        """Until when an endpoint, or with None any, is not requested, and what said so."""
        self._transport = Transport(self._url, self._timeout, config["max_parallel_streams"])
        self._session = requests.Session()
        self._session.auth = BearerAuth(config["api_key"])
        self._session.headers["Accept"] = "application/json"
        self._session.headers["X-Origin-App"] = config["origin_app"]
        if config.get("active_account"):
            self._session.headers["X-Active-Account"] = config["active_account"]

    def bind(self, stream: str) -> BoundClient:
        """Bind the client to the stream that its requests are made for."""
        return BoundClient(self, stream)

    def send(
        self,
        request: LevRequest,
        decoder: Decoder[Envelope] | None = None,
        policy: RetryPolicy | None = None,
        *,
        stream: str = "",
    ) -> LevResponse:
        """Send a request, again where it may help. ``GET /me`` is sent once a run.

        Args:
            request: The request.
            decoder: Decodes a response of the usual form.
            policy: How long the request is tried, where that is less than the settings allow.
            stream: The stream that it is made for; empty for the run itself.

        Returns:
            The response.

        Raises:
            LevAPIError: Lev refuses the request.
            ConfigError: Lev was never reached, for which a setting is the likely reason.
            LevConnectionError: Lev was not reached by the last retry either.
            InvalidResponseError: The last retry, too, brought no readable response; or an id of an
                earlier response leads to another route, and nothing is sent.
            LevError: The request is not one that a tap may make.
        """
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
            # Quoting leaves dots as they are, and what sends the request would resolve them.
            if f"{{{name}}}" in path and str(value) in {"", ".", ".."}:
                raise InvalidResponseError(
                    f"The {name} '{value}' would lead {request.endpoint} to another route: it is "
                    "not asked for."
                )
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        prepared = requests.Request(
            method, self._url + path, params=request.params or None, json=request.json
        )
        least = _least(self._policy, policy)
        return _Sending(stream, request.endpoint, f"{method} {path}", prepared, least)

    def me(self) -> LevResponse:
        """Read what Lev says of the key and its account, once (lev-api.md §2.24).

        Raises:
            AuthenticationError: Lev does not accept the key.
            ConfigError: A setting keeps the request from reaching Lev.
            LevError: The request fails, for a reason that may be its own alone.
        """
        return self.send(LevRequest(ME), policy=FOR_ME)

    def account_id(self) -> int:
        """Find the id of the account that the key reads (lev-api.md §2.24).

        Raises:
            InvalidResponseError: The response does not hold it.
        """
        data = self.me().data
        account = data.get("account") if isinstance(data, dict) else None
        account_id = whole(account.get("id")) if isinstance(account, dict) else None
        if not isinstance(account_id, int):
            self._me = None
            raise InvalidResponseError("Lev does not tell the account's id in GET /me.")
        return account_id

    # -- Trying

    def _send(self, sending: _Sending, decoder: Decoder[Envelope] | None) -> LevResponse:
        while True:
            self._check_open(sending.endpoint)
            try:
                body, headers = self._send_once(sending)
                answer = parse_response(body, headers, sending.request_line, decoder)
            except AuthenticationError as error:
                self._note_answer(opens=False)
                if sending.endpoint == ME or not self._accepts_key(sending.stream):
                    raise
                raise EndpointRefusedError(
                    status=error.status,
                    error_type=error.error_type,
                    message=error.message,
                    endpoint=error.endpoint,
                    request_id=error.request_id,
                ) from None
            except (LevAPIError, LevConnectionError, InvalidResponseError) as error:
                if isinstance(error, LevConnectionError):
                    self._observer.on_response(sending.stream, sending.endpoint, None)
                elif not error.is_foreign:
                    self._note_answer()
                if isinstance(error, LevAPIError) and self._asks_too_much(error):
                    raise self._close(sending, error) from None
                if not self._back_off(sending, error):
                    raise self._explained(sending, error) from None
            else:
                self._note_answer()
                self._note_halves(sending, answer)
                return self._dated(answer)

    def _explained(self, sending: _Sending, error: LevError) -> LevError:
        """Say what a wrong setting has to do with an error, as long as Lev has not answered."""
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
        """What is to be said where all that was requested does not exist, None elsewhere."""
        if self._statuses != {HTTPStatus.NOT_FOUND}:
            return None
        return ConfigError(f"Every request of this run was answered with 404. {self._url_hint}")

    def _dated(self, answer: LevResponse) -> LevResponse:
        """Date an answer by the clock that all answers of the run agree on."""
        moment = self.clock.read(
            answer.envelope_time, answer.date_header, has_zone=answer.envelope_has_zone
        )
        return dataclasses.replace(answer, server_time=moment)

    def _note_answer(self, *, opens: bool = True) -> None:
        """Take note that Lev itself has answered."""
        self.has_responded = True
        if opens:
            self.scheduler.allow_parallel()

    def _note_halves(self, sending: _Sending, answer: LevResponse) -> None:
        if not answer.halves:
            return
        self._observer.on_mended(sending.stream, answer.halves)
        if sending.stream not in self._halved:
            self._halved.add(sending.stream)
            LOGGER.warning(
                "%s: Lev sends half of a character, which JSON allows and no text can hold, "
                "%d times in %s%s (%s). Each is read as U+FFFD; this is logged once.",
                sending.stream or "The run",
                answer.halves,
                answer.endpoint,
                _first_unknown(answer),
                name_request(answer.request_id),
            )

    def _accepts_key(self, stream: str) -> bool:
        """Request ``/me`` anew to see whether Lev accepts the key, since it refused one."""
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

    # -- Trying again

    def _asks_too_much(self, error: LevAPIError) -> bool:
        """Say whether an answer asks for a longer wait than a run spends."""
        if error.on_the_way and not self.has_responded:
            return False  # it may know nothing of Lev
        return error.is_transient and (error.retry_after or 0) > self._longest_wait

    def _close(self, sending: _Sending, error: LevAPIError) -> TooLongWaitError:
        """Request no more of what a 429 is about, until its wait is over."""
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            concerned = sending.endpoint if error.is_endpoint_limit else None
            self._closed[concerned] = (time.monotonic() + (error.retry_after or 0), error)
        return TooLongWaitError(error, self._longest_wait)

    def _check_open(self, endpoint: str) -> None:
        for concerned in (endpoint, None):
            until, error = self._closed.get(concerned, (0.0, None))
            if error is not None and time.monotonic() < until:
                raise TooLongWaitError(error, self._longest_wait)

    def _back_off(self, sending: _Sending, error: LevError) -> bool:
        """Wait before another try, or have the gate wait with all that a 429 concerns.

        Returns:
            Whether there is another try.
        """
        if isinstance(error, LevAPIError) and not error.is_transient:
            return False
        policy = self._policy_for(sending, error)
        wait, left = self._backoff_seconds(error, sending.tries + 1), policy.seconds - sending.age
        if error.on_the_way:
            # What is not Lev does not say how long Lev needs.
            wait = min(wait, left / 2)
        limited = isinstance(error, LevAPIError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
        gives_up = sending.tries >= policy.retries or left <= wait
        of = f"{sending.tries + 1} of {policy.retries}"
        if limited:
            assert isinstance(error, LevAPIError)  # noqa: S101
            concerned = sending.endpoint if error.is_endpoint_limit else None
            if self.scheduler.budget.pause(concerned, wait) and not gives_up:
                whose = f"Requests to {concerned} wait" if concerned else "All requests wait"
                LOGGER.warning("%s %s for %.1f s (try %s).", error, whose, wait, of)
        if gives_up:
            if error.on_the_way and self.has_responded and sending.tries >= self._policy.retries:
                self._worn.add(sending.endpoint)
            return False
        sending.tries += 1
        self._observer.on_retry(sending.stream, sending.endpoint)
        if not limited:
            LOGGER.warning("%s Trying again in %.1f s (%s).", error, wait, of)
            self.scheduler.sleep(wait, sending.endpoint)
        return True

    def _policy_for(self, sending: _Sending, error: LevError) -> RetryPolicy:
        """Find how long a request is tried that fails like this."""
        if not error.on_the_way:
            return sending.policy
        if not self.has_responded:
            return _least(sending.policy, UNTIL_REACHED)
        return _least(sending.policy, ONCE) if sending.endpoint in self._worn else sending.policy

    @staticmethod
    def _backoff_seconds(error: LevError, tries: int) -> float:
        hint = getattr(error, "retry_after", None)
        if hint:  # no wait at all would use the retries up in no time
            return float(hint)
        ceiling = min(LONGEST_BACKOFF, 0.25 * 2 ** min(tries, MAX_DOUBLINGS))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter is no secret


def _first_unknown(answer: LevResponse) -> str:
    """Name the first row that holds a character that is not known."""
    for row in answer.data if isinstance(answer.data, list) else ():
        key = row.get("id") if isinstance(row, dict) else getattr(row, "id", None)
        if isinstance(key, int | str) and UNKNOWN in msgspec.json.encode(row):
            return f", first in row {shown(key)}"
    return ""


def _least(one: RetryPolicy, other: RetryPolicy) -> RetryPolicy:
    """Find a patience that is no greater than either."""
    return RetryPolicy(*map(min, one, other))


MAX_RETRY_AFTER = 900.0
"""The longest wait that a run spends because an answer asks for it, in seconds; or one window of
the limits, where that is longer."""
