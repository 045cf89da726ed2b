"""Find out whose key it is, and how many requests its account may make."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from tap_lev.api.json_values import whole
from tap_lev.errors import AuthenticationError, ConfigError, LevError
from tap_lev.ratelimit.limits import configured_limits, limits_from_me
from tap_lev.text import name_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_lev.api.client import LevClient
    from tap_lev.api.response import LevResponse


LOGGER = logging.getLogger("tap-lev")


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


def identify(client: LevClient, config: Mapping[str, Any]) -> Identity:
    """Find out whose key it is, and keep to the account's limits (lev-api.md §1.10).

    A run does not need it: without a response it keeps to the limits of the smallest tier, unless
    the settings give some.

    Args:
        client: Sends ``GET /me``.
        config: The tap's settings.

    Raises:
        KeyRefusedError: Lev does not accept the key.
        ConfigError: A setting keeps the request from reaching Lev.
    """
    found = _identity(client, config)
    unchecked = found.fault and f"The account is not checked: {found.fault}"
    if configured_limits(config) is not None:
        if unchecked:
            LOGGER.warning("%s", unchecked)
        return found
    if (told := limits_from_me(found.me, config)) is not None:
        client.scheduler.use_limits(told)
        return found
    LOGGER.warning(
        "The account's rate limits are not known (%s), so those of the smallest tier are kept: "
        "%d requests a minute, %d of them to one endpoint. If the account has more, set "
        "api_tier, or requests_per_minute and requests_per_minute_per_endpoint.",
        unchecked or "Lev does not tell them",
        *client.scheduler.limits,
    )
    return found


def _identity(client: LevClient, config: Mapping[str, Any]) -> Identity:
    active = config.get("active_account")
    try:
        answer = client.me()
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
        f"({name_request(answer.request_id)})."
    )


def _object(value: object, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
