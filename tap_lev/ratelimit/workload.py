"""Remaining: how many requests are left, where they go, and which of them decide the end."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.ratelimit.budget import RateBudget

BOTTLENECK_RATIO = 7, 10
"""The part of what decides the end of a run that is taken for as much."""
BASE_WEIGHT = 0.25
"""How much counts that an endpoint is there at all, against how much it has left."""


class Workload:
    """Knows what is left to ask for, and so whose turn it is.

    Args:
        budget: When a request may go.
    """

    def __init__(self, budget: RateBudget) -> None:
        self._budget = budget
        self._expected: dict[str, dict[object, int]] = defaultdict(dict)
        self._left: dict[str, int] = {}
        self._total_left = 0

    @property
    def requests(self) -> int:
        """How many requests are expected, of all endpoints."""
        return self._total_left

    def set_remaining(self, reader: object, endpoint: str, requests: float) -> None:
        """Take note of how many more requests somebody will make.

        Args:
            reader: Who makes them. A new number takes the place of its last one.
            endpoint: Where they go: method and route template.
            requests: How many.
        """
        readers = self._expected[endpoint]
        readers[reader] = math.ceil(requests)
        self._left[endpoint] = sum(readers.values())
        self._total_left = sum(self._left.values())

    def remove(self, reader: object) -> None:
        """Take note that somebody makes no more requests."""
        for endpoint, readers in self._expected.items():
            readers.pop(reader, None)
            self._left[endpoint] = sum(readers.values())
        self._total_left = sum(self._left.values())

    def is_bottleneck(self, endpoint: str) -> bool:
        """Say whether an endpoint may decide when the run ends.

        What it has left takes as long, by its own limit, as all that is left takes by the
        account's, or nearly: how much is left is an estimate, and to be late costs more than to be
        early. One of which nothing is known may have any number of requests left.
        """
        left, capacity = self._left.get(endpoint), self._budget.capacity
        part, whole = BOTTLENECK_RATIO
        if not left:
            return True
        return whole * left * capacity.account >= part * self._total_left * capacity.endpoint

    def reserved(self, in_flight: Mapping[str, int]) -> int:
        """Say how many of the account's capacity are kept for the endpoints that decide.

        The next request to one of them is made when the last is answered. If others took what is
        free until then, the endpoint would be late by that in each window.

        Args:
            in_flight: How many requests to each endpoint have no answer yet.
        """
        return sum(
            min(self._budget.available(endpoint), self._left.get(endpoint, 0))
            for endpoint, requests in in_flight.items()
            if requests and self.is_bottleneck(endpoint)
        )

    def priority(self, endpoint: str) -> float:
        """Rank the endpoints whose requests could go: the least goes.

        An endpoint that may decide when the run ends never waits for another; of several, the one
        with the most requests left goes first. All others share what there is by what they have
        left, so that they come to their ends together; a part they share evenly, so that what is
        short is there soon.
        """
        left = self._left.get(endpoint, 0)
        if self.is_bottleneck(endpoint):
            return -(left or math.inf)
        weight = left / self._total_left + BASE_WEIGHT / len(self._left)
        return (self._budget.used(endpoint) + 1) / weight

    def seconds(self, endpoint: str | None) -> float | None:
        """Say how long the limits make the requests to an endpoint take.

        It may be called without the baton.

        Returns:
            The seconds, None where there are no such requests, or nothing holds them up.
        """
        left, capacity = tuple(self._left.items()), self._budget.capacity
        own = sum(requests for name, requests in left if name == endpoint)
        if endpoint is None or not own:
            return None
        bottlenecks = [requests for name, requests in left if requests and self.is_bottleneck(name)]
        shared, spare = sum(bottlenecks), capacity.account - len(bottlenecks) * capacity.endpoint
        if not self.is_bottleneck(endpoint):
            # The others share what those that decide leave of the account's capacity.
            others = self._total_left - shared
            shared = (
                self._total_left if spare <= 0 else math.ceil(others * capacity.account / spare)
            )
        return max(self._budget.takes(own, endpoint), self._budget.takes(shared)) or None
