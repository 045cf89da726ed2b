"""Deals and what hangs on them: financials, properties, team, stage rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox.data import words
from lev_sandbox.data.crm import LOAN_TYPES, address, stamps
from lev_sandbox.data.draw import LAST_SECOND, Draw, stamp_text
from lev_sandbox.data.market import ASSET_TYPES, PIPELINE_STATUSES, PIPELINES, team_member
from lev_sandbox.data.world import ACCOUNT_ID, MICROSECONDS, World

if TYPE_CHECKING:
    from lev_sandbox.data.world import Row

ARCHIVED_PERCENT = 8
OTHER_OWNER_PERCENT = 7
DEAL_ROLES = ("deal_lead", "originator", "closer", "analyst", "processor")
_TWO_YEARS = 2 * 365 * 86_400


def owner(world: World, deal: int) -> int:
    """Return the account that owns a generated deal; another one's deals are masked."""
    draw = world.draw("deals/owner", deal)
    return ACCOUNT_ID + (draw.between(1, 5) if draw.chance(OTHER_OWNER_PERCENT) else 0)


def deal(world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a deal."""
    created, _ = world.moments("deals", number)
    dates = stamps(world, "deals", number)
    archived = draw.chance(ARCHIVED_PERCENT)
    transaction = draw.pick(("acquisition", "refinance", "refinance", "new_construction", "tbd"))
    name = f"{draw.pick(words.PLACE_WORDS)} {draw.pick(words.BUILDING_WORDS)}"
    return {
        "id": number,
        "title": f"{name} {transaction.replace('_', ' ').title()}"
        if transaction != "tbd"
        else name,
        "loan_amount": draw.maybe(95, draw.money(750_000, 85_000_000, 50_000)),
        "loan_type": draw.maybe(95, draw.pick((*LOAN_TYPES, "permanent", "tbd"))),
        "transaction_type": draw.maybe(95, transaction),
        "business_plan": draw.maybe(
            90, draw.pick(("stabilized", "value_add", "construction", "land"))
        ),
        "description": draw.maybe(
            35, f"{draw.pick(words.NOTE_OPENINGS)} {draw.pick(words.NOTE_SUBJECTS)}."
        ),
        "estimated_close_date": draw.maybe(80, draw.day(created, created + _TWO_YEARS)),
        "close_date": draw.maybe(15, draw.day(created, created + _TWO_YEARS)),
        "owner_account_id": owner(world, number),
        **dates,
        "archived": archived,
        "archived_at": stamp_text(world.moments("deals", number)[1] // MICROSECONDS)
        if archived
        else None,
    }


def _money(draw: Draw, percent: int, low: int, high: int) -> float | None:
    return draw.maybe(percent, draw.money(low, high, 500))


def financials(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make the financials of a deal."""
    updated = world.updated("deal_financials", number)
    price = draw.money(1_000_000, 120_000_000, 50_000)
    return {
        "id": number,
        "deal_id": parent,
        "purchase_price": draw.maybe(85, price),
        "asking_price": draw.maybe(30, price * 1.05),
        "estimated_value": draw.maybe(70, price * 1.1),
        "stabilized_value": draw.maybe(50, price * 1.3),
        "in_place_noi": draw.maybe(80, round(price * draw.ratio(40, 80), 2)),
        "stabilized_noi": draw.maybe(60, round(price * draw.ratio(60, 95), 2)),
        "stabilized_occupancy": draw.maybe(70, draw.ratio(850, 990)),
        "going_in_cap_rate": draw.maybe(70, draw.ratio(45, 90)),
        "going_in_cap_rate_as_of_date": draw.maybe(30, draw.day()),
        "capex": _money(draw, 50, 50_000, 9_000_000),
        "historical_capex": _money(draw, 30, 50_000, 4_000_000),
        "land_cost": _money(draw, 25, 200_000, 15_000_000),
        "total_cost": _money(draw, 60, 1_000_000, 140_000_000),
        "total_cost_basis": _money(draw, 40, 1_000_000, 140_000_000),
        "cost_basis_to_date": _money(draw, 30, 500_000, 90_000_000),
        "imputed_land_value": _money(draw, 15, 200_000, 9_000_000),
        "existing_debt": _money(draw, 45, 500_000, 70_000_000),
        "estimated_cost_basis_if_refinance": _money(draw, 30, 500_000, 90_000_000),
        "exchange_amount": _money(draw, 8, 200_000, 9_000_000),
        "outstanding_loan_amount_at_closing": _money(draw, 40, 500_000, 70_000_000),
        "exchange_required_closing_date": draw.maybe(8, draw.day()),
        "investment_sales_brokerage_fee": _money(draw, 20, 10_000, 900_000),
        "debt_placement_brokerage_fee": _money(draw, 60, 10_000, 600_000),
        "environmental_cost": _money(draw, 40, 2_000, 40_000),
        "appraisal_cost": _money(draw, 40, 3_000, 25_000),
        "survey_cost": _money(draw, 40, 2_000, 20_000),
        "snda_and_estoppel_cost": _money(draw, 20, 1_000, 15_000),
        "estimated_borrower_counsel_cost": _money(draw, 40, 10_000, 150_000),
        "estimated_lender_counsel_cost": _money(draw, 40, 10_000, 150_000),
        "other_closing_costs": draw.maybe(40, draw.between(500, 90_000)),
        "date_of_purchase_if_refinance": draw.maybe(30, draw.day()),
        "construction_start_date": draw.maybe(20, draw.day()),
        "construction_completion_date": draw.maybe(20, draw.day()),
        "debt_maturity_date": draw.maybe(50, draw.day(LAST_SECOND, LAST_SECOND + _TWO_YEARS)),
        "cash_out": draw.maybe(90, draw.chance(30)),
        "recent_phase_available": draw.maybe(60, draw.chance(50)),
        "recent_appraisal_available": draw.maybe(60, draw.chance(50)),
        "survey_available": draw.maybe(60, draw.chance(50)),
        "borrower_counsel_engaged": draw.maybe(60, draw.chance(50)),
        "updated_at": None if updated < 0 else stamp_text(updated // MICROSECONDS),
    }


def embedded_financials(row: Row) -> Row:
    """Return the reduced form that a deal embeds, with names the endpoint does not know."""
    price, income = row["purchase_price"], row["in_place_noi"]
    debt = row["existing_debt"]
    return {
        "id": row["id"],
        "noi": income,
        "purchase_price": price,
        "appraised_value": row["estimated_value"],
        "ltv": round(debt / price, 4) if debt and price else None,
        "dscr": round(income / (debt * 0.07), 2) if debt and income else None,
    }


def deal_property(_world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a property of a deal."""
    street, city, state, code = address(draw)
    return {
        "id": number,
        "name": draw.maybe(90, f"{draw.pick(words.PLACE_WORDS)} {draw.pick(words.BUILDING_WORDS)}"),
        "address": street,
        "city": city,
        "state": state,
        "zip": draw.maybe(95, code),
        "asset_type_id": draw.maybe(95, draw.between(1, len(ASSET_TYPES))),
        "units": draw.maybe(60, draw.between(4, 480)),
        "square_footage": draw.maybe(80, draw.money(2_000, 900_000, 50)),
        "year_built": draw.maybe(85, draw.between(1890, 2025)),
    }


def deal_team(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make an assignment of a team member to a deal."""
    place = number - world.span("deal_team", parent).start
    user = world.reference("account_team", draw.below(1 << 30) + place)
    member = team_member(world, world.draw("account_team", user), user, 0) if user else {}
    return {
        "id": number,
        "user_id": member.get("user_id"),
        "first_name": member.get("first_name"),
        "last_name": member.get("last_name"),
        "email": member.get("email"),
        "deal_role": "deal_lead" if place == 0 else draw.maybe(90, draw.pick(DEAL_ROLES)),
        "is_primary": place == 0,
        "permission": draw.maybe(40, draw.pick(("edit", "view"))),
        "photo_url": member.get("photo_url"),
    }


def deal_pipeline(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make the row that says which stage of a pipeline a deal is in."""
    place = number - world.span("deal_pipelines", parent).start
    pipeline = place % len(PIPELINES)
    updated = world.updated("deal_pipelines", number)
    return {
        "pipeline_id": pipeline + 1,
        "status_name": draw.pick(PIPELINE_STATUSES[pipeline]),
        "updated_at": None if updated < 0 else stamp_text(updated // MICROSECONDS),
    }


def deal_pipeline_count(world: World, parent: int) -> int:
    """Return how many pipelines a deal is in: most are in one."""
    return world.draw("deal_pipelines/count", parent).pick((0, 1, 1, 1, 1, 1, 1, 2, 2, 3))
