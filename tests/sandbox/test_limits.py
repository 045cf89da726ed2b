"""The rate limits, by an injected clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lev_sandbox import Clock
from lev_sandbox.limits import TIERS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.lab import Lab


@pytest.mark.parametrize("tier", ["free", "standard", "enterprise"])
def test_both_buckets_of_a_tier(tier: str) -> None:
    account, endpoint = TIERS[tier]
    assert account
    assert endpoint
    limits = Limits(Clock(frozen=True), tier=tier)
    passed = [limits.admit("GET /a") is None for _ in range(endpoint + 3)]
    assert passed == [True] * endpoint + [False] * 3
    others = [limits.admit(f"GET /{number}") is None for number in range(account)]
    assert sum(others) == account - endpoint
    excess = limits.admit("GET /new")
    assert excess
    assert excess.bucket == "account"


@given(
    eighths=st.lists(st.integers(0, 200), min_size=1, max_size=120),
    limit=st.integers(1, 6),
    window=st.integers(1, 20),
)
def test_no_window_holds_more_than_the_limit(eighths: list[int], limit: int, window: int) -> None:
    clock = Clock(frozen=True)
    limits = Limits(clock, window=window, account=limit, tier="enterprise")
    admitted: list[float] = []
    for gap in eighths:
        # Eighths of a second add up without rounding.
        clock.advance(gap / 8)
        excess = limits.admit("GET /a")
        if excess is None:
            admitted.append(clock.elapsed())
        else:
            assert 0 < excess.wait <= window
    for first, last in zip(admitted, admitted[limit:], strict=False):
        assert last - first >= window


def test_the_told_wait_is_long_enough_and_no_longer() -> None:
    clock = Clock(frozen=True)
    limits = Limits(clock, tier="free", endpoint=2)
    limits.admit("GET /a")
    clock.advance(10)
    limits.admit("GET /a")
    excess = limits.admit("GET /a")
    assert excess
    assert excess.wait == 50
    clock.advance(49.9)
    assert limits.admit("GET /a")
    clock.advance(0.1)
    assert limits.admit("GET /a") is None


def test_fixed_windows_start_anew() -> None:
    clock = Clock(frozen=True)
    limits = Limits(clock, tier="free", endpoint=2, mode="fixed")
    clock.advance(59)
    assert [limits.admit("GET /a") is None for _ in range(3)] == [True, True, False]
    clock.advance(1)
    assert [limits.admit("GET /a") is None for _ in range(3)] == [True, True, False]
    excess = limits.admit("GET /a")
    assert excess
    assert excess.wait == 60


def test_an_endpoint_is_a_route_template(serve: Callable[..., Lab]) -> None:
    lab = serve(tier="free", clock=Clock(frozen=True))
    statuses = [lab.get(f"/deals/{number}/notes").status_code for number in range(1, 13)]
    assert statuses == [200] * 10 + [429] * 2
    assert lab.get("/contacts").status_code == 200


def test_public_endpoints_have_limits_of_their_own(serve: Callable[..., Lab]) -> None:
    clock = Clock(frozen=True)
    lab = serve(tier="enterprise", clock=clock)
    path = "/auth/validate-api-key"
    statuses = [lab.ask("POST", path, json={"api_key": "x"}).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert [lab.get("/health").status_code for _ in range(101)] == [200] * 100 + [429]
    clock.advance(60)
    assert lab.get("/health").status_code == 200


def test_no_limits_by_default(lab: Lab) -> None:
    assert {lab.get("/contacts", limit=1).status_code for _ in range(120)} == {200}


def test_refused_keys_are_not_counted(serve: Callable[..., Lab]) -> None:
    lab = serve(tier="free", clock=Clock(frozen=True))
    for _ in range(40):
        lab.ask("GET", "/contacts", headers={"Authorization": "Bearer x"})
    assert lab.get("/contacts").status_code == 200


@pytest.mark.parametrize(
    "change", [{"tier": "gold"}, {"window": 0}, {"mode": "leaky"}, {"account": 0}, {"colour": 1}]
)
def test_a_wrong_limit_is_one_clear_error(change: dict[str, object]) -> None:
    limits = Limits(Clock())
    with pytest.raises(ValueError, match=next(iter(change))):
        limits.configure(**change)
    assert limits.tier == "none"
