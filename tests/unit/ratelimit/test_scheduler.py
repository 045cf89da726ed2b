"""Which request is sent when: on a stage, where an hour of waiting takes no time."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_lev.concurrency.lock import RunLock
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import TIERS, Limits
from tap_lev.ratelimit.scheduler import RequestScheduler, WaitReason
from tests.support.fake_lock import FakeLock, SimulatedThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEALS, NOTES, CONTACTS = "GET /deals", "GET /deals/{deal_id}/notes", "GET /contacts"
ENDPOINTS = (DEALS, NOTES, CONTACTS)
ROOMY = Limits(1000, 1000)


class Play:
    """A scheduler on a stage, and the requests that it sent."""

    def __init__(
        self,
        limits: Limits = ROOMY,
        *,
        parallel: int = 8,
        share: float = 1.0,
        choose: Callable[[int], int] = lambda _: 0,
        is_parallel: bool = True,
    ) -> None:
        self.stage = SimulatedThreads(choose)
        self.budget = RateBudget(limits, share, 60.0, self.stage.clock)
        self.scheduler = RequestScheduler(self.budget, self.stage, parallel, self.stage.clock)
        self.stage.on_release(self.scheduler.dispatch_after_response)
        if is_parallel:
            self.scheduler.allow_parallel()
        self.passed: list[tuple[str, float]] = []
        """Where requests went, and when."""
        self.in_flight: list[int] = []
        """How many were in flight, each time that one more was."""
        self._in_flight = 0

    def request(self, endpoint: str, latency: float = 0.0) -> None:
        """Make a request, on the stage."""
        with self.scheduler.slot(endpoint):
            self.passed.append((endpoint, self.stage.now))
            self._in_flight += 1
            self.in_flight.append(self._in_flight)
            try:
                self.stage.take_time(latency)
            finally:
                self._in_flight -= 1

    def read(
        self, endpoint: str, count: int = 1, latency: Callable[[], float] = lambda: 0.0
    ) -> Callable[[], None]:
        """Make requests one after the other, and set how many remain."""

        def work() -> None:
            for left in range(count, 0, -1):
                self.scheduler.workload.set_remaining(work, endpoint, left)
                self.request(endpoint, latency())
            self.scheduler.workload.remove(work)

        return work

    def start(self, endpoint: str, count: int = 1, latency: float = 0.0) -> None:
        """Let a thread make requests."""
        self.stage.start(self.read(endpoint, count, lambda: latency), endpoint)

    def times(self, endpoint: str) -> list[float]:
        """When requests went to an endpoint."""
        return [when for name, when in self.passed if name == endpoint]


def alone(limits: Limits, parallel: int = 1) -> tuple[RequestScheduler, FakeLock]:
    """A scheduler for one thread."""
    lock = FakeLock()
    budget = RateBudget(limits, clock=lock.clock)
    scheduler = RequestScheduler(budget, lock, parallel, lock.clock)
    lock.on_release(scheduler.dispatch_after_response)
    return scheduler, lock


# -- One thread


def test_requests_pass_at_once_while_there_is_room() -> None:
    scheduler, lock = alone(Limits(7, 5))
    for endpoint in (DEALS,) * 5 + (NOTES,) * 2:
        with scheduler.slot(endpoint):
            pass
    assert lock.waits == []
    assert scheduler.waited == 0


def test_what_decides_the_end_has_most_of_what_is_left_or_is_not_known() -> None:
    scheduler, _ = alone(ROOMY)
    scheduler.workload.set_remaining("deals", DEALS, 7)
    scheduler.workload.set_remaining("notes", NOTES, 3)
    assert [scheduler.workload.is_bottleneck(endpoint) for endpoint in ENDPOINTS] == [
        True,
        False,
        True,
    ]
    scheduler.workload.set_remaining("notes", NOTES, 4)
    assert not scheduler.workload.is_bottleneck(DEALS), "it has less than seven tenths"
    scheduler.workload.remove("notes")
    assert scheduler.workload.is_bottleneck(DEALS), "nothing else is left"


def test_what_is_not_known_goes_first_and_nothing_is_kept_for_it() -> None:
    scheduler, _ = alone(ROOMY)
    scheduler.workload.set_remaining("deals", DEALS, 7)
    assert scheduler.workload.priority(NOTES) < scheduler.workload.priority(DEALS)
    assert scheduler.workload.reserved({NOTES: 1}) == 0


def test_only_waits_count_as_waited() -> None:
    scheduler, lock = alone(ROOMY)
    scheduler.sleep(3)
    lock.waits.append(5)  # time passes, and nobody waits for it
    with scheduler.slot(DEALS):
        pass
    assert scheduler.waited == 3


@pytest.mark.parametrize(
    ("full", "wanted", "waits"),
    [
        pytest.param([DEALS] * 2, DEALS, [60], id="endpoint"),
        pytest.param([DEALS] * 2, NOTES, [], id="another endpoint"),
        pytest.param([DEALS, DEALS, NOTES], CONTACTS, [60], id="account"),
    ],
)
def test_a_full_bucket_is_one_wait_as_long_as_the_budget_says(
    full: list[str], wanted: str, waits: list[float]
) -> None:
    scheduler, lock = alone(Limits(3, 2))
    for endpoint in [*full, wanted]:
        with scheduler.slot(endpoint):
            pass
    assert lock.waits == waits
    assert scheduler.waited == sum(waits)


@given(
    st.lists(st.tuples(st.sampled_from(ENDPOINTS), st.integers(0, 90)), max_size=60),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_it_waits_as_the_budget_says_and_never_twice_for_a_request(
    requests: list[tuple[str, int]], account: int, endpoint: int
) -> None:
    scheduler, lock = alone(Limits(account, endpoint))
    now = 0.0
    budget = RateBudget(Limits(account, endpoint), clock=lambda: now)
    expected: list[float] = []
    for number, (name, pause) in enumerate(requests):
        if number % 4 == 3:
            scheduler.budget.pause(name, pause)
            budget.pause(name, pause)
        if delay := budget.delay(name):
            expected.append(delay)
            now += delay
        budget.acquire(name)
        budget.release(name)
        with scheduler.slot(name):
            pass
    assert lock.waits == expected


def test_a_request_that_fails_frees_its_place() -> None:
    scheduler, lock = alone(Limits(5, 5))
    for _ in range(3):
        with pytest.raises(OSError, match="reset"), scheduler.slot(DEALS):
            raise OSError("reset")
    with scheduler.slot(DEALS):
        pass
    assert lock.waits == []
    assert scheduler.budget.used(DEALS) == 4, "a request that failed may have been counted"


def test_to_sleep_is_to_wait() -> None:
    scheduler, lock = alone(ROOMY)
    scheduler.sleep(7)
    assert lock.waits == [7]
    assert scheduler.waited == 7


# -- Several threads


def test_one_thread_minds_the_clock_and_each_waits_once() -> None:
    play = Play(Limits(5, 5))
    for number in range(20):
        play.stage.start(lambda: play.request(DEALS), f"{number}")
    play.stage.run()
    assert Counter(when for _, when in play.passed) == {0: 5, 60: 5, 120: 5, 180: 5}
    assert all(len(minders) == 1 for minders in play.stage.timers), play.stage.timers
    # Each waits; and one of those that are left wakes up to mind the clock of the next window.
    assert len(play.stage.waits) <= 15 + 3


@given(
    seed=st.integers(0, 1 << 30),
    limits=st.builds(Limits, st.integers(1, 12), st.integers(1, 6)),
    parallel=st.integers(1, 6),
    readers=st.lists(
        st.tuples(st.sampled_from(ENDPOINTS), st.integers(1, 8), st.integers(0, 40)),
        min_size=1,
        max_size=8,
    ),
)
def test_in_whatever_order_they_meet_all_get_through_and_few_wake_up(
    seed: int, limits: Limits, parallel: int, readers: list[tuple[str, int, int]]
) -> None:
    play = Play(limits, parallel=parallel, choose=random.Random(seed).randrange)
    for endpoint, count, latency in readers:
        play.start(endpoint, count, latency)
    play.stage.run()
    requests = sum(count for _, count, _ in readers)
    assert len(play.passed) == requests
    assert max(play.in_flight) <= parallel
    for endpoint in ENDPOINTS:
        times = play.times(endpoint)
        assert all(b - a >= 60 for a, b in zip(times, times[limits.endpoint :], strict=False))
    times = [when for _, when in play.passed]
    assert all(b - a >= 60 for a, b in zip(times, times[limits.account :], strict=False))
    # Once for the request, once to mind the clock, once more when another is more urgent.
    assert len(play.stage.waits) <= 3 * requests


def test_as_many_are_in_flight_as_allowed_and_no_more() -> None:
    play = Play(parallel=3)
    for number in range(8):
        play.start(f"GET /{number}", 2, latency=10)
    play.stage.run()
    assert max(play.in_flight) == 3
    assert play.stage.now == math.ceil(16 / 3) * 10
    assert play.scheduler.waited == 0, "there was always one in flight"


def test_until_parallel_requests_are_allowed_one_is_in_flight() -> None:
    play = Play(parallel=4, is_parallel=False)
    before: list[int] = []

    def first() -> None:
        for _ in range(3):
            play.request(DEALS, 10)
        before.extend(play.in_flight)
        play.scheduler.allow_parallel()

    play.stage.start(first, "first")
    for number in range(8):
        play.start(f"GET /{number}", 1, latency=10)
    play.stage.run()
    assert before[:3] == [1, 1, 1]
    assert set(before) == {1}
    assert max(play.in_flight) == 4


def test_allowing_parallel_requests_dispatches_those_that_wait() -> None:
    play = Play(parallel=3, is_parallel=False)

    def first() -> None:
        play.request(DEALS, 10)
        play.scheduler.allow_parallel()

    play.stage.start(first, "first")
    for number in range(3):
        play.start(f"GET /{number}", 1, latency=10)
    play.stage.run()
    assert play.in_flight == [1, 1, 2, 3]
    assert play.stage.now == 20


def test_an_endpoint_that_pauses_lets_the_others_go_on() -> None:
    play = Play()
    play.budget.pause(DEALS, 30)
    for endpoint in ENDPOINTS:
        play.start(endpoint, 3)
    play.stage.run()
    assert play.times(DEALS) == [30] * 3
    assert play.times(NOTES) == play.times(CONTACTS) == [0] * 3


def test_an_account_that_pauses_lets_nobody_go_on() -> None:
    play = Play()
    play.budget.pause(None, 30)
    for endpoint in ENDPOINTS:
        play.start(endpoint, 3)
    play.stage.run()
    assert {when for _, when in play.passed} == {30}
    assert play.scheduler.waited == 30


def test_a_pause_that_ends_first_is_minded_by_who_comes_later() -> None:
    play = Play()
    play.budget.pause(DEALS, 50)
    play.budget.pause(NOTES, 20)
    play.start(DEALS)
    play.start(NOTES)
    play.stage.run()
    assert play.passed == [(NOTES, 20), (DEALS, 50)]


def test_only_time_in_which_nothing_is_in_flight_counts_as_waited() -> None:
    play = Play(Limits(9, 1))
    # From 0 to 25 a request to /contacts is in flight while /deals waits; from 25 to 60 all wait.
    play.start(DEALS, 2)
    play.start(CONTACTS, 1, latency=25)
    play.stage.run()
    assert play.times(DEALS) == [0, 60]
    assert play.scheduler.waited == 35


def test_a_sleep_beside_a_request_is_no_wait() -> None:
    play = Play()
    play.start(CONTACTS, 1, latency=25)
    play.stage.start(lambda: play.scheduler.sleep(40), "sleeper")
    play.stage.run()
    assert play.scheduler.waited == 15


def test_real_threads_on_a_real_clock_all_get_through() -> None:
    lock, done = RunLock(), []
    budget = RateBudget(Limits(12, 4), window=0.05)
    scheduler = RequestScheduler(budget, lock, 4)
    lock.on_release(scheduler.dispatch_after_response)
    scheduler.allow_parallel()

    def work(number: int) -> None:
        with lock:
            for number_sent in range(6):
                scheduler.workload.set_remaining(number, ENDPOINTS[number % 3], 6 - number_sent)
                with scheduler.slot(ENDPOINTS[number % 3]):
                    time.sleep(0.001)
                if number_sent == number % 6:
                    scheduler.sleep(0.01)
                    scheduler.budget.pause(ENDPOINTS[number_sent % 3], 0.02)
            scheduler.workload.remove(number)
            done.append(number)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(10)), "some sleep for ever"


# -- Which goes first


def first_to_go(play: Play, expected: dict[str, float]) -> str:
    """Say who goes first, of several that wait; one at a time may be in flight."""
    for name, requests in expected.items():
        play.scheduler.workload.set_remaining(name, name, requests)
    play.budget.pause(None, 1)
    for name in expected:
        play.stage.start(lambda name=name: play.request(name), name)  # type: ignore[misc]
    play.stage.run()
    return play.passed[0][0]


@pytest.mark.parametrize(
    ("expected", "first"),
    [
        pytest.param({DEALS: 1, NOTES: 50, CONTACTS: 60}, CONTACTS, id="the most of those"),
        pytest.param({DEALS: 40, NOTES: 100, CONTACTS: 40}, NOTES, id="the only one"),
        pytest.param(
            {DEALS: 100, NOTES: 0, CONTACTS: 90}, NOTES, id="one of which nothing is known"
        ),
    ],
)
def test_the_endpoint_that_decides_when_the_run_ends_goes_first(
    expected: dict[str, float], first: str
) -> None:
    assert first_to_go(Play(TIERS["free"], parallel=1), expected) == first


def test_those_that_decide_nothing_share_evenly() -> None:
    play = Play(Limits(10, 2))
    names = [f"GET /{number}" for number in range(8)]
    for number, name in enumerate(names):
        play.start(name, 12 + number % 2)
    play.stage.run()
    for window in range(5):
        went = Counter(name for name, when in play.passed if when == 60 * window)
        assert sum(went.values()) == 10
        assert set(went.values()) <= {1, 2}, "none goes without"


def test_those_that_decide_nothing_come_to_their_ends_together() -> None:
    play = Play(Limits(9, 5), parallel=100)
    counts = {f"GET /{number}": 12 if number < 4 else 6 for number in range(8)}
    play.budget.pause(None, 1)
    for name, count in counts.items():
        for _ in range(count):
            play.start(name)
    play.stage.run()
    half = Counter(name for name, _ in play.passed[:36])
    assert sum(half[f"GET /{number}"] for number in range(4)) in range(22, 26)
    assert all(abs(half[name] - count / 2) <= 2 for name, count in counts.items()), half


def test_what_is_short_is_there_soon() -> None:
    play = Play(TIERS["free"], share=0.9, parallel=200)
    play.budget.pause(None, 1)
    for number in range(6):
        for _ in range(20):
            play.start(f"GET /{number}")
    play.start("GET /short", 1)
    play.stage.run()
    assert play.times("GET /short")[0] <= 1 + 60


def test_no_limit_is_too_long() -> None:
    play = Play(Limits(10**5000, 10**5000))
    for endpoint in ENDPOINTS:
        play.start(endpoint, 3)
    play.stage.run()
    assert play.stage.now == 0


def test_what_is_not_wanted_any_more_decides_nothing() -> None:
    play = Play(TIERS["free"], parallel=1)
    play.scheduler.workload.set_remaining("gone", NOTES, 1000)
    play.scheduler.workload.remove("gone")
    assert first_to_go(play, {CONTACTS: 20, DEALS: 30}) == DEALS


def test_an_endpoint_that_hangs_keeps_no_more_than_its_own_places() -> None:
    play = Play(Limits(9, 3))
    play.scheduler.workload.set_remaining("notes", NOTES, 100)
    play.stage.start(lambda: play.request(NOTES, 3600), "hangs")
    for name in (DEALS, CONTACTS):
        play.start(name, 30)
    play.stage.run()
    assert max(play.times(DEALS) + play.times(CONTACTS)) == 9 * 60


def test_a_deciding_endpoint_that_makes_no_request_keeps_no_place() -> None:
    play = Play(Limits(5, 4))

    def read() -> None:
        play.scheduler.workload.set_remaining("notes", NOTES, 100)
        play.request(NOTES)
        play.stage.wait(threading.Event(), 1000)

    play.stage.start(read, "busy elsewhere")
    play.start(DEALS, 4)
    play.stage.run()
    assert play.times(DEALS) == [0] * 4


def least(counts: Sequence[int], places: Limits) -> int:
    """Find the windows that so many requests to each endpoint take, at least."""
    needed = [math.ceil(sum(counts) / places.account)]
    return max(needed + [math.ceil(count / places.endpoint) for count in counts])


@given(
    limits=st.sampled_from([*TIERS.values(), Limits(7, 3), Limits(12, 5), Limits(5, 1)]),
    share=st.sampled_from([1.0, 0.9, 0.5]),
    counts=st.lists(st.sampled_from([1, 2, 5, 10, 30, 60]), min_size=1, max_size=11),
    latency=st.sampled_from([0.0, 0.3, 2.0]),
    parallel=st.sampled_from([8, 12]),
    seed=st.integers(0, 1 << 30),
)
@example(Limits(7, 3), 0.5, [30, 60, 2, 30, 10, 10, 30, 10, 5, 2, 1], 0.0, 12, 0)
@example(Limits(30, 10), 0.9, [60, 1, 60, 60, 60, 5, 1, 5, 5, 200, 5, 20], 0.3, 8, 0)
@example(Limits(30, 10), 0.9, [60, 1, 60, 100, 100, 5, 1, 5, 5, 200, 5, 20], 0.0, 8, 0)
@settings(max_examples=40)
def test_a_run_takes_a_window_more_than_it_must_at_most(  # noqa: PLR0913, PLR0917
    limits: Limits, share: float, counts: list[int], latency: float, parallel: int, seed: int
) -> None:
    chance = random.Random(seed)
    play = Play(limits, share=share, parallel=parallel, choose=chance.randrange)
    for number, count in enumerate(counts):
        name = f"GET /{number}"
        late = latency and (lambda: latency * chance.uniform(0.5, 1))
        play.stage.start(play.read(name, count, late or (lambda: 0.0)), name)
    play.stage.run()
    windows = least(counts, play.budget.capacity)
    # A place is free a window after the response; and one endpoint's requests follow each other.
    in_a_row = min(max(counts), play.budget.capacity.endpoint) * latency
    last = max(when for _, when in play.passed)
    assert last <= windows * (60 + latency) + in_a_row, f"{last / 60} instead of {windows - 1}"


# -- How long it takes


def test_the_time_left_is_what_the_limits_make_of_what_is_expected() -> None:
    scheduler = Play(Limits(10, 2)).scheduler
    assert scheduler.workload.seconds_left(DEALS) is None, "nothing is known"
    scheduler.workload.set_remaining("deals", DEALS, 9)
    scheduler.workload.set_remaining("notes", NOTES, 40)
    scheduler.workload.set_remaining("contacts", CONTACTS, 6)
    assert scheduler.workload.seconds_left(NOTES) == 19 * 60, "it decides, by its own limit"
    assert scheduler.workload.seconds_left(DEALS) == 4 * 60, "by its own limit, too"
    assert scheduler.workload.seconds_left(CONTACTS) == 2 * 60, (
        "those that decide leave six of ten places"
    )
    scheduler.workload.remove("contacts")
    assert scheduler.workload.seconds_left(CONTACTS) is None
    assert scheduler.workload.seconds_left(None) is None


def test_where_the_account_is_what_is_short_all_end_with_it() -> None:
    scheduler = Play(Limits(4, 4)).scheduler
    for endpoint in ENDPOINTS:
        scheduler.workload.set_remaining(endpoint, endpoint, 20)
    assert [scheduler.workload.seconds_left(endpoint) for endpoint in ENDPOINTS] == [14 * 60] * 3


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, None), (0.6, 0.6), (5.0, 5.0)])
def test_a_wait_that_is_over_when_it_is_read_is_not_told(
    seconds: float, shown: float | None
) -> None:
    play, seen = Play(), list[WaitReason | None]()
    play.stage.start(lambda: play.scheduler.sleep(seconds))
    play.stage.start(lambda: seen.append(play.scheduler.wait_reason()))
    play.stage.run()
    assert seen == [WaitReason("another try", shown)]


def test_a_wait_counts_before_it_is_over() -> None:
    play = Play(Limits(1, 1))
    seen: list[float] = []

    def look() -> None:
        play.stage.take_time(25)
        seen.append(play.scheduler.waited)

    for _ in range(2):
        play.stage.start(lambda: play.request(DEALS))
    play.stage.start(look)
    play.stage.run()
    assert [*seen, play.scheduler.waited] == [25, 60]
