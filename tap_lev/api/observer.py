"""What the client reports of each request while a run goes on."""

from __future__ import annotations

from typing import Protocol


class RequestObserver(Protocol):
    """Counts requests and responses. ``stream`` is empty where a request is for the run itself."""

    def on_request(self, stream: str) -> None:
        """Count a request that was sent."""

    def on_response(self, stream: str, endpoint: str, status: int | None) -> None:
        """Count a response.

        Args:
            stream: The stream that the request was made for.
            endpoint: Method and route template.
            status: The HTTP status, None where no response came.
        """

    def on_retry(self, stream: str, endpoint: str) -> None:
        """Count a request that is sent again."""

    def on_wait(self, seconds: float) -> None:
        """Record how many seconds the run has waited so far."""

    def on_mended(self, stream: str, values: int) -> None:
        """Count values of a response that were mended."""
