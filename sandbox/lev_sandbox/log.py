"""The log of the requests and their responses."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT_HEADERS = (
    "x-origin-app", "x-active-account", "accept", "accept-encoding", "content-type", "user-agent",
    "idempotency-key",
)  # fmt: skip
"""Headers that the log keeps; never the one with the key."""


@dataclass(kw_only=True)
class Entry:
    """One request.

    Attributes:
        number: Its number, from 1.
        time: When it arrived, by the server's clock.
        method: The method.
        path: The path, without the API's prefix.
        route: The route template, or None for an unknown path.
        query: The query parameters in their order.
        headers: Some of its headers.
        verdict: `ok`, `violation`, `unknown` or `unsuitable`.
        authorized: Whether the key was right; None where none is needed.
        request_id: The id in the response.
        status: The status of the response; None if none was sent.
        rows: The number of rows in the response.
        fault: The kind of the fault that was applied, or None.
    """

    number: int
    time: str
    method: str
    path: str
    route: str | None
    query: list[tuple[str, str]]
    headers: dict[str, str]
    verdict: str = "ok"
    authorized: bool | None = None
    request_id: str = ""
    status: int | None = None
    rows: int = 0
    fault: str | None = None

    @property
    def origin_app(self) -> str | None:
        """The `X-Origin-App` header."""
        return self.headers.get("x-origin-app")

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for JSON."""
        return {**asdict(self), "origin_app": self.origin_app}


@dataclass
class Log:
    """The latest requests, and the counts of all requests."""

    keep: int = 50_000
    entries: deque[Entry] = field(init=False)
    total: int = 0
    routes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Create the list of entries with its limit."""
        self.entries = deque(maxlen=self.keep)

    def open(self, entry: Entry) -> None:
        """Log a request before its response is known."""
        self.entries.append(entry)
        self.total += 1
        self.routes[f"{entry.method} {entry.route or entry.path}"] += 1
        self.verdicts[entry.verdict] += 1

    def close(self, entry: Entry) -> None:
        """Count the response of a logged request."""
        self.statuses[str(entry.status or "none")] += 1
        if entry.fault:
            self.faults[entry.fault] += 1

    def clear(self) -> None:
        """Remove all entries and counts."""
        self.entries.clear()
        self.total = 0
        for counter in (self.routes, self.statuses, self.verdicts, self.faults):
            counter.clear()

    def counters(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "requests": self.total,
            "routes": dict(self.routes),
            "statuses": dict(self.statuses),
            "violations": self.verdicts["violation"],
            "unknown": self.verdicts["unknown"],
            "unsuitable": self.verdicts["unsuitable"],
            "faults": dict(self.faults),
        }
