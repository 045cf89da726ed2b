"""A request to the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "/api/external/v2"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, parsed.

    Attributes:
        method: The method.
        path: The path below the API's prefix.
        route: The route template, or None when there is none for the path.
        query: The query parameters in their order.
        headers: The headers, names in lower case.
        body: The body.
        numbers: The path's parameters.
    """

    method: str
    path: str
    route: str | None
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes = b""
    numbers: Mapping[str, str] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, str]:
        """The query parameters by name; the last one counts."""
        return dict(self.query)

    def json(self) -> dict[str, Any]:
        """Return the body's object; no body is an empty one."""
        try:
            found = orjson.loads(self.body) if self.body else {}
        except orjson.JSONDecodeError:
            raise Refusal(400, "Request body is not valid JSON") from None
        if not isinstance(found, dict):
            raise Refusal(422, "Request body must be an object")
        return found
