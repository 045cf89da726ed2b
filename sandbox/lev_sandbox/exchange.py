"""A request to the API, and the answer to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox.errors import JSON, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lev_sandbox.faults import Fault


PREFIX = "/api/external/v2"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in.

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


@dataclass(kw_only=True)
class Answer:
    """What goes out.

    Attributes:
        status: The HTTP status.
        body: The body.
        media_type: Its type.
        headers: Further headers.
        fault: What is to go wrong while it is sent.
        rows: How many rows it holds.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    rows: int = 0


@dataclass(kw_only=True)
class Content:
    """What an endpoint has to say, before the envelope is put around it.

    Attributes:
        data: The JSON of `data`.
        pagination: What a list says about its other pages.
        rows: How many rows the data holds.
        bare: Whether there is no envelope.
        unsuitable: Whether what was asked for is no use to a sync.
    """

    data: bytes
    pagination: dict[str, Any] | None = None
    rows: int = 0
    bare: bool = False
    unsuitable: bool = False
