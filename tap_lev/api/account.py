"""What Lev says of the key: whose it is, what it may read and how much of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tap_lev.api.json_values import whole
from tap_lev.errors import AuthenticationError, ConfigError, LevError
from tap_lev.ratelimit.limits import configured_limits, limits_from_me
from tap_lev.text import quoted

if TYPE_CHECKING:
    from datetime import datetime

    from tap_lev.api.response import LevResponse
    from tap_lev.tap import TapLev


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Whose key a run uses, as far as Lev says (lev-api.md §2.24).

    Attributes:
        account: The account's id; its slug where Lev names no id; the setting ``active_account``
            where Lev names no account.
        user: The id of the key's user.
        checked: Whether ``account`` comes from Lev.
        server_time: The server's clock at the start of the run.
        me: The ``data`` of ``GET /me``, whatever it is.
        fault: Why that says nothing, a sentence.
    """

    account: int | str | None = None
    user: int | None = None
    checked: bool = False
    server_time: datetime | None = None
    me: Any = dataclasses.field(default=None, repr=False)
    fault: str | None = None


def identify(tap: TapLev) -> Identity:
    """Ask Lev whose key it is, and keep to the account's limits (lev-api.md §1.10).

    A run does not need it: without an answer it keeps to the limits of the smallest tier, unless
    the settings give some.

    Raises:
        KeyRefusedError: Lev does not accept the key.
        ConfigError: A setting keeps the request from reaching Lev.
    """
    found = _identity(tap)
    unchecked = found.fault and f"The account is not checked: {found.fault}"
    if configured_limits(tap.config) is not None:
        if unchecked:
            tap.logger.warning("%s", unchecked)
        return found
    if (told := limits_from_me(found.me, tap.config)) is not None:
        tap.client.scheduler.budget.limits = told
        return found
    tap.logger.warning(
        "The account's rate limits are not known (%s), so those of the smallest tier are kept: "
        "%d requests a minute, %d of them to one endpoint. If the account has more, set "
        "api_tier, or requests_per_minute and requests_per_minute_per_endpoint.",
        unchecked or "Lev does not tell them",
        *tap.client.scheduler.budget.limits,
    )
    return found


def _identity(tap: TapLev) -> Identity:
    active = tap.config.get("active_account")
    try:
        answer = tap.client.me(tap.report.tap)
    except (AuthenticationError, ConfigError):
        raise
    except LevError as error:
        return Identity(active, fault=str(error))
    me, clock = answer.data, answer.server_time
    if not isinstance(me, dict):
        return Identity(active, server_time=clock, me=me, fault=_no_object(answer))
    account, user = _object(me, "account"), _object(me, "user")
    names = [whole(account.get(key)) for key in ("id", "slug")]
    told = [name for name in names if _is_name(name)]
    user_id = whole(user.get("id"))
    return Identity(
        account=told[0] if told else active,
        user=user_id if type(user_id) is int else None,
        checked=bool(told),
        server_time=clock,
        me=me,
    )


def _is_name(value: object) -> bool:
    return type(value) is int or (isinstance(value, str) and bool(value))


def _no_object(answer: LevResponse) -> str:
    return (
        f"Lev answered {answer.endpoint} with data that is no object "
        f"(request_id {answer.request_id or 'not given'})."
    )


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


def limits(tap: TapLev) -> dict[str, Any]:
    """Find how many requests Lev allows in a window, and how many of them the tap makes."""
    budget = tap.client.scheduler.budget
    return {
        "window_seconds": tap.config["rate_limit_window_seconds"],
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
