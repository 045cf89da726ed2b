"""The plain tap's way to Lev: a ``RESTStream`` as the template has it."""

from __future__ import annotations

import decimal
import random
from typing import TYPE_CHECKING, Any

import backoff
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.helpers.jsonpath import extract_jsonpath
from singer_sdk.streams import RESTStream
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import requests
    from singer_sdk.helpers.types import Context, Record


class PlainStream(RESTStream[str]):
    """Rows of Lev, page by page, each through the SDK's own loop."""

    records_jsonpath = "$.data[*]"
    next_page_token_jsonpath = "$.pagination.next_cursor"  # noqa: S105
    paged = False

    @property
    @override
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @property
    @override
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token=self.config["api_key"])

    @property
    @override
    def http_headers(self) -> dict[str, str]:
        return {**super().http_headers, "X-Origin-App": "tap-plain"}

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        params: dict[str, Any] = {}
        if self.paged:
            params["limit"] = self.config["page_size"]
        if next_page_token:
            params["cursor"] = next_page_token
        if since := self.get_starting_timestamp(context):
            params["filter[updated_at][gte]"] = since.isoformat()
        return params

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Record]:
        yield from extract_jsonpath(
            self.records_jsonpath, input=response.json(parse_float=decimal.Decimal)
        )

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record | None:
        return row or None

    # The SDK's own backoff, in proportion to the window of a sandbox whose minute is shorter.

    @override
    def backoff_wait_generator(self) -> Generator[float, None, None]:
        return backoff.expo(factor=2 * self._minute)

    @override
    def backoff_jitter(self, value: float) -> float:
        return value + random.random() * self._minute  # noqa: S311 - jitter is no secret

    @override
    def backoff_max_tries(self) -> int:
        return int(self.config["max_tries"])

    @property
    def _minute(self) -> float:
        return float(self.config["window_seconds"]) / 60
