"""Describe the key's account and its limits, for ``--check`` and ``--plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev.text import quoted

if TYPE_CHECKING:
    from tap_lev.api.account import Identity
    from tap_lev.sync.run import Run


def account_of(identity: Identity) -> dict[str, Any]:
    """Return account, tier and scopes, as far as Lev states them (lev-api.md §2.24)."""
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


def limits_of(run: Run) -> dict[str, Any]:
    """Return how many requests Lev allows in a window, and how many of them the tap makes."""
    budget = run.scheduler.budget
    return {
        "window_seconds": run.config["rate_limit_window_seconds"],
        "account": budget.limits.account,
        "endpoint": budget.limits.endpoint,
        "used_of_account": budget.capacity.account,
        "used_of_endpoint": budget.capacity.endpoint,
    }


def account_lines(account: dict[str, Any] | None, limits: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines above a report, each with its title.

    Args:
        account: The result of ``account_of``, or None to show the limits only.
        limits: The result of ``limits_of``.
    """
    allowed = (
        "limits",
        "{account} requests in {window_seconds:g} s, {endpoint} of them to one endpoint; tap-lev "
        "uses {used_of_account} and {used_of_endpoint}".format(**limits),
    )
    if account is None:
        return [allowed]
    known = {part: value for part, value in account["account"].items() if value is not None}
    scopes = account["scopes"]
    return [
        ("account", ", ".join(f"{part} {known[part]}" for part in known) or "not told"),
        ("tier", account["tier"] or "not told"),
        ("scopes", "not told" if scopes is None else ", ".join(scopes) or "none"),
        allowed,
    ]


def _object(value: object, name: str) -> dict[str, Any]:
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else {}
