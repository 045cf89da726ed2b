"""What is forecast is what the gate then does, on a stage where hours take no time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_lev.commands.duration import ACCOUNT, EndpointLoad, RateLimits, estimate_duration
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import TIERS, Limits
from tests.unit.ratelimit.test_scheduler import Play

WINDOW, SHARE, PARALLEL = 60.0, 0.9, 8
CLOSE = 0.15
DEFAULT = {"deals": 10, "placements": 30, "contacts": 25, "companies": 8, "a": 1, "b": 1, "c": 1}
"""Requests of the default selection, for 2,000 deals."""
PER_DEAL = {f"child {number}": 1 for number in range(14)} | {"task notes": 8}


def everything(deals: int) -> dict[str, int]:
    """Requests by endpoint, where everything is selected."""
    others = {"placement notes": 3 * deals, "contact notes": 5 * deals // 2}
    return DEFAULT | others | {name: number * deals for name, number in PER_DEAL.items()}


def pace(limits: Limits, parallel: int = PARALLEL) -> RateLimits:
    return RateLimits(RateBudget(limits, SHARE).capacity, WINDOW, parallel)


def loads(counts: dict[str, int], latency: float) -> list[list[EndpointLoad]]:
    """Walks of their own, one for each endpoint."""
    return [[EndpointLoad(f"GET /{name}", count, latency)] for name, count in counts.items()]


def played(counts: dict[str, int], limits: Limits, latency: float) -> float:
    """Seconds that the gate takes for requests to some endpoints."""
    play = Play(limits, parallel=PARALLEL, share=SHARE)
    for name, count in counts.items():
        play.start(f"GET /{name}", count, latency)
    play.stage.run()
    return play.stage.now


@pytest.mark.parametrize("latency", [0.05, 0.4])
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({"contacts": 1}, id="one request"),
        pytest.param({"contacts": 9}, id="a window's worth on free"),
        pytest.param({"contacts": 200}, id="one long list"),
        pytest.param(DEFAULT, id="default selection"),
        pytest.param(everything(3), id="everything, 3 deals"),
        pytest.param(everything(60), id="everything, 60 deals"),
    ],
)
def test_the_gate_takes_as_long_as_is_forecast(
    tier: str, counts: dict[str, int], latency: float
) -> None:
    limits = TIERS[tier]
    expected = estimate_duration(loads(counts, latency), pace(limits)).seconds
    assert expected == pytest.approx(played(counts, limits, latency), rel=CLOSE)


@pytest.mark.parametrize("tier", TIERS)
def test_hours_are_forecast_as_well_as_minutes(tier: str) -> None:
    limits = TIERS[tier]
    hours = 3 * 60 * limits.endpoint
    counts = {"task notes": hours, "deal notes": hours // 8}
    seconds = played(counts, limits, 0.3)
    assert seconds > 3 * 3600
    assert estimate_duration(loads(counts, 0.3), pace(limits)).seconds == pytest.approx(
        seconds, rel=0.01
    )


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
    st.sampled_from(sorted(TIERS)),
    st.sampled_from([0.01, 0.1, 0.5]),
)
def test_the_gate_leaves_one_window_unused_at_most(
    counts: list[int], tier: str, latency: float
) -> None:
    named = {str(number): count for number, count in enumerate(counts)}
    expected = estimate_duration(loads(named, latency), pace(TIERS[tier])).seconds
    seconds = played(named, TIERS[tier], latency)
    assert seconds - WINDOW - 8 * latency <= expected <= seconds + 8 * latency


@pytest.mark.parametrize(
    ("counts", "bottleneck"),
    [
        ({"a": 18}, None),
        ({"a": 19}, "GET /a"),
        ({"a": 30, "b": 25}, "GET /a"),
        ({str(number): 15 for number in range(6)}, None),
        ({str(number): 16 for number in range(6)}, ACCOUNT),
        ({str(number): 18 for number in range(30)}, ACCOUNT),
    ],
)
def test_the_fullest_bucket_is_what_decides(counts: dict[str, int], bottleneck: str | None) -> None:
    assert estimate_duration(loads(counts, 0.1), pace(TIERS["standard"])).bottleneck == bottleneck


def test_where_answers_are_slow_no_limit_decides() -> None:
    found = estimate_duration(loads({"a": 40}, 5.0), pace(TIERS["standard"]))
    assert found == (200, None)


def test_nothing_takes_no_time() -> None:
    assert estimate_duration([], pace(TIERS["free"])) == (0, None)
    assert estimate_duration(loads({"a": 0}, 1.0), pace(TIERS["free"])) == (0, None)


def test_what_runs_one_after_the_other_takes_the_sum() -> None:
    walks = loads({"a": 10, "b": 10}, 0.5)
    each = estimate_duration(walks[:1], pace(TIERS["free"], parallel=1)).seconds
    assert each == pytest.approx(60 + 1)
    assert estimate_duration(walks, pace(TIERS["free"])).seconds == pytest.approx(each)
    both = estimate_duration(walks, pace(TIERS["free"], parallel=1))
    assert both == (pytest.approx(2 * each), "GET /a")


def test_children_wait_for_the_list() -> None:
    walk = [
        EndpointLoad("GET /deals", 1, 0.5),
        EndpointLoad("GET /deals/{deal_id}/notes", 3, 0.5, starts_after=0.5),
    ]
    assert estimate_duration([walk], pace(TIERS["free"])).seconds == pytest.approx(2.0)
