"""Plan a sync: how long it takes, what decides that, and what would be faster."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tap_lev.commands.duration import (
    ACCOUNT,
    DurationEstimate,
    EndpointLoad,
    RateLimits,
    estimate_duration,
)
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import TIERS

if TYPE_CHECKING:
    from collections.abc import Container

    from tap_lev.commands.estimate import Estimator
    from tap_lev.ratelimit.limits import Limits
    from tap_lev.sync.run import Run

MAX_REMAINING_PART = 0.95
"""The part of the time that may remain without some streams, for that to be shown."""


class Plan:
    """The requests of a sync, and how long they take.

    Args:
        run: The run, with the account's limits known.
        estimator: Knows what the streams need.
        startup: Seconds that the program takes to begin.

    Attributes:
        requests: The requests of each stream, without those that an earlier stream makes anyway.
        totals: All requests, by endpoint.
        duration: How long the sync takes.
    """

    def __init__(self, run: Run, estimator: Estimator, startup: float) -> None:
        self._run = run
        self._estimator = estimator
        self._startup = startup
        self.requests: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        counted: set[tuple[int, str]] = set()
        for estimate in estimator.estimates:
            for endpoint, requests in estimate.endpoints.items():
                if (estimate.walk, endpoint) not in counted:
                    counted.add((estimate.walk, endpoint))
                    self.requests[estimate.stream] += requests
                    self.totals[endpoint] += requests
        self.duration = self.estimate()

    def estimate(
        self, limits: Limits | None = None, without: Container[str] = ()
    ) -> DurationEstimate:
        """Estimate how long a sync takes, the start of the program included.

        Args:
            limits: Limits in place of the account's.
            without: Names of streams to leave out.
        """
        config, budget = self._run.config, self._run.scheduler.budget
        window = config["rate_limit_window_seconds"]
        capacity = RateBudget(limits or budget.limits, config["rate_limit_share"], window).capacity
        requests = estimate_duration(
            self._loads(without), RateLimits(capacity, window, config["max_parallel_streams"])
        )
        # The first request goes alone: its response may change the limits.
        first = self._startup + self._estimator.latency("GET /me")
        return requests._replace(seconds=first + requests.seconds)

    def seconds_alone(self, stream: str) -> float:
        """Estimate how many seconds a sync of one stream alone takes."""
        others = {estimate.stream for estimate in self._estimator.estimates} - {stream}
        return self.estimate(without=others).seconds

    def higher_tiers(self) -> dict[str, float]:
        """Estimate the seconds that the sync takes on tiers with higher limits."""
        now = self._run.scheduler.limits
        higher = {
            name: limits
            for name, limits in TIERS.items()
            if limits != now and limits.account >= now.account and limits.endpoint >= now.endpoint
        }
        return {name: self.estimate(limits).seconds for name, limits in higher.items()}

    def without_the_longest(self) -> tuple[list[str], float] | None:
        """Find the streams that decide how long it takes, and the seconds without them.

        Returns:
            Both, or None if no stream would be left, or no time saved.
        """
        endpoint = self.duration.bottleneck
        if endpoint == ACCOUNT:
            endpoint = max(self.totals, key=lambda name: self.totals[name])
        estimates = self._estimator.estimates
        users = [estimate.stream for estimate in estimates if endpoint in estimate.endpoints]
        if not users or len(users) == len(estimates):
            return None
        seconds = self.estimate(without=users).seconds
        if seconds > MAX_REMAINING_PART * self.duration.seconds:
            return None
        return users, seconds

    def _loads(self, without: Container[str]) -> list[list[EndpointLoad]]:
        """Return the requests of each walk. Streams of a walk that need the same share them."""
        walks: defaultdict[int, dict[str, EndpointLoad]] = defaultdict(dict)
        latency = self._estimator.latency
        for estimate in self._estimator.estimates:
            if estimate.stream in without:
                continue
            before = sum(
                estimate.endpoints.get(name, 0) * latency(name) for name in estimate.prerequisites
            )
            for name, requests in estimate.endpoints.items():
                starts_after = 0.0 if name in estimate.prerequisites else before
                load = EndpointLoad(name, requests, latency(name), starts_after)
                known = walks[estimate.walk].setdefault(name, load)
                walks[estimate.walk][name] = max(known, load)
        return [list(loads.values()) for loads in walks.values()]
