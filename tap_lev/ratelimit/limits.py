"""How many requests each window may hold: by the settings, the tier, or ``/me``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Limits(NamedTuple):
    """How many requests each window may hold.

    Attributes:
        account: Of the whole account.
        endpoint: Of one endpoint, which is a route template.
    """

    account: int
    endpoint: int


TIERS = {
    "free": Limits(30, 10),
    "standard": Limits(100, 20),
    "enterprise": Limits(500, 60),
}


# Lev names rate_limits without showing them, so these are the likely names.
_ACCOUNT = ("account", "per_account", "requests_per_minute", "account_requests_per_minute")


_ENDPOINT = (
    "endpoint",
    "per_endpoint",
    "requests_per_minute_per_endpoint",
    "endpoint_requests_per_minute",
)


_NUMBER = ("limit", "requests", "requests_per_minute", "per_minute")


_WINDOW = ("window", "window_seconds")


def fallback_limits(config: Mapping[str, Any]) -> Limits:
    """Find the limits to keep while nobody knows those of the account.

    Where the settings give one of the two, even a lower one, it counts.
    """
    limits = _with_overrides(TIERS["free"], config)
    assert limits is not None  # noqa: S101 - the tier has both
    return limits


def configured_limits(config: Mapping[str, Any]) -> Limits | None:
    """Find the limits that the settings give by themselves.

    Returns:
        The limits, or None when Lev has to be asked.
    """
    return _with_overrides(TIERS.get(config.get("api_tier", "auto")), config)


def limits_from_me(me: object, config: Mapping[str, Any]) -> Limits | None:
    """Read the limits from what ``GET /me`` says.

    Numbers count where they can be read without doubt, else the name of the tier does. What the
    settings say goes before both.

    Args:
        me: The ``data`` of the answer, whatever it is.
        config: The settings.

    Returns:
        The limits, or None when there is nothing to go by.
    """
    platform = _object(_object(me).get("platform"))
    numbers, tier = _object(platform.get("rate_limits")), platform.get("api_tier")
    window = config.get("rate_limit_window_seconds", 60)
    account, endpoint = (_number(numbers, names, window) for names in (_ACCOUNT, _ENDPOINT))
    if account and endpoint:
        return _with_overrides(Limits(account, endpoint), config)
    known = TIERS.get(tier.strip().lower()) if isinstance(tier, str) else None
    return _with_overrides(known, config)


def _with_overrides(limits: Limits | None, config: Mapping[str, Any]) -> Limits | None:
    account = config.get("requests_per_minute") or (limits and limits.account)
    endpoint = config.get("requests_per_minute_per_endpoint") or (limits and limits.endpoint)
    return Limits(account, endpoint) if account and endpoint else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(
    values: Mapping[str, Any], names: Iterable[str], window: float, *, deep: bool = True
) -> int | None:
    """Find the one number, for this window, that stands under these names."""
    if any(values[name] != window for name in _WINDOW if name in values):
        return None
    found = {
        _number(value, _NUMBER, window, deep=False) if isinstance(value, dict) else value
        for value in map(values.get, names)
        if (type(value) is int and value > 0) or (deep and isinstance(value, dict))
    }
    return found.pop() if len(found) == 1 else None
