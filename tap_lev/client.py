"""One request at a time: URL, headers, allow-list, envelope, errors, retries."""

from __future__ import annotations

import random
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from tap_lev import transport
from tap_lev.answer import read_answer
from tap_lev.errors import (
    BrokenAnswerError,
    LevAPIError,
    LevConnectionError,
    LevError,
    api_error,
    quoted,
)
from tap_lev.meters import Meters
from tap_lev.transport import TooLongError, TooSlowError, Transport

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    import msgspec

    from tap_lev.answer import Answer, Envelope
    from tap_lev.gate import Gate
    from tap_lev.report import StreamReport

LONGEST_BACKOFF = 60.0
"""The longest wait between two tries, in seconds, where Lev asks for none (lev-api.md §1.10)."""

MAX_DOUBLINGS = 10
"""How often the wait between two tries is doubled. Some settings allow more retries than that."""

READS = frozenset(
    {
        "GET /account/team",
        "GET /api-keys",
        "GET /billing/summary",
        "GET /companies",
        "GET /companies/{company_id}",
        "GET /companies/{company_id}/notes",
        "GET /contacts",
        "GET /contacts/{contact_id}",
        "GET /contacts/{contact_id}/notes",
        "GET /checklist-tasks/{task_id}/notes",
        "GET /deals",
        "GET /deals/{deal_id}",
        "GET /deals/{deal_id}/checklists",
        "GET /deals/{deal_id}/documents",
        "GET /deals/{deal_id}/documents/{document_id}",
        "GET /deals/{deal_id}/financials",
        "GET /deals/{deal_id}/index/entities",
        "GET /deals/{deal_id}/index/metric-definitions",
        "GET /deals/{deal_id}/memos",
        "GET /deals/{deal_id}/notes",
        "GET /deals/{deal_id}/properties",
        "GET /deals/{deal_id}/team",
        "GET /deals/{deal_id}/term-sheets",
        "GET /deals/{deal_id}/term-sheets/{term_sheet_id}",
        "GET /deals/{deal_id}/vaults",
        "GET /health",
        "GET /lenders/directory",
        "GET /lenders/{org_id}",
        "GET /lenders/{org_id}/programs",
        "GET /market/asset-types",
        "GET /market/base-rates",
        "GET /me",
        "GET /me/accounts",
        "GET /pipelines",
        "GET /pipelines/{pipeline_id}",
        "GET /placements",
        "GET /placements/{placement_id}",
        "GET /placements/{placement_id}/notes",
        "POST /auth/validate-api-key",
        "POST /deals/{deal_id}/index/observations",
        "POST /deals/{deal_id}/index/search",
    }
)
"""Every request that changes nothing and costs nothing (lev-api.md §4). There is no other."""


class BearerAuth(AuthBase):
    """Sends the key. An auth object, since ``requests`` lets a netrc file win over a header."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to one request."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class LevClient:
    """Reads from the Lev API.

    Args:
        config: The tap's settings, valid.
        logger: Where retries are told.
        gate: What every request passes, and every wait.
    """

    def __init__(self, config: Mapping[str, Any], logger: logging.Logger, gate: Gate) -> None:
        self.gate = gate
        self.meters = Meters()
        self._url = config["api_url"].rstrip("/")
        self._timeout: float = config["request_timeout_seconds"]
        self._max_retries: int = config["max_retries"]
        self._logger = logger
        self._me: Answer | None = None
        self.reached = False
        """Whether Lev has answered at all."""
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
        decoder: msgspec.json.Decoder[Envelope] | None = None,
    ) -> Answer:
        """Make one request, as often as it takes.

        Args:
            endpoint: Method and route template, one of ``READS``.
            report: Counts what the request costs.
            params: The query parameters.
            ids: What stands in the route template's placeholders.
            json: The body of a read by POST.
            decoder: Reads answers of the usual form.

        Returns:
            The answer.

        Raises:
            LevAPIError: Lev refuses the request.
            LevConnectionError: Lev was not reached by the last retry either.
            BrokenAnswerError: The last retry, too, brought no readable answer; or an id of an
                earlier answer leads to another route, and nothing is sent.
            LevError: The request is not one that a tap may make.
        """
        if endpoint not in READS:
            raise LevError(f"{endpoint} is not a request that tap-lev makes.")
        method, path = endpoint.split(" ")
        for name, value in (ids or {}).items():
            # Quoting leaves dots as they are, and what sends the request would resolve them.
            if f"{{{name}}}" in path and str(value) in {"", ".", ".."}:
                raise BrokenAnswerError(
                    f"The {name} '{value}' would lead {endpoint} to another route: it is not "
                    "asked for."
                )
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        request = requests.Request(method, self._url + path, params=params, json=json)
        tries = 0
        while True:
            try:
                body, headers = self._try(endpoint, f"{method} {path}", report, request)
                return read_answer(body, headers, f"{method} {path}", decoder)
            except (LevAPIError, LevConnectionError, BrokenAnswerError) as error:
                if isinstance(error, LevConnectionError):
                    self.meters.request(report.name, endpoint, None)
                transient = not isinstance(error, LevAPIError) or error.is_transient
                if not transient or tries == self._max_retries:
                    raise
                tries += 1
                report.retries += 1
                self.meters.retry(report.name, endpoint)
                self._let_pass(error, endpoint, tries)

    def me(self, report: StreamReport) -> Any:  # noqa: ANN401 - JSON is anything
        """Read what Lev says of the key and its account, once (lev-api.md §2.24)."""
        if self._me is None:
            self._me = self.read("GET /me", report)
        return self._me.data

    def account_id(self, report: StreamReport) -> int:
        """Find the id of the account that the key reads (lev-api.md §2.24).

        Raises:
            BrokenAnswerError: Lev does not tell it.
        """
        data = self.me(report)
        account = data.get("account") if isinstance(data, dict) else None
        found = account.get("id") if isinstance(account, dict) else None
        if not isinstance(found, int):
            self._me = None
            raise BrokenAnswerError("Lev does not tell the account's id in GET /me.")
        return found

    def _try(
        self, endpoint: str, asked: str, report: StreamReport, request: requests.Request
    ) -> tuple[bytes, Mapping[str, str]]:
        prepared = self._session.prepare_request(request)
        sent = False
        try:
            # A redirect is never followed: the key belongs to one host (lev-api.md §1.1).
            with self.gate.passing(endpoint):
                sent = True
                response, content = self._transport.send(prepared)
        except requests.Timeout:
            raise LevConnectionError(
                f"Lev did not answer {asked} within {self._timeout:g} s."
            ) from None
        except TooSlowError:
            raise LevConnectionError(
                f"Lev began to answer {asked}, but had not ended after "
                f"{transport.MAX_TIMEOUTS * self._timeout:g} s."
            ) from None
        except TooLongError:
            self.reached = True
            raise LevError(
                f"Lev's answer to {asked} is longer than {transport.MAX_BYTES >> 20} MiB, as no "
                "answer of its API is. It was not read to its end."
            ) from None
        except requests.RequestException as error:
            cause = _cause(error)
            if "CERTIFICATE_VERIFY_FAILED" in cause:
                raise LevError(
                    f"Lev is not who it says it is, or its certificate is of an authority that "
                    f"this machine does not know: {cause}. The key was not sent. If the authority "
                    "is your own, name its certificates in the environment variable "
                    "REQUESTS_CA_BUNDLE."
                ) from None
            raise LevConnectionError(
                f"The connection to Lev failed during {asked}: {cause}."
            ) from None
        finally:
            report.requests += sent
        self.reached = True
        report.statuses[response.status_code] += 1
        self.meters.request(report.name, endpoint, response.status_code)
        self.meters.waited(self.gate.waited)
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            self.gate.open()
        if response.is_redirect:
            location = quoted(response.headers["Location"])
            raise LevError(
                f"Lev redirects {asked} to '{location}'. The key is not "
                "sent to another address: set api_url to the one that answers."
            )
        if response.status_code != HTTPStatus.OK:
            raise api_error(response.status_code, content, response.headers, endpoint=asked)
        return content, response.headers

    def _let_pass(self, error: LevError, endpoint: str, tries: int) -> None:
        """Wait before another try, or have the gate wait with all that a 429 concerns."""
        wait, of = self._wait(error, tries), f"{tries} of {self._max_retries}"
        if not isinstance(error, LevAPIError) or error.status != HTTPStatus.TOO_MANY_REQUESTS:
            self._logger.warning("%s Trying again in %.1f s (%s).", error, wait, of)
            self.gate.sleep(wait, endpoint)
            return
        concerned = endpoint if error.is_of_endpoint else None
        if self.gate.budget.pause(concerned, wait):
            whose = f"Requests to {endpoint} wait" if concerned else "All requests wait"
            self._logger.warning("%s %s for %.1f s (try %s).", error, whose, wait, of)

    @staticmethod
    def _wait(error: LevError, tries: int) -> float:
        hint = getattr(error, "retry_after", None)
        if hint:  # no wait at all would use the retries up in no time
            return float(hint)
        ceiling = min(LONGEST_BACKOFF, 0.25 * 2 ** min(tries, MAX_DOUBLINGS))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter is no secret


def _cause(error: BaseException) -> str:
    """Name the innermost cause: what requests and urllib3 wrap around it tells nothing more."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    return quoted(error) or type(error).__name__
