"""Rate limits: a bucket for the account, one per endpoint, one per public endpoint."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lev_sandbox.clock import Clock

TIERS: dict[str, tuple[int | None, int | None]] = {
    "none": (None, None),
    "free": (30, 10),
    "standard": (100, 20),
    "enterprise": (500, 60),
}
"""Requests per window of the account and of one endpoint."""
MODES = ("sliding", "fixed")


def _is_limit(value: object) -> bool:
    return value is None or (type(value) is int and value > 0)


def _is_window(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "tier": lambda value: value in TIERS,
    "window": _is_window,
    "mode": lambda value: value in MODES,
    "account": _is_limit,
    "endpoint": _is_limit,
}


@dataclass
class Excess:
    """A request over the limit.

    Attributes:
        bucket: The bucket that is full: `account` or `endpoint`.
        wait: Seconds until it has room again.
    """

    bucket: str
    wait: float


@dataclass
class Limits:
    """Counts requests against both buckets.

    A sliding window admits a request only if no stretch of `window` seconds then
    holds more than the limit; a fixed one counts anew at every multiple of `window`.
    Refused requests are not counted.

    Attributes:
        clock: The clock that windows are measured by.
        tier: A name out of `TIERS`.
        window: The length of the window in seconds.
        mode: `sliding` or `fixed`.
        account: Requests per window for the account, instead of the tier's.
        endpoint: Requests per window for one endpoint, instead of the tier's.
    """

    clock: Clock
    tier: str = "none"
    window: float = 60.0
    mode: str = "sliding"
    account: int | None = None
    endpoint: int | None = None
    _buckets: dict[str, deque[float]] = field(default_factory=dict, repr=False)

    def configure(self, **changes: Any) -> None:  # noqa: ANN401
        """Change tier, window, mode or a limit, and empty the buckets.

        Raises:
            ValueError: A name or a value makes no sense; then nothing was changed.
        """
        for name, value in changes.items():
            if name not in _CHECKS:
                raise ValueError(f"Limits have no {name!r}; they have: {', '.join(_CHECKS)}.")
            if not _CHECKS[name](value):
                raise ValueError(f"The limits' {name} cannot be {value!r}.")
        for name, value in changes.items():
            setattr(self, name, value)
        self.reset()

    def reset(self) -> None:
        """Empty the buckets."""
        self._buckets.clear()

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration and the resulting limits."""
        account, endpoint = self.numbers()
        return {
            "tier": self.tier,
            "window": self.window,
            "mode": self.mode,
            "account": account,
            "endpoint": endpoint,
        }

    def numbers(self) -> tuple[int | None, int | None]:
        """Return the limits of the account and of one endpoint."""
        account, endpoint = TIERS[self.tier]
        return self.account or account, self.endpoint or endpoint

    def admit(self, route: str) -> Excess | None:
        """Count a request for `route`, or return by how much it exceeds a limit."""
        account, endpoint = self.numbers()
        return self._admit((("account", account), (route, endpoint)))

    def admit_public(self, route: str, limit: int) -> Excess | None:
        """Count a request for a public endpoint, whose limit is the same in every tier."""
        return None if self.tier == "none" else self._admit(((f"public {route}", limit),))

    def _admit(self, buckets: tuple[tuple[str, int | None], ...]) -> Excess | None:
        now = self.clock.elapsed()
        worst: Excess | None = None
        limited = [(name, limit) for name, limit in buckets if limit is not None]
        for name, limit in limited:
            times = self._buckets.setdefault(name, deque())
            start = self._start(now)
            while times and times[0] <= start:
                times.popleft()
            # Where both buckets are full, the response names the one with the longer wait.
            if len(times) >= limit:
                wait = self._wait(now, times[len(times) - limit])
                if worst is None or wait > worst.wait:
                    worst = Excess("account" if name == "account" else "endpoint", wait)
        # Only a request that passes all buckets counts in any of them.
        if worst is None:
            for name, _ in limited:
                self._buckets[name].append(now)
        return worst

    def _start(self, now: float) -> float:
        if self.mode == "sliding":
            return now - self.window
        # A request at the very start of a fixed window belongs to it.
        return math.nextafter(math.floor(now / self.window) * self.window, -math.inf)

    def _wait(self, now: float, oldest: float) -> float:
        if self.mode == "sliding":
            return oldest + self.window - now
        return (math.floor(now / self.window) + 1) * self.window - now
