"""A sandbox server with a client that has its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeAlias

import requests

from lev_sandbox import Sandbox, SandboxServer

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = Any
"""What JSON decodes to."""

SMALL = {
    "deals": 12, "contacts": 25, "companies": 15, "placements": 30, "lenders": 12, "documents": 4,
}  # fmt: skip


class Lab:
    """Serves a small sandbox and talks to it."""

    def __init__(self, **options: Json) -> None:
        self.sandbox = Sandbox(**{**SMALL, **options})
        self.server = SandboxServer(self.sandbox)
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.sandbox.key}"
        self.session.headers["X-Origin-App"] = "lab"

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.server.stop()

    def ask(self, method: str, path: str, **options: Json) -> requests.Response:
        """Send a request below the API's prefix."""
        options.setdefault("timeout", 10)
        options.setdefault("allow_redirects", False)
        return self.session.request(method, f"{self.server.url}{path}", **options)

    def get(self, path: str, **params: Json) -> requests.Response:
        """Read a path; double underscores do for the brackets of filters."""
        named = {_bracketed(name): value for name, value in params.items()}
        return self.ask("GET", path, params=named)

    def data(self, path: str, **params: Json) -> Json:
        """Read a path that must be readable, and return its data."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def walk(self, path: str, **params: Json) -> Iterator[dict[str, Any]]:
        """Follow the cursors of a list to its end, page by page."""
        seen = set()
        while True:
            response = self.get(path, **params)
            assert response.status_code == 200, response.text
            body = response.json()
            yield body
            if not body["pagination"]["has_more"]:
                return
            params["cursor"] = body["pagination"]["next_cursor"]
            assert params["cursor"] not in seen, "the walk goes in a circle"
            seen.add(params["cursor"])

    def control(self, method: str, path: str, **body: Json) -> requests.Response:
        """Use the control API, without a key."""
        url = f"{self.server.control_url}{path}"
        return requests.request(method, url, json=body or None, timeout=10)


def _bracketed(name: str) -> str:
    first, *rest = name.split("__")
    return first + "".join(f"[{part}]" for part in rest)
