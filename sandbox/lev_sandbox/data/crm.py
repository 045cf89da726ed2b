"""Contacts, companies, lenders and their programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox.data import words
from lev_sandbox.data.draw import Draw, stamp_text
from lev_sandbox.data.world import ACCOUNT_ID, MICROSECONDS, World

if TYPE_CHECKING:
    from lev_sandbox.data.world import Row

LENDER_TYPES = (
    "bank",
    "credit union",
    "life company",
    "CMBS",
    "debt fund",
    "agency",
    "private lender",
)
LOAN_TYPES = ("construction", "heavy_bridge", "light_bridge", "permanent", "land", "predevelopment")
CAPITAL_SOURCES = ("balance_sheet", "agency", "cmbs_clo", "warehouse", "sba")


def stamps(world: World, name: str, number: int) -> Row:
    """Return `created_at` and `updated_at` of a row."""
    updated = world.updated(name, number)
    return {
        "created_at": stamp_text(world.moments(name, number)[0]),
        "updated_at": None if updated < 0 else stamp_text(updated // MICROSECONDS),
    }


def person(draw: Draw) -> tuple[str, str, str]:
    """Return a first name, a last name and a mail address."""
    first, last = draw.pick(words.FIRST_NAMES), draw.pick(words.LAST_NAMES)
    local = f"{first}.{last}".lower().replace("'", "").replace(" ", "-")
    if not local.isascii():
        local = f"contact.{draw.below(10**6)}"
    return first, last, f"{local}@example.com"


def place(draw: Draw) -> str:
    """Return a word that places are named after."""
    return draw.pick(words.PLACE_WORDS)


def firm(draw: Draw) -> str:
    """Return the name of a company."""
    return f"{place(draw)} {place(draw)} {draw.pick(words.FIRM_WORDS)}"


def address(draw: Draw) -> tuple[str, str, str, str]:
    """Return street, city, state and zip code."""
    city, state, prefix = draw.pick(words.CITIES)
    street = (
        f"{draw.between(1, 9900)} {draw.pick(words.PLACE_WORDS)} {draw.pick(words.STREET_WORDS)}"
    )
    return street, city, state, f"{prefix}{draw.below(100):02d}"


def _phone(draw: Draw) -> Row:
    area, line = draw.between(201, 989), draw.below(100)
    return {
        "id": draw.maybe(50, f"ph_{draw.below(10**9):09d}"),
        "type": draw.pick(("mobile", "office", "office", "fax")),
        "raw": f"({area}) 555-01{line:02d}",
        "country": "US",
        "e164": f"+1{area}55501{line:02d}",
        "extension": draw.pick(("", "", "", "204")),
    }


def contact(world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a contact."""
    first, last, email = person(draw)
    street, city, state, code = address(draw)
    kinds = draw.pick(
        (["lender_contact"], ["lender_contact"], ["sponsor"], ["sponsor", "lender_contact"])
    )
    return {
        "id": number,
        "contact_type": kinds[0],
        "contact_types": kinds,
        "first_name": draw.maybe(98, first),
        "last_name": last,
        "email": draw.maybe(93, email),
        "title": draw.maybe(85, draw.pick(words.JOB_TITLES)),
        "department": draw.maybe(50, draw.pick(words.DEPARTMENTS)),
        "address": draw.maybe(80, street),
        "address2": draw.maybe(15, f"Suite {draw.between(100, 2900)}"),
        "city": city,
        "state": state,
        "zip": code,
        "linkedin_url": draw.maybe(30, f"https://social.example.com/in/{number}"),
        "photo_url": draw.maybe(20, f"https://photos.example.com/contacts/{number}.jpg"),
        "phones": [_phone(draw) for _ in range(draw.pick((0, 1, 1, 1, 2)))],
        "is_primary": draw.chance(30),
        "owner_account_id": ACCOUNT_ID,
        "is_connected": True,
        **stamps(world, "contacts", number),
    }


def company(world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a company."""
    name = firm(draw)
    street, city, state, code = address(draw)
    return {
        "id": number,
        "name": name,
        "website": draw.maybe(70, f"https://company-{number}.example.com"),
        "address": draw.maybe(85, street),
        "city": city,
        "state": state,
        "zip": code,
        "org_id": draw.maybe(60, world.reference("lenders", draw.below(1 << 40))),
        "owner_account_id": ACCOUNT_ID,
        "is_connected": True,
        "linkedin_url": draw.maybe(25, f"https://social.example.com/company/{number}"),
        **stamps(world, "companies", number),
    }


def lender(world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a lender of the directory."""
    name = firm(draw)
    street, city, state, code = address(draw)
    types = sorted({draw.pick(LENDER_TYPES) for _ in range(draw.between(1, 2))})
    return {
        "id": number,
        "name": name,
        "website": draw.maybe(90, f"https://lender-{number}.example.com"),
        "logo_url": draw.maybe(50, f"https://logos.example.com/{number}.png"),
        "address": draw.maybe(80, street),
        "city": city,
        "state": state,
        "zip": code,
        "about": draw.maybe(40, f"{name} lends on commercial property — from {city} and beyond."),
        "lender_type": types,
        "category": draw.maybe(50, draw.pick(("institutional", "regional", "national"))),
        **stamps(world, "lenders", number),
        "linkedin_url": draw.maybe(40, f"https://social.example.com/company/lender-{number}"),
        "square_logo_url": draw.maybe(40, f"https://logos.example.com/{number}-square.png"),
        "aliases": [name.replace(" ", "")] if draw.chance(30) else [],
        "domains": [f"lender-{number}.example.com"],
    }


def lender_program(_world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a program of a lender."""
    smallest = draw.money(500_000, 10_000_000, 250_000)
    source = draw.pick(CAPITAL_SOURCES)
    return {
        "id": number,
        "title": f"{source.replace('_', ' ')} {draw.pick(words.BUILDING_WORDS)}".capitalize(),
        "loan_types": sorted({draw.pick(LOAN_TYPES) for _ in range(2)}),
        "recourse_types": draw.pick((["non_recourse"], ["personal_recourse"], [])),
        "min_loan_amount": draw.maybe(90, smallest),
        "max_loan_amount": draw.maybe(90, smallest * draw.between(2, 20)),
        "capital_source_type": source,
        "positions": draw.pick((["senior"], ["senior", "mezzanine"], ["preferred_equity"])),
        "sponsor_states": sorted({draw.pick(words.CITIES)[1] for _ in range(draw.below(4))}),
        "status": draw.pick(("active", "active", "active", "paused")),
    }
