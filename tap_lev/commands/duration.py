"""Estimate how long requests take under Lev's rate limits."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_lev.ratelimit.limits import Limits


class EndpointLoad(NamedTuple):
    """The requests of one walk to one endpoint, sent one after the other.

    Attributes:
        endpoint: Method and route template.
        requests: Number of requests.
        latency: Seconds from a request to its response.
        starts_after: Seconds in which none can be sent, because their parents are read first.
    """

    endpoint: str
    requests: int
    latency: float
    starts_after: float = 0.0


class RateLimits(NamedTuple):
    """The limits that a run keeps to.

    Attributes:
        capacity: Most requests in a window, of the account and to one endpoint.
        window: Length of the window in seconds.
        parallel: Most requests in flight at the same time.
    """

    capacity: Limits
    window: float
    parallel: int


class DurationEstimate(NamedTuple):
    """How long requests take, and why.

    Attributes:
        seconds: The estimate in seconds.
        bottleneck: The endpoint whose limit decides, or ``account`` if the limit of all requests
            does, or None if no limit is reached.
    """

    seconds: float
    bottleneck: str | None


ACCOUNT = "account"


def estimate_duration(
    walks: Sequence[Iterable[EndpointLoad]], limits: RateLimits
) -> DurationEstimate:
    """Estimate how long walks take, in parallel if the limits allow it.

    No window holds more than its capacity, so ``n`` requests fill ``ceil(n / capacity) - 1``
    windows at least. The fullest bucket, an endpoint or the account, decides. The scheduler comes
    close to that. In the last window, and where no limit is reached, latency decides.
    """
    loads = [[load for load in walk if load.requests] for walk in walks]
    all_loads = [load for walk in loads for load in walk]
    if not all_loads:
        return DurationEstimate(0.0, None)
    together = _in_parallel(all_loads, limits)
    if limits.parallel > 1:
        return together
    single = [_in_parallel(walk, limits) for walk in loads if walk]
    seconds = sum(estimate.seconds for estimate in single)
    longest = max(single, key=lambda estimate: estimate.seconds)
    # The account's limit counts across walks, so the sum of single walks may be too short.
    if together.seconds >= seconds:
        return together
    return DurationEstimate(seconds, longest.bottleneck)


def _in_parallel(loads: Sequence[EndpointLoad], limits: RateLimits) -> DurationEstimate:
    by_endpoint: defaultdict[str, list[EndpointLoad]] = defaultdict(list)
    for load in loads:
        by_endpoint[load.endpoint].append(load)
    # Requests to one endpoint count as sent one after the other, whichever walks send them.
    buckets = [
        _Bucket(ACCOUNT, loads, limits.capacity.account, limits.parallel),
        *(_Bucket(name, own, limits.capacity.endpoint, 1) for name, own in by_endpoint.items()),
    ]
    fullest = max(buckets, key=lambda bucket: bucket.requests / bucket.capacity)
    limited = max(bucket.limited_seconds(limits.window) for bucket in buckets)
    unlimited = max(bucket.unlimited_seconds for bucket in buckets)
    sequential = (load.requests * load.latency + load.starts_after for load in loads)
    unlimited = max(unlimited, *sequential)
    is_limited = fullest.full_windows and limited >= unlimited
    return DurationEstimate(max(limited, unlimited), fullest.name if is_limited else None)


class _Bucket:
    """The requests that share one limit.

    Args:
        name: The endpoint, or ``account``.
        loads: The requests.
        capacity: Most requests in a window.
        parallel: Most of them in flight at the same time.
    """

    def __init__(
        self, name: str, loads: Sequence[EndpointLoad], capacity: int, parallel: int
    ) -> None:
        self.name = name
        self.capacity = capacity
        self.requests = sum(load.requests for load in loads)
        self.full_windows = math.ceil(self.requests / capacity) - 1
        """Windows that are filled before the last one."""
        self._latency = sum(load.requests * load.latency for load in loads) / self.requests
        self._parallel = parallel

    @property
    def unlimited_seconds(self) -> float:
        """Seconds that the requests would take without a limit."""
        return self._latency_of(self.requests)

    def limited_seconds(self, window: float) -> float:
        """Return the seconds that the requests take under the limit."""
        in_last_window = self.requests - self.full_windows * self.capacity
        # A request counts until a window after its response, not after it was sent.
        in_full_windows = self.full_windows * (window + self._latency)
        return in_full_windows + self._latency_of(in_last_window)

    def _latency_of(self, requests: int) -> float:
        return math.ceil(requests / self._parallel) * self._latency
