"""Identify the key's account and user, and keep to the account's rate limits."""

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
    """The account and the user of the key (lev-api.md §2.24).

    Attributes:
        account: The account's id; its slug where Lev names no id; the setting ``active_account``
            where Lev names no account; or None.
        user: The id of the key's user, or None if unknown.
        checked: Whether ``account`` comes from Lev.
        server_time: The server's clock at the start of the run, or None if unknown.
        me: The ``data`` of ``GET /me``, of any form.
        fault: A sentence why ``me`` is of no use, or None.
    """

    account: int | str | None = None
    user: int | None = None
    checked: bool = False
    server_time: datetime | None = None
    me: Any = dataclasses.field(default=None, repr=False)
    fault: str | None = None


def identify(client: LevClient, config: Mapping[str, Any]) -> Identity:
    """Identify the key, and keep to the account's limits (lev-api.md §1.10).

    Args:
        client: Sends ``GET /me``.
        config: The tap's settings.

    Raises:
        AuthenticationError: Lev does not accept the key.
        ConfigError: A setting keeps the request from reaching Lev.
    """
    # A run can do without /me, so its failure is a warning. But for two things it is missed:
    # 1. A state of another account would not be noticed (W5 in docs/design/walk.md).
    # 2. The tier is unknown. The limits of the smallest are kept, which every account has.
    identity = _identity(client, config)
    unchecked = identity.fault and f"The account is not checked: {identity.fault}"
    # Limits in the settings win over those of the tier, and spare the second warning.
    if configured_limits(config) is not None:
        if unchecked:
            LOGGER.warning("%s", unchecked)
        return identity
    if (limits := limits_from_me(identity.me, config)) is not None:
        client.scheduler.use_limits(limits)
        return identity
    LOGGER.warning(
        "The account's rate limits are not known (%s), so those of the smallest tier are kept: "
        "%d requests a minute, %d of them to one endpoint. If the account has more, set "
        "api_tier, or requests_per_minute and requests_per_minute_per_endpoint.",
        unchecked or "Lev does not tell them",
        *client.scheduler.limits,
    )
    return identity


def _identity(client: LevClient, config: Mapping[str, Any]) -> Identity:
    active = config.get("active_account")
    try:
        response = client.me()
    except (AuthenticationError, ConfigError):
        raise
    except LevError as error:
        return Identity(active, fault=str(error))
    me, server_time = response.data, response.server_time
    if not isinstance(me, dict):
        return Identity(active, server_time=server_time, me=me, fault=_no_object(response))
    account, user = _object(me, "account"), _object(me, "user")
    # What is in `account` no page shows, so any of it may be absent or of another type.
    values = [whole(account.get(key)) for key in ("id", "slug")]
    names = [value for value in values if _is_name(value)]
    user_id = whole(user.get("id"))
    return Identity(
        account=names[0] if names else active,
        user=user_id if type(user_id) is int else None,
        checked=bool(names),
        server_time=server_time,
        me=me,
    )


def _is_name(value: object) -> bool:
    return type(value) is int or (isinstance(value, str) and bool(value))


def _no_object(response: LevResponse) -> str:
    return (
        f"Lev answered {response.endpoint} with data that is no object "
        f"({name_request(response.request_id)})."
    )


def _object(value: object, name: str) -> dict[str, Any]:
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}
