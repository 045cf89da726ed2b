"""The Lev that everyone reads: a sandbox in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests

from devtools.process import kept

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 600
LARGEST_PAGE = 200


class Lev:
    """A running sandbox.

    Attributes:
        url: Where its API is.
        key: The key for it.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self._control = urljoin(url, "/_sandbox")

    def ask(self, method: str, path: str, **body: Any) -> Any:  # noqa: ANN401
        """Call the sandbox's control API."""
        answer = requests.request(method, self._control + path, json=body or None, timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()

    @property
    def sandbox(self) -> Lev:
        """Itself: what Lev says is asked of a sandbox in another process as of one in this."""
        return self

    def rows(self, resource: str, *, parents: bool = False, include: str = "") -> list[Any]:
        """Return all rows of a resource, as the API would say them one by one."""
        asked = f"/rows/{resource}?parents={int(parents)}&include={include}"
        found: list[Any] = self.ask("GET", asked)["rows"]
        return found

    def walk(self, path: str) -> None:
        """Read a list once, so that its rows are made before anyone is timed."""
        headers = {"Authorization": f"Bearer {self.key}", "X-Origin-App": "benchmarks"}
        params: dict[str, str] | None = {"limit": str(LARGEST_PAGE)}
        with requests.Session() as session:
            while params is not None:
                answer = session.get(self.url + path, params=params, headers=headers)
                answer.raise_for_status()
                cursor = answer.json()["pagination"]["next_cursor"]
                params = cursor and {"limit": str(LARGEST_PAGE), "cursor": cursor}

    def requests(self) -> list[tuple[float, str, int]]:
        """Read the log: when each request came, for which route, and the answer's status."""
        return [
            (datetime.fromisoformat(entry["time"]).timestamp(), entry["route"], entry["status"])
            for entry in self.ask("GET", "/requests")["requests"]
        ]


@contextlib.contextmanager
def running_lev(*, tier: str = "none", window: float = 60, **sizes: float) -> Iterator[Lev]:
    """Run a sandbox until the block is left.

    Args:
        tier: Whose limits it has.
        window: The length of the limits' window, in seconds.
        **sizes: Rows of each resource.

    Raises:
        RuntimeError: It did not start.
    """
    options = {"port": 0, "tier": tier, "window": window, **sizes}
    command = [sys.executable, "-m", "lev_sandbox"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with kept(command, output=subprocess.PIPE, errors=None) as process:
        if process.stdout is None:
            raise RuntimeError("The sandbox has no output.")
        lines = [process.stdout.readline().decode().strip() for _ in range(2)]
        said = dict(line.split("=", 1) for line in lines if "=" in line)
        if "TAP_LEV_API_KEY" not in said:
            raise RuntimeError("The sandbox did not start.")
        yield Lev(said["TAP_LEV_API_URL"], said["TAP_LEV_API_KEY"])
