"""Placements, term sheets and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox.data import words
from lev_sandbox.data.crm import CAPITAL_SOURCES, firm, person, stamps
from lev_sandbox.data.deals import owner
from lev_sandbox.data.draw import Draw, date_text, stamp_text
from lev_sandbox.data.market import author
from lev_sandbox.data.world import ACCOUNT_ID, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from lev_sandbox.data.world import Row

STATUSES = (
    "new", "sent", "lender_reviewing", "terms_received", "term_sheet_received",
    "executed_ts_in_closing", "closed", "unresponsive", "willing_to_negotiate", "lender_passed",
    "archived", "carve_out", "carve_out_closed",
)  # fmt: skip
LENDER_STATUSES = (
    "origination", "new", "lead_qualification", "quotation", "negotiation", "offer", "term_sheet",
    "good_faith_deposit", "diligence", "in_closing", "closed", "archived",
)  # fmt: skip
PREPAYMENT_PENALTIES = (
    "step_down", "defeasance", "minimum_interest", "yield_maintenance", "minimum_multiple",
    "swap_breakage", "no_prepayment_penalty", "no_ability_to_prepay", "flat_fee", "other",
)  # fmt: skip
BENCHMARKS = (
    ("Treasury 5-Yr", 3.95),
    ("Treasury 10-Yr", 4.28),
    ("SOFR 30-Day Avg", 4.33),
    ("SOFR 1-Mo Term", 4.32),
    ("Prime Rate", 7.5),
)


def _label(number: int) -> str:
    return f"Lender {chr(65 + number % 26)}"


def placement(world: World, draw: Draw, number: int, _parent: int) -> Row:
    """Make a placement; on another account's deal it is masked."""
    created, updated = world.moments("placements", number)
    changed = updated // 10**6
    deal = world.reference("deals", draw.below(1 << 40)) or 0
    masked = owner(world, deal) != ACCOUNT_ID
    company = world.reference("companies", draw.below(1 << 40))
    person_id = world.reference("contacts", draw.below(1 << 40))
    contact = draw.maybe(85, person_id)
    first, last, _ = person(draw)
    lender_name = firm(draw)
    return {
        "id": number,
        "deal_id": deal,
        "private_company_id": None if masked else company,
        "lender_name": _label(number) if masked else lender_name,
        "contact_id": None if masked else contact,
        "contact_name": None if masked or contact is None or draw.chance(10) else f"{first} {last}",
        "status": draw.maybe(97, draw.pick(STATUSES)),
        "lender_status": draw.maybe(85, draw.pick(LENDER_STATUSES)),
        "description": draw.maybe(
            30, f"{draw.pick(words.NOTE_OPENINGS)} {draw.pick(words.NOTE_SUBJECTS)}"
        ),
        "lev_score": draw.maybe(75, draw.between(200, 1000) / 10),
        "score": draw.maybe(40, float(draw.between(0, 100))),
        "outreach_date": draw.maybe(70, date_text(created)),
        "outreach_source": draw.maybe(60, draw.pick(("direct", "direct", "platform", "import"))),
        "last_communication_date": draw.maybe(55, stamp_text(changed)),
        "lender_first_response_date": draw.maybe(40, stamp_text((created + changed) // 2)),
        "visibility": draw.maybe(95, draw.pick(("hidden", "masked", "shared", "shared"))),
        **stamps(world, "placements", number),
    }


def term_sheet(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make a term sheet of a deal; another account's is masked."""
    masked = owner(world, parent) != ACCOUNT_ID
    lender_name = firm(draw)
    term = draw.pick((24, 36, 60, 84, 120, 360))
    benchmark, base_value = draw.pick(BENCHMARKS)
    fixed = draw.chance(40)
    spread = draw.between(125, 650) / 100
    all_in = round(base_value + spread, 2)
    org = world.reference("lenders", draw.below(1 << 40))
    return {
        "id": number,
        "deal_id": parent,
        "title": f"{_label(number) if masked else lender_name}, {term} months",
        "lender_name": _label(number) if masked else lender_name,
        "quote_type": draw.maybe(
            95, draw.pick(("guidance", "indication", "soft_quote", "hard_quote", "term_sheet"))
        ),
        "initial_funding": draw.maybe(95, draw.between(10, 1400) * 50_000),
        "total_rate": all_in if fixed else spread,
        "base_rate": draw.pick(("none-fixed", None)) if fixed else benchmark,
        "base_rate_value": None if fixed else base_value,
        "effective_spread": None if fixed else spread,
        "rate_type": "fixed" if fixed else draw.pick(("floating", "floating", "fixed")),
        "term": term,
        "io_period": draw.maybe(70, draw.pick((0, 12, 24, term))),
        "recourse": draw.maybe(
            85, draw.pick(("personal_recourse", "fund_corporate_recourse", "non_recourse"))
        ),
        "max_ltv": draw.maybe(80, draw.ratio(50, 80, 100)),
        "max_ltc": draw.maybe(40, draw.ratio(50, 85, 100)),
        "origination_fee": draw.maybe(80, draw.ratio(0, 20)),
        "exit_fee": draw.maybe(30, draw.ratio(0, 10)),
        "org_id": None if masked else org,
        "placement_id": draw.maybe(80, world.reference("placements", draw.below(1 << 40))),
        "winning": draw.maybe(95, draw.chance(12)),
        "is_visible_to_borrower": draw.chance(60),
        "notes": draw.maybe(25, f"Subject to {draw.pick(words.NOTE_SUBJECTS)}"),
        **stamps(world, "term_sheets", number),
        "capital_source_type": draw.maybe(80, draw.pick(CAPITAL_SOURCES)),
        "recourse_type": draw.maybe(40, draw.pick(("full", "partial", "burn_off"))),
        "payment_method": draw.maybe(40, draw.pick(("accrued", "partial", "current_pay"))),
        "prepayment_penalty": draw.maybe(70, draw.pick(PREPAYMENT_PENALTIES)),
        "prepayment_penalty_details": draw.maybe(25, "3 % · 2 % · 1 %, then open"),
        "amortization": draw.maybe(70, draw.pick((240, 300, 360))),
        "extension_one": draw.maybe(40, 12),
        "extension_two": draw.maybe(25, 12),
        "extension_three": draw.maybe(5, 6),
        "floor": draw.maybe(30, draw.between(300, 700) / 100),
        "floor_type": draw.maybe(30, draw.pick(("base_rate", "total_rate"))),
        "good_faith_deposit": draw.maybe(40, draw.money(10_000, 150_000, 5_000)),
        "min_dscr": draw.maybe(60, draw.between(110, 150) / 100),
        "min_debt_yield": draw.maybe(50, draw.ratio(70, 110)),
        "ir_details": draw.maybe(15, "Six months held back at closing"),
    }


def note_of(name: str) -> Callable[[World, Draw, int, int], Row]:
    """Return the maker of the notes of one kind of parent."""

    def note(world: World, draw: Draw, number: int, _parent: int) -> Row:
        text = f"{draw.pick(words.NOTE_OPENINGS)} {draw.pick(words.NOTE_SUBJECTS)}."
        return {
            "id": number,
            "text": draw.maybe(98, text),
            "created_by": draw.maybe(97, author(world, draw)),
            **stamps(world, name, number),
        }

    return note
