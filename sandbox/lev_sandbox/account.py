"""The caller of the API: key, account, billing."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox.data.market import FIRST_USER_ID
from lev_sandbox.data.world import ACCOUNT_ID
from lev_sandbox.errors import Refusal
from lev_sandbox.limits import TIERS
from lev_sandbox.response import Content
from lev_sandbox.switches import SCOPES

if TYPE_CHECKING:
    from lev_sandbox.data.world import Row
    from lev_sandbox.state import SandboxState

_KEYS_ALLOWED = {"free": 2, "standard": 10, "enterprise": 50}
_NO_ACCOUNT = "Active account required. Provide X-Active-Account header or use an API key."


def said_tier(sandbox: SandboxState) -> str:
    """Return the tier in responses: a sandbox without limits names itself standard."""
    tier = sandbox.limits.tier
    return "standard" if tier == "none" else tier


def granted_scopes(sandbox: SandboxState) -> list[str]:
    """Return the scopes of the key."""
    return [scope for scope in SCOPES if scope not in sandbox.switches["missing_scopes"]]


def same_key(sandbox: SandboxState, key: str) -> bool:
    """Return whether a key is the sandbox's."""
    return hmac.compare_digest(key.encode(), sandbox.key.encode())


def authorize(sandbox: SandboxState, header: str | None, slug: str | None, *, needs: bool) -> bool:
    """Check the credentials of a request; return whether they are bound to one account.

    Args:
        sandbox: The sandbox.
        header: The `Authorization` header.
        slug: The `X-Active-Account` header.
        needs: Whether the endpoint needs an account.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() == "bearer":
        if same_key(sandbox, token):
            return True
        if sandbox.switches["accept_jwt"] and token.startswith("eyJ"):
            return _active_account(sandbox, slug, needs=needs)
    raise Refusal(401, "Authentication required")


def _active_account(sandbox: SandboxState, slug: str | None, *, needs: bool) -> bool:
    table = sandbox.store.table("my_accounts")
    if slug is not None:
        if all(table.row(number)["slug"] != slug for number in table.listed()):
            raise Refusal(403, f"No active membership of account {slug}")
        return True
    if len(table.listed()) == 1:
        return True
    if needs:
        raise Refusal(400, _NO_ACCOUNT, form="C")
    return False


def validate_key(sandbox: SandboxState, body: dict[str, Any]) -> Content:
    """Return whether a key is valid."""
    key = body.get("api_key")
    if not isinstance(key, str):
        raise Refusal(422, "api_key is required")
    found: Row = {"valid": False}
    if same_key(sandbox, key):
        found = {
            "valid": True,
            "user_id": _chosen(sandbox, "me_user_id", FIRST_USER_ID + 1),
            "account_id": _chosen(sandbox, "me_account_id", ACCOUNT_ID),
            "scopes": granted_scopes(sandbox),
            "tier": said_tier(sandbox),
        }
    elif sandbox.switches["invalid_key_status"] != 200:  # noqa: PLR2004
        raise Refusal(sandbox.switches["invalid_key_status"], "Invalid API key")
    bare = sandbox.switches["validate_key_shape"] == "bare"
    return Content(data=orjson.dumps(found), bare=bare)


def health(sandbox: SandboxState) -> Row:
    """Return the data of `/health`."""
    return {"status": "ok", "version": "2.0.0", "timestamp": sandbox.timestamp()}


def billing() -> Row:
    """Return the data of `/billing/summary`."""
    return {
        "subscription": {
            "type": "standard",
            "status": "active",
            "billing_cycle": "monthly",
            "end_date": "2027-12-31",
        },
        "credits": {"enabled": True, "balance": 1250, "unit": "credits"},
    }


def me(sandbox: SandboxState, *, scoped: bool) -> Row:
    """Return the data of `/me`."""
    team = sandbox.store.table("account_team")
    listed = team.listed()
    person: Row = team.row(listed[0]) if listed else {}
    accounts = sandbox.store.table("my_accounts")
    memberships = [accounts.row(number) for number in accounts.listed()]
    platform: Row = {"api_tier": said_tier(sandbox), **_rate_limits(sandbox)}
    found: Row = {
        "user": {
            "id": _chosen(sandbox, "me_user_id", person.get("user_id", FIRST_USER_ID + 1)),
            "uuid": sandbox.store.world.draw("me", 1).uuid(),
            "email": person.get("email"),
            "first_name": person.get("first_name"),
            "last_name": person.get("last_name"),
            "full_name": f"{person.get('first_name')} {person.get('last_name')}",
            "role": person.get("role", "admin"),
            "photo_url": person.get("photo_url"),
            "last_login_at": "2025-06-30T16:00:00Z",
        },
        "account": _own_account(sandbox, memberships[0]) if scoped and memberships else {},
        "profile": {},
        "subscription": billing()["subscription"] if scoped else {},
        "platform": platform,
    }
    if sandbox.switches["me_account"] == "absent":
        del found["account"]
    if scoped:
        keys = len(sandbox.store.table("api_keys").listed())
        platform["granted_scopes"] = granted_scopes(sandbox)
        platform["api_keys"] = {
            "current_count": keys,
            "max_allowed": _KEYS_ALLOWED[said_tier(sandbox)],
        }
    else:
        found["available_accounts"] = memberships
    return found


def _chosen(sandbox: SandboxState, switch: str, number: int) -> int:
    chosen: int | None = sandbox.switches[switch]
    return number if chosen is None else chosen


def _own_account(sandbox: SandboxState, membership: Row) -> Row:
    if sandbox.switches["me_account"] == "no_id":
        return {name: value for name, value in membership.items() if name != "id"}
    return {**membership, "id": _chosen(sandbox, "me_account_id", membership["id"])}


def _rate_limits(sandbox: SandboxState) -> Row:
    account, endpoint = sandbox.limits.numbers()
    if account is None or endpoint is None:
        account, endpoint = TIERS[said_tier(sandbox)]
    match sandbox.switches["me_rate_limits"]:
        case "empty":
            return {"rate_limits": {}}
        case "flat":
            return {
                "rate_limits": {
                    "requests_per_minute": account,
                    "requests_per_minute_per_endpoint": endpoint,
                }
            }
        case "nested":
            return {
                "rate_limits": {
                    "account": {"limit": account, "window_seconds": sandbox.limits.window},
                    "endpoint": {"limit": endpoint, "window_seconds": sandbox.limits.window},
                }
            }
        case _:
            return {}
