"""Show whose key it is, and the limits of its account, in ``--check`` and ``--plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.api.account import Identity
    from tap_lev.api.client import LevClient


def told(identity: Identity) -> dict[str, Any]:
    """Find account, tier and scopes, as far as Lev tells them (lev-api.md §2.24)."""
    account, platform = _object(identity.me, "account"), _object(identity.me, "platform")
    tier, scopes = platform.get("api_tier"), platform.get("granted_scopes")
    return {
        "account": {
            name: value if isinstance(value := account.get(name), int | str) else None
            for name in ("id", "name", "slug")
        },
        "tier": tier if isinstance(tier, str) else None,
        "scopes": [quoted(scope) for scope in scopes] if isinstance(scopes, list) else None,
        "note": identity.fault,
    }


def limits(client: LevClient, config: Mapping[str, Any]) -> dict[str, Any]:
    """Find how many requests Lev allows in a window, and how many of them the tap makes."""
    budget = client.scheduler.budget
    return {
        "window_seconds": config["rate_limit_window_seconds"],
        "account": budget.limits.account,
        "endpoint": budget.limits.endpoint,
        "used_of_account": budget.capacity.account,
        "used_of_endpoint": budget.capacity.endpoint,
    }


def lines(who: dict[str, Any] | None, limit: dict[str, Any]) -> list[tuple[str, str]]:
    """Tell both for people.

    Args:
        who: What ``told`` says, where it was asked.
        limit: What ``limits`` says.
    """
    allowed = (
        "limits",
        "{account} requests in {window_seconds:g} s, {endpoint} of them to one endpoint; tap-lev "
        "uses {used_of_account} and {used_of_endpoint}".format(**limit),
    )
    if who is None:
        return [allowed]
    known = {part: value for part, value in who["account"].items() if value is not None}
    scopes = who["scopes"]
    return [
        ("account", ", ".join(f"{part} {known[part]}" for part in known) or "not told"),
        ("tier", who["tier"] or "not told"),
        ("scopes", "not told" if scopes is None else ", ".join(scopes) or "none"),
        allowed,
    ]


def _object(value: object, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
