"""Track the requests that remain, and rank the endpoints by them."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.ratelimit.budget import RateBudget

BOTTLENECK_RATIO = 7, 10
"""Part of the longest time left from which an endpoint is a bottleneck: 7 / 10."""
BASE_WEIGHT = 0.25
"""Weight that all endpoints share evenly, against 1 that they share by the requests left."""


class Workload:
    """Tracks how many requests each endpoint has left, and ranks the endpoints.

    Args:
        budget: What the limits allow.
    """

    def __init__(self, budget: RateBudget) -> None:
        self._budget = budget
        self._expected: dict[str, dict[object, int]] = defaultdict(dict)
        self._left: dict[str, int] = {}
        self._total_left = 0

    @property
    def requests(self) -> int:
        """Requests left, to all endpoints."""
        return self._total_left

    def set_remaining(self, reader: object, endpoint: str, requests: float) -> None:
        """Set how many more requests a reader will make.

        Args:
            reader: Who makes them.
            endpoint: Method and route template.
            requests: How many; replaces the reader's last number.
        """
        readers = self._expected[endpoint]
        readers[reader] = math.ceil(requests)
        self._left[endpoint] = sum(readers.values())
        self._total_left = sum(self._left.values())

    def remove(self, reader: object) -> None:
        """Remove a reader, which makes no more requests."""
        for endpoint, readers in self._expected.items():
            readers.pop(reader, None)
            self._left[endpoint] = sum(readers.values())
        self._total_left = sum(self._left.values())

    def is_bottleneck(self, endpoint: str) -> bool:
        """Check whether an endpoint may be the last to finish (S5)."""
        left, capacity = self._left.get(endpoint), self._budget.capacity
        # 1. Nothing is known of it: it may have any number of requests left.
        if not left:
            return True
        # 2. Its requests take as long by its own limit as all requests take by the account's, or
        #    nearly: the numbers are estimates, and a bottleneck that is missed costs more than one
        #    too many. Whole numbers only: a limit in the settings may be too long for a float.
        part, whole = BOTTLENECK_RATIO
        return whole * left * capacity.account >= part * self._total_left * capacity.endpoint

    def reserved(self, in_flight: Mapping[str, int]) -> int:
        """Count the account's places to reserve for the bottlenecks (S6).

        Args:
            in_flight: Requests to each endpoint that have no response yet.
        """
        # A reader makes its next request after the last response. If others took the free places
        # until then, the bottleneck would lose them in each window. Nothing is reserved for an
        # endpoint without a request in flight: no response is about to bring its next request.
        return sum(
            min(self._budget.available(endpoint), self._left.get(endpoint, 0))
            for endpoint, requests in in_flight.items()
            if requests and self.is_bottleneck(endpoint)
        )

    def priority(self, endpoint: str) -> float:
        """Rank an endpoint: of the requests that may be sent, the lowest goes first."""
        left = self._left.get(endpoint, 0)
        # 1. A bottleneck goes before all others (S5), the one with the most requests left first,
        #    and before it one of which nothing is known.
        if self.is_bottleneck(endpoint):
            return -(left or math.inf)
        # 2. The others share the places by the requests that they have left, so that they finish
        #    together (S7). A part they share evenly, so that a short list is complete soon.
        weight = left / self._total_left + BASE_WEIGHT / len(self._left)
        return (self._budget.used(endpoint) + 1) / weight

    def seconds_left(self, endpoint: str | None) -> float | None:
        """Estimate how long the limits make the requests to an endpoint take.

        Any thread may call it, without the run lock (L8).

        Returns:
            Seconds, or None if no requests are left or the limits do not delay them.
        """
        left, capacity = tuple(self._left.items()), self._budget.capacity
        own = sum(requests for name, requests in left if name == endpoint)
        if endpoint is None or not own:
            return None
        bottlenecks = [requests for name, requests in left if requests and self.is_bottleneck(name)]
        shared, spare = sum(bottlenecks), capacity.account - len(bottlenecks) * capacity.endpoint
        # A bottleneck shares the account's limit with the other bottlenecks only (S5). The others
        # share what the bottlenecks leave of it: as if they had all of it, and more requests.
        if not self.is_bottleneck(endpoint):
            others = self._total_left - shared
            shared = (
                self._total_left if spare <= 0 else math.ceil(others * capacity.account / spare)
            )
        return (
            max(self._budget.seconds_for(own, endpoint), self._budget.seconds_for(shared)) or None
        )
