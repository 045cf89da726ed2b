"""Count requests so that no window of Lev's holds more than the limits allow.

The rules S1 to S4 and their proof are in docs/design/scheduler.md.
"""

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


# Part of a pause. Several requests in flight are refused for one reason, a moment apart: a pause
# that is nearly as long as the one that is known is the same pause.
_SAME_PAUSE = 0.9


@dataclasses.dataclass(slots=True)
class _Bucket:
    """Counts the requests of the account, or of one endpoint.

    Attributes:
        in_flight: Requests that have no response yet.
        releases: When each of the others stops counting, in seconds; in ascending order.
        paused_until: When the pause ends, in seconds.
    """

    in_flight: int = 0
    releases: deque[float] = dataclasses.field(default_factory=deque)
    paused_until: float = -math.inf

    def used(self, now: float) -> int:
        """Count the requests that use the bucket's capacity."""
        while self.releases and self.releases[0] <= now:
            self.releases.popleft()
        return self.in_flight + len(self.releases)

    def free_at(self, now: float, capacity: int) -> float:
        """Find the time from which a request may be sent; it may be past."""
        # 1. A place is free: only a pause can be in the way.
        excess = self.used(now) - capacity
        if excess < 0:
            return self.paused_until
        # 2. All places that must become free are those of requests in flight: only a response
        #    starts the window after which they do.
        if excess >= len(self.releases):
            return math.inf
        # 3. All but ``capacity - 1`` requests must stop counting. The limits may have been lowered,
        #    or places reserved, so that may be more than one.
        return max(self.paused_until, self.releases[excess])


class RateBudget:
    """Decides when a request may be sent, so that no window of the server holds too many.

    A request counts from when it is sent until one window after its response (S2), in the
    account's bucket and in its endpoint's (S1). It is sent only while both have a place (S3).

    That is enough, however long a request is in flight. Take any stretch of the server's time that
    is no longer than a window, and of the requests that arrived in it the one that was sent last.
    Each of the others had its response after it arrived, so it stops counting after the stretch
    has ended. The last one was sent before that: all others still counted then. With it, they were
    no more than the capacity.

    It takes no lock: all but ``seconds_for`` is called by one thread at a time.

    Args:
        limits: What the server allows.
        share: The part of the limits to use; each bucket has a capacity of at least 1.
        window: Length of the server's window in seconds.
        clock: Returns the time in seconds; it never goes back.

    Attributes:
        capacity: How many requests may count at the same time.
        window: Length of the server's window in seconds.
    """

    def __init__(
        self,
        limits: Limits,
        share: float = 1.0,
        window: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # The decimal text, not the float: 0.29 of 100 is 29, though 0.29 * 100 is a little less.
        self._share = Fraction(str(share)).as_integer_ratio()
        self.limits = limits
        self.window = window
        self._clock = clock
        self._account = _Bucket()
        self._endpoints: defaultdict[str, _Bucket] = defaultdict(_Bucket)
        self._sent = 0
        self._first_sent_at = 0.0

    def delay(self, endpoint: str, reserve: int = 0) -> float:
        """Compute the seconds until a request to the endpoint may be sent (S3).

        Args:
            endpoint: Method and route template.
            reserve: How many of the account's places must stay free.

        Returns:
            0 if it may be sent now, infinity if a response must come first.
        """
        now = self._clock()
        until = max(
            self._account.free_at(now, self.capacity.account - reserve),
            self._endpoints[endpoint].free_at(now, self.capacity.endpoint),
        )
        if until <= now:
            return 0.0
        seconds = until - now
        # A rounded difference may be too small: the request would be sent a moment too early.
        return seconds if now + seconds >= until else math.nextafter(seconds, math.inf)

    @property
    def limits(self) -> Limits:
        """What the server allows; it can be replaced at any time."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self.capacity = Limits(*map(self._scaled, limits))

    def available(self, endpoint: str) -> int:
        """Count the free places of the endpoint."""
        return max(0, self.capacity.endpoint - self.used(endpoint))

    def used(self, endpoint: str) -> int:
        """Count the requests that use the endpoint's capacity."""
        return self._endpoints[endpoint].used(self._clock())

    def acquire(self, endpoint: str) -> None:
        """Count a request that is about to be sent (S2)."""
        if not self._sent:
            self._first_sent_at = self._clock()
        self._sent += 1
        for bucket in (self._account, self._endpoints[endpoint]):
            bucket.in_flight += 1

    def release(self, endpoint: str) -> None:
        """End a request: a window from now it stops counting (S2)."""
        # Also if it failed: whether it arrived, and when, only the server knows.
        release = self._clock() + self.window
        for bucket in (self._account, self._endpoints[endpoint]):
            bucket.in_flight -= 1
            bucket.releases.append(release)

    def pause(self, endpoint: str | None, seconds: float) -> bool:
        """Stop a bucket for a while, because the server refused a request (S4).

        Args:
            endpoint: The endpoint that is over its limit, or None for the account.
            seconds: Length of the pause, from now.

        Returns:
            Whether it is news, and not the pause that is known.
        """
        bucket = self._account if endpoint is None else self._endpoints[endpoint]
        now = self._clock()
        is_news = max(0.0, bucket.paused_until - now) < _SAME_PAUSE * seconds
        bucket.paused_until = max(bucket.paused_until, now + seconds)
        return is_news

    def seconds_for(self, requests: int, endpoint: str | None = None) -> float:
        """Compute the seconds after which so many more requests can have been sent.

        It changes nothing, and any thread may call it.

        Args:
            requests: How many, each sent as soon as its bucket allows.
            endpoint: Where they go, or None for the account's limit alone.
        """
        if requests <= 0:
            return 0.0
        bucket = self._account if endpoint is None else self._endpoints.get(endpoint, _Bucket())
        capacity = self.capacity.account if endpoint is None else self.capacity.endpoint
        now = self._clock()
        releases = sorted(release for release in tuple(bucket.releases) if release > now)
        # Requests in flight have their responses now, for want of a better guess.
        releases += [now + self.window] * bucket.in_flight
        # Whose place the last request takes: that of an entry of ``releases``, or that of a request
        # which was sent some windows before, and so on back to an entry of ``releases``.
        last, windows = len(releases) + requests - capacity - 1, 0
        if last >= len(releases):
            windows = (last - len(releases)) // capacity + 1
            last -= windows * capacity
        seconds = releases[last] - now if last >= 0 else 0.0
        return max(seconds, bucket.paused_until - now) + windows * self.window

    @property
    def utilization(self) -> float:
        """Requests sent, as a part of those that the account's limit has allowed."""
        if not self._sent:
            return 0.0
        # The window that has begun counts as a whole: it may be full from its first moment on.
        windows = 1 + int((self._clock() - self._first_sent_at) / self.window)
        return self._sent / (self.limits.account * windows)

    def _scaled(self, limit: int) -> int:
        numerator, denominator = self._share
        return max(1, limit * numerator // denominator)
