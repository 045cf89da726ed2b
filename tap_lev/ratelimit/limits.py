"""Find the rate limits: from the settings, or from the tier that ``/me`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Limits(NamedTuple):
    """Requests that a window may hold (lev-api.md §1.10).

    Attributes:
        account: Those of the whole account.
        endpoint: Those to one endpoint, which is a route template.
    """

    account: int
    endpoint: int


TIERS = {
    "free": Limits(30, 10),
    "standard": Limits(100, 20),
    "enterprise": Limits(500, 60),
}


def fallback_limits(config: Mapping[str, Any]) -> Limits:
    """Return the limits to keep while those of the account are unknown.

    They are those of the smallest tier. A limit in the settings replaces either one.
    """
    limits = _with_overrides(TIERS["free"], config)
    assert limits is not None  # noqa: S101 - the tier has both
    return limits


def configured_limits(config: Mapping[str, Any]) -> Limits | None:
    """Return the limits that follow from the settings alone.

    Returns:
        The limits, or None if ``/me`` must name the tier.
    """
    return _with_overrides(TIERS.get(config.get("api_tier", "auto")), config)


def limits_from_me(me: object, config: Mapping[str, Any]) -> Limits | None:
    """Look up the limits of the tier that ``GET /me`` names.

    Args:
        me: The ``data`` of the response, in any form.
        config: The settings, which override the tier's limits.

    Returns:
        The limits, or None if they are unknown.
    """
    platform = me.get("platform") if isinstance(me, dict) else None
    # Not from ``rate_limits`` beside it: no page shows what that holds (lev-api.md §3 row 16).
    tier = platform.get("api_tier") if isinstance(platform, dict) else None
    limits = TIERS.get(tier.strip().lower()) if isinstance(tier, str) else None
    return _with_overrides(limits, config)


def _with_overrides(limits: Limits | None, config: Mapping[str, Any]) -> Limits | None:
    account = config.get("requests_per_minute") or (limits and limits.account)
    endpoint = config.get("requests_per_minute_per_endpoint") or (limits and limits.endpoint)
    return Limits(account, endpoint) if account and endpoint else None
