"""The budget: when may the next request go, so that Lev never has to refuse one."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict, deque
from fractions import Fraction
from typing import TYPE_CHECKING

from tap_lev.ratelimit.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable


# So that refusals of requests that were out at the same time are one piece of news.
_SAME_PAUSE = 0.9


@dataclasses.dataclass(slots=True)
class _Bucket:
    """Counts the requests to one thing that has a limit."""

    in_flight: int = 0
    releases: deque[float] = dataclasses.field(default_factory=deque)
    paused_until: float = -math.inf

    def used(self, now: float) -> int:
        """Say how many requests count."""
        while self.releases and self.releases[0] <= now:
            self.releases.popleft()
        return self.in_flight + len(self.releases)

    def free_at(self, now: float, capacity: int) -> float:
        """Say when a request may go: some time past when it may now."""
        excess = self.used(now) - capacity
        if excess < 0:
            return self.paused_until
        if excess >= len(self.releases):
            return math.inf
        return max(self.paused_until, self.releases[excess])


class RateBudget:
    """Says when a request may be sent, so that no window of the server holds too many.

    A request counts from the moment it is sent until one window after its answer. That is enough,
    however long a request is under way: take any stretch of the server's time that is no longer
    than a window, and of the requests that reached the server within it the one that was sent
    last. Each of the others was answered after it reached the server, so less than one window
    before the last one did, and the last one was sent before that or later: all others were still
    counted when it was sent, and with it they were no more than allowed.

    It knows nothing of threads: one at a time may call it.

    Args:
        limits: What the server allows.
        share: The part of it to use, in each bucket; one request always may go.
        window: The length of the server's window in seconds.
        clock: Tells the time in seconds; it never goes back.

    Attributes:
        places: How many requests count at the same time, at most.
        window: The length of the server's window in seconds.
    """

    def __init__(
        self,
        limits: Limits,
        share: float = 1.0,
        window: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # As it is written: 0.29 of 100 is 29, though 0.29 * 100 is a little less.
        self._share = Fraction(str(share)).as_integer_ratio()
        self.limits = limits
        self.window = window
        self._clock = clock
        self._account = _Bucket()
        self._endpoints: defaultdict[str, _Bucket] = defaultdict(_Bucket)
        self._sent = 0
        self._first_sent_at = 0.0

    def delay(self, endpoint: str, reserve: int = 0) -> float:
        """Say in how many seconds a request to the endpoint may be sent.

        Args:
            endpoint: Where it goes.
            reserve: How many of the account's places it must leave.

        Returns:
            0 when it may go now; infinity when a request that is still out must be answered first.
        """
        now = self._clock()
        until = max(
            self._account.free_at(now, self.capacity.account - reserve),
            self._endpoints[endpoint].free_at(now, self.capacity.endpoint),
        )
        if until <= now:
            return 0.0
        wait = until - now
        # Rounding must not end the wait a moment too early.
        return wait if now + wait >= until else math.nextafter(wait, math.inf)

    @property
    def limits(self) -> Limits:
        """What the server allows. It may be replaced at any time."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self.capacity = Limits(*map(self._scaled, limits))

    def available(self, endpoint: str) -> int:
        """Say how many more requests to the endpoint may count now."""
        return max(0, self.capacity.endpoint - self.used(endpoint))

    def used(self, endpoint: str) -> int:
        """Say how many requests to the endpoint count now."""
        return self._endpoints[endpoint].used(self._clock())

    def acquire(self, endpoint: str) -> None:
        """Count a request as sent now."""
        if not self._sent:
            self._first_sent_at = self._clock()
        self._sent += 1
        for bucket in (self._account, self._endpoints[endpoint]):
            bucket.in_flight += 1

    def release(self, endpoint: str) -> None:
        """Note that the answer to a request is there, or no longer waited for."""
        release = self._clock() + self.window
        for bucket in (self._account, self._endpoints[endpoint]):
            bucket.in_flight -= 1
            bucket.releases.append(release)

    def pause(self, endpoint: str | None, seconds: float) -> bool:
        """Send nothing for a while, because the server refused a request.

        Args:
            endpoint: The endpoint that is over its limit. None: the account is.
            seconds: How long to wait, from now.

        Returns:
            Whether this is news: nearly as long a pause was not known yet.
        """
        bucket = self._account if endpoint is None else self._endpoints[endpoint]
        now = self._clock()
        is_news = max(0.0, bucket.paused_until - now) < _SAME_PAUSE * seconds
        bucket.paused_until = max(bucket.paused_until, now + seconds)
        return is_news

    def takes(self, requests: int, endpoint: str | None = None) -> float:
        """Say in how many seconds, at the earliest, so many more requests can have been sent.

        It may be called at any time, by any thread, and changes nothing.

        Args:
            requests: How many, all of them to go as soon as they can.
            endpoint: Where they go. None: anywhere.
        """
        if requests <= 0:
            return 0.0
        bucket = self._account if endpoint is None else self._endpoints.get(endpoint, _Bucket())
        capacity = self.capacity.account if endpoint is None else self.capacity.endpoint
        now = self._clock()
        releases = sorted(release for release in tuple(bucket.releases) if release > now)
        # Those that are out are taken for answered now.
        releases += [now + self.window] * bucket.in_flight
        # The one whose place the last of the requests takes. Each of them gives its own place up
        # one window after it took another's.
        last, windows = len(releases) + requests - capacity - 1, 0
        if last >= len(releases):
            windows = (last - len(releases)) // capacity + 1
            last -= windows * capacity
        begins = releases[last] - now if last >= 0 else 0.0
        return max(begins, bucket.paused_until - now) + windows * self.window

    @property
    def utilization(self) -> float:
        """The requests sent, as a part of those that the account's limit allowed meanwhile."""
        if not self._sent:
            return 0.0
        # The window that has just begun is as full as the server lets it be.
        windows = 1 + int((self._clock() - self._first_sent_at) / self.window)
        return self._sent / (self.limits.account * windows)

    def _scaled(self, limit: int) -> int:
        numerator, denominator = self._share
        return max(1, limit * numerator // denominator)
