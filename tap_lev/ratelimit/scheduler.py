"""The gate: every request passes it, one by one, when the budget has a place and it is its turn."""

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
        given: Whether it may go.
        due: When it can go by the clock alone, as far as it was last known.
    """

    endpoint: str
    event: threading.Event = dataclasses.field(default_factory=threading.Event)
    given: bool = False
    due: float = math.inf


class WaitReason(NamedTuple):
    """What somebody waits for.

    Attributes:
        thing: The budget, the network, or another try.
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
        parallel: How many requests may be out at the same time.
        clock: Seconds, for what was waited.
    """

    def __init__(
        self,
        budget: RateBudget,
        lock: RunLock,
        parallel: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self.workload = Workload(budget)
        self._lock = lock
        lock.on_release = self._admit_after_answer
        self._parallel = parallel
        self._clock = clock
        self._is_open = False
        self._out: Counter[str] = Counter()
        self._out_at_all = 0
        self._answered = False
        self._turns: list[_PendingRequest] = []
        self._sleepers: list[_PendingRequest] = []
        self._waited = 0.0
        self._idle_since: float | None = None
        self._alarm = math.inf

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
        self._wait_for_turn(endpoint)
        try:
            with self._lock.released():
                yield
        finally:
            self._out[endpoint] -= 1
            self._out_at_all -= 1
            self.budget.release(endpoint)
            self._answered = True

    def open(self) -> None:
        """Let several requests be out at once, after an answer; until then it is one."""
        self._is_open = True

    def sleep(self, seconds: float, endpoint: str = "") -> None:
        """Let time pass.

        Args:
            seconds: How much.
            endpoint: What is asked again after it.

        Raises:
            Stopped: The run has ended meanwhile.
            Interruption: A signal came.
        """
        sleeper = _PendingRequest(endpoint, due=self._clock() + seconds)
        self._sleepers.append(sleeper)
        self._note_idleness()
        try:
            self._lock.wait(sleeper.event, seconds)
        finally:
            self._sleepers.remove(sleeper)
            self._note_idleness()

    def _wait_for_turn(self, endpoint: str) -> None:
        turn = _PendingRequest(endpoint)
        self._turns.append(turn)
        self._admit()
        # Where a wait is broken off the run is over, and whose turn it is, nobody asks.
        while not turn.given:
            # One thread at a time minds the clock; the others wait to be told.
            delay = self._soonest()
            wake_at = self._clock() + delay
            minds_the_clock = wake_at < self._alarm
            if minds_the_clock:
                self._alarm = wake_at
            self._lock.wait(turn.event, delay if minds_the_clock else None)
            if minds_the_clock:
                if self._alarm == wake_at:
                    self._alarm = math.inf
                self._admit()
            turn.event.clear()

    def _admit_after_answer(self) -> None:
        """Let others go, now that the thread which got an answer has said what it wants next."""
        if self._answered:
            self._admit()

    def _admit(self) -> None:
        """Let go whatever can go."""
        self._answered = False
        while self._turns and self._out_at_all < self._places:
            kept = self.workload.reserved(self._out)
            ready = [turn for turn in self._turns if not self._delay(turn, kept)]
            if not ready:
                break
            turn = min(ready, key=lambda turn: self.workload.priority(turn.endpoint))
            self.budget.acquire(turn.endpoint)
            self._out[turn.endpoint] += 1
            self._out_at_all += 1
            self._turns.remove(turn)
            turn.given = True
            turn.event.set()
        if self._turns and self._clock() + self._soonest() < self._alarm:
            self._turns[0].event.set()
        self._note_idleness()

    @property
    def _places(self) -> int:
        return self._parallel if self._is_open else 1

    def _soonest(self) -> float:
        """Find the seconds until a request can go by the clock alone."""
        if self._out_at_all >= self._places:
            return math.inf
        kept = self.workload.reserved(self._out)
        return min(self._delay(turn, kept) for turn in self._turns)

    def _delay(self, turn: _PendingRequest, kept: int) -> float:
        decides = self.workload.is_bottleneck(turn.endpoint)
        delay = self.budget.delay(turn.endpoint, 0 if decides else kept)
        turn.due = self._clock() + delay
        return delay

    def _note_idleness(self) -> None:
        now = self._clock()
        if self._idle_since is not None:
            self._waited += now - self._idle_since
        idle = not self._out_at_all and (self._turns or self._sleepers)
        self._idle_since = now if idle else None

    # -- Looking on: these may be called without the baton, and change nothing

    @property
    def waited(self) -> float:
        """Seconds in which every request there was had to wait for time to pass."""
        since = self._idle_since
        return self._waited + (0.0 if since is None else self._clock() - since)

    def wait_reason(self, endpoint: str | None = None) -> WaitReason | None:
        """Say what the requests to an endpoint wait for, or all there are."""
        now = self._clock()

        def due(turns: list[_PendingRequest]) -> float:
            concerned = (t.due for t in tuple(turns) if endpoint in {None, t.endpoint})
            return min(concerned, default=math.inf)

        out = self._out_at_all if endpoint is None else self._out[endpoint]
        if not out and (turn := due(self._turns)) < math.inf:
            return WaitReason("the budget", _told(turn - now))
        if not out and (sleeper := due(self._sleepers)) < math.inf:
            return WaitReason("another try", _told(sleeper - now))
        return WaitReason("the network") if self._out_at_all else None


def _told(seconds: float) -> float | None:
    return seconds if seconds >= MIN_SHOWN_WAIT else None
