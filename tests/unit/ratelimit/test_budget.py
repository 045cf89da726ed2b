from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lev_sandbox import Sandbox
from lev_sandbox.account import me
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import TIERS, Limits, configured_limits, limits_from_me

DEALS, NOTES = "/deals", "/deals/{deal_id}/notes"
ENDPOINTS = (DEALS, NOTES, "/contacts")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ask(budget: RateBudget, endpoint: str, count: int = 1) -> None:
    """Send requests that have their responses at once."""
    for _ in range(count):
        assert budget.delay(endpoint) == 0
        budget.acquire(endpoint)
        budget.release(endpoint)


# -- One bucket, two buckets


def test_the_endpoint_is_full_while_the_account_is_not(clock: Clock) -> None:
    budget = RateBudget(Limits(5, 2), clock=clock)
    ask(budget, DEALS, 2)
    assert budget.delay(DEALS) == 60
    ask(budget, NOTES, 2)
    assert budget.delay(NOTES) == 60
    assert budget.delay("/contacts") == 0


def test_the_account_is_full_while_an_endpoint_is_not(clock: Clock) -> None:
    budget = RateBudget(Limits(3, 2), clock=clock)
    ask(budget, DEALS, 2)
    clock.now = 10
    ask(budget, NOTES)
    assert budget.delay(NOTES) == budget.delay("/contacts") == 50


def test_a_place_is_free_one_window_after_the_response_and_not_before(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 1), window=4, clock=clock)
    budget.acquire(DEALS)
    assert budget.delay(DEALS) == math.inf
    assert budget.used(DEALS) == 1
    clock.now = 3
    assert budget.delay(DEALS) == math.inf
    budget.release(DEALS)
    assert budget.delay(DEALS) == 4
    clock.now = math.nextafter(7, 0)
    assert budget.delay(DEALS) > 0
    assert budget.used(DEALS) == 1
    clock.now = 7
    assert budget.delay(DEALS) == 0
    assert budget.used(DEALS) == 0
    budget.acquire(NOTES)
    assert (budget.used(DEALS), budget.used(NOTES)) == (0, 1)


def test_each_request_frees_its_own_place(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 3), window=10, clock=clock)
    for clock.now in (0, 1, 2):
        ask(budget, DEALS)
    assert budget.delay(DEALS) == 8
    clock.now = 10
    assert budget.used(DEALS) == 2
    ask(budget, DEALS)
    assert budget.delay(DEALS) == 1


def test_a_request_in_flight_does_not_hide_when_another_frees_its_place(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 2), window=10, clock=clock)
    ask(budget, DEALS)
    budget.acquire(DEALS)
    assert budget.delay(DEALS) == 10
    clock.now = 10
    budget.acquire(DEALS)
    assert budget.delay(DEALS) == math.inf


def test_places_of_the_account_can_be_kept_for_others(clock: Clock) -> None:
    budget = RateBudget(Limits(5, 4), window=10, clock=clock)
    for clock.now in (0, 1, 2):
        ask(budget, DEALS)
    assert (budget.available(DEALS), budget.available(NOTES)) == (1, 4)
    assert [budget.delay(NOTES, reserve=places) for places in range(5)] == [0, 0, 8, 9, 10]
    budget.acquire(DEALS)
    assert (budget.available(DEALS), budget.delay(NOTES, reserve=4)) == (0, math.inf)
    assert budget.delay(NOTES, reserve=1000) == math.inf
    budget.limits = Limits(2, 2)
    assert budget.available(DEALS) == 0


@pytest.mark.parametrize(
    ("share", "limit", "places"),
    [
        (1, 20, 20),
        (1.0, 20, 20),
        (0.9, 20, 18),
        (0.9, 9, 8),
        (0.29, 100, 29),
        (0.57, 100, 57),
        (0.1, 10, 1),
        (0.01, 10, 1),
        (1e-300, 500, 1),
        (0.9999999999999999, 30, 29),
    ],
)
def test_the_share_counts_as_it_is_written(
    clock: Clock, share: float, limit: int, places: int
) -> None:
    budget = RateBudget(Limits(limit, limit), share, clock=clock)
    ask(budget, DEALS, places)
    assert budget.delay(DEALS) == 60


def test_limits_may_be_raised_and_lowered(clock: Clock) -> None:
    budget = RateBudget(TIERS["free"], window=10, clock=clock)
    ask(budget, DEALS, 10)
    assert budget.delay(DEALS) == 10
    budget.limits = TIERS["standard"]
    clock.now = 4
    ask(budget, DEALS, 10)
    assert budget.delay(DEALS) == 6
    budget.limits = Limits(100, 5)
    assert budget.delay(DEALS) == 10
    clock.now = 14
    ask(budget, DEALS, 5)
    assert budget.delay(DEALS) == 10


# -- Refusals


def test_a_pause_of_an_endpoint_leaves_the_others_alone(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 9), clock=clock)
    assert budget.pause(DEALS, 30)
    assert (budget.delay(DEALS), budget.delay(NOTES)) == (30, 0)
    clock.now = 29
    assert budget.delay(DEALS) == 1
    for clock.now in (30, 30.5):
        assert budget.delay(DEALS) == 0


def test_a_pause_of_the_account_stops_all(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 9), clock=clock)
    assert budget.pause(None, 30)
    assert [budget.delay(endpoint) for endpoint in ENDPOINTS] == [30, 30, 30]


def test_the_longest_reason_to_wait_counts(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 1), window=10, clock=clock)
    budget.pause(None, 3)
    budget.pause(DEALS, 5)
    assert (budget.delay(DEALS), budget.delay(NOTES)) == (5, 3)
    clock.now = 5
    ask(budget, DEALS)
    assert budget.delay(DEALS) == 10
    budget.pause(DEALS, 4)
    assert budget.delay(DEALS) == 10
    budget.pause(DEALS, 12)
    assert budget.delay(DEALS) == 12
    budget.pause(DEALS, 1)
    assert budget.delay(DEALS) == 12


@pytest.mark.parametrize("endpoint", [DEALS, None])
def test_a_pause_is_news_once(clock: Clock, endpoint: str | None) -> None:
    budget = RateBudget(Limits(9, 9), clock=clock)
    assert budget.pause(endpoint, 30)
    clock.now = 1
    # The response to a request that was in flight at the same time.
    assert not budget.pause(endpoint, 30)
    assert not budget.pause(endpoint, 5)
    assert budget.delay(DEALS) == 30
    assert budget.pause(endpoint, 60)
    assert not budget.pause(endpoint, 60)
    clock.now = 62
    assert budget.pause(endpoint, 5)


def test_a_pause_is_news_for_each_bucket(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 9), clock=clock)
    assert [budget.pause(endpoint, 30) for endpoint in (DEALS, NOTES, None)] == [True] * 3


def test_no_pause_is_no_news(clock: Clock) -> None:
    budget = RateBudget(Limits(9, 9), clock=clock)
    clock.now = 5
    assert not budget.pause(DEALS, 0)
    assert budget.delay(DEALS) == 0


# -- What was used


def test_the_part_used_is_of_what_the_account_may(clock: Clock) -> None:
    budget = RateBudget(Limits(10, 5), share=0.8, window=60, clock=clock)
    assert budget.utilization == 0
    clock.now = 1000
    assert budget.utilization == 0
    ask(budget, DEALS, 4)
    assert budget.utilization == 0.4
    clock.now = 1059
    ask(budget, NOTES, 4)
    assert budget.utilization == 0.8
    clock.now = 1060
    ask(budget, DEALS, 4)
    assert budget.utilization == 0.6
    clock.now = 1240
    assert budget.utilization == 12 / 50
    budget.limits = Limits(20, 5)
    assert budget.utilization == 12 / 100


# -- Whatever happens


@dataclasses.dataclass
class Request:
    """A request, as a server sees it and as the budget may."""

    endpoint: str
    acquire: float
    place: Fraction
    allowed: Limits
    release: float | None = None

    def arrival(self, end: float) -> float:
        """When it reaches the server: somewhere between sending and response."""
        until = end if self.release is None else self.release
        return float(self.acquire + (until - self.acquire) * self.place)


class World:
    """A budget, the requests it let go, and what it should have said by its contract."""

    def __init__(self, limits: Limits, share: float, window: float) -> None:
        self.clock = Clock()
        self.share = share
        self.window = window
        self.budget = RateBudget(limits, share, window, self.clock)
        self.requests: list[Request] = []
        self.in_flight: list[Request] = []
        self.pauses: dict[str | None, float] = defaultdict(float)

    @property
    def allowed(self) -> Limits:
        """The requests that a window may hold now."""
        share = Fraction(str(self.share))
        return Limits(*(max(1, math.floor(share * limit)) for limit in self.budget.limits))

    def expected_delay(self, endpoint: str) -> float:
        """The least time after which the contract lets a request go."""
        now, waits = self.clock.now, [0.0]
        for bucket, places in ((None, self.allowed.account), (endpoint, self.allowed.endpoint)):
            waits.append(self.pauses[bucket] - now)
            held = [request for request in self.requests if bucket in {None, request.endpoint}]
            ends = sorted(
                math.inf if request.release is None else request.release + self.window
                for request in held
            )
            # All but so many must be over.
            over = len(ends) - places
            waits.append(ends[over] - now if over >= 0 else 0.0)
        return max(waits)

    def send(self, endpoint: str, place: Fraction) -> None:
        delay = self.budget.delay(endpoint)
        assert delay == self.expected_delay(endpoint)
        if delay == math.inf:
            return
        if delay:
            self.clock.now += delay
            assert self.budget.delay(endpoint) == 0
        assert self.clock.now >= max(self.pauses[None], self.pauses[endpoint])
        request = Request(endpoint, self.clock.now, place, self.allowed)
        self.budget.acquire(endpoint)
        self.requests.append(request)
        self.in_flight.append(request)

    def respond(self, number: int) -> None:
        if self.in_flight:
            request = self.in_flight.pop(number % len(self.in_flight))
            request.release = self.clock.now
            self.budget.release(request.endpoint)

    def pause(self, endpoint: str | None, seconds: float) -> None:
        known = self.pauses[endpoint] - self.clock.now
        until = self.clock.now + seconds
        news = self.budget.pause(endpoint, seconds)
        if known <= 0:
            assert news
        if known >= seconds:
            assert not news
        self.pauses[endpoint] = max(self.pauses[endpoint], until)

    def check(self, phase: Fraction) -> None:
        """Count as the server does, by arrival."""
        end = self.clock.now
        for bucket in (None, *ENDPOINTS):
            requests = [r for r in self.requests if bucket in {None, r.endpoint}]
            for first in requests:
                start = first.arrival(end)
                self._check_window(bucket, requests, start, end)
            fixed = defaultdict(list)
            for request in requests:
                fixed[(request.arrival(end) - phase) // self.window].append(request)
            for held in fixed.values():
                self._check_held(bucket, held)

    def _check_window(
        self, bucket: str | None, requests: list[Request], start: float, end: float
    ) -> None:
        held = [r for r in requests if start <= r.arrival(end) < start + self.window]
        self._check_held(bucket, held)

    @staticmethod
    def _check_held(bucket: str | None, held: list[Request]) -> None:
        # The list is in the order of sending: what the last one was sent under holds.
        account, endpoint = held[-1].allowed
        assert len(held) <= (account if bucket is None else endpoint)


LIMITS = st.builds(Limits, st.integers(1, 8), st.integers(1, 4))
SHARES = st.sampled_from([1.0, 0.9, 0.5, 0.29])
# Time goes by in whole steps, so that much of it falls on the very border of a window.
STEPS = st.integers(1, 8)
PLACES = st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1)])
MANY = st.integers(1, 5)
SEND = st.tuples(st.just("send"), st.sampled_from(ENDPOINTS), PLACES, MANY)
RESPONSE = st.tuples(st.just("response"), st.integers(0, 3), MANY)
WAIT = st.tuples(st.just("wait"), STEPS)
PAUSE = st.tuples(st.just("pause"), st.sampled_from([None, *ENDPOINTS]), STEPS)
CHANGE = st.tuples(st.just("limits"), LIMITS)
ACTIONS = st.one_of(SEND, SEND, RESPONSE, RESPONSE, WAIT, WAIT, PAUSE, CHANGE)


@given(
    LIMITS,
    SHARES,
    st.integers(1, 6),
    st.lists(ACTIONS, min_size=10, max_size=40),
    st.fractions(0, 6, max_denominator=4),
)
@example(  # The response comes late, the request reached the server just before.
    Limits(1, 1), 1.0, 3,
    [
        ("send", DEALS, Fraction(1), 1), ("wait", 9), ("response", 0, 1),
        ("wait", 2), ("send", DEALS, Fraction(0), 1),
    ],
    Fraction(0),
)  # fmt: skip
@settings(max_examples=400)
def test_no_window_of_the_server_holds_more_than_allowed(
    limits: Limits, share: float, window: int, actions: list[Any], phase: Fraction
) -> None:
    world = World(limits, share, window)
    for name, *details in actions:
        match name:
            case "send":
                endpoint, place, count = details
                for _ in range(count):
                    world.send(endpoint, place)
            case "response":
                number, count = details
                for _ in range(count):
                    world.respond(number)
            case "wait":
                world.clock.now += details[0]
            case "pause":
                world.pause(*details)
            case "limits":
                (world.budget.limits,) = details
    # What is still in flight may reach the server whenever it likes.
    world.clock.now += window
    world.check(phase)


@given(st.integers(1, 600), st.integers(1, 100), SHARES, st.integers(1, 90), st.integers(1, 300))
def test_no_time_is_lost(
    account: int, endpoint: int, share: float, window: int, requests: int
) -> None:
    clock = Clock()
    budget = RateBudget(Limits(account, endpoint), share, window, clock)
    for _ in range(requests):
        clock.now += budget.delay(DEALS)
        ask(budget, DEALS)
    places = max(1, math.floor(Fraction(str(share)) * min(account, endpoint)))
    assert clock.now == (math.ceil(requests / places) - 1) * window
    assert budget.utilization <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.sampled_from(ENDPOINTS), max_size=200))
def test_side_by_side_takes_the_time_of_the_narrowest(
    account: int, endpoint: int, wanted: list[str]
) -> None:
    clock = Clock()
    budget = RateBudget(Limits(account, endpoint), window=60, clock=clock)
    left = list(wanted)
    while left:
        ready = [name for name in left if budget.delay(name) == 0]
        if not ready:
            clock.now += min(budget.delay(name) for name in left)
            continue
        # Whoever has the most left goes first.
        name = max(ready, key=left.count)
        ask(budget, name)
        left.remove(name)
    needed = [math.ceil(len(wanted) / account)]
    needed += [math.ceil(wanted.count(name) / endpoint) for name in ENDPOINTS]
    assert clock.now == max(*needed, 1) * 60 - 60


@given(
    st.floats(1e-3, 1e3),
    st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1, max_size=20),
    st.floats(0, 1e9),
)
def test_the_delay_is_enough_in_any_arithmetic(
    window: float, steps: list[tuple[float, float]], start: float
) -> None:
    clock = Clock()
    clock.now = start
    budget = RateBudget(Limits(3, 2), 1.0, window, clock)
    for pause, latency in steps:
        clock.now += budget.delay(DEALS)
        assert budget.delay(DEALS) == 0
        budget.acquire(DEALS)
        clock.now += latency
        budget.release(DEALS)
        budget.pause(DEALS, pause)


@pytest.mark.parametrize(
    ("start", "window", "now"), [(1.5, 2.1, 1.51), (0.2, 2.6, 0.55), (0.3, 1.5, 0.63)]
)
def test_a_wait_is_never_rounded_down(
    clock: Clock, start: float, window: float, now: float
) -> None:
    assert now + (start + window - now) < start + window
    budget = RateBudget(Limits(1, 1), window=window, clock=clock)
    clock.now = start
    ask(budget, DEALS)
    clock.now = now
    clock.now += budget.delay(DEALS)
    assert budget.delay(DEALS) == 0


def test_what_is_over_is_not_kept(clock: Clock) -> None:
    budget = RateBudget(Limits(5, 3), window=1, clock=clock)
    for endpoint in itertools.islice(itertools.cycle(ENDPOINTS), 3000):
        clock.now += budget.delay(endpoint)
        ask(budget, endpoint)
    buckets = [budget._account, *budget._endpoints.values()]
    assert [len(bucket.releases) <= 5 for bucket in buckets] == [True] * 4


# -- Where the limits come from

NUMBERS = {"requests_per_minute": 77, "requests_per_minute_per_endpoint": 7}


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"api_tier": "auto"}, None, id="auto"),
        pytest.param({"api_tier": "free"}, Limits(30, 10), id="free"),
        pytest.param({"api_tier": "standard"}, Limits(100, 20), id="standard"),
        pytest.param({"api_tier": "enterprise"}, Limits(500, 60), id="enterprise"),
        pytest.param(NUMBERS, Limits(77, 7), id="numbers"),
        pytest.param({"api_tier": "auto"} | NUMBERS, Limits(77, 7), id="auto and numbers"),
        pytest.param({"api_tier": "free"} | NUMBERS, Limits(77, 7), id="tier and numbers"),
        pytest.param({"requests_per_minute": 77}, None, id="account"),
        pytest.param({"requests_per_minute_per_endpoint": 7}, None, id="endpoint"),
        pytest.param(
            {"api_tier": "free", "requests_per_minute": 77}, Limits(77, 10), id="tier and account"
        ),
        pytest.param(
            {"api_tier": "free", "requests_per_minute_per_endpoint": 7},
            Limits(30, 7),
            id="tier and endpoint",
        ),
    ],
)
def test_the_settings_give_limits_or_lev_is_asked(
    config: dict[str, Any], limits: Limits | None
) -> None:
    assert configured_limits(config) == limits


@pytest.mark.parametrize("tier", ["free", "standard", "enterprise"])
@pytest.mark.parametrize("shape", ["absent", "empty", "flat", "nested"])
@pytest.mark.parametrize("scoped", [True, False])
def test_what_lev_says_of_its_limits(tier: str, shape: str, scoped: bool) -> None:  # noqa: FBT001
    sandbox = Sandbox(tier=tier, deals=0, placements=0, contacts=0, companies=0, lenders=0)
    sandbox.switches.set({"me_rate_limits": shape})
    assert limits_from_me(me(sandbox, scoped=scoped), {}) == TIERS[tier]
    sandbox.limits.configure(account=77, endpoint=7)
    assert limits_from_me(me(sandbox, scoped=scoped), {}) == TIERS[tier]
    assert limits_from_me(me(sandbox, scoped=scoped), NUMBERS) == Limits(77, 7)


@pytest.mark.parametrize(
    "rate_limits",
    [
        pytest.param(None, id="null"),
        pytest.param([77, 7], id="list"),
        pytest.param("77/min", id="text"),
        pytest.param(77, id="number"),
        pytest.param({"account": 77, "endpoint": 7}, id="flat"),
        pytest.param({"account": {"limit": 77}, "endpoint": {"limit": 7}}, id="nested"),
        pytest.param({"requests_per_minute": 77, "window_seconds": 60}, id="minute"),
        pytest.param({"remaining": 77, "used": 7}, id="other numbers"),
    ],
)
@pytest.mark.parametrize("tier", ["standard", " Standard ", "STANDARD"])
def test_the_name_of_the_tier_gives_the_limits_whatever_stands_beside_it(
    rate_limits: object, tier: str
) -> None:
    platform = {"api_tier": tier, "rate_limits": rate_limits}
    assert limits_from_me({"platform": platform}, {}) == Limits(100, 20)
    assert limits_from_me({"platform": platform}, NUMBERS) == Limits(77, 7)
    assert limits_from_me({"platform": platform}, {"requests_per_minute": 50}) == Limits(50, 20)
    assert limits_from_me(
        {"platform": platform}, {"requests_per_minute_per_endpoint": 7}
    ) == Limits(100, 7)


@pytest.mark.parametrize(
    "said",
    [
        None, [], "free", 5, {}, {"platform": None}, {"platform": ["free"]}, {"platform": "free"},
        {"platform": {}}, {"platform": {"api_tier": None}}, {"platform": {"api_tier": "gold"}},
        {"platform": {"api_tier": ["free"]}}, {"platform": {"api_tier": {}}}, {"api_tier": "free"},
        {"platform": {"api_tier": "auto"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_says_nothing_gives_no_limits(said: object) -> None:
    assert limits_from_me(said, {"api_tier": "auto", "requests_per_minute": 77}) is None


def test_no_response_is_too_deep_and_no_limit_too_long() -> None:
    deep: dict[str, Any] = {"limit": 7}
    for _ in range(5000):
        deep = {"limit": deep}
    long = 10**5000
    for odd in (deep, [deep], long):
        platform = {"api_tier": odd, "rate_limits": {"account": deep, "endpoint": odd}}
        assert limits_from_me({"platform": platform}, {}) is None
    settings = {"requests_per_minute": long, "requests_per_minute_per_endpoint": long}
    limits = limits_from_me({"platform": {"api_tier": "free"}}, settings)
    assert limits == (long, long)
    budget = RateBudget(limits, 0.9)
    ask(budget, DEALS, 3)
    assert budget.utilization == 0


NAMES = st.sampled_from(
    [
        "account", "endpoint", "per_account", "per_endpoint", "requests_per_minute", "limit",
        "requests_per_minute_per_endpoint", "window", "window_seconds", "requests", "per_minute",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner),
    max_leaves=8,
)


@given(
    ANYTHING
    | st.fixed_dictionaries(
        {},
        optional={
            "platform": ANYTHING
            | st.fixed_dictionaries({}, optional={"rate_limits": ANYTHING, "api_tier": ANYTHING})
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "api_tier": st.sampled_from(["auto", *TIERS]),
            "requests_per_minute": st.integers(min_value=1),
            "requests_per_minute_per_endpoint": st.integers(min_value=1),
            "rate_limit_window_seconds": st.floats(0.01, 86400),
        },
    ),
)
def test_whatever_lev_says_the_limits_are_positive_or_none(
    said: object, config: dict[str, Any]
) -> None:
    for limits in (limits_from_me(said, config), configured_limits(config)):
        assert limits is None or all(type(number) is int and number > 0 for number in limits)


# -- How long it takes


@given(
    limits=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    before=st.lists(st.tuples(st.sampled_from(ENDPOINTS), st.integers(0, 40)), max_size=8),
    out=st.integers(0, 2),
    pause=st.sampled_from([0, 7, 130]),
    endpoint=st.sampled_from([None, *ENDPOINTS]),
    count=st.integers(0, 12),
)
@example(limits=(5, 2), before=[], out=0, pause=0, endpoint=DEALS, count=5)
@example(limits=(2, 2), before=[(DEALS, 0), (DEALS, 5)], out=0, pause=0, endpoint=None, count=4)
def test_so_many_requests_take_as_long_as_it_was_said(  # noqa: PLR0913, PLR0917
    limits: tuple[int, int],
    before: list[tuple[str, int]],
    out: int,
    pause: int,
    endpoint: str | None,
    count: int,
) -> None:
    clock = Clock()
    budget = RateBudget(Limits(*limits), clock=clock)
    for name, seconds in before:
        clock.now += seconds
        if not budget.delay(name):
            ask(budget, name)
    for _ in range(out):
        if not budget.delay(DEALS):
            budget.acquire(DEALS)
    if pause:
        budget.pause(endpoint, pause)
    said, began = budget.seconds_for(count, endpoint), clock.now
    while budget._account.in_flight:
        budget.release(DEALS)
    # Of one bucket only: nothing else is to keep the requests waiting.
    account, own = budget.capacity
    budget.capacity = Limits(account, 99) if endpoint is None else Limits(999, own)
    if endpoint is not None:
        budget._account.paused_until = -math.inf
    for _ in range(count):
        clock.now += budget.delay(endpoint or "/new")
        ask(budget, endpoint or "/new")
    assert clock.now - began == pytest.approx(said)
