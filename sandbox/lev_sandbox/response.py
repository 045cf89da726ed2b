"""A response of the API, and its content before the envelope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lev_sandbox.errors import JSON

if TYPE_CHECKING:
    from lev_sandbox.faults import Fault


@dataclass(kw_only=True)
class Response:
    """A response, ready to send.

    Attributes:
        status: The HTTP status.
        body: The body.
        media_type: Its type.
        headers: Further headers.
        fault: What goes wrong while it is sent, or None.
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
    """What an endpoint returns, before the envelope is added.

    Attributes:
        data: The JSON of the envelope's `data`.
        pagination: The envelope's `pagination`, or None.
        rows: How many rows the data holds.
        bare: Whether it is sent without an envelope.
        unsuitable: Whether a sync has no use for it.
    """

    data: bytes
    pagination: dict[str, Any] | None = None
    rows: int = 0
    bare: bool = False
    unsuitable: bool = False
