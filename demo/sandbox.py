"""The local Lev of the demo: starting it, changing it, and asking it what it knows."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests

from demo.process import kept

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOURCES = {"account_team_members": "account_team", "deal_team_members": "deal_team"}
TOUCH = {"deals": 25, "placements": 40, "contacts": 30, "companies": 5}
ADD = {"deals": 3, "placements": 6, "contacts": 10}
ARCHIVE = 4
REQUEST_SECONDS = 60


class SandboxError(Exception):
    """The sandbox did not start, or did not do what it was asked."""


class Sandbox:
    """The local Lev: what it holds, what it was asked, and how to change it."""

    def __init__(self, url: str, key: str) -> None:
        self.environment = {"TAP_LEV_API_URL": url, "TAP_LEV_API_KEY": key}
        self._control = urljoin(url, "/_sandbox")

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """Return what Lev holds of a stream, each row with the id of the row above it."""
        path = f"/rows/{RESOURCES.get(stream, stream)}?parents=1"
        rows: list[dict[str, Any]] = self._ask("GET", path)["rows"]
        return rows

    def requests(self) -> dict[str, int]:
        """Count the requests it has had so far, by `METHOD /route`."""
        routes: dict[str, int] = self._ask("GET", "/counters")["routes"]
        return routes

    def change(self) -> dict[str, set[object]]:
        """Change, add and archive some rows, and remove one of a list that is read as a whole.

        Returns:
            The ids of the rows that an incremental run has to send, by stream.
        """
        changed: dict[str, set[object]] = {stream: set() for stream in TOUCH}
        for stream, count in TOUCH.items():
            touched = self._ask("POST", "/touch", resource=stream, count=count)["rows"]
            changed[stream].update(row["id"] for row in touched)
        for stream, count in ADD.items():
            changed[stream].update(self._ask("POST", f"/rows/{stream}")["id"] for _ in range(count))
        current = [row["id"] for row in self.rows("deals") if not row["archived"]]
        for deal in current[:ARCHIVE]:
            self._ask("POST", f"/rows/deals/{deal}/archive")
            changed["deals"].add(deal)
        leaver = self.rows("account_team_members")[-1]["user_id"]
        self._ask("DELETE", f"/rows/account_team/{leaver}")
        return changed

    def _ask(self, method: str, path: str, **body: Any) -> Any:  # noqa: ANN401
        answer = requests.request(
            method, self._control + path, json=body or None, timeout=REQUEST_SECONDS
        )
        if not answer.ok:
            raise SandboxError(f"The sandbox refused {method} {path}: {answer.text}")
        return answer.json()


@contextlib.contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """Run a sandbox until the block is left, of the tier that waits least."""
    command = [sys.executable, "-m", "lev_sandbox", "--port", "0", "--tier", "enterprise"]
    with kept(command, output=subprocess.PIPE, errors=None) as process:
        lines = (
            [process.stdout.readline().decode().strip() for _ in range(2)] if process.stdout else []
        )
        said = dict(line.split("=", 1) for line in lines if "=" in line)
        try:
            sandbox = Sandbox(said["TAP_LEV_API_URL"], said["TAP_LEV_API_KEY"])
        except KeyError:
            raise SandboxError("The sandbox did not start.") from None
        yield sandbox
