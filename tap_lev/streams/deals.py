"""Deals (lev-api.md §2.1)."""

from __future__ import annotations

from tap_lev.schema import BOOLEAN, DATE_TIME, INTEGER, NUMBER, OBJECT, STRING, described, table
from tap_lev.stream import IncrementalStream


class Deals(IncrementalStream):
    """Deals, active and archived."""

    name = "deals"
    path = "/deals"
    includes = ("financials",)
    schema = table(
        IncrementalStream.primary_keys,
        id=INTEGER,
        title=STRING,
        loan_amount=described(NUMBER, "The amount asked for."),
        loan_type=described(STRING, "Such as construction, permanent or land."),
        transaction_type=described(STRING, "Such as acquisition or refinance."),
        business_plan=described(STRING, "Such as stabilized or value_add."),
        description=STRING,
        estimated_close_date=described(STRING, "A date."),
        close_date=described(STRING, "A date: when the deal did close."),
        owner_account_id=described(INTEGER, "The account that owns the deal."),
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
        archived=BOOLEAN,
        archived_at=DATE_TIME,
        financials=described(
            OBJECT,
            "Key figures as Lev embeds them: ltv, dscr, noi and appraised_value stand only here.",
        ),
    )
