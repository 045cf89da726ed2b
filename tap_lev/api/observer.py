"""Declare what the client reports of each request."""

from __future__ import annotations

from typing import Protocol


class RequestObserver(Protocol):
    """Counts requests and responses.

    The stream is that of the request, or empty for requests of the run itself.
    """

    # A Protocol, so that ``api`` needs no import of ``progress``, which lies above it.

    def on_request(self, stream: str) -> None:
        """Count a request that was sent."""

    def on_response(self, stream: str, endpoint: str, status: int | None) -> None:
        """Count a response.

        Args:
            stream: The stream of the request.
            endpoint: Method and route template.
            status: The HTTP status, or None if no response came.
        """

    def on_retry(self, stream: str, endpoint: str) -> None:
        """Count a retry of a request."""

    def on_wait(self, seconds: float) -> None:
        """Record how many seconds the run has waited so far."""

    def on_mended(self, stream: str, values: int) -> None:
        """Count the halves of characters that a response had, and that became U+FFFD."""
