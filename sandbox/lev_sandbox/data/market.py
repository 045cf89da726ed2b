"""Pipelines, market data and the account itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox.data.crm import person
from lev_sandbox.data.draw import Draw, stamp_text
from lev_sandbox.data.world import ACCOUNT_ID, World

if TYPE_CHECKING:
    from lev_sandbox.data.world import Row

FIRST_USER_ID = 1200
ACCOUNT_SLUG = "sandbox-brokerage"
PIPELINES = (("financing", "Financing"), ("acquisition", "Acquisition"), ("equity", "Equity — JV"))
PIPELINE_STATUSES = (
    ("new", "quoting", "term_sheet", "closing", "closed"),
    ("new", "loi", "under_contract", "closed"),
    ("new", "outreach", "closing"),
)
BASE_RATES = (
    ("SOFR 30-Day Avg", 4.33),
    ("SOFR 90-Day Avg", 4.35),
    ("SOFR 1-Mo Term", 4.32),
    ("Treasury 2-Yr", 3.89),
    ("Treasury 3-Yr", 3.86),
    ("Treasury 5-Yr", 3.95),
    ("Treasury 7-Yr", 4.12),
    ("Treasury 10-Yr", 4.28),
    ("Treasury 30-Yr", 4.81),
    ("Prime Rate", 7.5),
    ("Swap 5-Yr", None),
)
ASSET_TYPES = (
    ("Multifamily", ("Garden", "Mid-rise", "High-rise", "Student housing")),
    ("Office", ("Suburban", "Central business district", "Medical")),
    ("Retail", ("Anchored", "Strip", "Single tenant")),
    ("Industrial", ("Warehouse", "Flex", "Cold storage")),
    ("Hospitality", ("Limited service", "Full service", "Café & inn")),
    ("Self storage", ()),
    ("Land", ("Entitled", "Raw")),
    ("Mixed use", ("Retail / Residential",)),
    ("Manufactured housing", ()),
    ("Data center", ("Powered shell",)),
    ("Special purpose", ()),
)


def pipeline(_world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a pipeline with its statuses."""
    kind, name = PIPELINES[number - 1]
    return {
        "id": number,
        "pipeline_type": kind,
        "pipeline_name": name,
        "description": draw.maybe(50, f"Stages of {name.lower()} deals"),
        "owner_account_id": ACCOUNT_ID,
        "order": number,
        "statuses": [
            {
                "id": number * 100 + place,
                "status": status,
                "custom_status_name": draw.maybe(25, status.replace("_", " ").title()),
                "description": draw.maybe(50, f"Deals in stage {status}"),
                "order": place,
                "icon": draw.maybe(20, "flag"),
            }
            for place, status in enumerate(PIPELINE_STATUSES[number - 1], 1)
        ],
    }


def base_rate(_world: World, _draw: Draw, number: int, _parent: int) -> Row:
    """Make a base rate."""
    name, rate = BASE_RATES[number - 1]
    return {"code": name, "name": name, "rate": rate}


def asset_type(_world: World, _draw: Draw, number: int, _parent: int) -> Row:
    """Make an asset type."""
    label, sub_types = ASSET_TYPES[number - 1]
    return {"id": number, "description": label, "property_sub_types": list(sub_types)}


def team_member(_world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a member of the account."""
    first, last, email = person(draw)
    user = FIRST_USER_ID + number
    return {
        "user_id": user,
        "first_name": first,
        "last_name": last,
        "email": email,
        "role": "admin" if number == 1 else draw.pick(("admin", "member", "member", "member")),
        "photo_url": draw.maybe(50, f"https://photos.example.com/users/{user}.jpg"),
    }


def author(world: World, draw: Draw) -> Row:
    """Return the member of the account that wrote something."""
    number = world.reference("account_team", draw.below(1 << 30))
    if number is None:
        return {"id": FIRST_USER_ID, "name": None}
    member = team_member(world, world.draw("account_team", number), number, 0)
    return {"id": member["user_id"], "name": f"{member['first_name']} {member['last_name']}"}


def account(_world: World, _draw: Draw, number: int, _parent: int) -> Row:
    """Make an account that the user is a member of."""
    own = number == 1
    return {
        "id": ACCOUNT_ID + number - 1,
        "name": "Sandbox Brokerage" if own else f"Sandbox Account {number}",
        "slug": ACCOUNT_SLUG if own else f"sandbox-account-{number}",
        "account_type": "brokerage" if own else "lender",
    }


def api_key(world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make an API key as a list shows it: without the secret."""
    created, updated = world.moments("api_keys", number)
    return {
        "id": number,
        "label": draw.pick(("warehouse sync", "reporting", "nightly export")),
        "key_prefix": f"lev_sk_{draw.below(16**4):04x}",
        "created_at": stamp_text(created),
        "last_used_at": draw.maybe(70, stamp_text(updated // 10**6)),
    }
