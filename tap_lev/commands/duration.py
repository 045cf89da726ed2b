"""The forecast: how long requests take under Lev's limits, before any of them is made."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_lev.ratelimit.limits import Limits


class EndpointLoad(NamedTuple):
    """What one walk asks of one endpoint, one request after the other.

    Attributes:
        endpoint: Method and route template.
        requests: How many.
        latency: Seconds until the answer to one is there.
        lead: Seconds in which none of them can be under way, because of what must be read before.
    """

    endpoint: str
    requests: int
    latency: float
    lead: float = 0.0


class RateLimits(NamedTuple):
    """What a run may do.

    Attributes:
        places: Requests in a window, of the account and to one endpoint.
        window: Its length in seconds.
        parallel: How many requests may be under way at the same time.
    """

    capacity: Limits
    window: float
    parallel: int


class DurationEstimate(NamedTuple):
    """How long it takes, and why.

    Attributes:
        seconds: How long.
        bottleneck: The endpoint that decides; "account" where all requests together do; None where
            the limits are not reached.
    """

    seconds: float
    bottleneck: str | None


ACCOUNT = "account"


def estimate_duration(
    walks: Sequence[Iterable[EndpointLoad]], pace: RateLimits
) -> DurationEstimate:
    """Find how long walks take: side by side, or one after the other where only one may run.

    No window holds more than its places, so ``n`` requests take ``ceil(n / places) - 1`` windows
    at least; the fullest bucket, endpoint or account, decides. The gate comes near to that. In the
    last window, and where no limit is reached, the way to Lev and back is what takes time.
    """
    loads = [[load for load in walk if load.requests] for walk in walks]
    every = [load for walk in loads for load in walk]
    if not every:
        return DurationEstimate(0.0, None)
    whole = _side_by_side(every, pace)
    if pace.parallel > 1:
        return whole
    found = [_side_by_side(walk, pace) for walk in loads if walk]
    seconds = sum(each.seconds for each in found)
    longest = max(found, key=lambda each: each.seconds)
    return whole if whole.seconds >= seconds else DurationEstimate(seconds, longest.bottleneck)


def _side_by_side(loads: Sequence[EndpointLoad], pace: RateLimits) -> DurationEstimate:
    by_endpoint: defaultdict[str, list[EndpointLoad]] = defaultdict(list)
    for load in loads:
        by_endpoint[load.endpoint].append(load)
    buckets = [
        _Bucket(ACCOUNT, loads, pace.capacity.account, pace.parallel),
        *(_Bucket(name, found, pace.capacity.endpoint, 1) for name, found in by_endpoint.items()),
    ]
    fullest = max(buckets, key=lambda bucket: bucket.requests / bucket.capacity)
    limited = max(bucket.limited(pace.window) for bucket in buckets)
    unlimited = max(bucket.seconds for bucket in buckets)
    unlimited = max(unlimited, *(load.requests * load.latency + load.lead for load in loads))
    decides = fullest.windows and limited >= unlimited
    return DurationEstimate(max(limited, unlimited), fullest.name if decides else None)


class _Bucket:
    """What has a limit.

    Args:
        name: Its name.
        loads: What goes into it.
        places: Its requests in a window.
        parallel: How many of them may be under way at the same time.
    """

    def __init__(
        self, name: str, loads: Sequence[EndpointLoad], places: int, parallel: int
    ) -> None:
        self.name = name
        self.capacity = places
        self.requests = sum(load.requests for load in loads)
        self.windows = math.ceil(self.requests / places) - 1
        """The windows that are full before the last one."""
        self._latency = sum(load.requests * load.latency for load in loads) / self.requests
        self._parallel = parallel
        self.seconds = self._on_the_way(self.requests)
        """What the requests would take without a limit."""

    def limited(self, window: float) -> float:
        """Find what they take with it. A request counts until a window after its answer."""
        rest = self.requests - self.windows * self.capacity
        return self.windows * (window + self._latency) + self._on_the_way(rest)

    def _on_the_way(self, requests: int) -> float:
        return math.ceil(requests / self._parallel) * self._latency
