"""What Lev says of the key: whose it is, what it may read and how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev import budget
from tap_lev.errors import BrokenAnswerError, KeyRefusedError, LevAPIError, LevError, quoted

if TYPE_CHECKING:
    from tap_lev.tap import TapLev


def learn_limits(tap: TapLev) -> None:
    """Ask Lev for the account's limits, unless the settings give them (lev-api.md §1.10).

    Raises:
        KeyRefusedError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """
    gate = tap.client.gate
    if budget.configured(tap.config) is not None:
        return
    try:
        found = budget.told(tap.client.me(tap.report.tap), tap.config)
        reason = "Lev does not tell them"
    except KeyRefusedError:
        raise
    except (LevAPIError, BrokenAnswerError) as error:
        found, reason = None, str(error)
    if found is not None:
        gate.budget.limits = found
        return
    tap.logger.warning(
        "The account's rate limits are not known (%s), so those of the smallest tier are kept: "
        "%d requests a minute, %d of them to one endpoint. If the account has more, set "
        "api_tier, or requests_per_minute and requests_per_minute_per_endpoint.",
        reason,
        *gate.budget.limits,
    )


def told(tap: TapLev) -> dict[str, Any]:
    """Find account, tier and scopes, as far as Lev tells them (lev-api.md §2.24).

    Raises:
        KeyRefusedError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """
    note = None
    me: Any = None
    try:
        me = tap.client.me(tap.report.tap)
    except KeyRefusedError:
        raise
    except LevError as error:
        if not tap.client.reached:
            raise
        note = str(error)
    account, platform = _object(me, "account"), _object(me, "platform")
    tier, scopes = platform.get("api_tier"), platform.get("granted_scopes")
    return {
        "account": {
            name: value if isinstance(value := account.get(name), int | str) else None
            for name in ("id", "name", "slug")
        },
        "tier": tier if isinstance(tier, str) else None,
        "scopes": [quoted(scope) for scope in scopes] if isinstance(scopes, list) else None,
        "note": note,
    }


def limits(tap: TapLev) -> dict[str, Any]:
    """Find how many requests Lev allows in a window, and how many of them the tap makes."""
    budget = tap.client.gate.budget
    return {
        "window_seconds": tap.config["rate_limit_window_seconds"],
        "account": budget.limits.account,
        "endpoint": budget.limits.endpoint,
        "used_of_account": budget.places.account,
        "used_of_endpoint": budget.places.endpoint,
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
