"""Decide which waiting request is sent next, and when.

The rules S1 to S9 are in docs/design/scheduler.md, L1 to L8 in docs/design/run-lock.md.
"""

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
    from tap_lev.ratelimit.limits import Limits


MIN_SHOWN_WAIT = 0.5
"""Seconds; a shorter wait is over before anybody has read of it."""


@dataclasses.dataclass(eq=False, slots=True)
class _PendingRequest:
    """A request that waits for its slot, or for its next try.

    Attributes:
        endpoint: Method and route template.
        event: Set to wake its thread up.
        granted: Whether it may be sent.
        ready_at: When it can be sent by the clock alone, in seconds, as last computed; infinity
            while that takes a response.
    """

    endpoint: str
    event: threading.Event = dataclasses.field(default_factory=threading.Event)
    granted: bool = False
    ready_at: float = math.inf


class WaitReason(NamedTuple):
    """What requests wait for.

    Attributes:
        thing: The budget or another try, in the words of the progress line.
        seconds: Least seconds to wait, or None if they are too few to show.
    """

    thing: str
    seconds: float | None = None


class RequestScheduler:
    """Sends requests as the budget allows, the most urgent of those that wait first.

    Its methods are called with the run lock held (L1). Whoever puts the two together registers
    ``dispatch_after_response`` with the lock's ``on_release``.

    Args:
        budget: Counts requests against the limits.
        lock: Released during each wait.
        max_in_flight: How many requests may be in flight at the same time.
        clock: Returns the time in seconds; it never goes back.
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

    @contextlib.contextmanager
    def slot(self, endpoint: str) -> Iterator[None]:
        """Wait until a request may be sent, and release the run lock while it is in flight.

        Args:
            endpoint: Method and route template.

        Raises:
            RunStopped: The run has ended meanwhile.
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
            # No dispatch here: see dispatch_after_response (S8).
            self._has_response = True

    def allow_parallel(self) -> None:
        """Let several requests be in flight, now that Lev has accepted the key (S9)."""
        self._is_parallel = True

    def dispatch_after_response(self) -> None:
        """Dispatch requests if a response came; called before each release of the run lock (L3)."""
        # By now the thread with the response waits for its next slot, or has no more requests
        # (S8). In the ``finally`` of ``slot`` it has said neither: its endpoint has no request in
        # flight, so nothing is reserved for it, and others would take its place.
        if self._has_response:
            self._dispatch()

    def sleep(self, seconds: float, endpoint: str = "") -> None:
        """Wait before a request is tried again.

        Args:
            seconds: How long.
            endpoint: Method and route template of the request.

        Raises:
            RunStopped: The run has ended meanwhile.
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
        # If the wait is broken off the run is over: the request may stay in the list.
        while not request.granted:
            # One thread watches the clock, the one that waits for the earliest time. The others
            # have no timeout: each would wake up only to find that another was granted first.
            seconds = self._next_ready_in()
            wakes_at = self._clock() + seconds
            watches_clock = wakes_at < self._wakes_at
            if watches_clock:
                self._wakes_at = wakes_at
            self._lock.wait(request.event, seconds if watches_clock else None)
            if watches_clock:
                # Unless another thread watches for an earlier time by now.
                if self._wakes_at == wakes_at:
                    self._wakes_at = math.inf
                self._dispatch()
            request.event.clear()

    def _dispatch(self) -> None:
        """Grant slots to all requests that may be sent now, then see who watches the clock."""
        # There are three reasons for a request to stay:
        # 1. As many are in flight as may be: one until Lev has accepted the key (S9).
        # 2. The budget has no place in the account's bucket or in the endpoint's, or one of the
        #    two pauses (S3, S4).
        # 3. The places that the account has are reserved for a bottleneck (S6).
        # They are computed anew for each request, since each that is granted changes all three.
        self._has_response = False
        while self._pending and self._in_flight_total < self._max_in_flight:
            reserve = self.workload.reserved(self._in_flight)
            # The most urgent goes first (S5, S7); of several, the one that waits longest.
            ready = [request for request in self._pending if not self._delay(request, reserve)]
            if not ready:
                break
            request = min(ready, key=lambda request: self.workload.priority(request.endpoint))
            # It counts from now, though its thread sends it later: from here on no other request
            # may take its place (S2).
            self.budget.acquire(request.endpoint)
            self._in_flight[request.endpoint] += 1
            self._in_flight_total += 1
            self._pending.remove(request)
            request.granted = True
            request.event.set()
        # Who waits without a timeout is woken up to watch the clock, if nobody does, or if one can
        # be sent before the watching thread wakes up.
        if self._pending and self._clock() + self._next_ready_in() < self._wakes_at:
            self._pending[0].event.set()
        self._update_idle_time()

    @property
    def _max_in_flight(self) -> int:
        return self._max_parallel if self._is_parallel else 1

    def _next_ready_in(self) -> float:
        """Compute the seconds until a request can be sent by the clock alone."""
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
        is_idle = not self._in_flight_total and (self._pending or self._sleeping)
        self._idle_since = now if is_idle else None

    @property
    def limits(self) -> Limits:
        """The limits that the server enforces, as far as they are known."""
        return self.budget.limits

    def use_limits(self, limits: Limits) -> None:
        """Keep to other limits from now on."""
        self.budget.limits = limits

    # -- For the progress: any thread may call these without the run lock; they change nothing (L8)

    @property
    def waited(self) -> float:
        """Seconds in which requests waited and none was in flight."""
        since = self._idle_since
        return self._waited + (0.0 if since is None else self._clock() - since)

    def wait_reason(self, endpoint: str | None = None) -> WaitReason | None:
        """Find out what the requests to an endpoint wait for, or all requests of the run.

        Returns:
            The reason, or None while one is in flight or none waits.
        """
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
