"""One request at a time: URL, headers, allow-list, envelope, errors, retries."""

from __future__ import annotations

import dataclasses
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
from tap_lev.api.response import parse_response
from tap_lev.api.surrogates import UNKNOWN
from tap_lev.api.transport import ResponseTooLargeError, ResponseTooSlowError, Transport
from tap_lev.config import settings
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
from tap_lev.progress.metrics import RequestMetrics
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_lev.api.response import Envelope, LevResponse
    from tap_lev.api.surrogates import Decoder
    from tap_lev.progress.report import StreamReport
    from tap_lev.ratelimit.scheduler import RequestScheduler

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
class _Read:
    """One read, from its first try to its last.

    Attributes:
        endpoint: Method and route template.
        asked: Method and path.
        request: What is sent.
        report: Counts what it costs.
        patience: How long it is tried.
        tries: How many tries have failed.
        began: When the first try was sent.
    """

    endpoint: str
    asked: str
    request: requests.Request
    report: StreamReport
    patience: RetryPolicy
    tries: int = 0
    began: float | None = None

    @property
    def age(self) -> float:
        """Seconds since the first try was sent."""
        return 0.0 if self.began is None else time.monotonic() - self.began


class LevClient:
    """Reads from the Lev API.

    Args:
        config: The tap's settings, valid.
        logger: Where retries are told.
        gate: What every request passes, and every wait.
    """

    def __init__(
        self, config: Mapping[str, Any], logger: logging.Logger, scheduler: RequestScheduler
    ) -> None:
        self.scheduler = scheduler
        self.meters = RequestMetrics()
        self._url = config["api_url"].rstrip("/")
        self._timeout: float = config["request_timeout_seconds"]
        self._patience = RetryPolicy(config["max_retries"])
        self.clock = ServerClock(logger)
        """The server's clock."""
        self._logger = logger
        self._me: LevResponse | None = None
        self._worn: set[str] = set()
        """Endpoints to which all retries of a request were used up by faults on the way."""
        self._halved: set[str] = set()
        """Streams of which was told that half of a character came."""
        self.reached = False
        """Whether a response in Lev's form has come: an envelope or an error."""
        self._came: set[int | None] = set()
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

    def read(  # noqa: PLR0913, PLR0917 - what a request is made of
        self,
        endpoint: str,
        report: StreamReport,
        params: Mapping[str, str | int] | None = None,
        ids: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        decoder: Decoder[Envelope] | None = None,
        *,
        patience: RetryPolicy | None = None,
    ) -> LevResponse:
        """Make one request, as often as it takes. What ``/me`` says is asked once a run.

        Args:
            endpoint: Method and route template, one of ``READS``.
            report: Counts what the request costs.
            params: The query parameters.
            ids: What stands in the route template's placeholders.
            json: The body of a read by POST.
            decoder: Reads answers of the usual form.
            patience: How long it is tried, where that is less than the settings allow.

        Returns:
            The answer.

        Raises:
            LevAPIError: Lev refuses the request.
            ConfigError: Lev was never reached, for which a setting is the likely reason.
            LevConnectionError: Lev was not reached by the last retry either.
            BrokenAnswerError: The last retry, too, brought no readable answer; or an id of an
                earlier answer leads to another route, and nothing is sent.
            LevError: The request is not one that a tap may make.
        """
        if endpoint not in READS:
            raise LevError(f"{endpoint} is not a request that tap-lev makes.")
        if endpoint == ME and self._me is not None and not params:
            return self._me
        method, path = endpoint.split(" ")
        for name, value in (ids or {}).items():
            # Quoting leaves dots as they are, and what sends the request would resolve them.
            if f"{{{name}}}" in path and str(value) in {"", ".", ".."}:
                raise InvalidResponseError(
                    f"The {name} '{value}' would lead {endpoint} to another route: it is not "
                    "asked for."
                )
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        request = requests.Request(method, self._url + path, params=params, json=json)
        least = _least(self._patience, patience or self._patience)
        read = _Read(endpoint, f"{method} {path}", request, report, least)
        answer = self._read(read, decoder)
        if endpoint == ME and not params:
            self._me = answer
        return answer

    def me(self, report: StreamReport) -> LevResponse:
        """Read what Lev says of the key and its account, once (lev-api.md §2.24).

        Raises:
            KeyRefusedError: Lev does not accept the key.
            ConfigError: A setting keeps the request from reaching Lev.
            LevError: It does not say anything, for a reason that may be ``/me``'s alone.
        """
        return self.read(ME, report, patience=FOR_ME)

    def account_id(self, report: StreamReport) -> int:
        """Find the id of the account that the key reads (lev-api.md §2.24).

        Raises:
            BrokenAnswerError: Lev does not tell it.
        """
        data = self.me(report).data
        account = data.get("account") if isinstance(data, dict) else None
        found = whole(account.get("id")) if isinstance(account, dict) else None
        if not isinstance(found, int):
            self._me = None
            raise InvalidResponseError("Lev does not tell the account's id in GET /me.")
        return found

    # -- Trying

    def _read(self, read: _Read, decoder: Decoder[Envelope] | None) -> LevResponse:
        while True:
            self._check_open(read.endpoint)
            try:
                body, headers = self._try(read)
                answer = parse_response(body, headers, read.asked, decoder)
            except AuthenticationError as error:
                self._note_answer(opens=False)
                if read.endpoint == ME or not self._accepts_key(read.report):
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
                    self.meters.request(read.report.name, read.endpoint, None)
                elif not error.is_foreign:
                    self._note_answer()
                if isinstance(error, LevAPIError) and self._asks_too_much(error):
                    raise self._close(read, error) from None
                if not self._let_pass(read, error):
                    raise self._explained(read, error) from None
            else:
                self._note_answer()
                self._note_halves(read, answer)
                return self._dated(answer)

    def _explained(self, read: _Read, error: LevError) -> LevError:
        """Say what a wrong setting has to do with an error, as long as Lev has not answered."""
        if self.reached:
            return error
        if isinstance(error, UnknownHostError) or (
            isinstance(error, ProxyFaultError) and error.passes
        ):
            sentence = f"{error} {settings.ask_about(self._url)}"
            error = type(error)(sentence, passes=error.passes)
        if isinstance(error, LevConnectionError) and not error.passes:
            return ConfigError(str(error))
        if read.endpoint != ME and self.address_fault is not None:  # a run can do without /me
            return ConfigError(f"{error} {self.address_fault}")
        return error

    @property
    def address_fault(self) -> ConfigError | None:
        """What is to be said where all that was requested does not exist, None elsewhere."""
        if self._came != {HTTPStatus.NOT_FOUND}:
            return None
        return ConfigError(
            f"Every request of this run was answered with 404. {settings.ask_about(self._url)}"
        )

    def _dated(self, answer: LevResponse) -> LevResponse:
        """Date an answer by the clock that all answers of the run agree on."""
        moment = self.clock.read(
            answer.envelope_time, answer.date_header, has_zone=answer.envelope_has_zone
        )
        return dataclasses.replace(answer, server_time=moment)

    def _note_answer(self, *, opens: bool = True) -> None:
        """Take note that Lev itself has answered."""
        self.reached = True
        if opens:
            self.scheduler.open()

    def _note_halves(self, read: _Read, answer: LevResponse) -> None:
        read.report.mended += answer.halves
        if answer.halves and read.report.name not in self._halved:
            self._halved.add(read.report.name)
            self._logger.warning(
                "%s: Lev sends half of a character, which JSON allows and no text can hold, "
                "%d times in %s%s (request_id %s). Each is read as U+FFFD; this is logged once.",
                read.report.name or "The run",
                answer.halves,
                answer.endpoint,
                _first_unknown(answer),
                answer.request_id or "not given",
            )

    def _accepts_key(self, report: StreamReport) -> bool:
        """Ask anew whether Lev accepts the key, since it did not for a request."""
        request = requests.Request("GET", self._url + "/me")
        try:
            self._read(_Read(ME, ME, request, report, _least(ONCE, FOR_ME)), None)
        except LevError:
            return False
        return True

    def _try(self, read: _Read) -> tuple[bytes, Mapping[str, str]]:
        prepared = self._session.prepare_request(read.request)
        asked, report = read.asked, read.report
        sent, seconds, status = False, math.inf, None
        try:
            # A redirect is never followed: the key belongs to one host (lev-api.md §1.1).
            with self.scheduler.slot(read.endpoint):
                sent = True
                if read.began is None:
                    read.began = time.monotonic()
                # After a wait little may be left, and a timeout must be more than nothing.
                seconds = max(0.1, min(read.patience.each, read.patience.seconds - read.age))
                response, content = self._transport.send(prepared, seconds)
                status = response.status_code
        except requests.Timeout:
            raise LevConnectionError(
                f"Lev did not answer {asked} within {min(self._timeout, seconds):g} s."
            ) from None
        except ResponseTooSlowError:
            most = min(transport.MAX_TIMEOUTS * self._timeout, seconds)
            raise LevConnectionError(
                f"Lev began to answer {asked}, but had not ended after {most:g} s."
            ) from None
        except ResponseTooLargeError:
            raise LevError(
                f"Lev's answer to {asked} is longer than {transport.MAX_BYTES >> 20} MiB, as no "
                "answer of its API is. It was not read to its end."
            ) from None
        except requests.RequestException as error:
            raise connection_error(error, asked, self._transport) from None
        finally:
            report.requests += sent
            self._came.add(status)
        report.statuses[response.status_code] += 1
        self.meters.request(report.name, read.endpoint, response.status_code)
        self.meters.waited(self.scheduler.waited)
        if response.is_redirect:
            location = quoted(response.headers["Location"])
            raise ForeignResponseError(
                f"Something between here and Lev seems to redirect {asked} to '{location}' "
                f"({response.status_code}). The key is not sent to another address: if Lev's API "
                "has moved there, set api_url to it."
            )
        if response.status_code != HTTPStatus.OK:
            raise api_error(response.status_code, content, response.headers, endpoint=asked)
        return content, response.headers

    # -- Trying again

    def _asks_too_much(self, error: LevAPIError) -> bool:
        """Say whether an answer asks for a longer wait than a run spends."""
        if error.on_the_way and not self.reached:
            return False  # it may know nothing of Lev
        return error.is_transient and (error.retry_after or 0) > self._longest_wait

    def _close(self, read: _Read, error: LevAPIError) -> TooLongWaitError:
        """Request no more of what a 429 is about, until its wait is over."""
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            concerned = read.endpoint if error.is_endpoint_limit else None
            self._closed[concerned] = (time.monotonic() + (error.retry_after or 0), error)
        return TooLongWaitError(error, self._longest_wait)

    def _check_open(self, endpoint: str) -> None:
        for concerned in (endpoint, None):
            until, error = self._closed.get(concerned, (0.0, None))
            if error is not None and time.monotonic() < until:
                raise TooLongWaitError(error, self._longest_wait)

    def _let_pass(self, read: _Read, error: LevError) -> bool:
        """Wait before another try, or have the gate wait with all that a 429 concerns.

        Returns:
            Whether there is another try.
        """
        if isinstance(error, LevAPIError) and not error.is_transient:
            return False
        patience = self._patience_with(read, error)
        wait, left = self._wait(error, read.tries + 1), patience.seconds - read.age
        if error.on_the_way:
            # What is not Lev does not say how long Lev needs.
            wait = min(wait, left / 2)
        limited = isinstance(error, LevAPIError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
        gives_up = read.tries >= patience.retries or left <= wait
        of = f"{read.tries + 1} of {patience.retries}"
        if limited:
            assert isinstance(error, LevAPIError)  # noqa: S101
            concerned = read.endpoint if error.is_endpoint_limit else None
            if self.scheduler.budget.pause(concerned, wait) and not gives_up:
                whose = f"Requests to {concerned} wait" if concerned else "All requests wait"
                self._logger.warning("%s %s for %.1f s (try %s).", error, whose, wait, of)
        if gives_up:
            if error.on_the_way and self.reached and read.tries >= self._patience.retries:
                self._worn.add(read.endpoint)
            return False
        read.tries += 1
        read.report.retries += 1
        self.meters.retry(read.report.name, read.endpoint)
        if not limited:
            self._logger.warning("%s Trying again in %.1f s (%s).", error, wait, of)
            self.scheduler.sleep(wait, read.endpoint)
        return True

    def _patience_with(self, read: _Read, error: LevError) -> RetryPolicy:
        """Find how long a request is tried that fails like this."""
        if not error.on_the_way:
            return read.patience
        if not self.reached:
            return _least(read.patience, UNTIL_REACHED)
        return _least(read.patience, ONCE) if read.endpoint in self._worn else read.patience

    @staticmethod
    def _wait(error: LevError, tries: int) -> float:
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
