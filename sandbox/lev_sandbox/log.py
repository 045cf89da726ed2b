"""What was asked, and how it was answered."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT_HEADERS = (
    "x-origin-app", "x-active-account", "accept", "accept-encoding", "content-type", "user-agent",
    "idempotency-key",
)  # fmt: skip
"""Headers that the log keeps; never the one that carries the key."""


@dataclass(kw_only=True)
class Entry:
    """One request.

    Attributes:
        number: Its number, from 1.
        time: When it came, by the server's clock.
        method: The method.
        path: The path, without the API's prefix.
        route: The route template, or None for an unknown path.
        query: The query parameters in their order.
        headers: Some of its headers.
        verdict: `ok`, `violation`, `unknown` or `unsuitable`.
        authorized: Whether the key was right (None: not asked for).
        request_id: The id in the answer.
        status: The status of the answer (None: none was sent).
        rows: How many rows the answer held.
        fault: The kind of the fault that was applied.
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
    """The latest requests, and counts of all of them."""

    keep: int = 50_000
    entries: deque[Entry] = field(init=False)
    total: int = 0
    routes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Make room for the entries."""
        self.entries = deque(maxlen=self.keep)

    def open(self, entry: Entry) -> None:
        """Note a request that has come in."""
        self.entries.append(entry)
        self.total += 1
        self.routes[f"{entry.method} {entry.route or entry.path}"] += 1
        self.verdicts[entry.verdict] += 1

    def close(self, entry: Entry) -> None:
        """Note how it was answered."""
        self.statuses[str(entry.status or "none")] += 1
        if entry.fault:
            self.faults[entry.fault] += 1

    def clear(self) -> None:
        """Forget everything."""
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
