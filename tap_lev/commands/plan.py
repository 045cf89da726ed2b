"""``--plan``: how long a sync takes, what decides it, and what would be faster."""

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

WORTH_TELLING = 0.95
"""The most that a change may leave of the time, to be told."""


class Plan:
    """What a sync has before it.

    Args:
        run: The run, with the account's limits known.
        survey: What its streams need.
        start: Seconds that a run takes to begin.

    Attributes:
        requests: The requests of each stream, without those that one before it makes anyway.
        totals: All requests, by endpoint.
        now: How long it takes.
    """

    def __init__(self, run: Run, survey: Estimator, start: float) -> None:
        self._run = run
        self._survey = survey
        self._start = start
        self.requests: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        counted: set[tuple[int, str]] = set()
        for need in survey.needs:
            for endpoint, requests in need.endpoints.items():
                if (need.walk, endpoint) not in counted:
                    counted.add((need.walk, endpoint))
                    self.requests[need.stream] += requests
                    self.totals[endpoint] += requests
        self.now = self.forecast()

    def forecast(
        self, limits: Limits | None = None, without: Container[str] = ()
    ) -> DurationEstimate:
        """Find how long a sync takes, the start of the program included.

        Args:
            limits: Other limits than those of the account.
            without: Streams to leave out.
        """
        config, given = self._run.config, self._run.client.scheduler.budget.limits
        window = config["rate_limit_window_seconds"]
        places = RateBudget(limits or given, config["rate_limit_share"], window).capacity
        found = estimate_duration(
            self._loads(without), RateLimits(places, window, config["max_parallel_streams"])
        )
        # The first request goes alone.
        return found._replace(seconds=self._start + self._survey.latency("GET /me") + found.seconds)

    def by_itself(self, stream: str) -> float:
        """Find how many seconds a sync of one stream alone would take."""
        others = {need.stream for need in self._survey.needs} - {stream}
        return self.forecast(without=others).seconds

    def higher_tiers(self) -> dict[str, float]:
        """Find the seconds that the sync would take on tiers with higher limits."""
        now = self._run.client.scheduler.budget.limits
        higher = {
            name: limits
            for name, limits in TIERS.items()
            if limits != now and limits.account >= now.account and limits.endpoint >= now.endpoint
        }
        return {name: self.forecast(limits).seconds for name, limits in higher.items()}

    def without_the_longest(self) -> tuple[list[str], float] | None:
        """Find the streams that decide how long it takes, and the seconds without them.

        Returns:
            Both, or None where nothing would be left, or nothing saved.
        """
        endpoint = self.now.bottleneck
        if endpoint == ACCOUNT:
            endpoint = max(self.totals, key=lambda name: self.totals[name])
        needs = self._survey.needs
        users = [need.stream for need in needs if endpoint in need.endpoints]
        if not users or len(users) == len(needs):
            return None
        seconds = self.forecast(without=users).seconds
        return (users, seconds) if seconds <= WORTH_TELLING * self.now.seconds else None

    def _loads(self, without: Container[str]) -> list[list[EndpointLoad]]:
        """Find the requests of each walk."""
        walks: defaultdict[int, dict[str, EndpointLoad]] = defaultdict(dict)
        latency = self._survey.latency
        for need in self._survey.needs:
            if need.stream in without:
                continue
            lead = sum(need.endpoints.get(name, 0) * latency(name) for name in need.before)
            for name, requests in need.endpoints.items():
                own = 0.0 if name in need.before else lead
                load = EndpointLoad(name, requests, latency(name), own)
                known = walks[need.walk].setdefault(name, load)
                walks[need.walk][name] = max(known, load)
        return [list(loads.values()) for loads in walks.values()]
