"""Refusals of the API and the forms of their bodies."""

from __future__ import annotations

from http.client import responses
from typing import Any

import orjson

TYPES = {
    400: "bad_request",
    401: "unauthorized",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    422: "validation_error",
    429: "rate_limit_exceeded",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}
CODES = {422: "VALIDATION_ERROR", 429: "RATE_LIMITED"}
JSON = "application/json"
HTML = "text/html; charset=utf-8"


class Refusal(Exception):  # noqa: N818 - a response, not a defect
    """Raised by a handler to send an error response.

    Attributes:
        status: The HTTP status.
        message: The message in the body.
        form: The form of the body, or None for the one that the switch names.
        extra: Further members of form A's `error` object.
    """

    def __init__(
        self,
        status: int,
        message: str,
        form: str | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.form = form
        self.extra = extra


def error_body(
    form: str, request_id: str, status: int, message: str, extra: dict[str, Any] | None = None
) -> tuple[str, bytes]:
    """Return the media type and the body of an error in one of its forms."""
    kind = TYPES.get(status, "error")
    match form:
        case "A":
            error = {"status": status, "type": kind, "message": message, "details": {}}
            return JSON, orjson.dumps(
                {"request_id": request_id, "error": {**error, **(extra or {})}}
            )
        case "B":
            code = CODES.get(status, kind.upper())
            return JSON, orjson.dumps(
                {"request_id": request_id, "error": {"code": code, "message": message}}
            )
        case "C":
            return JSON, orjson.dumps({"error": message})
        case "gateway" | "fastapi":
            name = "message" if form == "gateway" else "detail"
            return JSON, orjson.dumps({name: responses.get(status, "Error")})
        case "html":
            return HTML, f"<html><body><h1>{status} {kind}</h1></body></html>".encode()
        case _:
            return "text/plain", b""
