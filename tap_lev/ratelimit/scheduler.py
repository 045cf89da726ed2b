"""Decide which waiting request is sent next, and when."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tap_lev.ratelimit.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_lev.concurrency.lock import RunLock
    from tap_lev.ratelimit.budget import RateBudget


MIN_SHOWN_WAIT = 0.5
"""Seconds that nobody is told to wait, since they are over when it is read."""


@dataclasses.dataclass(eq=False, slots=True)
class _PendingRequest:
    """A request that waits.

    Attributes:
        endpoint: Where it goes.
        event: Set when there is something new for it.
        granted: Whether it may go.
        ready_at: When it can go by the clock alone, as far as it was last known.
    """

    endpoint: str
    event: threading.Event = dataclasses.field(default_factory=threading.Event)
    granted: bool = False
    ready_at: float = math.inf


class WaitReason(NamedTuple):
    """What somebody waits for.

    Attributes:
        thing: The budget or another try.
        seconds: How long at least, None where that is not known, or no time.
    """

    thing: str
    seconds: float | None = None


class RequestScheduler:
    """Lets requests go as the budget allows, of those that wait the most urgent first.

    Its methods are called with the baton in hand.

    Args:
        budget: When a request may go.
        baton: Given up for each wait.
        max_in_flight: How many requests may be out at the same time.
        clock: Seconds, for what was waited.
    """

    def __init__(
        self,
        budget: RateBudget,
        lock: RunLock,
        max_in_flight: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self.workload = Workload(budget)
        self._lock = lock
        self._max_parallel = max_in_flight
        self._clock = clock
        self._is_parallel = False
        self._in_flight: Counter[str] = Counter()
        self._in_flight_total = 0
        self._has_response = False
        self._pending: list[_PendingRequest] = []
        self._sleeping: list[_PendingRequest] = []
        self._waited = 0.0
        self._idle_since: float | None = None
        self._wakes_at = math.inf

    # -- Passing

    @contextlib.contextmanager
    def slot(self, endpoint: str) -> Iterator[None]:
        """Surround the network's part of a request: before it a wait, if there must be one.

        Args:
            endpoint: Method and route template.

        Raises:
            Stopped: The run has ended meanwhile.
            Interruption: A signal came.
        """
        self._wait_until_granted(endpoint)
        try:
            with self._lock.released():
                yield
        finally:
            self._in_flight[endpoint] -= 1
            self._in_flight_total -= 1
            self.budget.release(endpoint)
            self._has_response = True

    def allow_parallel(self) -> None:
        """Let several requests be out at once, after an answer; until then it is one."""
        self._is_parallel = True

    def dispatch_after_response(self) -> None:
        """Dispatch requests if a response came; to be called before each release of the lock."""
        # By now the thread with the response has said what it wants next. In the ``finally`` of
        # ``slot`` it has not, and others would take what is reserved for a bottleneck.
        if self._has_response:
            self._dispatch()

    def sleep(self, seconds: float, endpoint: str = "") -> None:
        """Let time pass.

        Args:
            seconds: How much.
            endpoint: What is asked again after it.

        Raises:
            Stopped: The run has ended meanwhile.
            Interruption: A signal came.
        """
        request = _PendingRequest(endpoint, ready_at=self._clock() + seconds)
        self._sleeping.append(request)
        self._update_idle_time()
        try:
            self._lock.wait(request.event, seconds)
        finally:
            self._sleeping.remove(request)
            self._update_idle_time()

    def _wait_until_granted(self, endpoint: str) -> None:
        request = _PendingRequest(endpoint)
        self._pending.append(request)
        self._dispatch()
        # Where a wait is broken off the run is over, and whose request it is, nobody asks.
        while not request.granted:
            # One thread at a time minds the clock; the others wait to be told.
            delay = self._next_ready_in()
            wake_at = self._clock() + delay
            watches_clock = wake_at < self._wakes_at
            if watches_clock:
                self._wakes_at = wake_at
            self._lock.wait(request.event, delay if watches_clock else None)
            if watches_clock:
                if self._wakes_at == wake_at:
                    self._wakes_at = math.inf
                self._dispatch()
            request.event.clear()

    def _dispatch(self) -> None:
        """Let go whatever can go."""
        self._has_response = False
        while self._pending and self._in_flight_total < self._max_in_flight:
            reserve = self.workload.reserved(self._in_flight)
            ready = [request for request in self._pending if not self._delay(request, reserve)]
            if not ready:
                break
            request = min(ready, key=lambda request: self.workload.priority(request.endpoint))
            self.budget.acquire(request.endpoint)
            self._in_flight[request.endpoint] += 1
            self._in_flight_total += 1
            self._pending.remove(request)
            request.granted = True
            request.event.set()
        if self._pending and self._clock() + self._next_ready_in() < self._wakes_at:
            self._pending[0].event.set()
        self._update_idle_time()

    @property
    def _max_in_flight(self) -> int:
        return self._max_parallel if self._is_parallel else 1

    def _next_ready_in(self) -> float:
        """Find the seconds until a request can go by the clock alone."""
        if self._in_flight_total >= self._max_in_flight:
            return math.inf
        reserve = self.workload.reserved(self._in_flight)
        return min(self._delay(request, reserve) for request in self._pending)

    def _delay(self, request: _PendingRequest, reserve: int) -> float:
        is_bottleneck = self.workload.is_bottleneck(request.endpoint)
        delay = self.budget.delay(request.endpoint, 0 if is_bottleneck else reserve)
        request.ready_at = self._clock() + delay
        return delay

    def _update_idle_time(self) -> None:
        now = self._clock()
        if self._idle_since is not None:
            self._waited += now - self._idle_since
        idle = not self._in_flight_total and (self._pending or self._sleeping)
        self._idle_since = now if idle else None

    # -- Looking on: these may be called without the baton, and change nothing

    @property
    def waited(self) -> float:
        """Seconds in which every request there was had to wait for time to pass."""
        since = self._idle_since
        return self._waited + (0.0 if since is None else self._clock() - since)

    def wait_reason(self, endpoint: str | None = None) -> WaitReason | None:
        """Say what the requests to an endpoint wait for, or all there are."""
        in_flight = self._in_flight_total if endpoint is None else self._in_flight[endpoint]
        if in_flight:
            return None
        for thing, requests in (("the budget", self._pending), ("another try", self._sleeping)):
            concerned = (r.ready_at for r in tuple(requests) if endpoint in {None, r.endpoint})
            ready_at = min(concerned, default=math.inf)
            if ready_at < math.inf:
                return WaitReason(thing, _shown(ready_at - self._clock()))
        return None


def _shown(seconds: float) -> float | None:
    return seconds if seconds >= MIN_SHOWN_WAIT else None
