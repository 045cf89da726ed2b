"""Start, change and inspect the sandbox of the demo."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests

from devtools.process import kept

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOURCES = {"account_team_members": "account_team", "deal_team_members": "deal_team"}
TOUCH = {"deals": 25, "placements": 40, "contacts": 30, "companies": 5}
ADD = {"deals": 3, "placements": 6, "contacts": 10}
ARCHIVE = 4
REQUEST_SECONDS = 60


class SandboxError(Exception):
    """The sandbox did not start, or refused a command."""


class Sandbox:
    """A running sandbox: its rows, its request counts, and how to change it."""

    def __init__(self, url: str, key: str) -> None:
        self.environment = {"TAP_LEV_API_URL": url, "TAP_LEV_API_KEY": key}
        self._control = urljoin(url, "/_sandbox")

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """Return the rows of a stream, each with the id of its parent."""
        path = f"/rows/{RESOURCES.get(stream, stream)}?parents=1"
        rows: list[dict[str, Any]] = self._request("GET", path)["rows"]
        return rows

    def requests(self) -> dict[str, int]:
        """Count its requests so far, by `METHOD /route`."""
        routes: dict[str, int] = self._request("GET", "/counters")["routes"]
        return routes

    def change(self) -> dict[str, set[object]]:
        """Change, add and archive some rows, and remove one from a full table.

        Returns:
            The ids of the rows that an incremental run must send, by stream.
        """
        changed: dict[str, set[object]] = {stream: set() for stream in TOUCH}
        for stream, count in TOUCH.items():
            touched = self._request("POST", "/touch", resource=stream, count=count)["rows"]
            changed[stream].update(row["id"] for row in touched)
        for stream, count in ADD.items():
            changed[stream].update(
                self._request("POST", f"/rows/{stream}")["id"] for _ in range(count)
            )
        current = [row["id"] for row in self.rows("deals") if not row["archived"]]
        for deal in current[:ARCHIVE]:
            self._request("POST", f"/rows/deals/{deal}/archive")
            changed["deals"].add(deal)
        leaver = self.rows("account_team_members")[-1]["user_id"]
        self._request("DELETE", f"/rows/account_team/{leaver}")
        return changed

    def _request(self, method: str, path: str, **body: Any) -> Any:  # noqa: ANN401
        response = requests.request(
            method, self._control + path, json=body or None, timeout=REQUEST_SECONDS
        )
        if not response.ok:
            raise SandboxError(f"The sandbox refused {method} {path}: {response.text}")
        return response.json()


@contextlib.contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """Run a sandbox of the tier with the highest limits until the context is left."""
    command = [sys.executable, "-m", "lev_sandbox", "--port", "0", "--tier", "enterprise"]
    with kept(command, output=subprocess.PIPE, errors=None) as process:
        lines = (
            [process.stdout.readline().decode().strip() for _ in range(2)] if process.stdout else []
        )
        variables = dict(line.split("=", 1) for line in lines if "=" in line)
        try:
            sandbox = Sandbox(variables["TAP_LEV_API_URL"], variables["TAP_LEV_API_KEY"])
        except KeyError:
            raise SandboxError("The sandbox did not start.") from None
        yield sandbox
